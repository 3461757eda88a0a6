"""The order with the shortest time: no slot ever waits if it can be helped, and the longest hosts go first.

It is a list schedule: whenever a slot is free, the next host that may go is begun. What nothing clean has room for yet
may be put on hosts whose turn comes last, so that the first slots need not wait; these first hosts are spread over the
zones, because a zone without clean room stands still, and its server groups then go one after another at the end. How
many hosts are begun so, and which go first, is tried in a few ways; the way whose simulated run ends first is taken.
With few hosts begun so, it is also the fastest order that moves hardly any guest twice.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from model.placement.board import Board, Move, Task
from model.placement.draft import Draft, Outing, Times, wave_of
from model.placement.ranks import Crowd, ample_zones, service, services
from model.placement.records import Cause, Durations
from model.placement.rooms import Room
from model.placement.shortfalls import explain
from model.placement.traffic import Traffic, Trip

# In fleets with more hosts, fewer ways are tried.
MANY = 400
# With fewer hosts for each slot, waves are good enough where few moves count.
_ROUNDS = 3
# When no more hosts are left than this many rounds of the slots, there is room enough on hosts that have been back for
# long. It is taken before that of others: who needs many that have just come back waits for the latest of them.
_LAST_ROUNDS = 2

_Key = tuple[int, float, float, str]


class Way(NamedTuple):
    """One way to be tried.

    Attributes:
        hasty: how many hosts may be begun with guests that move twice, beside those that must.
        again: how many guests those may be; None is no limit.
        crowd: how much it counts that a host shares groups with others that are left (``ranks.Crowd``).
        grow: where a zone's clean room is too little for this part of the hosts that the slots let go together, its
            emptiest hosts go first, so that room grows; 0 is nowhere.
        zones: whether hosts with guests that move twice are begun in all zones alike, or those that cost least.
        urgent: seconds by which hosts are begun as if they took longer, because others have waited for them.
    """

    hasty: int
    crowd: float
    grow: float = 0.0
    zones: bool = True
    urgent: Mapping[str, float] = {}
    again: int | None = None


def ways(task: Task) -> Iterator[Way]:
    """Yield the ways worth trying for the shortest time; fewer for large fleets, where each takes seconds."""
    for crowd in (0.2, 0.4) if len(task.dirty) <= MANY and task.rolling.max_per_group == 1 else (0.3,):
        for zones in (True, False):
            yield Way(task.slots.total, crowd, zones=zones)


def frugal_ways(task: Task, again: int) -> Iterator[Way]:
    """Yield those worth trying for few moves in not too long a time, where there is a steady flow of hosts at all.

    With few rounds of the slots, waves are as fast, and easier to follow. ``again`` is how many guests may move twice
    beyond those that must.
    """
    zones = len({task.catalog.hosts[host].zone for host in task.dirty})
    if len(task.dirty) <= _ROUNDS * task.slots.total or zones >= task.slots.total:
        return
    yield Way(2 * zones, 0.25, grow=0.2, again=again)
    if len(task.dirty) <= MANY:
        for crowd, grow in ((0.25, 0.2), (0.25, 0.0), (0.1, 0.2)):
            yield Way(task.slots.total, crowd, grow=grow, again=again)


def fastest(task: Task, durations: Durations, way: Way) -> Draft:
    """Plan all hosts for the shortest time, in one way."""
    return _Planner(task, durations, way).plan()


class _Planner:
    """Time goes from the return of one host to that of the next."""

    def __init__(self, task: Task, durations: Durations, way: Way) -> None:
        self._task = task
        self._way = way
        self._hasty = way.hasty
        self._again = 0
        self._board = Board(task, spread=True)
        self._draft = Draft(self._board)
        self._durations = durations
        self._seconds = services(task, durations)
        self._fresh = sum(self._seconds.values()) / max(1, len(self._seconds))
        self._crowd = Crowd(self._board, way.crowd)
        # Spilled guests go to those that are begun last.
        ranks = self._ranks(task.dirty)
        self._board.last = sorted(task.dirty, key=lambda host: (ranks[host], host))
        self._begun: dict[str, float] = {}
        self._started: dict[str, float] = {}
        self._outing = Outing(self._board)
        self._targets: dict[str, list[tuple[Room, float]]] = {}
        zones = {name: host.zone for name, host in task.catalog.hosts.items()}
        self._traffic = Traffic(zones, durations, task.rolling.limits)
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
            order.sort(key=self._early(order))
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

    def _ranks(self, hosts: Collection[str]) -> dict[str, float]:
        return {host: self._crowd.rank(host, self._seconds) + self._way.urgent.get(host, 0.0) for host in hosts}

    def _early(self, order: Collection[str]) -> Callable[[str], _Key]:
        """Return the key by which hosts are begun: while room must grow, the emptiest; else by rank."""
        board, catalog = self._board, self._task.catalog
        ranks = self._ranks(order)
        ample = ample_zones(board, order, self._way.grow) if self._way.grow else set(board.task.slots.zones)

        def key(host: str) -> _Key:
            if catalog.hosts[host].zone in ample:
                return (1, -ranks[host], 0.0, host)
            return (0, board.load(host), -self._size(host), host)

        return key

    def _size(self, host: str) -> float:
        """Return what a host has of the scarcest resource."""
        scarcest = self._task.catalog.scarcest
        return sum(self._task.catalog.total[host][scarcest : scarcest + 1])

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
        """Begin the host that gives much room for few second moves and little time, where least has been begun."""
        hosts = self._task.catalog.hosts
        price = {h: self._seconds[h] * (1 + len(self._board.items[h])) / (1 + self._size(h)) for h in order}
        begun = self._begun if self._way.zones else {}
        for host in sorted(order, key=lambda h: (begun.get(hosts[h].zone, 0.0), price[h], h)):
            if not self._outing.admits(host):
                continue
            cause = Cause.HASTE if self._outing.hosts else Cause.SEED if not self._board.rooms.clean else Cause.SPILL
            moves = self._board.try_spill(host, self._outing.hosts, cause)
            if moves is not None and self._affordable(moves):
                self._add(host, moves)
                return True
            if moves is not None:
                self._board.undo(moves)
                return False
        return False

    def _affordable(self, moves: list[Move]) -> bool:
        """Tell whether guests may move twice for haste, and count them."""
        again = sum(len(move.item.guests) for move in moves if move.cause is Cause.HASTE)
        if self._way.again is not None and self._again + again > self._way.again:
            return False
        self._again += again
        return True

    def _add(self, host: str, moves: list[Move]) -> None:
        self._outing.add(host, moves)
        zone = self._task.catalog.hosts[host].zone
        self._begun[zone] = self._begun.get(zone, 0.0) + self._size(host)
        self._targets[host] = [(move.room, move.item.effort) for move in moves]
        self._draft.hosts.append(host)
        self._batch.append(host)
        self._started[host] = self._traffic.now
        self._traffic.begin(host, [trip for move in moves for trip in self._trips(move)])
        for target in {move.room.host for move in moves if not move.room.clean} & self._board.left.keys():
            self._lengthen(target)

    def _lengthen(self, host: str) -> None:
        """Reckon with the guests that have been put on a host for the time being."""
        catalog = self._task.catalog
        guests = [catalog.guests[guest] for item in self._board.items[host] for guest in item.guests]
        self._seconds[host] = service(self._task, self._durations, host, guests)
        self._crowd.changed()

    def _trips(self, move: Move) -> Iterator[Trip]:
        for guest in move.item.guests:
            seconds = self._durations.of_guest(self._task.catalog.guests[guest])
            yield Trip(seconds, guest, move.source, move.room.host, self._task.catalog.mutex(guest))

    def _wait(self) -> None:
        """Let the next host come back."""
        returned: list[str] | None = []
        while not returned:
            returned = self._traffic.step()
            if returned is None:
                return
        for host in returned:
            self._draft.times[host] = Times(self._started[host], self._traffic.now)
            self._outing.remove(host)
            for room, effort in self._targets.pop(host):
                room.inbound -= effort
            self._board.done(host)
        if len(self._board.left) <= _LAST_ROUNDS * self._task.slots.total:
            since = self._traffic.now - self._fresh
            times = self._draft.times
            self._board.rooms.latest = frozenset(host for host in times if times[host].done >= since)

    def _close(self, *, canary: bool) -> None:
        """Call the hosts begun since the last time a wave."""
        if self._batch:
            waves = self._draft.waves
            waves.append(wave_of(self._board, len(waves), self._batch, canary=canary, room=self._room))
            self._batch = []
