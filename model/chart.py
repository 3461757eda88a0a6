"""When each phase and each host was at work: the data of a Gantt chart."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from model.base import Record
from model.plan import Phase
from model.status import Report, StepState, StepStatus
from model.words import clock, duration, elapsed, moment, seconds_between

_MOST_LANES = 60
_TICKS = 6
_NICE_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


class Bar(Record):
    """A stretch of time: begin and width in hundredths of the whole."""

    start: float
    width: float
    state: StepState
    title: str


class Lane(Record):
    """A line of the chart: a phase, or a host."""

    label: str
    note: str = ""
    bars: tuple[Bar, ...]


class Tick(Record):
    """A mark of the time axis."""

    at: float
    label: str


class Chart(Record):
    """When what happened: phases above, hosts below; ``hidden`` hosts did not fit."""

    phases: tuple[Lane, ...] = ()
    hosts: tuple[Lane, ...] = ()
    ticks: tuple[Tick, ...] = ()
    hidden: int = 0


def make_chart(report: Report) -> Chart:
    """Return when each phase and each host was at work."""
    ran = [step for step in report.steps if step.started]
    if not ran:
        return Chart()
    axis = _Axis(report)
    phases = [_lane(phase.value, [s for s in ran if s.phase is phase], axis) for phase in Phase]
    hosts: dict[str, list[StepStatus]] = {host.host: [] for host in report.status.hosts}
    for step in ran:
        if step.target != "cloud":
            hosts.setdefault(step.target, []).append(step)
    lanes = [_lane(host, steps, axis) for host, steps in hosts.items() if steps]
    return Chart(
        phases=tuple(lane for lane in phases if lane.bars),
        hosts=tuple(lanes[:_MOST_LANES]),
        ticks=axis.ticks(),
        hidden=max(len(lanes) - _MOST_LANES, 0),
    )


def span(steps: Iterable[StepStatus]) -> str:
    """Return the time from the first begin to the last end of these steps."""
    steps = list(steps)
    begins = sorted(step.started for step in steps if step.started)
    ends = sorted(step.ended for step in steps if step.ended)
    return elapsed(begins[0], ends[-1]) if begins and ends else ""


class _Axis:
    """The time axis of a chart, from the run's begin to its end."""

    def __init__(self, report: Report) -> None:
        run = report.status
        self._begin, self._end = run.started, run.ended or run.now
        self._length = max(seconds_between(self._begin, self._end) or 0.0, 1.0)

    def bar(self, step: StepStatus) -> Bar:
        """Return the bar of a step; what still runs reaches to the end."""
        start = seconds_between(self._begin, step.started) or 0.0
        took = seconds_between(step.started, step.ended or self._end) or 0.0
        title = f"{step.title}: {step.state.value}, {duration(took)}"
        place = max(0.0, min(100.0, 100 * start / self._length))
        width = max(0.0, min(100.0 - place, 100 * took / self._length))
        return Bar(start=round(place, 3), width=round(width, 3), state=step.state, title=title)

    def ticks(self) -> tuple[Tick, ...]:
        """Return marks at round distances."""
        every = next((nice for nice in _NICE_SECONDS if self._length / nice <= _TICKS), self._length / _TICKS)
        begin = moment(self._begin)
        if begin is None:
            return ()
        marks = [number * every for number in range(int(self._length / every) + 1)]
        return tuple(
            Tick(at=round(100 * mark / self._length, 3), label=clock((begin + timedelta(seconds=mark)).isoformat()))
            for mark in marks
        )


def _lane(label: str, steps: Sequence[StepStatus], axis: _Axis) -> Lane:
    return Lane(label=label, note=span(steps), bars=tuple(axis.bar(step) for step in steps))
