"""What a report says, worked out once for the terminal and for the page: pure data from a run's record."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from itertools import groupby
from typing import Any

from model.base import Record
from model.plan import Phase
from model.status import Event, Report, RunState, StepState, StepStatus
from model.words import clock, count, duration, elapsed, moment, seconds_between

_MOST_LANES = 60
_TICKS = 6
_NICE_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


class ReportFiles(Record):
    """The output of ``write_report``: where the page and the data are."""

    html: str
    json_path: str


class Tone(StrEnum):
    """How good the news is."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    OPEN = "open"


class Fact(Record):
    """One figure of the run, with what it is."""

    label: str
    value: str
    note: str = ""
    tone: Tone = Tone.OPEN


class Bar(Record):
    """A stretch of time in a chart: begin and width in hundredths of the whole."""

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
    """When what happened: phases above, hosts below."""

    phases: tuple[Lane, ...] = ()
    hosts: tuple[Lane, ...] = ()
    ticks: tuple[Tick, ...] = ()
    hidden: int = 0


class VersionRow(Record):
    """A unit on a host, before and after; ``after`` is None when nobody has read it since."""

    host: str
    unit: str
    before: str
    after: str | None

    @property
    def changed(self) -> bool:
        """Whether another version runs now."""
        return self.after not in (None, self.before)


class GuestRow(Record):
    """A guest, before and after; ``trouble`` says what is wrong with it, if anything is."""

    name: str
    id: str
    before: str
    after: str
    trouble: str = ""

    @property
    def moved(self) -> bool:
        """Whether it is on another host now."""
        return self.before != self.after


class StepGroup(Record):
    """The steps of a phase."""

    phase: Phase
    took: str
    steps: tuple[StepStatus, ...]
    failed: int


class HostVersions(Record):
    """The units of a host, before and after."""

    host: str
    rows: tuple[VersionRow, ...]


class Page(Record):
    """Everything that a report shows."""

    tone: Tone
    headline: str
    text: str
    facts: tuple[Fact, ...]
    chart: Chart
    versions: tuple[VersionRow, ...]
    guests: tuple[GuestRow, ...]
    groups: tuple[StepGroup, ...]
    acts: tuple[Event, ...]

    @property
    def hosts(self) -> tuple[HostVersions, ...]:
        """The versions by host."""
        by_host = groupby(self.versions, key=lambda row: row.host)
        return tuple(HostVersions(host=host, rows=tuple(rows)) for host, rows in by_host)


def make_page(report: Report) -> Page:
    """Work out what a report shows."""
    versions, guests = version_rows(report), guest_rows(report)
    tone, headline = _verdict(report)
    return Page(
        tone=tone,
        headline=headline,
        text=report.status.message,
        facts=_facts(report, versions, guests),
        chart=make_chart(report),
        versions=versions,
        guests=guests,
        groups=_groups(report.steps),
        acts=tuple(event for event in report.events if event.by),
    )


def _verdict(report: Report) -> tuple[Tone, str]:
    run = report.status
    match run.state:
        case RunState.COMPLETED:
            tone = Tone.WARN if any(api.failed for api in report.availability) else Tone.GOOD
            return tone, f"{run.cloud} runs {run.target}"
        case RunState.STOPPED:
            return Tone.BAD, f"{run.cloud} is not wholly at {run.target}"
        case RunState.REFUSED:
            return Tone.BAD, f"{run.cloud} stays at {run.source}: the upgrade was refused"
    return Tone.OPEN, f"{run.cloud} on its way from {run.source} to {run.target}: {run.state.value}"


def _facts(report: Report, versions: Sequence[VersionRow], guests: Sequence[GuestRow]) -> tuple[Fact, ...]:
    run = report.status
    hosts = {row.host for row in versions if row.changed}
    changed = sum(row.changed for row in versions)
    facts = [
        Fact(label="release", value=f"{run.source} → {run.target}"),
        Fact(
            label="duration",
            value=elapsed(run.started, run.ended or run.now),
            note=f"{clock(run.started, date=True)} to {clock(run.ended) or 'now'} UTC",
        ),
        _steps_fact(report.steps),
    ]
    if report.after:
        facts.append(Fact(label="changed", value=count(changed, "unit"), note=f"on {count(len(hosts), 'host')}"))
    if report.availability:
        facts.append(_requests_fact(report))
    if guests:
        facts.append(_guests_fact(guests))
    return tuple(facts)


def _steps_fact(steps: Sequence[StepStatus]) -> Fact:
    done = sum(step.state is StepState.DONE for step in steps)
    again = sum(max(step.tries - 1, 0) for step in steps)
    odd = [
        f"{number} {state.value}"
        for state in (StepState.FAILED, StepState.SKIPPED, StepState.UNDONE, StepState.PENDING)
        if (number := sum(step.state is state for step in steps))
    ]
    note = ", ".join([*odd, *([count(again, "further try", "further tries")] if again else [])])
    tone = Tone.BAD if any(step.state is StepState.FAILED for step in steps) else Tone.OPEN
    return Fact(label="steps", value=f"{done} of {len(steps)} done", note=note or "each at the first try", tone=tone)


def _requests_fact(report: Report) -> Fact:
    sent = sum(api.requests for api in report.availability)
    failed = sum(api.failed for api in report.availability)
    gap = max(api.longest_gap for api in report.availability)
    longest = max(api.longest for api in report.availability)
    note = f"of {sent:,} probes of the APIs; slowest answer {duration(longest)}"
    if gap:
        note += f", longest gap {duration(gap)}"
    value = f"{failed:,} failed" if failed else "none failed"
    return Fact(label="requests", value=value, note=note, tone=Tone.BAD if failed else Tone.GOOD)


def _guests_fact(guests: Sequence[GuestRow]) -> Fact:
    troubled = sum(bool(guest.trouble) for guest in guests)
    value = f"{len(guests) - troubled} of {len(guests)} well"
    note = f"{sum(guest.moved for guest in guests)} on another host than before"
    return Fact(label="guests", value=value, note=note, tone=Tone.BAD if troubled else Tone.GOOD)


def version_rows(report: Report) -> tuple[VersionRow, ...]:
    """Return what ran where, before and after."""
    before, after = _table(report.before), _table(report.after)
    names = {(host, unit) for table in (before, after) for host in table for unit in table[host]}
    order = {host.host: place for place, host in enumerate(report.status.hosts)}
    return tuple(
        VersionRow(
            host=host,
            unit=unit,
            before=str(before.get(host, {}).get(unit) or "down"),
            after=str(after.get(host, {}).get(unit) or "down") if after else None,
        )
        for host, unit in sorted(names, key=lambda name: (order.get(name[0], len(order)), name))
    )


def _table(part: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    hosts = part.get("hosts")
    return {h: u for h, u in hosts.items() if isinstance(u, dict)} if isinstance(hosts, dict) else {}


def guest_rows(report: Report) -> tuple[GuestRow, ...]:
    """Return the guests that were there before, and what became of each."""
    before, after = _guests(report.before), _guests(report.after)
    if not after:
        return ()
    return tuple(_guest_row(id_, guest, after.get(id_)) for id_, guest in before.items())


def _guests(part: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    guests = part.get("guests")
    entries = guests if isinstance(guests, list) else []
    return {str(entry["id"]): entry for entry in entries if isinstance(entry, dict) and "id" in entry}


def _guest_row(id_: str, before: Mapping[str, Any], after: Mapping[str, Any] | None) -> GuestRow:
    name, home = str(before.get("name") or id_), str(before.get("host") or "none")
    if after is None:
        return GuestRow(name=name, id=id_, before=home, after="gone", trouble="it is not there any more")
    trouble = ""
    if after.get("status") != before.get("status"):
        trouble = f"was {before.get('status')}, is {after.get('status')}"
    return GuestRow(name=name, id=id_, before=home, after=str(after.get("host") or "none"), trouble=trouble)


def make_chart(report: Report) -> Chart:
    """Return when each phase and each host was at work."""
    ran = [step for step in report.steps if step.started]
    if not ran:
        return Chart()
    axis = _Axis(report)
    phases = [_lane(phase.value, [s for s in ran if s.phase is phase], axis) for phase in Phase]
    hosts: dict[str, list[StepStatus]] = {}
    for step in ran:
        if step.target != "cloud":
            hosts.setdefault(step.target, []).append(step)
    lanes = [_lane(host, steps, axis) for host, steps in hosts.items()]
    return Chart(
        phases=tuple(lane for lane in phases if lane.bars),
        hosts=tuple(lanes[:_MOST_LANES]),
        ticks=axis.ticks(),
        hidden=max(len(lanes) - _MOST_LANES, 0),
    )


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
    return Lane(label=label, note=_span(steps), bars=tuple(axis.bar(step) for step in steps))


def _span(steps: Iterable[StepStatus]) -> str:
    """Return the time from the first begin to the last end."""
    steps = list(steps)
    begins = sorted(step.started for step in steps if step.started)
    ends = sorted(step.ended for step in steps if step.ended)
    return elapsed(begins[0], ends[-1]) if begins and ends else ""


def _groups(steps: Sequence[StepStatus]) -> tuple[StepGroup, ...]:
    groups = []
    for phase in Phase:
        members = tuple(step for step in steps if step.phase is phase)
        if members:
            failed = sum(step.state is StepState.FAILED for step in members)
            groups.append(StepGroup(phase=phase, took=_span(members), steps=members, failed=failed))
    return tuple(groups)
