"""`stackroll sim`: a simulated cloud of any size on this machine, with faults on demand."""

import asyncio
import json
import resource
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.console import say
from cli.documents import BadInputError, Document, Problem
from cli.errors import CliError, Exit
from cli.explain import explain
from simulator.faults import Fault, FaultFile
from simulator.server import Simulation, simulation
from simulator.settings import SimSpec

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
    settings: Annotated[
        Path | None, typer.Option(help="YAML file with all that can be set; options go before.")
    ] = None,
    control: Annotated[int | None, typer.Option(help="Number of control hosts (2).")] = None,
    compute: Annotated[int | None, typer.Option(help="Number of compute hosts (3).")] = None,
    guests: Annotated[int | None, typer.Option(help="Number of guests (4).")] = None,
    load: Annotated[str | None, typer.Option(help="How full the hosts are instead, such as 60%.")] = None,
    zones: Annotated[int | None, typer.Option(help="Number of availability zones (1).")] = None,
    groups: Annotated[float | None, typer.Option(help="Share of guests in anti-affinity groups of three (0).")] = None,
    release: Annotated[str | None, typer.Option(help="The OpenStack release that it runs (2026.1).")] = None,
    speed: Annotated[float | None, typer.Option(help="Seconds of simulated work that pass in one second (20).")] = None,
    network: Annotated[str | None, typer.Option(help="First two numbers of its loopback addresses (127.10).")] = None,
    ssh_port: Annotated[int | None, typer.Option(help="The port of its SSH servers (2222).")] = None,
    faults: Annotated[Path | None, typer.Option(help="YAML file that says what goes wrong.")] = None,
) -> None:
    """Run a simulated cloud until Ctrl-C. All of it is forgotten then."""
    whole: dict[str, object] = {"control": control, "compute": compute, "guests": guests, "release": release}
    whole |= {"speed": speed, "network": network, "ssh_port": ssh_port}
    fleet: dict[str, object] = {"load": load, "zones": zones, "groups": groups}
    base = load_settings(settings) if settings else SimSpec()
    spec = _changed(base, _given(whole), _given(fleet))
    armed = load_faults(faults) if faults else ()
    _raise_file_limit()
    asyncio.run(_run(spec, state.absolute(), armed))


def _given(options: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _changed(base: SimSpec, whole: dict[str, object], fleet: dict[str, object]) -> SimSpec:
    content = {**base.model_dump(), **whole, "fleet": {**base.fleet.model_dump(), **fleet}}
    try:
        return SimSpec.model_validate(content)
    except ValidationError as error:
        lines = [f"--{str(e['loc'][-1]).replace('_', '-')}: {e['msg']}" for e in error.errors()]
        raise CliError("\n".join(lines), Exit.BAD_INPUT) from None


def load_settings(path: Path) -> SimSpec:
    """Return the settings of a file.

    Raises:
        BadInputError: with every problem in it.
    """
    document = Document(path)
    try:
        spec = SimSpec.model_validate(document.data)
    except ValidationError as error:
        raise BadInputError(document.problems + explain(error, document, SimSpec)) from None
    if document.problems:
        raise BadInputError(document.problems)
    return spec


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
            guests = len(running.cloud.nova.guests)
            say(f"{spec.control} control and {spec.compute} compute hosts with {guests} guests at {spec.release}")
            if spec.next_release:
                say(f"try: stackroll check {folder / 'upgrade.yaml'}; Ctrl-C ends it")
            await stop.wait()
            _tell(running)
    except OSError as error:
        text = f"the addresses of {spec.network} cannot be used ({error.strerror or error}); try another --network"
        raise CliError(text) from None


def _tell(running: Simulation) -> None:
    """Say what went wrong, and write down what only the simulator knows."""
    for text in running.cloud.faults.happened:
        say(f"happened: {text}")
    for text in running.shell.unknown:
        say(f"not simulated: {text}")
    truth = running.cloud.truth.dump()
    for violation in truth["violations"]:
        say(f"violated: {violation['text']}")
    (running.folder / "truth.json").write_text(json.dumps(truth, indent=1))


def _raise_file_limit() -> None:
    """Every host listens on a socket of its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))


if __name__ == "__main__":
    app()
