"""What a report says, worked out once for the terminal and for the page: pure data from a run's record."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from model.base import Record
from model.chart import Chart, make_chart, span
from model.comparison import (
    ApiRow,
    GuestRow,
    HostVersions,
    VersionRow,
    api_rows,
    by_host,
    guest_counts,
    guest_rows,
    version_rows,
)
from model.plan import Phase
from model.reboot_report import FleetReport
from model.report_parts import (
    AdvisoryRow,
    ApprovalRow,
    ContractPart,
    Exceptional,
    advisory_rows,
    approval_rows,
    contract_part,
    exceptions,
    told,
)
from model.status import Event, Report, RunState, StepState, StepStatus
from model.words import clock, count, duration, elapsed, milliseconds

# A report with more events than this would come near what Temporal takes as one payload.
MOST_EVENTS = 2_000
_BEGIN_AND_END = (StepState.RUNNING.value, StepState.DONE.value)


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


class StepGroup(Record):
    """The steps of a phase."""

    phase: Phase
    took: str
    steps: tuple[StepStatus, ...]
    failed: int


class Page(Record):
    """Everything that a report shows."""

    tone: Tone
    headline: str
    text: str
    facts: tuple[Fact, ...]
    chart: Chart
    hosts: tuple[HostVersions, ...]
    apis: tuple[ApiRow, ...]
    guests: tuple[GuestRow, ...]
    groups: tuple[StepGroup, ...]
    acts: tuple[Event, ...]
    fleet: FleetReport | None = None
    approvals: tuple[ApprovalRow, ...] = ()
    exceptions: tuple[Exceptional, ...] = ()
    told: tuple[Event, ...] = ()
    contract: ContractPart | None = None
    advisories: tuple[AdvisoryRow, ...] = ()


def make_page(report: Report) -> Page:
    """Work out what a report shows."""
    versions, guests = version_rows(report), guest_rows(report)
    tone, headline = _verdict(report)
    fleet = FleetReport.model_validate(report.fleet) if report.fleet else None
    return Page(
        tone=tone,
        headline=headline,
        text=report.status.message,
        facts=(*_facts(report, versions, guests), *(_fleet_facts(fleet) if fleet else ()), *_more_facts(report)),
        chart=make_chart(report),
        hosts=by_host(versions),
        apis=api_rows(report),
        guests=guests,
        groups=_groups(report.steps),
        acts=tuple(event for event in report.events if event.by),
        fleet=fleet,
        approvals=approval_rows(report),
        exceptions=exceptions(report, fleet),
        told=told(report),
        contract=contract_part(report),
        advisories=advisory_rows(report),
    )


def without_repetition(events: Sequence[Event], steps: Iterable[StepStatus]) -> tuple[Event, ...]:
    """Return the events of a report: of many, without the begin and end of steps that those steps tell."""
    if len(events) <= MOST_EVENTS:
        return tuple(events)
    plain = {step.id for step in steps if step.state is StepState.DONE and step.tries <= 1}
    return tuple(event for event in events if event.subject not in plain or event.kind not in _BEGIN_AND_END)


_WORDS = {"RollingUpgrade": "upgrade", "Rollback": "rollback", "RollingReboot": "reboot"}


def _verdict(report: Report) -> tuple[Tone, str]:
    run = report.status
    if run.kind == "RollingReboot":
        return _reboot_verdict(report)
    match run.state:
        case RunState.COMPLETED:
            tone = Tone.WARN if any(api.failed for api in report.availability) else Tone.GOOD
            return tone, f"{run.cloud} runs {run.target}"
        case RunState.ROLLED_BACK:
            kept = run.target if run.kind == "Rollback" else run.source
            return Tone.WARN, f"{run.cloud} is wholly back at {kept}"
        case RunState.STOPPED:
            return Tone.BAD, f"{run.cloud} is not wholly at {run.target}"
        case RunState.REFUSED:
            return Tone.BAD, f"{run.cloud} stays at {run.source}: the {_WORDS[run.kind]} was refused"
    return Tone.OPEN, f"{run.cloud} on its way from {run.source} to {run.target}: {run.state.value}"


def _reboot_verdict(report: Report) -> tuple[Tone, str]:
    run = report.status
    match run.state:
        case RunState.COMPLETED:
            exposed = run.fleet is not None and run.fleet.exposed
            tone = Tone.WARN if exposed or any(api.failed for api in report.availability) else Tone.GOOD
            return tone, f"{run.cloud}'s hypervisors are done" + (", but for some" if exposed else "")
        case RunState.STOPPED:
            return Tone.BAD, f"not all of {run.cloud}'s hypervisors are done"
        case RunState.REFUSED:
            return Tone.BAD, f"the reboot of {run.cloud} was refused"
    return Tone.OPEN, f"reboot of {run.cloud}'s hypervisors: {run.state.value}"


def _fleet_facts(fleet: FleetReport) -> Iterable[Fact]:
    done = sum(host.state is StepState.DONE for host in fleet.hosts)
    exposed = [one.host for one in fleet.skipped if one.exposed]
    note = f"{len(fleet.skipped)} not to be done" if fleet.skipped else ""
    note += f", exposed: {', '.join(exposed)}" if exposed else ""
    tone = Tone.GOOD if done == len(fleet.hosts) and not exposed else Tone.WARN
    yield Fact(label="hosts", value=f"{done} of {len(fleet.hosts)} done", note=note, tone=tone)
    each = f"{fleet.moves / fleet.movers:.2f} for each of {count(fleet.movers, 'guest')}, " if fleet.movers else ""
    planned = f"; {fleet.predicted} planned, no order does with fewer than {fleet.bound}" if fleet.predicted else ""
    yield Fact(label="moves of guests", value=str(fleet.moves), note=f"{each}at most {fleet.most} of one{planned}")
    restarts = sum(guest.restarts for guest in fleet.guests)
    hows = ", ".join(f"{number} {how}" for how, number in sorted(fleet.hows.items()))
    note = ", ".join(
        [*([hows] if hows else []), *([f"{count(fleet.failed, 'attempt')} failed"] if fleet.failed else [])]
    )
    tone = Tone.WARN if restarts else Tone.GOOD
    yield Fact(label="guests stopped", value=str(restarts) if restarts else "none", note=note, tone=tone)
    yield from _pauses(fleet)
    away = [host.away for host in fleet.hosts if host.away is not None]
    if away:
        note = f"{duration(min(away))} to {duration(max(away))}"
        yield Fact(label="a host's turn", value=duration(sum(away) / len(away)), note=note)


def _pauses(fleet: FleetReport) -> Iterable[Fact]:
    """Return how long guests did not run that went on, and that were off: as far as anybody has told."""
    if live := fleet.hows.get("live", 0):
        longest = max(fleet.guests, key=lambda guest: guest.paused or 0.0, default=None)
        name = (longest.name or longest.guest) if longest and longest.paused == fleet.paused is not None else ""
        known = f"known of {fleet.pauses} of {count(live, 'live move')}" if fleet.pauses < live else "of all live moves"
        note = f"{name}; {known}" if name else known if fleet.pauses else "no hypervisor could be asked"
        value = "not known" if fleet.paused is None else milliseconds(fleet.paused)
        yield Fact(label="longest pause of a guest", value=value, note=note)
    if off := [guest for guest in fleet.guests if guest.off is not None]:
        longest_off = max(off, key=lambda guest: guest.off or 0.0)
        note = f"{longest_off.name or longest_off.guest}; {count(len(off), 'guest')} moved cold or stopped"
        yield Fact(label="longest off", value=duration(longest_off.off or 0.0), note=note, tone=Tone.WARN)


def _more_facts(report: Report) -> Iterable[Fact]:
    """Return what only some runs know: contract, advisories, the next date."""
    if (contract := contract_part(report)) is not None:
        accepted = sum(row.grade == "accepted" for row in contract.rows)
        note = f"{count(contract.compared, 'call')} compared" if contract.compared is not None else ""
        value = f"{count(accepted, 'breach', 'breaches')} accepted" if accepted else "kept"
        yield Fact(label="API contract", value=value, note=note, tone=Tone.WARN if accepted else Tone.GOOD)
    if rows := advisory_rows(report):
        gone = {row.advisory for row in rows} - {row.advisory for row in rows if row.state != "gone"}
        value = f"{len(gone)} of {len({row.advisory for row in rows})} gone"
        left = len({(row.advisory, row.host) for row in rows if row.state != "gone"})
        note = f"{count(left, 'host')} still exposed or unproven" if left else "proven from what runs"
        yield Fact(label="advisories", value=value, note=note, tone=Tone.WARN if left else Tone.GOOD)
    if report.next_run:
        yield Fact(label="next run", value=clock(report.next_run, date=True)[:-3], note="UTC")


def _facts(report: Report, versions: Sequence[VersionRow], guests: Sequence[GuestRow]) -> tuple[Fact, ...]:
    run = report.status
    hosts = {row.host for row in versions if row.changed}
    changed = sum(row.changed for row in versions)
    facts = [
        Fact(label="release", value=run.source if run.source == run.target else f"{run.source} → {run.target}"),
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
    if (fact := _guests_fact(report, guests)) is not None:
        facts.append(fact)
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


def _guests_fact(report: Report, guests: Sequence[GuestRow]) -> Fact | None:
    before, after = guest_counts(report.before), guest_counts(report.after)
    if before is None or after is None:
        return None
    if not guests:
        return Fact(label="guests", value=f"{after:,}", note=f"{before:,} before")
    troubled = sum(bool(guest.trouble) for guest in guests)
    value = f"{len(guests) - troubled} of {len(guests)} well"
    note = f"{sum(guest.moved for guest in guests)} on another host than before"
    return Fact(label="guests", value=value, note=note, tone=Tone.BAD if troubled else Tone.GOOD)


def _groups(steps: Sequence[StepStatus]) -> tuple[StepGroup, ...]:
    groups = []
    for phase in Phase:
        members = tuple(step for step in steps if step.phase is phase)
        if members:
            failed = sum(step.state is StepState.FAILED for step in members)
            groups.append(StepGroup(phase=phase, took=span(members), steps=members, failed=failed))
    return tuple(groups)
