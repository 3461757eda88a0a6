"""Parts of a report: who approved what, what was not as usual, who was told, what the APIs promise, what was mended.

Contract and advisories come as JSON, as the parts of a run that know of them have written it; of what is not there,
nothing is said.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from model.base import Record
from model.reboot_report import FleetReport
from model.status import Event, Report, StepState

# Orders that are part of every run; any other is one that an operator gave against the usual way.
_USUAL = frozenset({"start", "approve", "pause", "resume", "retry", "skip"})
_SPEC = "spec"
_MOST_ROWS = 200
# Differences that stop nobody, in the words of model.contract_diff; the weightiest first.
_GRADES = ("accepted", "noted", "added")


class ApprovalRow(Record):
    """A gate, and who opened it when; ``by_person`` is False for one that the specification opens by itself."""

    gate: str
    by: str
    at: str
    by_person: bool
    note: str = ""


class Exceptional(Record):
    """Something that was not as usual: ``skipped``, ``overridden``, ``left out``, ``exposed`` or a ``warning``."""

    kind: str
    what: str
    why: str = ""
    by: str = ""
    at: str = ""


class ContractRow(Record):
    """One difference in what the APIs promise: ``accepted`` by the operator, ``noted``, or ``added``."""

    grade: str
    text: str


class ContractPart(Record):
    """What differs in what the APIs promise, by the last comparison; a breach would have stopped the run.

    Attributes:
        compared: how many calls it compared; None where that is not known.
        left_out: how many differences are not among the ``rows``.
    """

    summary: str = ""
    rows: tuple[ContractRow, ...] = ()
    compared: int | None = None
    left_out: int = 0


class AdvisoryRow(Record):
    """What became of one advisory on one host: ``gone``, ``remaining``, ``unproven`` or ``appeared``."""

    advisory: str
    host: str
    unit: str
    state: str
    before: str = ""
    after: str = ""
    why: str = ""


def approval_rows(report: Report) -> tuple[ApprovalRow, ...]:
    """Return who opened which gate, in order."""
    return tuple(
        ApprovalRow(gate=event.subject, by=event.by, at=event.at, by_person=event.by != _SPEC, note=event.text)
        for event in report.approvals
    )


def exceptions(report: Report, fleet: FleetReport | None) -> tuple[Exceptional, ...]:
    """Return everything that was not as usual: steps skipped, orders against the usual way, hosts left, warnings."""
    orders = {(event.kind, event.subject): event for event in report.events if event.by}
    found = [_skipped(step.id, step.title, orders.get(("skip", step.id))) for step in _skipped_steps(report)]
    found += [
        Exceptional(kind="overridden", what=f"{event.kind} {event.subject}", why=event.text, by=event.by, at=event.at)
        for event in report.events
        if event.by and event.by != _SPEC and event.kind not in _USUAL
    ]
    if fleet is not None:
        found += [
            Exceptional(kind="exposed" if one.exposed else "left out", what=one.host, why=one.reason)
            for one in fleet.skipped
        ]
    found += [
        Exceptional(kind="warning", what=event.subject, why=event.text, at=event.at)
        for event in report.events
        if event.kind == "warning"
    ]
    return tuple(found[:_MOST_ROWS])


def _skipped_steps(report: Report) -> Iterable[Any]:
    return (step for step in report.steps if step.state is StepState.SKIPPED)


def _skipped(id_: str, title: str, order: Event | None) -> Exceptional:
    if order is None:
        return Exceptional(kind="skipped", what=title or id_)
    return Exceptional(kind="skipped", what=title or id_, why=order.text, by=order.by, at=order.at)


def told(report: Report) -> tuple[Event, ...]:
    """Return who was told of what."""
    return tuple(event for event in report.events if event.kind == "notify")


def contract_part(report: Report) -> ContractPart | None:
    """Return what differs in what the APIs promise; None when nobody has compared it."""
    told = report.contract
    if not told:
        return None
    rows = tuple(ContractRow(grade=grade, text=str(text)) for grade in _GRADES for text in told.get(grade) or ())
    compared, known = told.get("compared"), sum(int(told.get(f"{grade}_in_all") or 0) for grade in _GRADES)
    return ContractPart(
        summary=str(told.get("summary") or ""),
        rows=rows[:_MOST_ROWS],
        compared=compared if isinstance(compared, int) else None,
        left_out=max(0, max(known, len(rows)) - min(len(rows), _MOST_ROWS)),
    )


def advisory_rows(report: Report) -> tuple[AdvisoryRow, ...]:
    """Return what became of each advisory on each host, what remains first; empty when nobody has asked."""
    rows = []
    for state in ("remaining", "appeared", "unproven", "gone"):
        for one in report.advisories.get(state) or ():
            if isinstance(one, Mapping):
                words = {key: str(one.get(key) or "") for key in ("advisory", "host", "unit", "why")}
                versions = {key: _running(one.get(key)) for key in ("before", "after")}
                rows.append(AdvisoryRow(state=state, **words, **versions))
    return tuple(rows[:_MOST_ROWS])


def _running(finding: Any) -> str:
    """Return the versions that ran, of a finding."""
    if not isinstance(finding, Mapping):
        return ""
    running = finding.get("running")
    return ", ".join(map(str, running)) if isinstance(running, list | tuple) else ""
