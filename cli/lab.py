"""`stackroll lab`: a real OpenStack cloud on this machine."""

import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
from rich.console import Console

from deploy.lab import record as records
from deploy.lab import states, status
from deploy.lab.api import Api
from deploy.lab.cloud import Lab
from deploy.lab.command import exclusive, ssh_args
from deploy.lab.console import Recorder
from deploy.lab.errors import LabError
from deploy.lab.progress import Progress
from deploy.lab.settings import LabSpec, Paths

app = typer.Typer(
    help="A real OpenStack cloud on this machine, to roll upgrades over.",
    no_args_is_help=True,
    add_completion=False,
)
_console = Console(highlight=False)


@contextmanager
def _errors_shown() -> Iterator[None]:
    """Show the operator an error's text, not its traceback."""
    try:
        yield
    except LabError as error:
        _console.print(f"[bold red]error:[/bold red] {error}", markup=True, soft_wrap=True)
        raise typer.Exit(1) from error


def _lab() -> tuple[Lab, Paths, Progress]:
    paths, progress = Paths.from_environment(), Progress(_console)
    return Lab(paths, progress), paths, progress


@app.command()
def up(
    release: Annotated[str, typer.Option(help="OpenStack release to install.")] = "2026.1",
    control: Annotated[int, typer.Option(help="Number of control hosts.")] = 2,
    compute: Annotated[int, typer.Option(help="Number of compute hosts.")] = 3,
    guests: Annotated[int, typer.Option(help="Number of guests to boot.")] = 4,
    hypervisor: Annotated[
        str, typer.Option(help="What runs the guests: fake, nova's own stand-in; or qemu, which really runs them.")
    ] = "fake",
) -> None:
    """Make the lab, or what is missing of it; a shape that was made before is restored in a minute."""
    with _errors_shown(), exclusive():
        lab, paths, progress = _lab()
        lab.up(LabSpec(release, control, compute, guests, hypervisor))
        progress.note(f"[bold]the lab is up[/bold]; its files are in {paths.state}")


@app.command()
def down(
    purge: Annotated[bool, typer.Option("--purge", help="Remove download caches and saved states too.")] = False,
) -> None:
    """Take the lab off this machine; caches and saved states stay unless purged."""
    with _errors_shown(), exclusive():
        lab, _, progress = _lab()
        lab.down(purge=purge)
        progress.note("[bold]the lab is gone[/bold]")


@app.command("status")
def show_status() -> None:
    """Show hosts, units, the release each process really runs, and guests. Exit status 1 if something is wrong."""
    with _errors_shown():
        report = status.gather(Paths.from_environment())
        for renderable in status.tables(report):
            _console.print(renderable)
        if not report.well:
            raise typer.Exit(1)


def _listen(seconds: float | None) -> None:
    threading.Event().wait(seconds)


@app.command("watch-guests")
def watch_guests(
    seconds: Annotated[float | None, typer.Option(help="How long; until Ctrl-C if not given.")] = None,
    longest_gap: Annotated[float, typer.Option(help="Seconds of silence that are allowed.")] = 3.0,
) -> None:
    """Listen to the consoles of real guests, then say of each whether it went on counting. Exit status 1 if not."""
    with _errors_shown():
        paths = Paths.from_environment()
        record = records.require(paths)
        if record.spec.hypervisor != "qemu":
            raise LabError("this lab has no real guests; next: stackroll lab down, then up --hypervisor qemu")
        with suppress(KeyboardInterrupt), Recorder(paths.state / "hosts") as recorder:
            _console.print("listening; Ctrl-C ends it" if seconds is None else f"listening for {seconds:g} s")
            _listen(seconds)
        names = {server["id"]: server["name"] for server in Api(record.secrets.admin).servers()}
        accounts = recorder.accounts()
        _console.print(status.counting_table(accounts, names, longest_gap))
        if any(account.trouble(longest_gap=longest_gap) for account in accounts):
            raise typer.Exit(1)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def ssh(
    host: Annotated[str, typer.Argument(help="Name of the host, for instance ctl1.")],
    command: Annotated[list[str] | None, typer.Argument(help="Command to run; a login shell without one.")] = None,
) -> None:
    """Log in to a host as root, or run a command on it."""
    with _errors_shown():
        paths = Paths.from_environment()
        line = ssh_args(paths, records.require(paths).spec.host(host))
        # One argument is a shell's line, several are a command with its arguments, as ssh users expect of each.
        words = command or []
        remote = words if len(words) < 2 else [shlex.join(words)]
        terminal = ["-t"] if sys.stdin.isatty() else []
        os.execvp(line[0], [*line[:-1], *terminal, line[-1], *remote])  # noqa: S606 - becoming ssh is the point


@app.command()
def save(name: Annotated[str, typer.Argument(help="Name of the saved state.")]) -> None:
    """Keep the whole cloud as it is now: databases, messages, images, guests, hosts."""
    with _errors_shown(), exclusive():
        _lab()[0].save(name)


@app.command()
def restore(name: Annotated[str, typer.Argument(help="Name of the saved state; see `saved`.")]) -> None:
    """Bring a saved cloud back in place of the current one."""
    with _errors_shown(), exclusive():
        _lab()[0].restore(name)


@app.command()
def forget(name: Annotated[str, typer.Argument(help="Name of the saved state; see `saved`.")]) -> None:
    """Delete a saved state."""
    with _errors_shown(), exclusive():
        states.forget(Paths.from_environment(), name)


@app.command()
def saved() -> None:
    """List the saved states."""
    for name, spec in states.listing(Paths.from_environment()).items():
        _console.print(f"{name}  [dim]{spec.describe()}[/dim]")


if __name__ == "__main__":
    app()
