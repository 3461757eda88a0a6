"""What one worker remembers of a drain. What counts is in nova; losing this costs a drain time, never a guest."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from model.base import JsonObject
from model.drain import Memory
from model.moves import Act, Move, Progress, Refusal
from model.nova import FAILED, Migration

# A guest that failed rests, twice as long after each further failure, up to so many times.
MOST_RESTS = 16


@dataclass
class _Copy:
    """A live migration that was seen running; times by this machine's clock."""

    since: float
    least: int
    fell: float
    total: int = 0
    left: int = 0
    forced: float | None = None
    aborted: bool = False


@dataclass
class Remembered:
    """Refusals, rests, leftovers and the progress of copies. ``rest`` is in seconds."""

    rest: float
    refusals: dict[str, tuple[Refusal, ...]] = field(default_factory=dict)
    _rest_until: dict[str, float] = field(default_factory=dict)
    _failures: frozenset[int] | None = None
    _leftovers: dict[str, tuple[tuple[str, ...], float]] = field(default_factory=dict)
    _copies: dict[int, _Copy] = field(default_factory=dict)
    _guests: dict[int, str] = field(default_factory=dict)
    _movers: dict[str, str] = field(default_factory=dict)
    _forsaken: dict[str, float] = field(default_factory=dict)

    def memory(self) -> Memory:
        """Return it as the judgement takes it."""
        now = time.monotonic()
        return Memory(
            refusals=self.refusals,
            resting=frozenset(guest for guest, until in self._rest_until.items() if until > now),
            leftovers={guest: (words, now - since) for guest, (words, since) in self._leftovers.items()},
            progress={self._guests[number]: _progress(number, copy, now) for number, copy in self._copies.items()},
        )

    def see(self, migrations: Iterable[Migration]) -> None:
        """Let guests rest whose migration has failed since the last look, and forget copies that have ended."""
        rows = tuple(migrations)
        self._movers |= {move.uuid: move.guest for move in rows if move.uuid}
        failed = frozenset(move.id for move in rows if move.status in FAILED)
        if self._failures is not None:
            for move in rows:
                if move.id in failed - self._failures:
                    self._let_rest(move.guest, sum(other.guest == move.guest for other in rows if other.id in failed))
        self._failures = failed
        running = {move.id for move in rows if move.unfinished}
        self._copies = {number: copy for number, copy in self._copies.items() if number in running}

    def guest_of(self, migration: str) -> str | None:
        """Return the guest that a migration was about, also when nova does not show it any more."""
        return self._movers.get(migration)

    def forsaken_for(self, consumer: str) -> float:
        """Return for how many seconds an allocation has been known to be nobody's."""
        now = time.monotonic()
        return now - self._forsaken.setdefault(consumer, now)

    def refuse(self, move: Move, text: str) -> None:
        """Remember that nova did not even begin."""
        known = self.refusals.get(move.guest, ())
        self.refusals[move.guest] = (*known, Refusal(act=move.act, target=move.target, text=text))
        self._let_rest(move.guest, len(known) + 1)

    def see_leftovers(self, guest: str, words: tuple[str, ...]) -> None:
        """Remember since when something is left of a failed attempt; nothing left is forgotten."""
        if not words:
            self._leftovers.pop(guest, None)
            return
        _, since = self._leftovers.get(guest, ((), time.monotonic()))
        self._leftovers[guest] = (words, since)

    def see_copy(self, guest: str, row: JsonObject) -> None:
        """Remember how much of a running live migration is left, and when that fell last."""
        now, number = time.monotonic(), int(row["id"])
        left = int(row.get("memory_remaining_bytes") or 0) + int(row.get("disk_remaining_bytes") or 0)
        self._guests[number] = guest
        copy = self._copies.setdefault(number, _Copy(since=now, least=left, fell=now))
        total = int(row.get("memory_total_bytes") or 0)
        # Before its first count nova says 0 of 0.
        if not copy.total or left < copy.least:
            copy.least, copy.fell = left, now
        copy.total, copy.left = total, left

    def hurried(self, move: Move) -> None:
        """Remember that a live migration was to be completed by force, or aborted."""
        copy = self._copies.get(move.migration or 0)
        if copy is not None and move.act is Act.FORCE:
            copy.forced = time.monotonic()
        elif copy is not None:
            copy.aborted = True

    def _let_rest(self, guest: str, failures: int) -> None:
        self._rest_until[guest] = time.monotonic() + self.rest * min(MOST_RESTS, 2 ** (failures - 1))


def _progress(number: int, copy: _Copy, now: float) -> Progress:
    return Progress(
        migration=number,
        left=copy.left,
        total=copy.total,
        stalled=now - copy.fell,
        running=now - copy.since,
        forced=None if copy.forced is None else now - copy.forced,
        aborted=copy.aborted,
    )
