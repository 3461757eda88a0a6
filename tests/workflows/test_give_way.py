"""A routine run lets a security run go first: at a safe point, or not at all."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from model.base import JsonObject
from model.status import Event, RunState
from tests.workflows import fake_cloud
from tests.workflows.fake_cloud import FakeCloud, Run, running_worker
from tests.workflows.reboot_cloud import RebootCloud
from tests.workflows.reboot_cloud import request as reboot_request
from tests.workflows.reboot_cloud import start as start_reboot

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(300)]


def order(to: str) -> JsonObject:
    return {"by": "anna", "reason": "OSSA-2026-002", "to": to}


def security(like: JsonObject, **spec: Any) -> JsonObject:
    """A request for point releases of the same cloud."""
    wanted = {"to": "2026.1", "purpose": "security", "versions": {"nova": "33.0.9"}, "soak": 0.0}
    wanted |= {"approvals": {"plan": "auto", "commit": "auto"}, **spec}
    return {"spec": wanted, "inventory": like["inventory"], "by": "anna"}


async def begin(client: Client, queue: str, asked: JsonObject, id_: str) -> Run:
    return Run(await client.start_workflow("RollingUpgrade", asked, id=id_, task_queue=queue))


async def test_a_reboot_holds_between_two_hosts_and_goes_on_afterwards(temporal: Client) -> None:
    cloud = RebootCloud(hold={"cmp1/reboot": asyncio.Event()})
    asked, id_ = reboot_request(max_unavailable=1), f"s-{uuid4().hex[:8]}"
    async with running_worker(temporal, cloud) as queue:
        reboot = await start_reboot(temporal, queue, asked)
        await cloud.until(lambda: "cmp1/reboot" in cloud.running)
        said = await reboot.handle.execute_update("give_way", order(id_))
        assert said == f"{reboot.handle.id} holds when what it works on is done, and goes on when {id_} has ended"
        patch = await begin(temporal, queue, security(asked), id_)
        waiting = (await patch.until(RunState.PLANNING, RunState.WAITING)).waiting
        assert not waiting or "safe point" in waiting[0].what
        assert "preflight/cloud" not in cloud.calls
        cloud.hold["cmp1/reboot"].set()
        assert (await patch.handle.result())["state"] == "completed"
        result = await reboot.handle.result()
        events = await reboot.handle.query("timeline", result_type=list[Event])
    assert result["message"].startswith("3 of 3 hosts of ")
    first, last = cloud.calls.index("preflight/cloud"), cloud.calls.index("finish/verify")
    reboots = {host: cloud.calls.index(f"{host}/reboot") for host in ("cmp1", "cmp2", "cmp3")}
    assert cloud.calls.index("cmp1/start") < first < last
    assert [host for host, place in reboots.items() if place < first] == ["cmp1"]
    assert all(place > last for host, place in reboots.items() if host != "cmp1")
    kinds = [event.kind for event in events]
    assert kinds.index("give way") < kinds.index("gave way") < kinds.index("goes on")


async def test_an_upgrade_that_has_changed_nothing_ends(temporal: Client) -> None:
    cloud = FakeCloud()
    asked, id_ = fake_cloud.request(approvals={"plan": "manual", "commit": "auto"}), f"s-{uuid4().hex[:8]}"
    async with running_worker(temporal, cloud) as queue:
        upgrade = await fake_cloud.start(temporal, queue, asked)
        await upgrade.until(RunState.WAITING)
        said = await upgrade.handle.execute_update("give_way", order(id_))
        assert said == f"{upgrade.handle.id} has changed nothing and ends; start it again when {id_} has ended"
        patch = await begin(temporal, queue, security(asked), id_)
        assert (await patch.handle.result())["state"] == "completed"
        with pytest.raises(WorkflowFailureError):
            await upgrade.handle.result()
        status = await upgrade.status()
    assert status.state is RunState.STOPPED
    assert f"gave way to {id_}" in status.message


async def test_an_upgrade_on_its_way_refuses_and_goes_on(temporal: Client) -> None:
    cloud = FakeCloud(hold={"install/nova/ctl1": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        upgrade = await fake_cloud.start(temporal, queue, fake_cloud.request())
        await cloud.until(lambda: "install/nova/ctl1" in cloud.running)
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await upgrade.handle.execute_update("give_way", order("s"))
        cloud.hold["install/nova/ctl1"].set()
        assert (await upgrade.handle.result())["state"] == "completed"
    assert "has changed the cloud: let it end, or take it back" in str(caught.value.cause)
