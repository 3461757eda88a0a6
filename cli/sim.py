"""`stackroll sim`: a simulated cloud of any size on this machine, with faults on demand."""

import asyncio
import resource
import signal
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.console import say
from cli.documents import BadInputError, Document, Problem
from cli.errors import CliError, Exit
from cli.explain import explain
from simulator.faults import Fault, FaultFile
from simulator.server import simulation
from simulator.settings import SSH_PORT, SimSpec

app = typer.Typer(
    help="A simulated cloud of any size on this machine: for scale, for faults, for time that runs faster.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def _sim() -> None:
    """A simulated cloud of any size on this machine: for scale, for faults, for time that runs faster."""


@app.command()
def up(
    state: Annotated[Path, typer.Option(help="Where its files go: clouds.yaml, cloud.yaml, upgrade.yaml, keys.")],
    control: Annotated[int, typer.Option(help="Number of control hosts.")] = 2,
    compute: Annotated[int, typer.Option(help="Number of compute hosts.")] = 3,
    guests: Annotated[int, typer.Option(help="Number of guests.")] = 4,
    release: Annotated[str, typer.Option(help="The OpenStack release that it runs.")] = "2026.1",
    speed: Annotated[float, typer.Option(help="Seconds of simulated work that pass in one second.")] = 20.0,
    network: Annotated[str, typer.Option(help="First two numbers of its addresses; loopback ones.")] = "127.10",
    ssh_port: Annotated[int, typer.Option(help="The port of its SSH servers.")] = SSH_PORT,
    faults: Annotated[Path | None, typer.Option(help="YAML file that says what goes wrong.")] = None,
) -> None:
    """Run a simulated cloud until Ctrl-C. All of it is forgotten then."""
    content = {"control": control, "compute": compute, "guests": guests, "release": release}
    content |= {"speed": speed, "network": network, "ssh_port": ssh_port}
    try:
        spec = SimSpec.model_validate(content)
    except ValidationError as error:
        lines = [f"--{'-'.join(map(str, e['loc'])).replace('_', '-')}: {e['msg']}" for e in error.errors()]
        raise CliError("\n".join(lines), Exit.BAD_INPUT) from None
    armed = load_faults(faults) if faults else ()
    _raise_file_limit()
    asyncio.run(_run(spec, state.absolute(), armed))


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Return the faults of a file.

    Raises:
        BadInputError: with every problem in it.
    """
    document = Document(path)
    try:
        return FaultFile.model_validate(document.data).faults
    except ValidationError as error:
        plain = [e for e in error.errors() if e["type"] == "value_error" and not e["loc"]]
        problems = [Problem(document.label, None, str(e["ctx"]["error"])) for e in plain]
        raise BadInputError(document.problems + (problems or explain(error, document, FaultFile))) from None


async def _run(spec: SimSpec, folder: Path, faults: tuple[Fault, ...]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with simulation(spec, folder, faults) as running:
            say(f"{spec.control} control and {spec.compute} compute hosts with {spec.guests} guests at {spec.release}")
            if spec.next_release:
                say(f"try: stackroll check {folder / 'upgrade.yaml'}; Ctrl-C ends it")
            await stop.wait()
            for text in running.cloud.faults.happened:
                say(f"happened: {text}")
            for text in running.shell.unknown:
                say(f"not simulated: {text}")
    except OSError as error:
        text = f"the addresses of {spec.network} cannot be used ({error.strerror or error}); try another --network"
        raise CliError(text) from None


def _raise_file_limit() -> None:
    """Every host listens on a socket of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))


if __name__ == "__main__":
    app()
