"""Outages of a simulated cloud's APIs, found by the probe of a run over real HTTP, and what a spent budget does."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError

from cli.client import Runs
from model.availability import AvailabilityResult
from model.availability_spec import Availability, ErrorBudget
from model.outages import Span
from model.spec import Approval, Approvals
from model.status import ApiAvailability, Report, RunState, SeenState, Verdict
from simulator.server import Simulation
from tests.pulse import pulse
from tests.simulator.conftest import faults_of, request_of, sim_cloud, upgrade
from tests.workflows.fake_cloud import PATIENCE, Run
from workers.registry import Activities
from workers.worker import make_worker

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(300)]
WAITS = Approvals(plan=Approval.MANUAL)
COMMITS = Approvals(plan=Approval.AUTO, commit=Approval.MANUAL)


async def outage(sim: Simulation, service: str, seconds: float) -> Span:
    """Let an API answer every request with 503 for a while."""
    faults = faults_of({"on": service, "at": "* *", "how": "http", "status": 503, "times": None})
    begun = time.time()
    sim.cloud.faults.arm(*faults)
    await asyncio.sleep(seconds)
    end = time.time()
    sim.cloud.faults.disarm(*faults)
    return Span(begun, end)


async def seen(run: Run, done: Callable[[AvailabilityResult], bool]) -> AvailabilityResult:
    """What `stackroll availability` says, as soon as something is so."""
    runs = Runs(run.handle._client)
    for _ in range(400):
        found = await runs.availability(run.handle.id)
        if done(found):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(found)


async def until_told(run: Run, moment: float) -> None:
    """Wait until the run has been told what was seen up to a moment, and that nothing is down any more."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        news = (await run.status()).availability
        if news is not None and news.at > moment and not any(one.down_since for one in news.services):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(news)


def of(result: AvailabilityResult, service: str) -> ApiAvailability:
    return next(api for api in result.apis if api.service == service)


def is_over(service: str) -> Callable[[AvailabilityResult], bool]:
    def check(result: AvailabilityResult) -> bool:
        found = [api for api in result.apis if api.service == service and api.outages]
        return bool(found) and not any(one.open for one in found[0].outages)

    return check


async def stop(run: Run) -> Report:
    await run.handle.signal("abort", {"by": "anna", "reason": "enough", "mode": "stop"})
    with pytest.raises(WorkflowFailureError):
        await run.handle.result()
    report: Report = await run.handle.query("report", result_type=Report)
    return report


async def test_an_outage_of_one_api_is_found_with_its_length_and_no_other(
    temporal: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This process is probe and cloud in one: that it stood still is nothing of either.
    monkeypatch.setattr("activities.ledger_file.UNWATCHED_AFTER", 30.0)
    watched = Availability(baseline=2.0, writes=("keypair", "image", "token"))
    async with (
        sim_cloud(tmp_path / "sim") as sim,
        upgrade(temporal, sim, availability=watched, approvals=WAITS) as run,
        pulse() as machine,
    ):
        await run.until(RunState.WAITING)
        await seen(run, lambda result: sum(api.requests for api in result.apis) > 60)
        real = await outage(sim, "glance", 1.5)
        live = await seen(run, is_over("glance"))
        report = await stop(run)
        assert sim.cloud.tenants.keypairs == {}
        assert [image.name for image in sim.cloud.tenants.images.values()] == ["tiny"]
    for result in (live, AvailabilityResult(apis=report.availability, path="")):
        (found,) = of(result, "glance").outages
        assert abs(found.seconds - (real.end - real.start)) < 0.5 + machine.slack
        assert real.start - 0.1 - machine.slack <= found.start <= real.start + 0.5 + machine.slack
        assert of(result, "glance").verdict is Verdict.ROLLING
        assert SeenState.DOWN in {one.state for one in of(result, "glance").track}
        others = {api.service: (api.failed, api.outages) for api in result.apis if api.service != "glance"}
        assert others == dict.fromkeys(("keystone", "placement", "nova-api"), (0, ()))
    assert any("503" in text for text in of(live, "glance").failures)
    assert of(live, "keystone").requests > 10


async def test_a_spent_budget_holds_the_run_and_says_why(temporal: Client, tmp_path: Path) -> None:
    watched = Availability(baseline=1.0, budget=ErrorBudget(downtime=0.5))
    async with (
        sim_cloud(tmp_path / "sim") as sim,
        upgrade(temporal, sim, availability=watched, approvals=WAITS) as run,
    ):
        await run.until(RunState.WAITING)
        span = await outage(sim, "glance", 1.5)
        status = await run.until(RunState.PAUSED)
        assert "error budget of glance spent: " in status.waiting[0].what + status.waiting[-1].what
        await until_told(run, span.end)
        await run.handle.signal("resume", {"by": "anna", "reason": "mended"})
        await run.until(RunState.WAITING)
        await stop(run)


@pytest.mark.slow
async def test_a_spent_budget_takes_the_upgrade_back(temporal: Client, tmp_path: Path) -> None:
    watched = Availability(baseline=1.0, budget=ErrorBudget(failed_requests=3, when_spent="rollback"))
    async with (
        sim_cloud(tmp_path / "sim") as sim,
        upgrade(temporal, sim, availability=watched, approvals=COMMITS) as run,
    ):
        for _ in range(600):
            status = await run.status()
            if any("approval of commit" in waiting.what for waiting in status.waiting):
                break
            await asyncio.sleep(0.2)
        await outage(sim, "glance", 1.5)
        status = await run.until(RunState.ROLLED_BACK)
        assert "error budget of glance spent: " in status.message
        assert "by error budget" in status.message
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()
        assert {unit.version for host in sim.cloud.hosts.values() for unit in host.units.values()} == {
            "29.0.1",
            "15.0.0",
            "32.0.0",
            "33.0.1",
        }


async def test_time_between_two_workers_is_admitted(temporal: Client, tmp_path: Path) -> None:
    queue, id_ = f"q-{uuid.uuid4().hex[:8]}", f"sim-{uuid.uuid4().hex[:8]}"

    async def working(until: Callable[[], Awaitable[object]]) -> None:
        activities = Activities()
        try:
            async with make_worker(temporal, activities, queue):
                await until()
        finally:
            await activities.close()

    async with sim_cloud(tmp_path / "sim") as sim:
        asked = request_of(sim, availability=Availability(baseline=1.0), approvals=WAITS)
        content = asked.model_dump(mode="json", exclude_none=True)
        run = Run(await temporal.start_workflow("RollingUpgrade", content, id=id_, task_queue=queue))
        await working(lambda: run.until(RunState.WAITING))
        await asyncio.sleep(3.0)
        reports: list[Report] = []

        async def again() -> None:
            before = (await seen(run, lambda result: bool(result.apis))).ended or 0.0
            await seen(run, lambda result: (result.ended or 0.0) > before + 3 and result.unobserved > 0)
            reports.append(await stop(run))

        await working(again)
    assert reports[0].unobserved >= 2.5
    holes = [one for api in reports[0].availability for one in api.track if one.state is SeenState.UNOBSERVED]
    assert max(hole.end - hole.start for hole in holes) >= 2.5
