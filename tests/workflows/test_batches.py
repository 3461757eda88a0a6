"""A big fleet's hosts are carried out in batches: what holds for a run with a few hosts holds there too."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from model.plan import Plan
from model.status import Event, Report, RunState, StepState
from tests.workflows.fake_cloud import FakeCloud, Run, request, running_worker, start
from workflows import names

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
ME = {"by": "anna", "reason": "test"}
BACK = {**ME, "mode": "rollback"}


@pytest.fixture(autouse=True)
def batches_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a few hosts a fleet."""
    monkeypatch.setattr(names, "MOST_DIRECT", 0)
    monkeypatch.setattr(names, "HOSTS_PER_BATCH", 2)


async def batches_of(client: Client, run: Run) -> dict[str, WorkflowExecutionStatus | None]:
    """How the batches of a run have ended."""
    found: dict[str, WorkflowExecutionStatus | None] = {}
    parent = await run.handle.describe()
    async for event in run.handle.fetch_history_events():
        if event.HasField("child_workflow_execution_started_event_attributes"):
            started = event.child_workflow_execution_started_event_attributes
            if started.workflow_type.name == "HostBatch":
                id_ = started.workflow_execution.workflow_id
                described = await client.get_workflow_handle(id_).describe()
                assert described.parent_id == parent.id
                found[id_.removeprefix(f"{run.handle.id}/")] = described.status
    return found


async def fails(run: Run) -> str:
    with pytest.raises(WorkflowFailureError) as failure:
        await run.handle.result()
    return str(failure.value.cause)


@pytest.mark.parametrize(("groups", "steps"), [(20, 200), (1, 2)])
async def test_every_step_is_carried_out_once_and_every_batch_comes_to_its_end(
    temporal: Client, monkeypatch: pytest.MonkeyPatch, groups: int, steps: int
) -> None:
    """Also where messages have room for little."""
    monkeypatch.setattr(names, "MOST_GROUPS_TOLD", groups)
    monkeypatch.setattr(names, "MOST_STEPS_TOLD", steps)
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=5, max_unavailable=2))
        await run.handle.result()
        plan = await run.handle.query("plan", result_type=Plan)
        report = await run.handle.query("report", result_type=Report)
        ended = await batches_of(temporal, run)
    assert max(Counter(cloud.calls).values()) == 1
    assert {step.id for step in plan.steps} >= set(cloud.calls)
    assert {s.state for s in report.steps} == {StepState.DONE}
    told = {(event.subject, event.kind) for event in report.events}
    assert told >= {(f"cmp{host}/switch", kind) for host in range(1, 6) for kind in ("running", "done")}
    assert ended == dict.fromkeys(("batch/1", "batch/2", "batch/3"), WorkflowExecutionStatus.COMPLETED)


async def test_limits_and_needs_are_the_run_s_whatever_the_batch(temporal: Client) -> None:
    gates = {f"cmp{i}/drain": asyncio.Event() for i in range(1, 6)}
    cloud = FakeCloud(hold=dict(gates))
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=5, max_unavailable=3))
        await cloud.until(lambda: sum(name in gates for name in cloud.running) == 3)
        for event in gates.values():
            assert sum(name in gates for name in cloud.running) <= 3
            event.set()
        await run.handle.result()


async def test_a_pause_reaches_hosts_in_every_batch(temporal: Client) -> None:
    held = {f"cmp{i}/drain": asyncio.Event() for i in (1, 2, 3)}
    cloud = FakeCloud(hold=dict(held))
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=4, max_unavailable=3))
        await cloud.until(lambda: set(held) <= cloud.running)
        await run.handle.signal("pause", ME)
        for host in (1, 2, 3):
            await run.told(temporal, f"host/cmp{host}", lambda status: status.paused)
        for event in held.values():
            event.set()
        await cloud.until(lambda: not cloud.running)
        assert not any(call.endswith("/switch") and call.startswith("cmp") for call in cloud.calls)
        await run.handle.signal("resume", ME)
        await run.handle.result()


async def test_an_abort_is_answered_when_every_host_has_heard_of_it(temporal: Client) -> None:
    held = {f"cmp{i}/drain": asyncio.Event() for i in (1, 2, 3)}
    cloud = FakeCloud(hold=dict(held))
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=4, max_unavailable=3))
        await cloud.until(lambda: set(held) <= cloud.running)
        await run.handle.execute_update("abort", BACK)
        for event in held.values():
            event.set()
        await fails(run)
        status = await run.status()
        ended = await batches_of(temporal, run)
    assert status.state is RunState.ROLLED_BACK
    assert not any(call.startswith("cmp") and call.endswith("/switch") for call in cloud.calls)
    assert cloud.calls[-1] == "back/verify"
    assert set(ended.values()) == {WorkflowExecutionStatus.COMPLETED}


async def test_the_way_back_goes_in_batches_too(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        gates = {"plan": "auto", "commit": "manual"}
        run = await start(temporal, queue, request(computes=3, max_unavailable=2, approvals=gates))
        await run.until(RunState.WAITING)
        await run.handle.execute_update("abort", BACK)
        await fails(run)
        report = await run.handle.query("report", result_type=Report)
        ended = await batches_of(temporal, run)
    assert report.status.state is RunState.ROLLED_BACK
    undone = {step.id for step in report.steps if step.state is StepState.UNDONE}
    assert undone == {call.removeprefix("undo ") for call in cloud.calls if call.startswith("undo ")}
    assert len(cloud.keys) == len(set(cloud.keys))
    assert list(ended) == ["batch/1", "batch/2", "batch/3", "batch/4"]
    assert set(ended.values()) == {WorkflowExecutionStatus.COMPLETED}


async def test_a_failure_is_told_at_once_and_a_retry_goes_on(temporal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "report_every", lambda _hosts: 3600.0)
    monkeypatch.setattr(names, "news_every", lambda _seconds: 3600.0)
    cloud = FakeCloud(fail={"cmp1/switch": 3}, hold={"cmp2/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=3, max_unavailable=2))
        status = await run.until(RunState.FAILING)
        assert [step.id for step in status.failed] == ["cmp1/switch"]
        await run.handle.execute_update("retry", {**ME, "step": "cmp1/switch"})
        await cloud.until(lambda: "cmp1/enable" in cloud.calls)
        monkeypatch.undo()
        cloud.hold["cmp2/drain"].set()
        await run.handle.result()
    assert len(cloud.keys) == len(set(cloud.keys)), "a try would find the jobs of an earlier one"


async def _host(client: Client, run: Run) -> None:
    await client.get_workflow_handle(f"{run.handle.id}/host/cmp1").terminate("by hand")


async def _batch(client: Client, run: Run) -> None:
    await client.get_workflow_handle(f"{run.handle.id}/batch/1").terminate("by hand")


@pytest.mark.parametrize("end", [_host, _batch])
async def test_what_somebody_terminates_by_hand_is_a_failure_to_be_decided_about(
    temporal: Client, end: Callable[[Client, Run], Awaitable[None]]
) -> None:
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await end(temporal, run)
        status = await run.until(RunState.FAILING)
        assert [step.id for step in status.failed] == ["cmp1/drain"]
        assert "terminated" in status.failed[0].error.lower()
        cloud.hold["cmp1/drain"].set()
        await cloud.until(lambda: not cloud.running)
        await run.handle.execute_update("retry", {**ME, "step": "cmp1/drain"})
        await run.handle.result()
    assert cloud.calls.count("cmp1/disable") == 1, "what is done is not done again"
    assert cloud.calls.count("cmp1/drain") == 2


async def test_what_a_terminated_host_had_not_told_yet_is_taken_back(
    temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "report_every", lambda _hosts: 3600.0)
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await _host(temporal, run)
        await run.until(RunState.FAILING)
        cloud.hold["cmp1/drain"].set()
        await run.handle.signal("abort", BACK)
        await fails(run)
        assert (await run.status()).state is RunState.ROLLED_BACK
    assert [call for call in cloud.calls if call.startswith("undo cmp1/")] == [
        f"undo cmp1/{step}" for step in ("drain", "disable", "install")
    ]


async def test_with_the_run_its_batches_and_their_hosts_are_terminated(temporal: Client) -> None:
    cloud = FakeCloud(hold={"cmp1/switch": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await cloud.until(lambda: "cmp1/switch" in cloud.running)
        await run.handle.terminate("test")
        for child in ("batch/1", "host/cmp1"):
            with pytest.raises(WorkflowFailureError):
                await temporal.get_workflow_handle(f"{run.handle.id}/{child}").result()
        cloud.hold["cmp1/switch"].set()
        await cloud.until(lambda: not cloud.running)
        asked = {"upgrade": run.handle.id, **ME}
        back = await temporal.start_workflow("Rollback", asked, id=f"{run.handle.id}/rollback", task_queue=queue)
        assert (await back.result())["state"] == "rolled_back"
    for step in ("cmp1/switch", "cmp1/disable", "nova-rpc/ctl1/switch"):
        assert cloud.calls.count(f"undo {step}") == 1


async def test_the_history_of_a_run_grows_little_with_its_hosts(
    temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host by itself costs the run 9 events and 4 for each report."""
    monkeypatch.setattr(names, "HOSTS_PER_BATCH", 100)
    monkeypatch.setattr(names, "news_every", lambda _seconds: 5.0)
    lengths = []
    for computes in (3, 23):
        cloud = FakeCloud()
        async with running_worker(temporal, cloud) as queue:
            run = await start(temporal, queue, request(computes=computes, max_unavailable=computes - 1))
            await run.handle.result()
            lengths.append((await run.handle.describe()).history_length)
            events = await run.handle.query("timeline", result_type=list[Event])
            assert sum(event.subject.endswith("/drain") and event.kind == "done" for event in events) >= computes
    assert lengths[1] - lengths[0] < 20 * 4
