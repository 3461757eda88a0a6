"""A schedule carried out on paper: who moves when, under the limits, if everything takes as long as it is said to."""

from model.base import Record
from model.fleet import Fleet
from model.placement.catalog import Catalog
from model.placement.limits import Occupied
from model.placement.records import Durations, Schedule
from model.placement.traffic import Traffic, Trip
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
        catalog = Catalog(fleet)
        seconds = {guest.id: durations.of_guest(guest) for guest in fleet.guests}
        self._traffic = Traffic({name: host.zone for name, host in fleet.hosts.items()}, durations, limits)
        self._schedule = schedule
        self._waiting = [host for wave in schedule.waves for host in wave.hosts]
        self._trips: dict[str, list[Trip]] = {host: [] for host in self._waiting}
        for move in schedule.assignments:
            trip = Trip(seconds[move.guest], move.guest, move.source, move.target, catalog.mutex(move.guest))
            self._trips[move.source].append(trip)
        self._canaries = {host for wave in schedule.waves if wave.canary for host in wave.hosts}
        self._healthy_for = healthy_for
        self._open_at = 0.0 if not self._canaries else float("inf")
        self._occupied = Occupied(catalog, schedule.slots)
        self._most = 0
        self._started: dict[str, float] = {}
        self._done: dict[str, float] = {}

    def run(self) -> Run:
        """Go from event to event until all hosts are back."""
        self._start_all()
        while (returned := self._traffic.step()) is not None:
            for host in returned:
                self._return(host)
            # Not when only a move has ended: nobody can start then that could not before.
            if returned or self._traffic.now == self._open_at:
                self._start_all()
        if self._waiting:
            raise StuckError(f"hosts wait for each other: {', '.join(self._waiting[:5])}")
        return self._result()

    def _start_all(self) -> None:
        self._waiting = [host for host in self._waiting if not self._start(host)]

    def _start(self, host: str) -> bool:
        if self._occupied.full() or (host not in self._canaries and self._traffic.now < self._open_at):
            return False
        if not self._occupied.admits(host) or any(n not in self._done for n in self._schedule.needs.get(host, ())):
            return False
        self._occupied.change(host, 1)
        self._most = max(self._most, self._occupied.count)
        self._started[host] = self._traffic.now
        self._traffic.begin(host, self._trips[host])
        return True

    def _return(self, host: str) -> None:
        self._occupied.change(host, -1)
        self._done[host] = self._traffic.now
        if host in self._canaries and all(each in self._done for each in self._canaries):
            self._open_at = self._traffic.now + self._healthy_for
            self._traffic.rest(self._healthy_for)

    def _result(self) -> Run:
        traffic = self._traffic
        hosts = tuple(
            HostRun(host=host, start=start, drained=traffic.drained[host], done=self._done[host])
            for host, start in self._started.items()
        )
        makespan = max(self._done.values(), default=0.0)
        busy = sum(host.done - host.start for host in hosts)
        slots = self._schedule.slots.total
        return Run(
            makespan=makespan,
            utilisation=busy / (makespan * slots) if makespan else 0.0,
            peaks={"hosts": self._most, **traffic.peaks} if hosts else {},
            hosts=hosts,
            moves=tuple(
                MoveRun.model_construct(
                    guest=trip.guest, source=trip.source, target=trip.target, start=start, end=start + trip.seconds
                )
                for start, trip in traffic.begun
            ),
        )
