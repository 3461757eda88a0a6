"""The order of a rehearsal, and that nothing of it is left whatever happens."""

import asyncio
import uuid
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from model.rehearsal import RehearsalReport, RehearsalRequest
from tests.workflows.fake_cloud import running_worker
from tests.workflows.rehearsal_cloud import STEPS, RehearsalCloud, request

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]


async def rehearse(client: Client, cloud: RehearsalCloud, asked: RehearsalRequest) -> RehearsalReport:
    async with running_worker(client, cloud) as queue:
        return await (await _start(client, asked, queue)).result()


async def _start(client: Client, asked: RehearsalRequest, queue: str) -> WorkflowHandle[Any, RehearsalReport]:
    id_ = f"r-{uuid.uuid4().hex[:8]}"
    return await client.start_workflow("Rehearsal", asked, id=id_, task_queue=queue, result_type=RehearsalReport)


async def test_copies_come_before_code_and_code_before_steps_and_what_was_made_goes(temporal: Client) -> None:
    cloud = RehearsalCloud()
    report = await rehearse(temporal, cloud, request())
    assert cloud.calls == [
        "plan", "begin", "copy keystone", "copy nova", "install keystone", "install nova", *STEPS,
        "end", "untouched", "simulate", "write",
    ]  # fmt: skip
    assert (report.ok, report.untouched, report.removed) == (True, True, True)
    assert cloud.written == [report]


async def test_behind_a_step_that_failed_only_other_services_go_on(temporal: Client) -> None:
    cloud = RehearsalCloud(fail={f"status {STEPS[1]}"})
    report = await rehearse(temporal, cloud, request(simulate=False))
    assert [step.id for step in report.steps] == list(STEPS[:2])
    assert not report.ok
    assert "simulate" not in cloud.calls
    assert report.removed


@pytest.mark.parametrize("call", ["plan", "begin", "copy nova", "install keystone", STEPS[1]])
async def test_whatever_breaks_all_is_removed_and_told(temporal: Client, call: str) -> None:
    cloud = RehearsalCloud(fail={call})
    report = await rehearse(temporal, cloud, request(simulate=False))
    assert "end" in cloud.calls
    assert report.problems == (f"StepFailed: {call}: it broke",)
    assert (report.ok, report.removed) == (False, True)


async def test_production_that_has_changed_is_told(temporal: Client) -> None:
    report = await rehearse(temporal, RehearsalCloud(revisions={"nova": ("def",)}), request(simulate=False))
    assert (report.ok, report.untouched) == (False, False)


async def test_what_cannot_be_removed_is_told(temporal: Client) -> None:
    report = await rehearse(temporal, RehearsalCloud(fail={"end"}), request(simulate=False))
    assert (report.ok, report.removed, report.untouched) == (False, False, None)


@pytest.mark.parametrize("late", [(), ("copy nova",)], ids=["what runs breaks off", "what runs just ends"])
async def test_one_that_is_cancelled_removes_what_it_has_made_and_simulates_nothing(
    temporal: Client, late: tuple[str, ...]
) -> None:
    cloud = RehearsalCloud(hold={"copy nova": asyncio.Event()}, late=set(late))
    async with running_worker(temporal, cloud) as queue:
        handle = await _start(temporal, request(), queue)
        while "copy nova" not in cloud.calls:
            await asyncio.sleep(0.05)
        await handle.cancel()
        report = await handle.result()
    assert cloud.calls[-4:] == ["copy nova", "end", "untouched", "write"]
    assert report.problems == ("it was cancelled",)
    assert (report.ok, report.removed, report.untouched) == (False, True, True)
