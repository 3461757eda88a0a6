"""A schedule carried out on paper: who moves when, under the limits, if everything takes as long as it is said to."""

from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count

from model.base import Record
from model.fleet import Fleet
from model.placement.catalog import Catalog
from model.placement.limits import Occupied
from model.placement.records import Assignment, Durations, Schedule
from model.rolling import Limits


class MoveRun(Record):
    """One move of one guest, in seconds from the beginning."""

    guest: str
    source: str
    target: str
    start: float
    end: float


class HostRun(Record):
    """One host out of service: when it was disabled, when its last guest had left, when it was back."""

    host: str
    start: float
    drained: float
    done: float


class Run(Record):
    """What came of it.

    Attributes:
        makespan: seconds from the first host's start to the last one's return.
        utilisation: the part of all slots' time in which a host was out of service, from 0 to 1.
        peaks: the most that went on at once: ``hosts``, and moves by ``source``, ``target``, ``zone`` and in ``total``.
    """

    makespan: float = 0.0
    utilisation: float = 0.0
    peaks: dict[str, int] = {}
    hosts: tuple[HostRun, ...] = ()
    moves: tuple[MoveRun, ...] = ()


class StuckError(ValueError):
    """Hosts are left that wait for each other."""


def simulate(
    schedule: Schedule, fleet: Fleet, durations: Durations, limits: Limits, *, healthy_for: float = 0.0
) -> Run:
    """Carry a schedule out as an executor would that starts every host as soon as its needs and the slots let it.

    Hosts are looked at in the order of the schedule; the guests of a host in that of their duration, longest first.

    Args:
        schedule: what to carry out.
        fleet: the cloud that it was made for.
        durations: how long each move and each reboot takes.
        limits: moves at the same time.
        healthy_for: seconds between the canary hosts' return and the first start after them.

    Raises:
        StuckError: when the schedule's needs are a circle, or leave hosts waiting for ones that it does not have.
    """
    return _Simulation(schedule, fleet, durations, limits, healthy_for).run()


class _Simulation:
    def __init__(
        self, schedule: Schedule, fleet: Fleet, durations: Durations, limits: Limits, healthy_for: float
    ) -> None:
        catalog = Catalog(fleet.model_copy(update={"guests": (), "groups": ()}))
        seconds = {guest.id: durations.of_guest(guest) for guest in fleet.guests}
        self._zone = {name: host.zone for name, host in fleet.hosts.items()}
        self._limits = limits
        self._durations = durations
        self._seconds = seconds
        self._schedule = schedule
        self._waiting = [host for wave in schedule.waves for host in wave.hosts]
        self._moves: dict[str, list[Assignment]] = {host: [] for host in self._waiting}
        for move in schedule.assignments:
            self._moves[move.source].append(move)
        for moves in self._moves.values():
            moves.sort(key=lambda move: (-seconds[move.guest], move.guest))
        self._canaries = {host for wave in schedule.waves if wave.canary for host in wave.hosts}
        self._healthy_for = healthy_for
        self._open_at = 0.0 if not self._canaries else float("inf")
        self._occupied = Occupied(catalog, schedule.slots)
        self._draining: dict[str, list[Assignment]] = {}
        self._started: dict[str, float] = {}
        self._drained: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._sources: Counter[str] = Counter()
        self._targets: Counter[str] = Counter()
        self._zones: Counter[str] = Counter()
        self._total = 0
        self._events: list[tuple[float, int, str, Assignment | None]] = []
        self._number = count()
        self._peaks: Counter[str] = Counter()
        self._log: list[MoveRun] = []
        self._now = 0.0
        # Whether a host may be able to start that was not before: not so when only a move has ended.
        self._changed = True

    def run(self) -> Run:
        """Go from event to event until all hosts are back."""
        self._advance()
        while self._events:
            self._now, _, host, move = heappop(self._events)
            self._happen(host, move)
            while self._events and self._events[0][0] == self._now:
                _, _, host, move = heappop(self._events)
                self._happen(host, move)
            self._advance()
        if self._waiting:
            raise StuckError(f"hosts wait for each other: {', '.join(self._waiting[:5])}")
        return self._result()

    def _happen(self, host: str, move: Assignment | None) -> None:
        if move is not None:
            self._end(move)
            return
        self._changed = True
        if host in self._started and host not in self._done:
            self._return(host)

    def _advance(self) -> None:
        """Start all that may start now."""
        if self._changed:
            self._waiting = [host for host in self._waiting if not self._start(host)]
            self._changed = False
        for host in list(self._draining):
            self._drain(host)

    def _start(self, host: str) -> bool:
        if self._occupied.full() or (host not in self._canaries and self._now < self._open_at):
            return False
        if not self._occupied.admits(host) or any(n not in self._done for n in self._schedule.needs.get(host, ())):
            return False
        self._occupied.change(host, 1)
        self._peaks["hosts"] = max(self._peaks["hosts"], self._occupied.count)
        self._started[host] = self._now
        self._draining[host] = self._moves[host]
        return True

    def _drain(self, host: str) -> None:
        """Start as many of a host's moves as the limits let it; reboot it when none is left."""
        if self._sources[host] < self._limits.per_source and self._total < self._limits.total:
            left = []
            for move in self._draining[host]:
                if self._may(move):
                    self._begin(move)
                else:
                    left.append(move)
            self._draining[host] = left
        if not self._draining[host] and not self._sources[host]:
            del self._draining[host]
            self._drained[host] = self._now
            self._push(self._now + self._durations.of_host(host), host, None)

    def _may(self, move: Assignment) -> bool:
        limits = self._limits
        return (
            self._total < limits.total
            and self._sources[move.source] < limits.per_source
            and self._targets[move.target] < limits.per_target
            and all(self._zones[zone] < limits.per_zone for zone in self._zones_of(move))
        )

    def _zones_of(self, move: Assignment) -> Iterator[str]:
        """A move between zones loads both."""
        source, target = self._zone[move.source], self._zone[move.target]
        yield source
        if target != source:
            yield target

    def _begin(self, move: Assignment) -> None:
        self._count(move, 1)
        end = self._now + self._seconds[move.guest]
        self._log.append(
            MoveRun.model_construct(guest=move.guest, source=move.source, target=move.target, start=self._now, end=end)
        )
        self._push(end, move.source, move)

    def _end(self, move: Assignment) -> None:
        self._count(move, -1)

    def _count(self, move: Assignment, by: int) -> None:
        self._sources[move.source] += by
        self._targets[move.target] += by
        self._total += by
        for zone in self._zones_of(move):
            self._zones[zone] += by
            self._peaks["zone"] = max(self._peaks["zone"], self._zones[zone])
        self._peaks["source"] = max(self._peaks["source"], self._sources[move.source])
        self._peaks["target"] = max(self._peaks["target"], self._targets[move.target])
        self._peaks["total"] = max(self._peaks["total"], self._total)

    def _return(self, host: str) -> None:
        self._occupied.change(host, -1)
        self._done[host] = self._now
        if host in self._canaries and all(each in self._done for each in self._canaries):
            self._open_at = self._now + self._healthy_for
            self._push(self._open_at, "", None)

    def _push(self, at: float, host: str, move: Assignment | None) -> None:
        heappush(self._events, (at, next(self._number), host, move))

    def _result(self) -> Run:
        hosts = tuple(
            HostRun(host=host, start=start, drained=self._drained[host], done=self._done[host])
            for host, start in self._started.items()
        )
        makespan = max(self._done.values(), default=0.0)
        busy = sum(host.done - host.start for host in hosts)
        slots = self._schedule.slots.total
        return Run(
            makespan=makespan,
            utilisation=busy / (makespan * slots) if makespan else 0.0,
            peaks=dict(self._peaks),
            hosts=hosts,
            moves=tuple(self._log),
        )
