"""``stackroll``: the command line."""

import contextlib
import logging
import os
import sys

import typer

from cli import (
    availability,
    contract,
    digest,
    exposure,
    notify,
    orders,
    patch,
    plans,
    reboot,
    rehearse,
    reports,
    runs,
    schedule,
    serve,
)
from cli.console import LOG_FORMAT, err
from cli.documents import BadInputError
from cli.errors import CliError, Exit

app = typer.Typer(
    help="Roll an OpenStack cloud from one release to the next while its users work on, and go back if it goes wrong.",
    epilog="Exit status: 0 done, 1 something outside failed, 2 bad input, 3 the check found errors, "
    "4 the run stopped or failed, 5 refused, 6 rolled back. With STACKROLL_DEBUG=1 the libraries' logs are shown.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
plans.register(app)
rehearse.register(app)
digest.register(app)
exposure.register(app)
contract.register(app)
patch.register(app)
runs.register(app)
reports.register(app)
availability.register(app)
notify.register(app)
reboot.register(app)
orders.register(app)
schedule.register(app)
serve.register(app)


def run() -> int:
    """Run the command line and return its exit status; what goes wrong is one message, not a traceback."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.ERROR
    except BadInputError as error:
        for problem in error.problems:
            err.print(str(problem), markup=False)
        return Exit.BAD_INPUT
    except CliError as error:
        err.print(f"stackroll: {error}", markup=False)
        return error.status
    return Exit.OK


def route_logs() -> None:
    """Keep what libraries log and warn of from the operator, who is told in better words; STACKROLL_DEBUG shows it."""
    debug = os.environ.get("STACKROLL_DEBUG", "") not in {"", "0"}
    logging.captureWarnings(True)
    if debug:
        logging.basicConfig(level=logging.DEBUG, format=LOG_FORMAT)
    else:
        logging.getLogger().addHandler(logging.NullHandler())


def main() -> None:
    """Run the command line as a process."""
    route_logs()
    status = run()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    # The threads of Temporal's SDK may still call into Python while the interpreter is taken down, and abort it then.
    os._exit(status)


if __name__ == "__main__":
    main()
