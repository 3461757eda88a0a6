"""The file of the availability ledger: only ever written at its end, and told of time that nobody watched."""

import time
from pathlib import Path
from typing import Self, TextIO

from model.account import Account
from model.availability import AvailabilityResult, Beat, Entry, Gap, read_ledger, to_line

# A pause between two beats that is longer than this is time that nobody watched.
UNWATCHED_AFTER = 1.5


def read_account(path: Path) -> Account:
    """Return what a ledger says; nothing where there is no such file."""
    if not path.exists():
        return Account()
    with path.open(encoding="utf-8") as lines:
        return Account(read_ledger(lines))


def conclude(path: Path, *, until: float | None = None) -> AvailabilityResult:
    """Return the verdict of a ledger; what it does not know from its last beat ``until`` a moment was not watched."""
    account = read_account(path)
    if until is not None and until - (account.known_until or until) > UNWATCHED_AFTER:
        account.add(Gap(gap_from=account.known_until or until, gap_to=until))
    return account.result(str(path))


class LedgerFile:
    """A ledger that is being written, and the account of what is in it."""

    def __init__(self, path: Path, account: Account, file: TextIO) -> None:
        """Go on with a file; ``open`` makes one of these."""
        self.path, self.account, self._file = path, account, file
        self._beat_at = time.monotonic()
        self._beat = time.time()

    @classmethod
    def open(cls, path: Path, begun: float) -> Self:
        """Go on writing a ledger, or begin it; what nobody watched since its last entry becomes an entry.

        Args:
            path: the file.
            begun: when the watch was to begin (seconds since 1970), for a ledger that is not there yet.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        account = read_account(path)
        torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
        file = path.open("a", encoding="utf-8")
        if torn:
            file.write("\n")
        made = cls(path, account, file)
        now, last = time.time(), account.known_until or begun
        if now - last > UNWATCHED_AFTER:
            made.add(Gap(gap_from=round(last, 4), gap_to=round(now, 4)))
        made.beat(None)
        return made

    def add(self, *entries: Entry) -> None:
        """Write entries; they are with the operating system when this returns."""
        for entry in entries:
            self._file.write(to_line(entry))
            self.account.add(entry)
        self._file.flush()

    def beat(self, waiting: float | None) -> None:
        """Write that somebody watches; a beat that comes late says since when nobody did.

        ``waiting``: when the oldest request was sent that has no answer for long.
        """
        now, at = time.time(), time.monotonic()
        if at - self._beat_at > UNWATCHED_AFTER:
            self.add(Gap(gap_from=round(self._beat, 4), gap_to=round(now, 4)))
        self._beat, self._beat_at = now, at
        self.add(Beat(beat=round(now, 3), waiting=None if waiting is None else round(waiting, 3)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
