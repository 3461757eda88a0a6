"""The error budget, the baseline, and a probe whose worker is gone at the end, on a real Temporal server."""

import asyncio
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError

from model.status import AvailabilityNews, Report, RunState, ServiceNews
from tests.workflows.fake_cloud import FakeCloud, Run, request, running_worker, start
from workflows import names

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
WORDS = "error budget of nova-api spent: 6 failed requests, 5 allowed. nova-api: 6 failed requests, down since "


def news(failed: int, at: float = 100.0) -> AvailabilityNews:
    nova = ServiceNews(
        service="nova-api", failed=failed, downtime=failed / 2, down_since=98.5, last_failure="00:01:39.500 GET /: 503"
    )
    return AvailabilityNews(at=at, baseline=True, watched=4, requests=900, down=failed / 2, services=(nova,))


def asked(when_spent: str = "pause", **spec: Any) -> dict[str, Any]:
    budget = {"failed_requests": 5, "when_spent": when_spent}
    return request(computes=1, availability={"budget": budget}, **spec)


async def tell(run: Run, what: AvailabilityNews) -> None:
    await run.handle.signal("availability", what)


async def ends(run: Run, mode: str = "stop") -> None:
    await run.handle.signal("abort", {"by": "anna", "reason": "test", "mode": mode})
    with pytest.raises(WorkflowFailureError):
        await run.handle.result()


async def test_a_spent_budget_holds_the_run_until_somebody_lets_it_go_on(temporal: Client) -> None:
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, asked())
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await tell(run, news(5))
        assert (await run.status()).state is RunState.RUNNING, "five are allowed"
        await tell(run, news(6, at=101))
        status = await run.until(RunState.PAUSED)
        (waiting,) = status.waiting
        assert WORDS in waiting.what
        assert "the newest 00:01:39.500 GET /: 503" in waiting.what
        assert "stackroll resume" in waiting.go_on
        assert (status.events[-1].kind, status.events[-1].by) == ("pause", "error budget")
        await tell(run, news(9, at=102))
        await run.handle.signal("resume", {"by": "anna", "reason": "mended"})
        status = await run.until(RunState.RUNNING)
        assert status.waiting == ()
        await tell(run, news(14, at=103))
        assert (await run.status()).state is RunState.RUNNING, "who resumes gives the whole budget anew"
        await tell(run, news(15, at=104))
        await run.until(RunState.PAUSED)
        cloud.hold["cmp1/drain"].set()
        await ends(run)


async def test_a_spent_budget_takes_everything_back(temporal: Client) -> None:
    cloud = FakeCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, asked("rollback"))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await tell(run, news(6))
        cloud.hold["cmp1/drain"].set()
        status = await run.until(RunState.ROLLED_BACK)
        assert WORDS in status.message
        assert "by error budget" in status.message
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()


async def test_behind_the_commit_point_a_spent_budget_holds_the_run(temporal: Client) -> None:
    cloud = FakeCloud(hold={"finish/nova/online-data-migrations": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, asked("rollback"))
        await cloud.until(lambda: "finish/nova/online-data-migrations" in cloud.running)
        await tell(run, news(6))
        await run.until(RunState.PAUSED)
        cloud.hold["finish/nova/online-data-migrations"].set()
        await ends(run)


async def test_the_first_step_waits_for_the_baseline_but_not_for_ever(
    temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "BASELINE_GRACE", 0.5)
    cloud = FakeCloud(tells_baseline=False)
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1, availability={"baseline": "500ms"}))
        await run.handle.result()
        status = await run.status()
        report = await run.handle.query("report", result_type=Report)
    assert cloud.watching is not None
    assert cloud.watching.baseline == 0.5
    warnings = [event.text for event in report.events if event.kind == "warning"]
    assert warnings == ["the baseline was not measured in time; the run goes on"]
    assert status.state is RunState.COMPLETED


async def test_a_probe_without_a_worker_at_the_end_is_concluded_from_its_ledger(temporal: Client) -> None:
    cloud = FakeCloud(loses_probe=True)
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(computes=1))
        await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
    assert report.unobserved == 8.0
