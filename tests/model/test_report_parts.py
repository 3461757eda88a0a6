"""What a report says of approvals, of what was not as usual, of the contract and of advisories."""

import pytest

from model.placement.records import Skipped
from model.reboot_report import FleetReport
from model.report import Tone, make_page
from model.report_parts import advisory_rows, approval_rows, contract_part, exceptions
from model.status import Event, StepState
from tests.cli.runs import at, report, step


def event(kind: str, subject: str = "run", text: str = "", by: str = "") -> Event:
    return Event(at=at("23:46:00"), kind=kind, subject=subject, text=text, by=by)


def test_a_gate_that_the_specification_opened_was_approved_by_nobody() -> None:
    rows = approval_rows(
        report(approvals=[event("approve", "plan", "plan 6fe8", "anna"), event("approve", "data", by="spec")])
    )
    assert [(row.gate, row.by, row.by_person) for row in rows] == [("plan", "anna", True), ("data", "spec", False)]


def test_what_was_not_as_usual() -> None:
    events = [
        event("start", by="anna"),
        event("skip", "cmp1/verify", "done by hand", "anna"),
        event("limits", text="max_unavailable 3", by="bert"),
        event("abort", text="rollback: it broke", by="spec"),
        event("warning", "notify", "env:OPS: not delivered"),
    ]
    fleet = FleetReport(
        skipped=(Skipped(host="cmp8", reason="vm1 stays", exposed=True), Skipped(host="cmp9", reason="no need"))
    )
    found = exceptions(report(steps=[step("cmp1/verify", StepState.SKIPPED)], events=events), fleet)
    assert [(one.kind, one.what, one.why, one.by) for one in found] == [
        ("skipped", "cmp1 verify", "done by hand", "anna"),
        ("overridden", "limits run", "max_unavailable 3", "bert"),
        ("exposed", "cmp8", "vm1 stays", ""),
        ("left out", "cmp9", "no need", ""),
        ("warning", "notify", "env:OPS: not delivered", ""),
    ]


def test_an_usual_run_has_no_exceptions() -> None:
    assert exceptions(report(), None) == ()


def test_contract() -> None:
    assert contract_part(report()) is None
    told = {"summary": "kept", "compared": 40, "accepted": ["a: gone"], "added": ["b: new"], "added_in_all": 5}
    part = contract_part(report(contract=told))
    assert part is not None
    assert [(row.grade, row.text) for row in part.rows] == [("accepted", "a: gone"), ("added", "b: new")]
    assert (part.compared, part.left_out) == (40, 3)
    facts = {fact.label: (fact.value, fact.tone) for fact in make_page(report(contract=told)).facts}
    assert facts["API contract"] == ("1 breach accepted", Tone.WARN)


@pytest.mark.parametrize(("remaining", "value", "tone"), [(0, "1 of 1 gone", Tone.GOOD), (1, "0 of 1 gone", Tone.WARN)])
def test_advisories(remaining: int, value: str, tone: Tone) -> None:
    change = {"advisory": "OSSA-2026-002", "unit": "nova-compute", "before": {"running": ["31.0.0"]}, "after": None}
    whole = report(
        advisories={
            "gone": [{**change, "host": "cmp1", "after": {"running": ["31.2.1"]}}],
            "remaining": [{**change, "host": "cmp2", "why": "skipped"}] * remaining,
        }
    )
    rows = advisory_rows(whole)
    assert [row.state for row in rows] == [*["remaining"] * remaining, "gone"]
    assert (rows[-1].before, rows[-1].after) == ("31.0.0", "31.2.1")
    assert {fact.label: (fact.value, fact.tone) for fact in make_page(whole).facts}["advisories"] == (value, tone)


def test_the_next_date_is_said_where_it_is_known() -> None:
    facts = {fact.label: fact.value for fact in make_page(report(next_run="2026-12-14T01:00:00+00:00")).facts}
    assert facts["next run"] == "2026-12-14 01:00"
    assert "next run" not in {fact.label for fact in make_page(report()).facts}
