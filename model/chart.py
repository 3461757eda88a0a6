"""When each phase and each host was at work, and what users saw meanwhile: the data of a Gantt chart."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from model.base import Record
from model.plan import Phase
from model.status import Report, SeenState, Segment, StepState, StepStatus
from model.words import clock, duration, elapsed, milliseconds, moment, seconds_between

_MOST_LANES = 400
_TICKS = 6
_NICE_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


class Kind(StrEnum):
    """What a step is, as people tell the parts of a host's turn apart."""

    DRAIN = "drain"
    WORK = "work"
    CHECK = "check"
    WAIT = "wait"

    @property
    def meaning(self) -> str:
        """The kind in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Kind.DRAIN: "taken out, emptied",
    Kind.WORK: "changed or rebooted",
    Kind.CHECK: "checked, put back",
    Kind.WAIT: "waited",
}
# By the last word of a step's id.
_KINDS = {
    "drain": Kind.DRAIN,
    "disable": Kind.DRAIN,
    "enable": Kind.CHECK,
    "verify": Kind.CHECK,
    "contract": Kind.CHECK,
    "start": Kind.CHECK,
    "upgrade-check": Kind.CHECK,
    "wait": Kind.WAIT,
    "health": Kind.WAIT,
    "hosts": Kind.WAIT,
}


class Bar(Record):
    """A stretch of time: begin and width in hundredths of the whole."""

    start: float
    width: float
    state: StepState
    title: str
    kind: Kind = Kind.WORK


class Mark(Record):
    """A moment, in hundredths of the whole: a try that failed."""

    at: float
    title: str


class Lane(Record):
    """A line of the chart: a phase, or a host."""

    label: str
    note: str = ""
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...] = ()


class Stretch(Record):
    """What was seen of a service for a while."""

    start: float
    width: float
    state: SeenState
    title: str


class Track(Record):
    """What was seen of a service, on the same axis."""

    label: str
    note: str = ""
    stretches: tuple[Stretch, ...]


class Tick(Record):
    """A mark of the time axis."""

    at: float
    label: str


class Chart(Record):
    """When what happened: phases above, hosts below, then the services; ``hidden`` hosts did not fit.

    Attributes:
        kinds: of the bars of hosts, for a legend.
        seen: the states of the services, for a legend.
    """

    phases: tuple[Lane, ...] = ()
    hosts: tuple[Lane, ...] = ()
    tracks: tuple[Track, ...] = ()
    ticks: tuple[Tick, ...] = ()
    hidden: int = 0
    kinds: tuple[Kind, ...] = ()
    seen: tuple[SeenState, ...] = ()

    @property
    def undone(self) -> bool:
        """Whether there is a step that was taken back."""
        return any(bar.state is StepState.UNDONE for lane in (*self.phases, *self.hosts) for bar in lane.bars)


def make_chart(report: Report) -> Chart:
    """Return when each phase and each host was at work, and what was seen of the services."""
    ran = [step for step in report.steps if step.started]
    if not ran:
        return Chart()
    axis = _Axis(report)
    marks = _failures(report, axis)
    phases = [_lane(phase.value, [s for s in ran if s.phase is phase], axis, {}) for phase in Phase]
    hosts: dict[str, list[StepStatus]] = {host.host: [] for host in report.status.hosts}
    for step in ran:
        if step.target != "cloud":
            hosts.setdefault(step.target, []).append(step)
    lanes = [_lane(host, steps, axis, marks) for host, steps in hosts.items() if steps]
    kinds = {bar.kind for lane in lanes for bar in lane.bars}
    tracks = _tracks(report, axis)
    seen = {stretch.state for track in tracks for stretch in track.stretches}
    return Chart(
        phases=tuple(lane for lane in phases if lane.bars),
        hosts=tuple(lanes[:_MOST_LANES]),
        tracks=tracks,
        ticks=axis.ticks(),
        hidden=max(len(lanes) - _MOST_LANES, 0),
        kinds=tuple(kind for kind in Kind if kind in kinds),
        seen=tuple(state for state in SeenState if state in seen),
    )


def span(steps: Iterable[StepStatus]) -> str:
    """Return the time from the first begin to the last end of these steps."""
    steps = list(steps)
    begins = sorted(step.started for step in steps if step.started)
    ends = sorted(step.ended for step in steps if step.ended)
    return elapsed(begins[0], ends[-1]) if begins and ends else ""


def kind_of(step: StepStatus) -> Kind:
    """Return what kind of step it is."""
    if step.id.startswith("gate/"):
        return Kind.WAIT
    return _KINDS.get(step.id.rpartition("/")[2], Kind.WORK)


class _Axis:
    """The time axis of a chart, from the run's begin to its end."""

    def __init__(self, report: Report) -> None:
        run = report.status
        self._begin, self._end = run.started, run.ended or run.now
        self._length = max(seconds_between(self._begin, self._end) or 0.0, 1.0)

    def place(self, at: str) -> float:
        """Return where a moment is, in hundredths; what lies outside is at the edge."""
        return round(max(0.0, min(100.0, 100 * (seconds_between(self._begin, at) or 0.0) / self._length)), 3)

    def bar(self, step: StepStatus) -> Bar:
        """Return the bar of a step; what still runs reaches to the end."""
        took = seconds_between(step.started, step.ended or self._end) or 0.0
        title = f"{step.title}: {step.state.value}, {duration(took)}"
        start, end = self.place(step.started or self._begin), self.place(step.ended or self._end)
        return Bar(start=start, width=round(end - start, 3), state=step.state, title=title, kind=kind_of(step))

    def ticks(self) -> tuple[Tick, ...]:
        """Return marks at round times of the clock."""
        begin = moment(self._begin)
        if begin is None:
            return ()
        every = next((nice for nice in _NICE_SECONDS if self._length / nice <= _TICKS), self._length / _TICKS)
        first = -begin.timestamp() % every
        marks = [first + number * every for number in range(int((self._length - first) / every) + 1)]
        return tuple(
            Tick(at=round(100 * mark / self._length, 3), label=_label(begin + timedelta(seconds=mark), every))
            for mark in marks
            if mark <= self._length
        )


def _label(at: datetime, every: float) -> str:
    text = clock(at.isoformat())
    return text if every < 60 else text[:-3]


def _lane(label: str, steps: Sequence[StepStatus], axis: _Axis, marks: Mapping[str, Sequence[Mark]]) -> Lane:
    own = tuple(mark for step in steps for mark in marks.get(step.id, ()))
    return Lane(label=label, note=span(steps), bars=tuple(axis.bar(step) for step in steps), marks=own)


def _failures(report: Report, axis: _Axis) -> dict[str, list[Mark]]:
    """Return the tries that failed, by step."""
    found: dict[str, list[Mark]] = {}
    for event in report.events:
        if event.kind == StepState.FAILED.value:
            title = f"{clock(event.at)} {event.subject} failed: {event.text}"
            found.setdefault(event.subject, []).append(Mark(at=axis.place(event.at), title=title))
    return found


def _tracks(report: Report, axis: _Axis) -> tuple[Track, ...]:
    """Return what was seen of each service; nothing where it was only counted."""
    return tuple(
        Track(
            label=api.service,
            note=f"down {milliseconds(api.downtime)}" if api.downtime else "",
            stretches=tuple(_stretch(one, axis) for one in api.track),
        )
        for api in report.availability
        if api.track
    )


def _stretch(one: Segment, axis: _Axis) -> Stretch:
    first, last = (datetime.fromtimestamp(at, tz=UTC).isoformat() for at in (one.start, one.end))
    start, end = axis.place(first), axis.place(last)
    title = f"{clock(first)} to {clock(last)}: {one.state.value}, {milliseconds(one.end - one.start)}"
    return Stretch(start=start, width=round(end - start, 3), state=one.state, title=title)
