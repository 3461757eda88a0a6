"""What an upgrade does, seen at the boundary of its activities, on a real Temporal server."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from model.inventory import KNOWN_SERVICES
from model.plan import Action, Phase, Plan
from model.status import Event, Report, RunState, StepState
from model.work import Finding
from tests.workflows.fake_cloud import FakeCloud, request, running_worker, start
from workflows import names

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
ME = {"by": "anna", "reason": "test"}


def _reason(failure: WorkflowFailureError) -> str:
    assert isinstance(failure.cause, ApplicationError)
    return failure.cause.message


async def test_the_whole_plan_is_carried_out_in_order_and_reported(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(services=KNOWN_SERVICES))
        result = await run.handle.result()
        plan = await run.handle.query("plan", result_type=Plan)
        report = await run.handle.query("report", result_type=Report)
    assert result["state"] == "completed"
    done = [step.id for step in plan.steps if step.action not in (Action.GATE, Action.SOAK)]
    assert sorted(cloud.calls) == sorted(done), "every step once"
    for step in plan.steps:
        for need in step.needs:
            if need in cloud.calls and step.id in cloud.calls:
                assert cloud.calls.index(need) < cloud.calls.index(step.id)
    assert {s.state for s in report.steps} == {StepState.DONE}
    assert [phase.phase for phase in report.status.phases] == list(Phase)[: list(Phase).index(Phase.ROLLBACK)]
    assert report.availability[0].requests == 7
    assert [(a.subject, a.by) for a in report.approvals] == [(g, "spec") for g in ("plan", "data", "commit")]


async def test_what_happens_in_a_moment_is_told_at_once_and_nothing_of_it_is_lost(temporal: Client) -> None:
    """A fleet's reports would fill the run's history, which is limited."""
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=4, max_unavailable=3))
        await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
        history = await run.handle.fetch_history()
    told = {(event.subject, event.kind) for event in report.events}
    assert told >= {(step.id, kind) for step in report.steps for kind in ("running", "done")}
    reports = [event for event in history.events if event.HasField("workflow_execution_signaled_event_attributes")]
    assert len(reports) < len(report.steps), "each step begins and ends: told one by one it would be twice as many"


async def test_a_fleet_s_child_tells_its_begin_and_a_failure_at_once(
    temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "report_every", lambda _hosts: 3600.0)
    cloud = FakeCloud(fail={"cmp1/switch": 3}, hold={"undo cmp1/switch": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await cloud.until(lambda: "undo cmp1/switch" in cloud.running)
        told: set[tuple[str, str]] = set()
        while ("cmp1/switch", "failed") not in told:
            events = await run.handle.query("timeline", result_type=list[Event])
            told = {(event.subject, event.kind) for event in events}
        assert told >= {("cmp1/install", "running"), ("cmp1/drain", "done"), ("cmp1/switch", "undoing")}
        cloud.hold["undo cmp1/switch"].set()
        await run.until(RunState.FAILING)
        history = await run.handle.fetch_history()
        reports = [event for event in history.events if event.HasField("workflow_execution_signaled_event_attributes")]
        cmp1 = [event for event in reports if b"cmp1/" in event.SerializeToString()]
        assert len(cmp1) == 2
        await run.handle.signal("abort", {"by": "anna", "reason": "test", "mode": "stop"})
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()


async def test_one_activation_starts_a_part_of_many_hosts(temporal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once would take longer than an activation may, on a busy machine."""
    monkeypatch.setattr(names, "MOST_STARTS", 3)
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=6, max_unavailable=5))
        await run.handle.result()
        history = await run.handle.fetch_history()
    initiated = (event.start_child_workflow_execution_initiated_event_attributes for event in history.events)
    starts = Counter(one.workflow_task_completed_event_id for one in initiated if "/host/" in one.workflow_id)
    assert starts.total() == 6
    assert max(starts.values()) == 3


async def test_max_unavailable_bounds_the_hosts_out_of_service(temporal: Client) -> None:
    cloud = FakeCloud()
    gates = {f"cmp{i}/drain": asyncio.Event() for i in range(1, 5)}
    cloud.hold.update(gates)
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=4, max_unavailable=2))
        await cloud.until(lambda: sum(name in gates for name in cloud.running) == 2)
        for event in gates.values():
            assert sum(name in gates for name in cloud.running) <= 2
            event.set()
        await run.handle.result()


async def test_a_step_that_fails_once_is_tried_again(temporal: Client) -> None:
    cloud = FakeCloud(fail={"cmp1/install": 1})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await run.handle.result()
    assert cloud.calls.count("cmp1/install") == 2


async def test_a_database_step_is_never_tried_again_by_itself(temporal: Client) -> None:
    cloud = FakeCloud(fail={"expand/nova/db-sync": 1})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        status = await run.until(RunState.FAILING)
        assert cloud.calls.count("expand/nova/db-sync") == 1
        assert status.failed[0].error == "ctl1: it broke"
        described = await run.handle.describe()
        assert described.typed_search_attributes[names.STATE_KEY] == "failing"
        assert "stackroll retry" in status.waiting[0].go_on
        await run.handle.execute_update("retry", {**ME, "step": "expand/nova/db-sync"})
        await run.handle.result()


async def test_a_host_that_fails_half_way_is_taken_back_and_retry_goes_on(temporal: Client) -> None:
    cloud = FakeCloud(fail={"cmp1/switch": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        status = await run.until(RunState.FAILING)
        undone = [name for name in cloud.calls if name.startswith("undo")]
        assert undone == ["undo cmp1/switch", "undo cmp1/drain", "undo cmp1/disable", "undo cmp1/install"]
        assert [step.id for step in status.failed] == ["cmp1/switch"]
        assert "taken back" in status.failed[0].error
        before = len(cloud.calls)
        await run.handle.execute_update("retry", {**ME, "step": "cmp1/switch"})
        await run.handle.result()
    again = [name for name in cloud.calls[before:] if name.startswith("cmp1")]
    assert again == [f"cmp1/{step}" for step in ("install", "disable", "drain", "switch", "verify", "enable", "start")]
    assert len(cloud.keys) == len(set(cloud.keys)), "a try would find the jobs of an earlier one"


@pytest.mark.parametrize(("failure", "generations"), [("OutcomeUnknown", "00"), ("JobLost", "01")])
async def test_a_retry_finds_a_job_that_may_still_run_and_begins_anew_where_it_is_lost(
    temporal: Client, failure: str, generations: str
) -> None:
    cloud = FakeCloud(fail={"expand/nova/db-sync": 1}, failure_type=failure)
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await run.until(RunState.FAILING)
        await run.handle.execute_update("retry", {**ME, "step": "expand/nova/db-sync"})
        await run.handle.result()
    assert "".join(key[-1] for key in cloud.keys if "/expand/nova/db-sync/" in key) == generations


async def test_only_the_failed_control_host_is_taken_back(temporal: Client) -> None:
    cloud = FakeCloud(fail={"keystone/ctl2/verify": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await run.until(RunState.FAILING)
        assert [n for n in cloud.calls if n.startswith("undo")] == [
            "undo keystone/ctl2/switch",
            "undo keystone/ctl2/drain",
        ]
        await run.handle.execute_update("retry", {**ME, "step": "keystone/ctl2/verify"})
        await run.handle.result()
    assert cloud.calls.count("keystone/ctl1/switch") == 1


async def test_a_compensation_that_fails_is_shown_and_can_be_retried(temporal: Client) -> None:
    cloud = FakeCloud(fail={"cmp1/switch": 3, "undo cmp1/switch": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        status = await run.until(RunState.FAILING)
        assert "taking it back failed too: cmp1: it broke" in status.failed[0].error
        await run.handle.execute_update("retry", {**ME, "step": "cmp1/switch"})
        await run.handle.result()


async def test_a_skipped_step_ends_unfinished_never_as_success(temporal: Client) -> None:
    cloud = FakeCloud(fail={"cmp1/verify": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await run.until(RunState.FAILING)
        await run.handle.execute_update("skip", {**ME, "step": "cmp1/verify"})
        with pytest.raises(WorkflowFailureError) as failure:
            await run.handle.result()
        status = await run.status()
    assert _reason(failure.value).startswith("finished without cmp1/verify")
    assert status.state is RunState.STOPPED
    assert "finish/verify" in cloud.calls


async def test_pause_holds_every_host_at_its_next_step_and_resume_goes_on(temporal: Client) -> None:
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event(), "cmp2/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=3, max_unavailable=2))
        await cloud.until(lambda: {"cmp1/drain", "cmp2/drain"} <= cloud.running)
        await run.handle.signal("pause", ME)
        await run.until(RunState.PAUSED)
        for host in ("cmp1", "cmp2"):
            await run.told(temporal, f"host/{host}", lambda status: status.paused)
        for event in cloud.hold.values():
            event.set()
        drained = {"cmp1/drain", "cmp2/drain"}
        while not drained <= {e.subject for e in (await run.status()).events if e.kind == "done"}:
            await asyncio.sleep(0.05)
        status = await run.status()
        assert status.paused
        assert status.state is RunState.PAUSED
        assert not any(name in ("cmp1/switch", "cmp2/switch") for name in cloud.calls)
        await run.handle.signal("resume", ME)
        await run.handle.result()


async def test_abort_stops_puts_the_unfinished_host_back_and_is_no_success(temporal: Client) -> None:
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await run.handle.signal("abort", {**ME, "mode": "stop"})
        await run.until(RunState.STOPPING)
        await run.told(temporal, "host/cmp1", lambda status: status.stopping)
        cloud.hold["cmp1/drain"].set()
        with pytest.raises(WorkflowFailureError) as failure:
            await run.handle.result()
        status = await run.status()
    assert "stopped by anna" in _reason(failure.value)
    assert cloud.calls[-2:] == ["undo cmp1/disable", "undo cmp1/install"]
    assert status.state is RunState.STOPPED
    assert not status.failed


async def test_a_cancellation_is_an_abort(temporal: Client) -> None:
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await run.handle.cancel()
        await run.until(RunState.STOPPING)
        cloud.hold["cmp1/drain"].set()
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()
    assert cloud.calls[-1] == "back/verify"


async def test_a_second_upgrade_of_the_same_cloud_is_refused_while_one_runs(temporal: Client) -> None:
    cloud = FakeCloud(hold={"preflight/cloud": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        first = await start(temporal, queue, request(cloud="shared"))
        await cloud.until(lambda: "preflight/cloud" in cloud.running)
        second = await start(temporal, queue, request(cloud="shared"))
        with pytest.raises(WorkflowFailureError) as failure:
            await second.handle.result()
        assert "another run of cloud 'shared' is going on" in _reason(failure.value)
        cloud.hold["preflight/cloud"].set()
        await first.handle.result()
        third = await start(temporal, queue, request(cloud="shared"))
        assert (await third.handle.result())["state"] == "completed"


async def test_nothing_changes_before_the_plan_is_approved(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(approvals={"plan": "manual", "commit": "manual"}))
        status = await run.until(RunState.WAITING)
        assert cloud.calls == []
        assert status.waiting[0].what == "approval of plan"
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await run.handle.execute_update("approve", {"by": "ben", "gate": "plan", "plan_hash": "0123"})
        assert "the approval is for plan 0123" in str(refused.value.cause)
        approval = {"by": "ben", "gate": "plan", "plan_hash": status.plan_hash}
        await run.handle.execute_update("approve", approval)
        await cloud.until(lambda: "cmp2/enable" in cloud.calls)
        while (await run.until(RunState.WAITING)).waiting[0].what != "approval of commit":
            await asyncio.sleep(0.05)
        assert not any(name.startswith("finish/") for name in cloud.calls)
        await run.handle.execute_update("approve", {"by": "ben", "gate": "commit"})
        await run.handle.result()
    assert "finish/verify" in cloud.calls


@pytest.mark.parametrize(
    ("update", "payload", "message"),
    [
        ("approve", {"by": "ben", "gate": "lunch"}, "no gate 'lunch'"),
        ("retry", {"by": "ben", "step": "cmp9/drain"}, "no step 'cmp9/drain'"),
        ("skip", {"by": "ben", "step": "cmp1/drain"}, "cmp1/drain has not failed"),
    ],
)
async def test_orders_that_make_no_sense_are_refused(
    temporal: Client, update: str, payload: dict[str, Any], message: str
) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(approvals={"plan": "manual"}))
        await run.until(RunState.WAITING)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await run.handle.execute_update(update, payload)
        assert message in str(refused.value.cause)
        await run.handle.signal("abort", ME)
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"spec": {"to": "2026.2"}}, "inventory: Field required"),
        ({**request(), "extra": 1}, "extra: Extra inputs are not permitted"),
        (request(to="2030.1"), "unknown release '2030.1'"),
        (request(to="2025.2"), "goes backwards"),
        ({}, "spec: Field required"),
    ],
)
async def test_bad_input_is_refused_with_one_clear_error(temporal: Client, asked: dict[str, Any], message: str) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, asked)
        with pytest.raises(WorkflowFailureError) as failure:
            await run.handle.result()
        assert (await run.status()).state is RunState.REFUSED
    assert "nothing was changed" in _reason(failure.value)
    assert message in _reason(failure.value)
    assert cloud.calls == []


async def test_findings_refuse_the_upgrade_all_at_once(temporal: Client) -> None:
    found = tuple(Finding(severity="error", subject=f"ctl{i}", problem="is full", remedy="tidy up") for i in (1, 2))
    cloud = FakeCloud(findings=found)
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        with pytest.raises(WorkflowFailureError) as failure:
            await run.handle.result()
    assert "ctl1: is full (tidy up); ctl2: is full (tidy up)" in _reason(failure.value)
    assert cloud.calls == []


async def test_every_handler_says_what_it_is_for(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(approvals={"plan": "manual"}))
        await run.until(RunState.WAITING)
        metadata = await run.handle.query("__temporal_workflow_metadata")
        await run.handle.signal("abort", ME)
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()
    definition = metadata.definition
    handlers = {
        handler.name: handler.description
        for handler in (*definition.query_definitions, *definition.signal_definitions, *definition.update_definitions)
        if not handler.name.startswith("__")
    }
    assert set(handlers) >= {
        "pause",
        "resume",
        "abort",
        "approve",
        "retry",
        "skip",
        "status",
        "plan",
        "timeline",
        "report",
    }
    assert all(handlers.values())
    assert "| phase |" in metadata.current_details
