"""How a command ends: exit statuses, and the one error that commands raise."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses, the same for every command.

    ``OK`` also means completed; ``ERROR``: something outside failed (Temporal, a host); ``BAD_INPUT``: files or
    arguments; ``FINDINGS``: the check found what forbids the upgrade; ``UNFINISHED``: the run stopped or failed;
    ``REFUSED``: the run or the order was refused, and nothing was changed; ``ROLLED_BACK``: an upgrade was taken back,
    and the cloud is wholly at the release that it had before.
    """

    OK = 0
    ERROR = 1
    BAD_INPUT = 2
    FINDINGS = 3
    UNFINISHED = 4
    REFUSED = 5
    ROLLED_BACK = 6
    INTERRUPTED = 130


class CliError(Exception):
    """A command cannot go on; the message is for the operator, and says what to do."""

    def __init__(self, message: str, status: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.status = status


class NoAnswerError(CliError):
    """Temporal or a worker does not answer; the run itself is not touched by that."""
