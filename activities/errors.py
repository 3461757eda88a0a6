"""Every error that an activity raises, in words an operator can act on.

::

    StackrollError                    what happened, where, with which command, its last output, and what to do next
     ├── Unreachable                  the transport failed; nothing is known against the step; Temporal tries again
     ├── Refused                      wrong input, credentials or host key; trying again cannot help
     ├── StepFailed                   the step itself failed, and that is certain; the workflow decides
     ├── OutcomeUnknown               something was started, and what came of it is not known yet: trying again finds it
     │    └── JobLost                 nor will it ever be known (the host rebooted in the middle); a person must look
     └── UnexpectedError              none of the above: a defect of stackroll or of what it talks to

``as_application_error`` is the one place where they become Temporal failures: the type is the class's name, and only
``Unreachable`` is retried by Temporal itself.
"""

import asyncio
import re

import httpx
from temporalio.exceptions import ApplicationError

from model.base import JsonObject

TAIL_LINES = 12
# Temporal keeps the failure of an activity in its mutable state, up to 4 kB; the rest of the record needs room too.
TAIL_CHARACTERS = 1200

_HIDDEN = "<hidden>"
_SECRETS = (
    # user:password@host in URLs, as in database and message-queue connections
    (re.compile(r"(?<=://)([^\s/:@]*):[^\s/@]+@"), rf"\1:{_HIDDEN}@"),
    # key = value, key: value, --key value, "key": "value"
    (
        re.compile(
            r"(?i)((?:password|passwd|secret|token|api_?key|private_?key|credential)s?[\w-]*[\"']?\s*[=:]\s*[\"']?|"
            r"--(?:[\w-]*(?:password|secret|token))[ =])([^\s\"',;]+)"
        ),
        rf"\1{_HIDDEN}",
    ),
    # keystone's fernet tokens
    (re.compile(r"\bgAAAA[\w=-]{20,}"), _HIDDEN),
)


def redact(text: str) -> str:
    """Return the text with everything that looks like a password, a token or a key hidden."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def last_lines(text: str, lines: int = TAIL_LINES, characters: int = TAIL_CHARACTERS) -> str:
    """Return the last non-empty lines of a command's output, free of secrets and short enough for a message."""
    kept = [line.rstrip() for line in redact(text).splitlines() if line.strip()][-lines:]
    tail = "\n".join(kept)
    return tail if len(tail) <= characters else "…" + tail[-characters:]


class StackrollError(Exception):
    """A failure with everything that an operator needs to act on it.

    Attributes:
        problem: what happened, in one clause.
        host: where; empty if it is no matter of one host.
        command: what was run there, shortened.
        status: its exit status.
        tail: its last lines of output.
        remedy: what to do next.
    """

    def __init__(
        self,
        problem: str,
        *,
        host: str = "",
        command: str = "",
        status: int | None = None,
        tail: str = "",
        remedy: str = "",
    ) -> None:
        self.problem = redact(problem)
        self.host = host
        self.command = redact(_one_line(command))
        self.status = status
        self.tail = last_lines(tail)
        self.remedy = remedy
        super().__init__(self.problem)

    def __str__(self) -> str:
        text = f"{self.host}: {self.problem}" if self.host else self.problem
        if self.command:
            text += f"\n  command: {self.command}"
        if self.status is not None:
            text += f"\n  exit status: {self.status}"
        if self.tail:
            text += "\n  last output:\n" + "\n".join(f"    {line}" for line in self.tail.splitlines())
        if self.remedy:
            text += f"\n  next: {self.remedy}"
        return text

    @property
    def details(self) -> JsonObject:
        """The parts as data, for the report."""
        parts = {"problem": self.problem, "host": self.host, "command": self.command, "remedy": self.remedy}
        found: JsonObject = {name: value for name, value in parts.items() if value}
        return found if self.status is None else {**found, "status": self.status}


class Unreachable(StackrollError):  # noqa: N818 - reads as a word in the workflow and on the screen
    """A host or an API could not be reached."""


class Refused(StackrollError):  # noqa: N818
    """Wrong input, credentials, key or host key: trying again cannot help."""


class StepFailed(StackrollError):  # noqa: N818
    """The step failed, and it is certain that it did."""


class OutcomeUnknown(StackrollError):  # noqa: N818
    """Something was started on a host, and what came of it is not known."""


class JobLost(OutcomeUnknown):
    """A job was begun, does not run, and left no result: it will never be known how far it came."""


class UnexpectedError(StackrollError):
    """A failure that this project did not foresee."""


def as_stackroll_error(error: Exception) -> StackrollError:
    """Return any exception as one of the tree above; transport failures of HTTP clients are ``Unreachable``."""
    if isinstance(error, StackrollError):
        return error
    if isinstance(error, (httpx.TransportError, ConnectionError, asyncio.TimeoutError)):
        return Unreachable(f"no answer ({type(error).__name__}: {error})")
    return UnexpectedError(
        f"unexpected {type(error).__name__}: {error}",
        remedy="this is a case that stackroll does not know; read the worker's log, then retry or skip the step",
    )


def as_application_error(error: Exception) -> ApplicationError:
    """Return the Temporal failure for an exception: type by class, retried by Temporal only if ``Unreachable``."""
    if isinstance(error, ApplicationError):
        return error
    known = as_stackroll_error(error)
    return ApplicationError(
        str(known), known.details, type=type(known).__name__, non_retryable=not isinstance(known, Unreachable)
    )


def _one_line(command: str, limit: int = 240) -> str:
    line = " ".join(command.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
