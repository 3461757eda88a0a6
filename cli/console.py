"""Where commands write, and who gives orders."""

import asyncio
import getpass
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

P = ParamSpec("P")


def operator() -> str:
    """Return the name of who gives the order: the login name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def say(text: str) -> None:
    """Print a line as it is: nothing in it is markup, and it is not wrapped."""
    out.print(text, markup=False, soft_wrap=True)


def awaited(command: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Let a coroutine function be a command."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(command(*args, **kwargs))

    return run


File = Annotated[Path, typer.Argument(metavar="FILE", help="The upgrade.yaml.", show_default=False)]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id.", show_default=False)]
NewestRun = Annotated[
    str, typer.Argument(metavar="[ID]", help="The run's id; without it, the newest.", show_default=False)
]
By = Annotated[str, typer.Option("--by", help="Who gives the order.", default_factory=operator, show_default="you")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
