"""What earlier runs and rehearsals say of a plan."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.experience import (
    Basis,
    Estimates,
    Experience,
    RunTimes,
    estimate_drains,
    estimate_plan,
    kind_of,
    times_of,
    times_of_rehearsal,
)
from model.plan import Action, Phase, Plan
from model.rehearsal import Copied, Measured, RehearsalReport
from model.status import Report, StepState, StepStatus
from model.work import HostLoad
from tests.model.test_forecast import busy, plan_of, step


def run(number: int, seconds: dict[str, float], **more: Any) -> RunTimes:
    content = {"kind": "upgrade", "target": "2026.2", "ended": f"2026-11-{number:02}T00:00:00+00:00", **more}
    return RunTimes.model_validate({"run": f"r{number}", "seconds": seconds, **content})


def known(*runs: RunTimes) -> Experience:
    found = Experience()
    for one in runs:
        found = found.learned(one)
    return found


def upgrade_plan() -> Plan:
    return plan_of(
        step("expand/nova/db-sync", 5.0, action=Action.RUN_MANAGE, target="ctl1"),
        step("install/nova/ctl1", 4.0, target="ctl1"),
        step("install/nova/ctl2", 4.0, target="ctl2"),
        step("cmp1/drain", 20.0, action=Action.DRAIN_COMPUTE, target="cmp1"),
        step("soak/wait", 600.0, action=Action.SOAK),
    )


def basis(estimates: Estimates, plan: Plan) -> dict[str, Basis]:
    return {one.id: estimates.of(one).basis for one in plan.steps}


def test_without_anything_measured_the_plan_stays_as_it_is_and_says_that_it_assumes() -> None:
    plan = upgrade_plan()
    found = estimate_plan(plan, Experience(), {}, 2)
    assert found.apply(plan) is plan
    assert set(basis(found, plan).values()) == {Basis.ASSUMED, Basis.FIXED}


def test_steps_on_other_hosts_learn_from_each_other() -> None:
    plan = upgrade_plan()
    found = estimate_plan(plan, known(run(1, {"install/nova/*": 30.0}), run(2, {"install/nova/*": 50.0})), {}, 2)
    assert [found.apply(plan).by_id[f"install/nova/ctl{n}"].estimate for n in (1, 2)] == [40.0, 40.0]
    assert found.runs == 2


def test_databases_learn_from_the_same_target_only_and_rather_from_a_rehearsal() -> None:
    plan, kind = upgrade_plan(), "expand/nova/db-sync"
    other = known(run(1, {kind: 100.0}, target="2026.1"))
    assert basis(estimate_plan(plan, other, {}, 2), plan)[kind] is Basis.ASSUMED
    same = other.learned(run(2, {kind: 200.0}))
    assert estimate_plan(plan, same, {}, 2).kinds[kind].seconds == 200.0
    rehearsed = same.learned(run(3, {kind: 300.0}, kind="rehearsal"))
    found = estimate_plan(plan, rehearsed, {}, 2).kinds[kind]
    assert (found.seconds, found.basis) == (300.0, Basis.REHEARSAL)
    assert found.high > 400
    for_other = known(run(3, {kind: 300.0}, kind="rehearsal", target="2025.2"))
    assert basis(estimate_plan(plan, for_other, {}, 2), plan)[kind] is Basis.ASSUMED


def test_what_is_fixed_learns_nothing() -> None:
    found = estimate_plan(upgrade_plan(), known(run(1, {"soak/wait": 3.0})), {}, 2)
    assert found.of(upgrade_plan().by_id["soak/wait"]).seconds == 600.0


def test_the_newest_runs_count_and_a_run_that_is_told_again_counts_once() -> None:
    runs = known(*(run(n, {"install/nova/*": float(n)}) for n in range(1, 20)))
    assert [one.run for one in runs.newest("upgrade")] == ["r15", "r16", "r17", "r18", "r19"]
    again = runs.learned(run(19, {"install/nova/*": 7.0}))
    assert [one.run for one in again.runs] == [one.run for one in runs.runs]
    assert again.runs[-1].seconds == {"install/nova/*": 7.0}


def test_a_drain_takes_longer_the_more_guests_and_later_hosts_have_more_of_them() -> None:
    load = {"a": HostLoad(guests=4, gib=8.0), "b": HostLoad(guests=4, gib=8.0), "c": HostLoad(guests=0)}
    found = estimate_drains(["a", "b", "c", "d"], load, 2)
    assert found["a"].seconds == pytest.approx(2 + 4 * (15 + 4 * 2) / 2)
    assert found["b"].seconds > found["a"].seconds
    assert found["c"].seconds > 2
    assert {one.basis for one in found.values()} == {Basis.MODEL}
    measured = estimate_drains(["a"], load, 2, [3.0, 3.0])
    assert (measured["a"].seconds, measured["a"].basis) == (14.0, Basis.RUNS)


@busy
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 7), st.integers(1, 4))
def test_one_more_guest_makes_no_drain_shorter(guests: list[int], where: int, parallel: int) -> None:
    hosts = [f"h{n}" for n in range(len(guests))]
    load = {host: HostLoad(guests=n, gib=2.0 * n) for host, n in zip(hosts, guests, strict=True)}
    more = hosts[where % len(hosts)]
    fuller = load | {more: HostLoad(guests=load[more].guests + 1, gib=load[more].gib + 2.0)}
    before, after = (estimate_drains(hosts, one, parallel, [4.0]) for one in (load, fuller))
    assert all(after[host].seconds >= before[host].seconds - 0.01 for host in hosts)
    assert after[more].seconds > before[more].seconds
    assert all(one.low <= one.seconds <= one.high for one in after.values())


def status(id_: str, target: str, seconds: float, **more: Any) -> StepStatus:
    content = {"phase": Phase.DATA, "state": StepState.DONE, "tries": 1, "title": id_, **more}
    begin, end = "2026-11-23T12:00:00+00:00", f"2026-11-23T12:00:{seconds:06.3f}+00:00"
    return StepStatus.model_validate({"id": id_, "target": target, "started": begin, "ended": end, **content})


def test_a_run_tells_what_its_steps_took_but_for_those_that_failed_before(run_report: Report) -> None:
    steps = (
        status("install/nova/ctl1", "ctl1", 10.0),
        status("install/nova/ctl2", "ctl2", 20.0),
        status("cmp1/drain", "cmp1", 12.0, summary="cmp1 is empty: 3 guests moved"),
        status("cmp2/drain", "cmp2", 2.0, summary="cmp2 is empty: 0 guests moved"),
        status("cmp1/switch", "cmp1", 50.0, tries=2),
        status("cmp2/switch", "cmp2", 50.0, state=StepState.FAILED),
    )
    times = times_of(run_report.model_copy(update={"steps": steps}))
    assert times is not None
    assert times.seconds == {"install/nova/*": 15.0, "*/drain": 7.0}
    assert times.per_move == 4.0
    assert (times.run, times.target) == (run_report.status.upgrade, run_report.status.target)


def test_a_way_back_tells_nothing(run_report: Report) -> None:
    back = run_report.model_copy(update={"status": run_report.status.model_copy(update={"kind": "Rollback"})})
    assert times_of(back) is None


@pytest.fixture
def run_report() -> Report:
    from tests.cli.runs import report  # noqa: PLC0415

    return report()


def test_a_rehearsal_tells_its_steps_and_what_a_dump_takes_with_its_test() -> None:
    done = Measured(id="expand/nova/db-sync", title="", service="nova", ok=True, seconds=40.0)
    failed = Measured(id="expand/glance/db-expand", title="", service="glance", ok=False, seconds=9.0)
    copied = Copied(service="nova", bytes=1, tables=2, dump_seconds=3.0, restore_seconds=8.0)
    report = RehearsalReport(
        run="r", cloud="c", source="2026.1", target="2026.2", host="h", started="2026-11-23T12:00:00+00:00"
    )
    assert times_of_rehearsal(report) is None
    times = times_of_rehearsal(report.model_copy(update={"steps": (done, failed), "copies": (copied,)}))
    assert times is not None
    assert (times.kind, times.seconds) == ("rehearsal", {"expand/nova/db-sync": 40.0, "snapshot/nova": 11.0})


def test_a_kind_is_what_remains_without_the_host() -> None:
    assert kind_of("install/nova/ctl2", "ctl2") == "install/nova/*"
    assert kind_of("expand/nova/db-sync", "ctl1") == "expand/nova/db-sync"
    assert kind_of("ctl10/drain", "ctl1") == "ctl10/drain"
