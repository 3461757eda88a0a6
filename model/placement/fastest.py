"""The order with the shortest time: no slot ever waits if it can be helped, and the longest hosts go first.

It is a list schedule: whenever a slot is free, the next host that may go is begun. What nothing clean has room for yet
may be put on hosts whose turn comes last, so that the first slots need not wait; how many hosts are begun so, whether
targets are chosen tight or apart, and which hosts go first is tried in a few ways, and the way whose simulated run ends
first is taken.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from model.placement.board import Board, Move, Task
from model.placement.draft import Draft, Outing, wave_of
from model.placement.ranks import ranks, service, services
from model.placement.records import Cause, Durations
from model.placement.rooms import Room
from model.placement.shortfalls import explain

# In fleets with more hosts, fewer ways are tried.
MANY = 400


class Way(NamedTuple):
    """One way to be tried.

    Attributes:
        hasty: how many hosts may be begun with guests that move twice, beside those that must.
        spread: whether targets are chosen apart, so that their limits are not waited for, or tight.
        crowd: how much it counts that a host shares groups with others (``ranks``).
    """

    hasty: int
    spread: bool
    crowd: float


def ways(task: Task) -> Iterator[Way]:
    """Yield the ways worth trying; fewer for large fleets, where each takes seconds."""
    most = task.slots.total
    crowds = (0.1, 0.2, 0.3, 0.5) if len(task.dirty) <= MANY else (0.25,)
    for crowd in crowds:
        yield Way(most, spread=True, crowd=crowd)
    if most > 1:
        yield Way(most // 2, spread=True, crowd=0.25)


def fastest(task: Task, durations: Durations, way: Way) -> Draft:
    """Plan all hosts for the shortest time, in one way."""
    return _Planner(task, durations, way).plan()


class _Planner:
    """Time goes from the return of one host to that of the next."""

    def __init__(self, task: Task, durations: Durations, way: Way) -> None:
        self._task = task
        self._way = way
        self._hasty = way.hasty
        self._board = Board(task, spread=way.spread)
        self._draft = Draft(self._board)
        self._durations = durations
        self._seconds = services(task, durations)
        self._rank = ranks(task, self._board, self._seconds, way.crowd)
        # Spilled guests go to those that are begun last.
        self._board.last = sorted(task.dirty, key=lambda host: (self._rank[host], host))
        self._outing = Outing(self._board)
        self._targets: dict[str, list[Room]] = {}
        self._returns: list[tuple[float, str]] = []
        self._now = 0.0
        self._batch: list[str] = []

    def plan(self) -> Draft:
        """Plan the canary hosts, then all others."""
        canaries = self._task.canaries()
        if canaries:
            self._run(canaries, canary=True)
        self._run(list(self._board.left), canary=False)
        return self._draft

    def _run(self, hosts: list[str], *, canary: bool) -> None:
        while order := [host for host in hosts if host in self._board.left]:
            order.sort(key=lambda host: (-self._rank[host], host))
            self._room = self._board.clean_room()
            began = self._begin(order)
            if not began and not self._outing.hosts:
                for host in order:
                    self._draft.refuse(explain(self._board, host))
                break
            if len(self._batch) >= self._task.slots.total:
                self._close(canary=canary)
            if not began or self._outing.full():
                self._wait()
        while self._outing.hosts:
            self._wait()
        self._close(canary=canary)

    def _begin(self, order: list[str]) -> bool:
        """Begin all hosts whose guests find room; then, while some are allowed to, those whose guests move twice."""
        began = False
        for host in order:
            if self._outing.full():
                return began
            if self._outing.admits(host) and (moves := self._board.try_clean(host)) is not None:
                self._add(host, moves)
                began = True
        while not self._outing.full() and (self._hasty > 0 or not self._outing.hosts):
            if not self._spill([host for host in order if host in self._board.left]):
                break
            self._hasty -= 1
            began = True
        return began

    def _spill(self, order: list[str]) -> bool:
        """Begin the host that gives much room for few second moves and little time."""
        total, scarcest = self._task.catalog.total, self._task.catalog.scarcest
        price = {
            h: self._seconds[h] * (1 + len(self._board.items[h])) / (1 + sum(total[h][scarcest : scarcest + 1]))
            for h in order
        }
        for host in sorted(order, key=lambda h: (price[h], h)):
            if not self._outing.admits(host):
                continue
            cause = Cause.HASTE if self._outing.hosts else Cause.SEED if not self._board.rooms.clean else Cause.SPILL
            if (moves := self._board.try_spill(host, self._outing.hosts, cause)) is not None:
                self._add(host, moves)
                return True
        return False

    def _add(self, host: str, moves: list[Move]) -> None:
        self._outing.add(host, moves)
        self._targets[host] = [move.room for move in moves for _ in move.item.guests]
        self._draft.hosts.append(host)
        self._batch.append(host)
        heappush(self._returns, (self._now + self._seconds[host], host))
        for target in {move.room.host for move in moves if not move.room.clean} & self._board.left.keys():
            self._lengthen(target)

    def _lengthen(self, host: str) -> None:
        """Reckon with the guests that have been put on a host for the time being."""
        catalog = self._task.catalog
        guests = [catalog.guests[guest] for item in self._board.items[host] for guest in item.guests]
        seconds = service(self._task, self._durations, host, guests)
        self._rank[host] += seconds - self._seconds[host]
        self._seconds[host] = seconds

    def _wait(self) -> None:
        """Let the next host come back."""
        self._now, host = heappop(self._returns)
        self._outing.remove(host)
        for room in self._targets.pop(host):
            room.inbound -= 1
        self._board.done(host)

    def _close(self, *, canary: bool) -> None:
        """Call the hosts begun since the last time a wave."""
        if self._batch:
            waves = self._draft.waves
            waves.append(wave_of(self._board, len(waves), self._batch, canary=canary, room=self._room))
            self._batch = []
