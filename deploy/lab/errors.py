"""What can go wrong in the lab, and what the operator can do about it.

::

    LabError
    ├── SpecError       the lab that was asked for cannot exist, or another one is up
    ├── CommandError    a command on this machine or on a host failed
    └── WaitError       a condition did not become true in time
"""

from collections.abc import Sequence

_TAIL = 12


def tail(text: str, lines: int = _TAIL) -> str:
    """Return the last lines of a command's output, indented for an error message."""
    kept = [line for line in text.strip().splitlines() if line.strip()][-lines:]
    return "\n".join(f"    {line}" for line in kept) or "    (no output)"


class LabError(Exception):
    """Base of every error of the lab; its text is meant for the operator."""


class SpecError(LabError):
    """The request contradicts itself or the lab that is already there."""


class CommandError(LabError):
    """A command ended with another status than 0.

    Attributes:
        host: Where it ran.
        status: Its exit status.
        output: What it printed, standard error last.
    """

    def __init__(self, host: str, command: Sequence[str] | str, status: int, output: str, remedy: str = "") -> None:
        shown = command if isinstance(command, str) else " ".join(command)
        self.host, self.status, self.output = host, status, output
        super().__init__(
            f"{host}: exit status {status} from: {shown}\n{tail(output)}\n"
            f"  next: {remedy or 'correct the cause and run the same stackroll command again; it resumes there'}"
        )


class WaitError(LabError):
    """A condition that the lab waits for did not become true in time."""

    def __init__(self, what: str, seconds: float, last: str, remedy: str) -> None:
        super().__init__(f"gave up after {seconds:.0f} s waiting for {what}\n{tail(last)}\n  next: {remedy}")
