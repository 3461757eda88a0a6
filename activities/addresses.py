"""Addresses of people, found by reference on the worker's machine; they hold secrets, and are shown to nobody."""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

from activities.errors import redact

_MOST_BYTES = 65_536
# What stands in an address for the id of a project.
PROJECT = "{project}"
_HIDDEN = "<hidden>"
# Shorter pieces of an address are no secrets, and would blacken ordinary words.
_SHORTEST_SECRET = 4


class AddressError(Exception):
    """A reference leads to no address; the message says why, and holds nothing of what is behind it."""


def addresses(reference: str) -> tuple[str, ...]:
    """Return the addresses behind a reference: one to a line; empty lines, and those that begin with #, count nothing.

    Raises:
        AddressError: there is no such variable or file, or nothing in it.
    """
    kind, _, name = reference.partition(":")
    text = _variable(name) if kind == "env" else _content(name)
    found = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    if not found:
        raise AddressError(f"{reference} is empty; write an address of apprise in it, such as mailto://…")
    return found


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise AddressError(f"env:{name}: no such variable in the worker's environment; set it, and restart the worker")
    return value


def _content(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            return file.read(_MOST_BYTES).decode()
    except OSError as error:
        raise AddressError(f"file:{name}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise AddressError(f"file:{name}: is not text") from None


def each_project(address: str) -> bool:
    """Tell whether an address stands for one of each project."""
    return PROJECT in address


def address_of(address: str, project: str) -> str:
    """Return the address of a project."""
    return address.replace(PROJECT, quote(project, safe=""))


def without_secrets(text: str, address: str) -> str:
    """Return a message about an address with everything hidden that stands in it behind its kind and its host."""
    kind, _, rest = address.partition("://")
    host = re.split(r"[/?]", rest, maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
    pieces = {piece for part in re.split(r"[/:@?&=;,]+", rest) for piece in (part, unquote(part))}
    text = text.replace(address, f"{kind}://{_HIDDEN}")
    for piece in sorted(pieces - {host, ""}, key=len, reverse=True):
        if len(piece) >= _SHORTEST_SECRET:
            text = text.replace(piece, _HIDDEN)
    return redact(text)
