"""What a report concludes from the record of a run."""

import pytest

from model import report as reports
from model.chart import make_chart
from model.comparison import api_rows, guest_rows, version_rows
from model.plan import Phase
from model.report import Tone, make_page, without_repetition
from model.status import Event, RunState, StepState
from tests.cli.runs import at, report, side, status, step


@pytest.mark.parametrize(
    ("state", "failed", "tone"),
    [
        (RunState.COMPLETED, 0, Tone.GOOD),
        (RunState.COMPLETED, 1, Tone.WARN),
        (RunState.STOPPED, 0, Tone.BAD),
        (RunState.REFUSED, 0, Tone.BAD),
        (RunState.RUNNING, 0, Tone.OPEN),
    ],
)
def test_verdict(state: RunState, failed: int, tone: Tone) -> None:
    whole = report()
    api = whole.availability[0].model_copy(update={"failed": failed})
    page = make_page(whole.model_copy(update={"status": status(state=state), "availability": (api,)}))
    assert page.tone is tone


def test_versions_follow_the_order_of_the_hosts() -> None:
    rows = version_rows(report())
    assert [(row.host, row.unit, row.changed) for row in rows] == [
        ("ctl1", "memcached", False),
        ("ctl1", "nova-api", True),
        ("cmp1", "nova-compute", True),
    ]


def test_a_unit_that_is_down_afterwards_is_seen() -> None:
    after = side("34.0.0", "cmp1")
    after["running"]["cmp1"]["nova-compute"] = None
    assert [row.after for row in version_rows(report(after=after)) if row.host == "cmp1"] == ["down"]


@pytest.mark.parametrize(
    ("guests", "trouble"),
    [
        ([], "it is not there any more"),
        ([{"id": "g1", "name": "web", "host": "cmp2", "status": "ACTIVE"}], ""),
        ([{"id": "g1", "name": "web", "host": "cmp2", "status": "SHUTOFF"}], "was ACTIVE, is SHUTOFF"),
    ],
)
def test_guests(guests: list[dict[str, str]], trouble: str) -> None:
    after = {**side("34.0.0", "cmp2"), "guests": guests, "counts": {"guests": len(guests)}}
    assert [row.trouble for row in guest_rows(report(after=after))] == [trouble]


def test_a_list_that_was_cut_is_not_compared() -> None:
    before, after = side("33.0.1", "cmp1"), side("34.0.0", "cmp1")
    before["counts"] = after["counts"] = {"guests": 3000}
    after["guests"] = []
    whole = report(before=before, after=after)
    assert guest_rows(whole) == ()
    assert [fact.value for fact in make_page(whole).facts if fact.label == "guests"] == ["3,000"]


def test_what_the_apis_offer() -> None:
    after = {**side("34.0.0", "cmp1"), "apis": {"nova-api": {"v3": ""}, "glance": {"v2": "CURRENT"}}}
    rows = [(row.api, row.version, row.before, row.after, row.lost) for row in api_rows(report(after=after))]
    assert rows == [
        ("nova-api", "v2.1", "2.1 to 2.100", "", True),
        ("nova-api", "v3", "", "offered", False),
        ("glance", "v2", "", "CURRENT", False),
    ]


@pytest.mark.parametrize("odd", [{}, {"running": None, "guests": "many", "apis": []}, {"running": {"cmp1": 3}}])
def test_odd_data_gives_no_rows_and_no_error(odd: dict[str, object]) -> None:
    page = make_page(report(before=odd, after=odd))
    assert (page.hosts, page.apis, page.guests) == ((), (), ())


def test_chart() -> None:
    chart = make_chart(report())
    assert [lane.label for lane in chart.phases] == ["preflight", "control", "data"]
    assert [lane.label for lane in chart.hosts] == ["ctl1", "cmp1"]
    bar = chart.hosts[1].bars[0]
    assert (bar.start, bar.width) == (20.0, 80.0)
    assert bar.title == "cmp1 drain: done, 8:00 min"
    assert [tick.label for tick in chart.ticks] == [f"23:{minute}" for minute in (46, 48, 50, 52, 54)]
    assert [tick.at for tick in chart.ticks] == [10.0, 30.0, 50.0, 70.0, 90.0]


def test_a_step_that_still_runs_reaches_to_now() -> None:
    running = step("cmp1/drain", StepState.RUNNING, started=at("23:52:58"))
    chart = make_chart(report(status=status(now=at("23:55:00")), steps=[running]))
    bar = chart.hosts[0].bars[0]
    assert bar.start + bar.width == pytest.approx(100)


def test_of_many_hosts_some_lanes_are_left_out() -> None:
    steps = [step(f"cmp{n}/drain", StepState.DONE, started=at("23:46:00"), ended=at("23:47:00")) for n in range(415)]
    chart = make_chart(report(steps=steps))
    assert (len(chart.hosts), chart.hidden) == (400, 15)


def test_steps_that_failed_are_counted_by_phase() -> None:
    page = make_page(report(steps=[step("a", StepState.FAILED), step("b", StepState.DONE, Phase.SOAK)]))
    assert [(group.phase, group.failed) for group in page.groups] == [(Phase.DATA, 1), (Phase.SOAK, 0)]


def test_of_many_events_those_are_left_out_that_the_steps_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [step("a", StepState.DONE), step("b", StepState.DONE, tries=2), step("c", StepState.FAILED)]
    kinds = [(id_, kind) for id_ in "abc" for kind in ("running", "failed" if id_ == "c" else "done")]
    events = [Event(at=at("23:45:00"), kind=kind, subject=id_) for id_, kind in [("run", "start"), *kinds]]
    assert without_repetition(events, steps) == tuple(events)
    monkeypatch.setattr(reports, "MOST_EVENTS", 6)
    assert without_repetition(events, steps) == (events[0], *events[3:])
