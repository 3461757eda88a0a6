"""How long a plan takes: what must hold for any plan, and what measured durations make of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.experience import Basis, Estimate, Estimates, in_range
from model.forecast import Forecast, critical_path, end_in_windows, forecast, measured_pace, walk
from model.forecast_text import describe_forecast, ends
from model.plan import Action, Phase, Plan, Reversibility, Step
from model.windows import Interval

# A machine that has much else to do draws slowly; that says nothing of a forecast.
busy = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def step(id_: str, estimate: float, needs: tuple[str, ...] = (), **more: object) -> Step:
    content = {"title": id_, "phase": Phase.DATA, "action": Action.INSTALL, "target": "cloud", **more}
    return Step.model_validate(
        {"id": id_, "needs": needs, "estimate": estimate, "reversibility": Reversibility.R1, **content}
    )


def plan_of(*steps: Step, **limits: int) -> Plan:
    return Plan(cloud="c", source="2026.1", target="2026.2", limits=limits, steps=steps)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 12))):
        needs = draw(st.sets(st.sampled_from([s.id for s in steps]), max_size=3)) if steps else set()
        action = draw(st.sampled_from([Action.INSTALL, Action.RUN_MANAGE, Action.SOAK]))
        limit = draw(st.sampled_from([None, "a"]))
        estimate = draw(st.floats(0, 500).map(lambda s: round(s, 2)))
        steps.append(step(f"s{number}", estimate, tuple(sorted(needs)), action=action, limit=limit))
    return plan_of(*steps, a=draw(st.integers(1, 3)))


@st.composite
def estimated(draw: st.DrawFn) -> tuple[Plan, Estimates]:
    plan = draw(plans())
    kinds = {
        one.id: in_range(draw(st.lists(st.floats(0, 900), min_size=1, max_size=4)))
        for one in plan.steps
        if draw(st.booleans())
    }
    estimates = Estimates(kinds=kinds)
    return estimates.apply(plan), estimates


def longest_chain(plan: Plan) -> float:
    ends_at: dict[str, float] = {}
    for one in plan.steps:
        ends_at[one.id] = one.estimate + max((ends_at[need] for need in one.needs), default=0.0)
    return max(ends_at.values())


@busy
@given(estimated())
def test_it_is_never_shorter_than_the_longest_chain_nor_longer_than_one_after_the_other(
    drawn: tuple[Plan, Estimates],
) -> None:
    plan, estimates = drawn
    found = forecast(plan, estimates)
    assert longest_chain(plan) - 1e-6 <= found.seconds <= sum(one.estimate for one in plan.steps) + 1e-6
    assert 0 <= found.low <= found.seconds <= found.high


@busy
@given(estimated())
def test_what_decides_it_is_a_chain_without_gaps_from_now_to_the_end(drawn: tuple[Plan, Estimates]) -> None:
    plan, estimates = drawn
    path = forecast(plan, estimates).path
    assert path[0].begin == 0.0
    assert [turn.begin for turn in path[1:]] == [turn.end for turn in path[:-1]]
    assert path[-1].end == max(turn.end for turn in walk(plan.by_id, plan.limits, set()))


@busy
@given(plans(), st.floats(0.1, 10))
def test_a_cloud_that_is_slower_throughout_takes_longer_by_as_much(plan: Plan, factor: float) -> None:
    work = plan_of(*(one for one in plan.steps if one.action is not Action.SOAK and not one.needs), **plan.limits)
    slower = work.model_copy(
        update={"steps": tuple(s.model_copy(update={"estimate": s.estimate * factor}) for s in work.steps)}
    )
    assert forecast(slower).seconds == pytest.approx(factor * forecast(work).seconds, rel=1e-6)


@busy
@given(plans())
def test_when_all_has_passed_nothing_remains(plan: Plan) -> None:
    assert forecast(plan, passed={one.id for one in plan.steps}) == Forecast(0.0, 0.0, 0.0)


@busy
@given(st.floats(1, 100), st.integers(1, 5))
def test_the_more_runs_agree_the_narrower_the_range(seconds: float, runs: int) -> None:
    fewer, more = in_range([seconds] * runs), in_range([seconds] * (runs + 1))
    assert more.high - more.low < fewer.high - fewer.low
    assert more.low <= more.seconds <= more.high


@busy
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=8))
def test_no_range_leaves_out_what_was_seen(samples: list[float]) -> None:
    found = in_range(samples)
    assert found.low <= min(samples) + 0.01
    assert found.high >= max(samples) - 0.01


def test_measured_steps_are_known_better_than_assumed_ones() -> None:
    chain = [step(f"s{n}", 20.0, (f"s{n - 1}",) if n else ()) for n in range(10)]
    plan = plan_of(*chain)
    measured = Estimates(kinds={one.id: in_range([20.0, 20.0, 20.0]) for one in chain})
    assumed, known = forecast(plan), forecast(measured.apply(plan), measured)
    assert assumed.seconds == known.seconds == 200.0
    assert (assumed.low, assumed.high) == (100.0, 400.0)
    assert 170 < known.low < known.high < 230


def test_a_soak_takes_what_the_specification_says() -> None:
    plan = plan_of(step("s", 600.0, action=Action.SOAK), step("t", 10.0, ("s",)))
    found = forecast(plan, durations={})
    assert (found.low, found.seconds, found.high) == (605.0, 610.0, 620.0)
    assert measured_pace(plan, {"s": 3000.0}) == 1.0


def test_while_it_runs_its_own_pace_counts_and_takes_doubt_away() -> None:
    chain = [step(f"s{n}", 20.0, (f"s{n - 1}",) if n else ()) for n in range(10)]
    plan = plan_of(*chain)
    passed = {f"s{n}" for n in range(8)}
    found = forecast(plan, passed=passed, elapsed={"s8": 10.0}, durations=dict.fromkeys(passed, 40.0))
    assert found.seconds == 70.0
    assert found.low > 50
    assert found.high < 110


def test_the_critical_path_goes_through_what_waits_for_a_free_place() -> None:
    plan = plan_of(step("a", 5.0, limit="one"), step("b", 5.0, limit="one"), step("c", 7.0), one=1)
    assert [turn.id for turn in critical_path(walk(plan.by_id, plan.limits, set()))] == ["a", "b"]


def nights(number: int, hours: float = 2.0) -> list[Interval]:
    begins = [NOON.replace(hour=22) + timedelta(days=day) for day in range(number)]
    return [Interval(opens=b, closes=b + timedelta(hours=hours), opens_local="", closes_local="") for b in begins]


def test_work_that_does_not_fit_into_a_window_goes_on_in_the_next_one() -> None:
    hour = 3600.0
    assert end_in_windows(NOON, [(hour, True)], nights(2)) == NOON.replace(hour=23)
    assert end_in_windows(NOON, [(hour, True), (1.5 * hour, True)], nights(2)) == NOON + timedelta(days=1, hours=11.5)
    # A soak goes on by day.
    assert end_in_windows(NOON, [(hour, True), (12 * hour, False), (hour, True)], nights(2)) == NOON + timedelta(
        days=1, hours=11
    )
    assert end_in_windows(NOON, [(3 * hour, True)], nights(5)) is None


def test_it_is_told_with_its_end_what_decides_it_and_where_it_comes_from() -> None:
    plan = plan_of(
        step("expand/nova/db-sync", 300.0, phase=Phase.EXPAND, action=Action.RUN_MANAGE),
        step("cmp1/drain", 60.0, ("expand/nova/db-sync",), action=Action.DRAIN_COMPUTE, target="cmp1"),
        step("soak/wait", 600.0, ("cmp1/drain",), phase=Phase.SOAK, action=Action.SOAK),
    )
    estimates = Estimates(
        kinds={"expand/nova/db-sync": Estimate.about(240.0, Basis.REHEARSAL, 0.8, 1.6)},
        drains={"cmp1": Estimate.about(120.0, Basis.RUNS, 0.8, 1.2)},
        runs=3,
    )
    timed = estimates.apply(plan)
    lines = describe_forecast(timed, forecast(timed, estimates), estimates, NOON)
    phases = "expand 4:00 min, data 2:00 min, soak 10:00 min"
    assert lines == (
        "forecast: 16:00 min, between 15:06 min and 18:26 min; approvals are not counted",
        "  started now, it ends between Mon 2026-11-23 12:15 UTC and Mon 2026-11-23 12:19 UTC",
        f"  what decides it: {phases}; the longest step: expand/nova/db-sync, 4:00 min",
        "  known from: the rehearsal (1 step), 3 earlier runs (1 step)",
    )


def test_the_end_of_a_run_with_windows_lies_in_one_of_them() -> None:
    hosts = [
        step(f"h{n}/drain", 3000.0, (f"h{n - 1}/drain",) if n else (), group=f"host/h{n}", target=f"h{n}")
        for n in range(4)
    ]
    plan = plan_of(*hosts)
    known = Estimates(kinds={"*/drain": in_range([3000.0] * 9)})
    found = forecast(known.apply(plan), known)
    first, last = ends(plan, found, NOON, nights(9))
    assert first == NOON + timedelta(days=1, hours=10, seconds=2 * found.low / 4)
    assert last == NOON + timedelta(days=1, hours=10, seconds=2 * found.high / 4)
    lines = describe_forecast(plan, found, known, NOON, nights(9), "Europe/Berlin")
    assert "CET (windows counted)" in lines[1]
    text = describe_forecast(plan, found, known, NOON, nights(1))[1]
    assert text == "  started now, it does not end within the windows that are known: give longer ones"
