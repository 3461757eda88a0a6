"""``RollingUpgrade`` empties its compute hosts as a reboot does: by plan, within limits, or not at all."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError

from model.plan import Action
from model.status import Report, RunState
from tests.workflows.fake_cloud import request, running_worker, start
from tests.workflows.reboot_cloud import RebootCloud, fleet, guest

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
ME = {"by": "anna", "reason": "test"}
CANARY = {"hosts": ["cmp1"], "healthy_for": 0}


async def test_guests_go_to_planned_targets_within_limits_that_change_while_it_runs(temporal: Client) -> None:
    cloud = RebootCloud(hold={"cmp1/drain": asyncio.Event()}, fleet=fleet(2))
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=2, canary=CANARY))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        assert await run.handle.execute_update("limits", {**ME, "per_source": 7}) == "from now on: per_source 7"
        why = await run.handle.query("why", "id-vm1a", result_type=str)
        cloud.hold["cmp1/drain"].set()
        await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
    assert "it goes from cmp1 to cmp2" in why
    drains: dict[str, dict[str, Any]] = {w.target: w.params for w in cloud.works if w.action is Action.DRAIN_COMPUTE}
    assert [(host, params["limits"]["per_source"]) for host, params in drains.items()] == [("cmp1", 2), ("cmp2", 7)]
    assert set(drains["cmp1"]["targets"].values()) == {"cmp2"}
    assert drains["cmp2"]["spares"] == ["cmp1"]
    assert [event.subject for event in report.approvals] == ["plan", "data", "canary", "commit"]
    assert report.fleet["hosts"]


async def test_a_guest_that_nobody_may_move_refuses_the_upgrade(temporal: Client) -> None:
    there = fleet(2)
    sick = guest("sick", "cmp1", status="ERROR")
    cloud = RebootCloud(fleet=there.model_copy(update={"guests": (*there.guests, sick)}))
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=2))
        with pytest.raises(WorkflowFailureError) as caught:
            await run.handle.result()
        assert (await run.status()).state is RunState.REFUSED
    assert "guests on cmp1: 1 cannot leave (error: it is in ERROR): sick (id-sick)" in str(caught.value.cause)
    assert cloud.calls == []
