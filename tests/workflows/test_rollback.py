"""The way back, seen at the boundary of its activities, on a real Temporal server."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from model.base import JsonObject
from model.plan import Phase
from model.status import Report, RunState, StepState
from tests.workflows.fake_cloud import FakeCloud, Run, request, running_worker, start
from workflows.names import lock_id

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
BACK = {"by": "anna", "reason": "test", "mode": "rollback"}
STOP = {"by": "ben", "reason": "enough", "mode": "stop"}
ME = {"by": "anna", "reason": "test"}
TO_COMMIT: dict[str, Any] = {"approvals": {"plan": "auto", "commit": "manual"}}


def ours(cloud: FakeCloud) -> list[str]:
    """The compensations, in the order in which they were asked for."""
    return [call for call in cloud.calls if call.startswith("undo ")]


async def ends(run: Run) -> str:
    """Wait for the end of a run that does not complete, and return what it says."""
    with pytest.raises(WorkflowFailureError) as failure:
        await run.handle.result()
    assert isinstance(failure.value.cause, ApplicationError)
    return failure.value.cause.message


async def roll_back(client: Client, queue: str, upgrade: Run) -> Run:
    asked = {"upgrade": upgrade.handle.id, **ME}
    return Run(await client.start_workflow("Rollback", asked, id=f"{upgrade.handle.id}/rollback", task_queue=queue))


async def test_an_abort_before_the_commit_takes_back_all_and_proves_it(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=2, **TO_COMMIT))
        await run.until(RunState.WAITING)
        assert await run.handle.execute_update("abort", BACK) == f"{run.handle.id} ends after what runs now (rollback)"
        message = await ends(run)
        status = await run.status()
        report = await run.handle.query("report", result_type=Report)
    assert status.state is RunState.ROLLED_BACK
    assert (
        message
        == f"rollback ordered by anna: test; {status.cloud} is wholly back at 2026.1, verified by an independent read"
    )
    assert cloud.calls[-1] == "back/verify"
    back = cloud.calls[cloud.calls.index("back/check") :]
    assert back.index("undo cmp1/disable") < back.index("undo nova-api/ctl2/enable")
    assert back.index("undo nova-api/ctl1/drain") < back.index("back/nova/objects-1")
    assert back.index("back/nova/objects-1") < back.index("undo nova-rpc/ctl2/switch")
    assert back.index("undo nova-rpc/ctl1/switch") < back.index("back/nova/objects-2")
    assert back.index("back/nova/objects-2") < back.index("undo install/nova/ctl1")
    assert len(cloud.keys) == len(set(cloud.keys))
    undone = {s.id for s in report.steps if s.state is StepState.UNDONE}
    assert undone == {call.removeprefix("undo ") for call in ours(cloud)}
    assert status.phases[-1].phase is Phase.ROLLBACK
    assert status.phases[-1].done == status.phases[-1].total


async def test_what_runs_is_brought_to_its_end_before_the_way_back_begins(temporal: Client) -> None:
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await run.handle.signal("abort", BACK)
        await run.told(temporal, "host/cmp1", lambda status: status.stopping)
        assert ours(cloud) == []
        cloud.hold["cmp1/drain"].set()
        await ends(run)
    first = cloud.calls.index("undo cmp1/disable")
    assert "cmp1/switch" not in cloud.calls
    assert first < cloud.calls.index("back/check") < cloud.calls.index("undo nova-api/ctl2/enable")
    assert ours(cloud).count("undo cmp1/disable") == 1, "taken back by its own child, and not again"


@pytest.mark.parametrize("policy", ["rollback", {"expand": "rollback"}])
async def test_a_failure_rolls_back_where_the_spec_says_so(temporal: Client, policy: Any) -> None:
    cloud = FakeCloud(fail={"expand/nova/db-sync": 1})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1, on_failure=policy))
        message = await ends(run)
    assert message.startswith("rollback ordered by spec: expand nova's cell schemas failed, on_failure: rollback;")
    assert "undo install/nova/ctl1" in cloud.calls


async def test_a_failure_in_another_phase_waits_for_a_decision(temporal: Client) -> None:
    cloud = FakeCloud(fail={"cmp1/verify": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1, on_failure={"expand": "rollback"}))
        await run.until(RunState.FAILING)
        await run.handle.signal("abort", BACK)
        await ends(run)
        assert (await run.status()).state is RunState.ROLLED_BACK


async def test_failures_of_a_parallel_group_are_reported_together(temporal: Client) -> None:
    hold = {f"cmp{i}/install": asyncio.Event() for i in (1, 2)}
    cloud = FakeCloud(fail={f"cmp{i}/install": 3 for i in (1, 2)}, hold=hold)
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=3, max_unavailable=2, on_failure="rollback"))
        await cloud.until(lambda: set(hold) <= cloud.running)
        for event in hold.values():
            event.set()
        await ends(run)
        report = await run.handle.query("report", result_type=Report)
    failed = {s.id for s in report.steps if s.state is StepState.FAILED}
    assert failed == set(hold)
    assert "install nova 34.0.0 on cmp" in report.status.message
    assert report.status.state is RunState.ROLLED_BACK
    assert "cmp3/install" not in cloud.calls


async def test_behind_the_commit_a_rollback_is_refused_and_a_failure_waits(temporal: Client) -> None:
    cloud = FakeCloud(fail={"finish/nova/online-data-migrations": 1})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1, on_failure="rollback"))
        await run.until(RunState.FAILING)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await run.handle.execute_update("abort", BACK)
        assert "the commit point is passed" in str(refused.value.cause)
        assert "counts what would be lost" in str(refused.value.cause)
        await run.handle.signal("abort", BACK)
        events = await run.handle.query("timeline")
        assert events[-1]["kind"] == "abort refused"
        assert (await run.status()).state is RunState.FAILING
        await run.handle.execute_update("retry", {**ME, "step": "finish/nova/online-data-migrations"})
        await run.handle.result()
    assert ours(cloud) == []


async def test_a_compensation_that_fails_pauses_the_rollback_until_retry(temporal: Client) -> None:
    cloud = FakeCloud(fail={"undo cmp1/switch": 3, "undo install/keystone/ctl1": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1, **TO_COMMIT))
        await run.until(RunState.WAITING)
        await run.handle.signal("abort", BACK)
        status = await run.until(RunState.FAILING)
        assert [(s.id, s.error) for s in status.failed] == [("back/cmp1/switch", "cmp1: it broke")]
        assert f"stackroll retry {run.handle.id} back/cmp1/switch" in status.waiting[0].go_on
        assert "undo nova-api/ctl2/enable" not in cloud.calls
        await run.handle.execute_update("retry", {**ME, "step": "back/cmp1/switch"})
        status = await run.until(RunState.FAILING)
        await run.handle.execute_update("skip", {**ME, "step": "back/install/keystone/ctl1"})
        message = await ends(run)
        status = await run.status()
    assert status.state is RunState.STOPPED
    assert "rolled back without back/install/keystone/ctl1" in message


async def test_a_pause_holds_the_rollback_and_a_stop_ends_it_where_it_is(temporal: Client) -> None:
    cloud = FakeCloud(hold={"undo cmp1/switch": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1, **TO_COMMIT))
        await run.until(RunState.WAITING)
        await run.handle.signal("abort", BACK)
        await cloud.until(lambda: "undo cmp1/switch" in cloud.running)
        await run.handle.signal("pause", ME)
        await run.told(temporal, "back/host/cmp1", lambda status: status.paused)
        cloud.hold["undo cmp1/switch"].set()
        await cloud.until(lambda: not cloud.running)
        assert (await run.status()).state is RunState.PAUSED
        assert "undo cmp1/disable" not in cloud.calls
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await run.handle.execute_update("abort", BACK)
        assert "it is going back already" in str(refused.value.cause)
        await run.handle.signal("abort", STOP)
        message = await ends(run)
        assert "`stackroll rollback" in message
        assert "may be mixed" in message
        before = len(cloud.calls)
        again = await roll_back(temporal, queue, run)
        result = await again.handle.result()
    assert result["state"] == "rolled_back"
    rest = cloud.calls[before:]
    assert "undo cmp1/switch" not in rest, "it had been taken back"
    assert "undo cmp1/disable" in rest
    assert rest[-1] == "back/verify"
    assert len(cloud.keys) == len(set(cloud.keys))


async def test_a_rollback_after_a_stop_is_still_a_rollback(temporal: Client) -> None:
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await run.handle.signal("abort", STOP)
        await run.handle.signal("abort", BACK)
        await run.until(RunState.STOPPING)
        cloud.hold["cmp1/drain"].set()
        await ends(run)
        assert (await run.status()).state is RunState.ROLLED_BACK


async def test_a_second_cancellation_changes_nothing_on_the_way_back(temporal: Client) -> None:
    cloud = FakeCloud(hold={"undo cmp1/switch": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1, **TO_COMMIT))
        await run.until(RunState.WAITING)
        await run.handle.cancel()
        await cloud.until(lambda: "undo cmp1/switch" in cloud.running)
        await run.handle.cancel()
        cloud.hold["undo cmp1/switch"].set()
        message = await ends(run)
    assert message.startswith("rollback ordered by cancel: cancelled through Temporal")


async def _stopped_before_commit(client: Client, run: Run, cloud: FakeCloud) -> None:
    del client, cloud
    await run.until(RunState.WAITING)
    await run.handle.signal("abort", STOP)
    await ends(run)


async def _terminated_while_switching(client: Client, run: Run, cloud: FakeCloud) -> None:
    await cloud.until(lambda: "cmp1/switch" in cloud.running)
    children = (f"{run.handle.id}/host/cmp1", lock_id((await run.status()).cloud))
    await run.handle.terminate("test")
    # Its children are ended with it, a moment later.
    for child in children:
        with pytest.raises(WorkflowFailureError):
            await client.get_workflow_handle(child).result()
    cloud.hold["cmp1/switch"].set()
    await cloud.until(lambda: not cloud.running)


@pytest.mark.parametrize("end", [_stopped_before_commit, _terminated_while_switching])
async def test_an_ended_upgrade_can_be_rolled_back(
    temporal: Client, end: Callable[[Client, Run, FakeCloud], Any]
) -> None:
    cloud = FakeCloud()
    if end is _terminated_while_switching:
        cloud.hold["cmp1/switch"] = asyncio.Event()
    async with running_worker(temporal, cloud) as queue:
        upgrade = await start(temporal, queue, request(computes=1, **TO_COMMIT))
        await end(temporal, upgrade, cloud)
        run = await roll_back(temporal, queue, upgrade)
        result = await run.handle.result()
        status = await run.status()
    assert result["message"] == f"{status.cloud} is wholly back at 2026.1, verified by an independent read"
    assert (status.kind, status.source, status.target) == ("Rollback", "2026.2", "2026.1")
    for step in ("cmp1/switch", "cmp1/disable", "nova-rpc/ctl1/switch", "install/keystone/ctl2"):
        assert cloud.calls.count(f"undo {step}") == 1
    assert {key.partition("/")[0] for key in cloud.keys} == {upgrade.handle.id}, "it shares the upgrade's jobs"


async def test_a_committed_upgrade_is_restored_only_under_an_approval_that_names_the_losses(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        upgrade = await start(temporal, queue, request(computes=1))
        await upgrade.handle.result()
        run = await roll_back(temporal, queue, upgrade)
        status = await run.until(RunState.WAITING)
        assert status.waiting[0].what == "approval of restore: done"
        assert cloud.calls[-2:] == ["restore/check", "restore/losses"]
        await run.handle.execute_update("approve", {"by": "anna", "gate": "restore", "plan_hash": status.plan_hash})
        result = await run.handle.result()
    assert result["state"] == "rolled_back"
    assert cloud.calls.index("restore/ctl1/stop") < cloud.calls.index("restore/databases")
    assert cloud.calls.index("restore/databases") < cloud.calls.index("restore/ctl1/start/keystone")


async def _running(client: Client, queue: str, cloud: FakeCloud) -> JsonObject:
    cloud.hold["cmp1/drain"] = asyncio.Event()
    upgrade = await start(client, queue, request(computes=1))
    await cloud.until(lambda: "cmp1/drain" in cloud.running)
    return {"upgrade": upgrade.handle.id, **ME}


async def _superseded(client: Client, queue: str, cloud: FakeCloud) -> JsonObject:
    del cloud
    asked = request(computes=1)
    first = await start(client, queue, asked)
    await first.handle.result()
    second = await start(client, queue, asked)
    await second.handle.result()
    return {"upgrade": first.handle.id, **ME}


async def _unknown(client: Client, queue: str, cloud: FakeCloud) -> JsonObject:
    del client, queue, cloud
    return {"upgrade": "nobody-knows-it", **ME}


async def _no_words(client: Client, queue: str, cloud: FakeCloud) -> JsonObject:
    del client, queue, cloud
    return {"of": "it", **ME}


async def _refused(client: Client, queue: str, cloud: FakeCloud) -> JsonObject:
    del cloud
    upgrade = await start(client, queue, request(to="2025.2"))
    await ends(upgrade)
    return {"upgrade": upgrade.handle.id, **ME}


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (_running, "is still going on; `stackroll abort"),
        (_superseded, "only the last upgrade of a cloud can be rolled back"),
        (_unknown, "there is no upgrade 'nobody-knows-it'"),
        (_no_words, "upgrade: Field required"),
        (_refused, "has ended before it had a plan"),
    ],
)
async def test_what_cannot_be_rolled_back_is_refused_and_nothing_is_changed(
    temporal: Client, case: Callable[[Client, str, FakeCloud], Any], reason: str
) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        asked = await case(temporal, queue, cloud)
        before = len(cloud.calls)
        run = Run(await temporal.start_workflow("Rollback", asked, id=f"rb-{id(asked)}", task_queue=queue))
        message = await ends(run)
        assert reason in message
        assert (await run.status()).state is RunState.REFUSED
        assert len(cloud.calls) == before
        for event in cloud.hold.values():
            event.set()
