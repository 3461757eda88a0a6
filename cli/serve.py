"""The processes: ``dev`` for one machine with everything in it, ``worker`` beside a Temporal of your own, the clouds.

What they need is imported inside the commands: it takes a second to load, and no other command needs it.
"""

import logging

import typer

from cli.console import LOG_FORMAT, awaited
from cli.errors import CliError, NoAnswerError
from workers.connect import Unreachable


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (dev, worker, demo):
        app.command(rich_help_panel="Processes")(awaited(command))
    # Its own command line takes all arguments, --help among them.
    passed_on = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    for passing in (lab, sim):
        app.command(rich_help_panel="Processes", context_settings=passed_on)(passing)


async def dev() -> None:
    """Run Temporal's own server with a database file, and a worker, until Ctrl-C; runs outlive both."""
    from workers.dev import DevError, run_dev  # noqa: PLC0415

    try:
        status = await run_dev()
    except DevError as error:
        raise CliError(str(error)) from None
    raise typer.Exit(status)


async def worker() -> None:
    """Run a worker that serves the Temporal named by TEMPORAL_ADDRESS or the profile, until Ctrl-C."""
    from workers.worker import run_worker  # noqa: PLC0415

    # A worker's log is all that it says.
    logging.basicConfig(level=logging.getLogger().level, format=LOG_FORMAT, force=True)
    try:
        status = await run_worker()
    except Unreachable as error:
        raise NoAnswerError(str(error)) from None
    raise typer.Exit(status)


async def demo() -> None:
    """Make a cloud on this machine, upgrade it while guests run on it, and show what came of it. Asks nothing."""
    from cli.demo import run_demo  # noqa: PLC0415

    await run_demo()


def lab(context: typer.Context) -> None:
    """A real OpenStack cloud on this machine, to roll upgrades over: up, down, status, ssh, save, restore."""
    from cli.lab import app  # noqa: PLC0415

    app(context.args, prog_name="stackroll lab")


def sim(context: typer.Context) -> None:
    """A simulated cloud of any size on this machine: for scale, for faults, for time that runs faster."""
    from cli.sim import app  # noqa: PLC0415

    app(context.args, prog_name="stackroll sim")
