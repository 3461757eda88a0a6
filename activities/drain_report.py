"""What a drain keeps to tell people: the guests that it has seen, and what is to be known besides."""

from collections.abc import Iterable, Mapping

from model.classify import Classified
from model.drain import Decision, Memory
from model.drain_report import differences, outcome, progress_line
from model.fleet import FleetGuest, GuestClass
from model.moves import Orders
from model.nova import Migration
from model.words import count
from model.work import StepResult


class DrainReport:
    """What is told of one drain."""

    def __init__(self, orders: Orders, decided: Mapping[str, GuestClass]) -> None:
        self._orders, self._decided = orders, decided
        self._guests: dict[str, FleetGuest] = {}
        self._classes: dict[str, Classified] = {}
        self._differs: list[str] = []
        self._warnings: dict[str, None] = {}
        self._most = 0

    def compare(self, here: Iterable[FleetGuest], stays: Iterable[str]) -> None:
        """Take note of how the guests that are there differ from those of the plan, with none for ``stays``."""
        self._differs = differences(self._orders, {*self._decided, *stays}, here)

    def see(self, here: Iterable[FleetGuest], classes: Mapping[str, Classified]) -> None:
        """Take note of the guests that are there now; their first class is the one that is told."""
        self._guests |= {guest.id: guest for guest in here}
        for guest, classified in classes.items():
            self._classes.setdefault(guest, classified)
            self.warn(f"guest {classified.name} ({guest}): {warning}" for warning in classified.warnings)

    def warn(self, warnings: Iterable[str]) -> None:
        """Take note of what should be known; twice the same is told once."""
        self._warnings |= dict.fromkeys(warnings)

    def line(self, decision: Decision, memory: Memory, held: Mapping[str, str]) -> str:
        """Return how far it is."""
        self._most = max(self._most, decision.left)
        return progress_line(self._orders.host, decision, memory, most=self._most, guests=self._guests, held=held)

    def result(
        self, moves: Iterable[Migration], stays: Iterable[str], times: Mapping[int, dict[str, float]]
    ) -> StepResult:
        """Return what came of it, by nova's records.

        Args:
            moves: from and to the host.
            stays: the guests that are still there.
            times: by migration, for how many seconds its guest was ``paused`` or ``off``, where that is known.
        """
        left = [self._guests[guest] for guest in stays]
        rows = outcome(self._orders, moves, self._classes, left, times)
        moved = [{key: row[key] for key in ("guest", "to", "migration")} for row in rows if row["how"] != "stop"]
        what = f"{count(len(moved), 'guest')} moved" if moved else "no guest moved" if left else "no guest was on it"
        what += f", {count(len(left), 'guest')} stayed, switched off" if left else ""
        what += f"; differs from the plan: {'; '.join(self._differs[:3])}" if self._differs else ""
        what += f"; noted: {'; '.join(list(self._warnings)[:3])}" if self._warnings else ""
        details = {"guests": rows, "differs": self._differs, "warnings": list(self._warnings)}
        return StepResult(
            summary=f"{self._orders.host} is empty: {what}",
            details={"moved": moved, **{name: value for name, value in details.items() if value}},
        )
