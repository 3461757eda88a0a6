"""Moves of guests under the limits, and the reboots after them: the clock of schedules, made and carried out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from model.placement.records import Durations
from model.rolling import Limits


class Trip(NamedTuple):
    """One move of one guest, its seconds, and the group of which only one member moves at a time."""

    seconds: float
    guest: str
    source: str
    target: str
    group: str | None = None


class Traffic:
    """Hosts that are being emptied and rebooted.

    Time goes on from event to event: ``begin`` hosts, then ``step`` to the end of the next move or reboot, and so on.

    Attributes:
        now: seconds since the beginning.
        peaks: the most moves at once by ``source``, ``target``, ``zone`` and in ``total``.
        begun: the moves that have begun so far, with the second of their beginning.
        drained: by host, when its last guest had left.
    """

    def __init__(self, zones: Mapping[str, str], durations: Durations, limits: Limits) -> None:
        """Begin with nothing on its way."""
        self._zone = zones
        self._durations = durations
        self._limits = limits
        self._left: dict[str, list[Trip]] = {}
        self._sources: Counter[str] = Counter()
        self._targets: Counter[str] = Counter()
        self._zones: Counter[str] = Counter()
        self._groups: Counter[str] = Counter()
        self._total = 0
        self._number = count()
        self._events: list[tuple[float, int, str, Trip | None]] = []
        self.now = 0.0
        self.peaks: Counter[str] = Counter()
        self.begun: list[tuple[float, Trip]] = []
        self.drained: dict[str, float] = {}

    def begin(self, host: str, trips: Iterable[Trip]) -> None:
        """Empty a host from now on: those that take longest go first."""
        self._left[host] = sorted(trips, key=lambda trip: (-trip.seconds, trip.guest))

    def rest(self, seconds: float) -> None:
        """Make sure that something happens in so many seconds: ``step`` does not go beyond."""
        self._push(seconds, "", None)

    def step(self) -> list[str] | None:
        """Start all moves that may start, and go to the next event; return who came back at it, None without any."""
        for host in list(self._left):
            self._drain(host)
        if not self._events:
            return None
        returned: list[str] = []
        self.now = self._events[0][0]
        while self._events and self._events[0][0] == self.now:
            _, _, host, trip = heappop(self._events)
            if trip is not None:
                self._count(trip, -1)
            elif host:
                returned.append(host)
        return returned

    def _drain(self, host: str) -> None:
        """Start as many of a host's moves as the limits let it; reboot it when none is left."""
        left = self._left[host]
        if left and self._sources[host] < self._limits.per_source and self._total < self._limits.total:
            later = []
            for trip in left:
                if self._may(trip):
                    self._count(trip, 1)
                    self.begun.append((self.now, trip))
                    self._push(trip.seconds, host, trip)
                else:
                    later.append(trip)
            self._left[host] = left = later
        if not left and not self._sources[host]:
            del self._left[host]
            self.drained[host] = self.now
            self._push(self._durations.of_host(host), host, None)

    def _may(self, trip: Trip) -> bool:
        limits = self._limits
        return (
            self._sources[trip.source] < limits.per_source
            and self._targets[trip.target] < limits.per_target
            and self._total < limits.total
            and not (trip.group and self._groups[trip.group])
            and all(self._zones[zone] < limits.per_zone for zone in self._zones_of(trip))
        )

    def _zones_of(self, trip: Trip) -> Iterator[str]:
        """A move between zones loads both."""
        source, target = self._zone[trip.source], self._zone[trip.target]
        yield source
        if target != source:
            yield target

    def _count(self, trip: Trip, by: int) -> None:
        self._sources[trip.source] += by
        self._targets[trip.target] += by
        self._total += by
        if trip.group:
            self._groups[trip.group] += by
        for zone in self._zones_of(trip):
            self._zones[zone] += by
            if by > 0:
                self._peaks("zone", self._zones[zone])
        if by > 0:
            self._peaks("source", self._sources[trip.source])
            self._peaks("target", self._targets[trip.target])
            self._peaks("total", self._total)

    def _peaks(self, name: str, height: int) -> None:
        self.peaks[name] = max(self.peaks[name], height)

    def _push(self, seconds: float, host: str, trip: Trip | None) -> None:
        heappush(self._events, (self.now + seconds, next(self._number), host, trip))
