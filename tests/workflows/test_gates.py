"""Gates: approvals by a second person or by some, and alerts that hold a run until they end."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from model.plan import Action, Plan
from model.status import Report, RunState
from tests.activities.monitoring import Monitoring, monitoring
from tests.workflows.fake_cloud import PATIENCE, FakeCloud, Run, running_worker
from tests.workflows.fake_cloud import request as upgrade_request
from tests.workflows.fake_cloud import start as start_upgrade
from tests.workflows.reboot_cloud import RebootCloud, request, start

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
ME = {"by": "anna", "reason": "test"}
DOWN = {"alertname": "HostDown", "instance": "cmp1"}


@pytest.fixture
def told() -> Iterator[Monitoring]:
    with monitoring() as running:
        yield running


def gates(told: Monitoring, **more: Any) -> dict[str, Any]:
    return {"alerts": {"url": told.url, "every": 0.05, "for": 0.1, **more}}


async def refused(run: Run, **approval: Any) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await run.handle.execute_update("approve", {"gate": "plan", **approval})
    return str(caught.value.cause)


async def waits_for(run: Run, text: str) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        status = await run.status()
        if any(text in one.what for one in status.waiting):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{status.state}: {status.waiting}")


async def test_a_second_person_approves_the_plan_by_its_hash(temporal: Client) -> None:
    cloud = RebootCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(1, approvals={"plan": {"by": "second-person"}}))
        waiting = await run.until(RunState.WAITING)
        assert waiting.waiting[0].what == "approval of plan by a second person"
        plan_hash = waiting.plan_hash
        assert "test has started the run" in await refused(run, by="test", plan_hash=plan_hash)
        assert "test has started the run" not in await refused(run, by="anna")
        assert "name its hash" in await refused(run, by="anna")
        assert "but this run's plan is" in await refused(run, by="anna", plan_hash="0" * 16)
        await run.handle.execute_update("approve", {"by": "anna", "gate": "plan", "plan_hash": plan_hash})
        await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
    assert {event.subject: event.by for event in report.approvals} == {"plan": "anna", "canary": "spec"}


async def test_only_who_is_named_approves(temporal: Client) -> None:
    cloud = RebootCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(1, approvals={"plan": {"names": ["bert", "carl"]}}))
        await run.until(RunState.WAITING)
        assert "approved by bert or carl, not by anna" in await refused(run, by="anna")
        await run.handle.execute_update("approve", {"by": "carl", "gate": "plan"})
        await run.handle.result()


async def test_alerts_hold_a_reboot_between_its_waves_until_they_end(temporal: Client, told: Monitoring) -> None:
    cloud = RebootCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(2, gates=gates(told), canary={"count": 0}))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        told.alerts = [DOWN, {"alertname": "Watchdog"}]
        cloud.hold["cmp1/drain"].set()
        await waits_for(run, "alerts to end: HostDown on cmp1 since 01:02:03, Watchdog")
        assert "cmp2/disable" not in cloud.calls
        told.alerts = []
        result = await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
    assert result["state"] == "completed"
    summaries = {step.id: step.summary for step in report.steps if step.id.startswith("alerts/")}
    assert summaries == {
        "alerts/begin": "no alert fires",
        "alerts/wave-1": "no alert for 0.1 s",
        "alerts/wave-2": "no alert for 0.1 s",
    }
    assert [event.subject for event in report.events if event.kind == "alerts"] == ["alerts/wave-1"]


async def test_alerts_that_do_not_end_fail_the_step_and_an_operator_may_go_on(
    temporal: Client, told: Monitoring
) -> None:
    told.alerts = [DOWN]
    cloud = RebootCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(1, gates=gates(told, timeout=4.0)))
        failing = await run.until(RunState.FAILING)
        assert failing.failed[0].error.startswith("alerts to end: HostDown on cmp1 since 01:02:03: not within 4 s")
        assert cloud.calls == []
        await run.handle.execute_update("approve", {"by": "anna", "gate": "alerts/begin"})
        told.alerts = []
        await run.handle.execute_update("retry", {**ME, "step": "alerts/begin"})
        await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
    assert next(step.summary for step in report.steps if step.id == "alerts/begin") == (
        "opened by anna in spite of alerts"
    )


async def test_an_upgrade_that_waits_for_alerts_before_its_commit_is_taken_back_when_told(
    temporal: Client, told: Monitoring
) -> None:
    cloud = FakeCloud(hold={"soak/verify": asyncio.Event()})
    wanted = upgrade_request(services=("keystone",), gates=gates(told), availability={"enabled": False})
    async with running_worker(temporal, cloud) as queue:
        run = await start_upgrade(temporal, queue, wanted)
        await cloud.until(lambda: "soak/verify" in cloud.running)
        told.alerts = [DOWN]
        cloud.hold["soak/verify"].set()
        await waits_for(run, "HostDown")
        await run.handle.signal("abort", {**ME, "mode": "rollback"})
        await run.until(RunState.ROLLED_BACK)
        plan = await run.handle.query("plan", result_type=Plan)
    names = [step.id for step in plan.steps if step.action is Action.ALERTS]
    assert names == ["alerts/begin", "alerts/expand", "alerts/control", "alerts/commit"]
