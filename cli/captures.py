"""Files that hold what was read of a cloud at one time, to be compared later: digests, contracts."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rich.text import Text

from cli.console import err
from cli.documents import BadInputError, Document, Problem
from cli.errors import CliError, Exit
from cli.load import load_inventory, load_request
from model.inventory import Inventory

Capture = TypeVar("Capture")


def inventory_of(file: Path) -> Inventory:
    """Return the cloud of either file, a ``cloud.yaml`` or an ``upgrade.yaml``: only the first has hosts.

    Raises:
        BadInputError: it cannot be read, or is not right.
    """
    return load_inventory(file) if "hosts" in Document(file).data else load_request(file).inventory


def read_capture(path: Path, noun: str, parse: Callable[[str], Capture]) -> Capture:
    """Return what a file holds.

    Args:
        path: the file.
        noun: what it is to be, such as ``digest``.
        parse: makes it of the text, or raises ValueError that says what is wrong.

    Raises:
        BadInputError: it cannot be read, or is none.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        text = f"cannot be read: {error.strerror or error}"
    except UnicodeDecodeError:
        text = f"no text in UTF-8, so no {noun}"
    except ValueError as error:
        text = str(error)
    raise BadInputError([Problem(str(path), None, text)])


def write_capture(path: Path, text: str) -> None:
    """Write a file, and say so.

    Raises:
        CliError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path}: cannot be written: {error.strerror or error}", Exit.BAD_INPUT) from None
    err.print(Text(f"written to {path}"))
