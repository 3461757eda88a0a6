"""Rehearsals of a simulated cloud, by the real workflow and the real activities over SSH."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from activities.rehearsal import BASE, rehearsal_root
from model.rehearsal import RehearsalReport, RehearsalRequest
from model.releases import find_release
from simulator.server import Simulation
from simulator.settings import Durations
from tests.simulator.conftest import request_of, sim_cloud
from workers.registry import Activities
from workers.worker import make_worker

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(300)]


@contextlib.asynccontextmanager
async def rehearsal(
    client: Client, sim: Simulation, **asked: Any
) -> AsyncIterator[WorkflowHandle[Any, RehearsalReport]]:
    activities, queue = Activities(), f"q-{uuid.uuid4().hex[:8]}"
    request = RehearsalRequest(request=request_of(sim), simulate=asked.pop("simulate", False), **asked)
    try:
        async with make_worker(client, activities, queue):
            yield await client.start_workflow(
                "Rehearsal", request, id=f"r-{uuid.uuid4().hex[:8]}", task_queue=queue, result_type=RehearsalReport
            )
    finally:
        await activities.close()


def assert_nothing_is_left(sim: Simulation) -> None:
    assert sim.cloud.rehearsals.copy is None
    assert sim.cloud.rehearsals.beside == set()
    root = rehearsal_root(request_of(sim).inventory)
    left = [path for host in sim.cloud.hosts.values() for path in host.files if path.startswith((BASE, root))]
    assert left == []


async def test_every_database_step_is_measured_on_a_copy_and_production_stays(
    temporal: Client, tmp_path: Path, state_dir: Path
) -> None:
    async with sim_cloud(tmp_path / "sim") as sim, rehearsal(temporal, sim) as handle:
        before = dict(sim.cloud.schemas.rows)
        report = await handle.result()
        assert sim.cloud.schemas.rows == before
        assert_nothing_is_left(sim)
        assert sim.cloud.rehearsals.ended == 1
        assert sim.shell.unknown == []
        old = find_release("2026.1").versions
        assert {version for host in sim.cloud.hosts.values() for version in host.complete} == {
            *((service, old[service]) for service in ("keystone", "placement", "glance", "nova"))
        }
    assert [(step.id, step.status, step.output) for step in report.steps if not step.ok] == []
    assert (report.ok, report.untouched, report.removed, report.problems) == (True, True, True, ())
    ids = [step.id for step in report.steps]
    assert ids[:2] == ["leftover/placement", "leftover/nova"]
    assert {"expand/keystone/db-sync-expand", "expand/nova/db-sync", "finish/keystone/db-sync-contract"} <= set(ids)
    assert {copied.service for copied in report.copies} == {"keystone", "placement", "glance", "nova"}
    expand = next(step for step in report.steps if step.id == "expand/nova/db-sync")
    assert expand.longest == 1.5
    assert {statement.table for statement in expand.locks} == {"simulated"}
    kept = list((state_dir / "rehearsals").glob("*.json"))
    assert RehearsalReport.model_validate_json(kept[0].read_text()) == report
    assert "only-of-the-copy" not in kept[0].read_text()


async def test_a_migration_that_fails_is_told_and_everything_is_removed(temporal: Client, tmp_path: Path) -> None:
    fault = {"on": "ctl1", "at": "manage-copy", "how": "exit", "output": "Duplicate column name", "skip": 4}
    async with sim_cloud(tmp_path / "sim", fault) as sim, rehearsal(temporal, sim) as handle:
        report = await handle.result()
        assert_nothing_is_left(sim)
    failed = [step for step in report.steps if not step.ok]
    assert len(failed) == 1
    assert "Duplicate column name" in failed[0].output
    assert not report.ok
    later = {step.service for step in report.steps[report.steps.index(failed[0]) + 1 :]}
    assert failed[0].service not in later
    assert later


async def test_a_scratch_server_that_does_not_start_is_a_problem_of_the_rehearsal(
    temporal: Client, tmp_path: Path
) -> None:
    fault = {
        "on": "infra1",
        "at": "scratch-start",
        "how": "exit",
        "status": 69,
        "output": "no MariaDB server",
        "times": None,
    }
    async with sim_cloud(tmp_path / "sim", fault) as sim, rehearsal(temporal, sim) as handle:
        report = await handle.result()
        assert_nothing_is_left(sim)
    assert "no MariaDB server" in report.problems[0]
    assert report.removed
    assert report.steps == ()


async def test_one_that_is_cancelled_ends_its_jobs_and_leaves_nothing(temporal: Client, tmp_path: Path) -> None:
    async with (
        sim_cloud(tmp_path / "sim", durations=Durations(dump=3000.0)) as sim,
        rehearsal(temporal, sim) as handle,
    ):
        while not any("dump" in name for name in sim.jobs.started("infra1")):
            await asyncio.sleep(0.05)
        await handle.cancel()
        report = await handle.result()
        assert_nothing_is_left(sim)
        assert sim.shell.unknown == []
    assert report.problems == ("it was cancelled",)
    assert (report.ok, report.removed, report.untouched) == (False, True, True)


async def test_the_whole_plan_is_run_on_a_simulator_with_the_same_hosts(temporal: Client, tmp_path: Path) -> None:
    async with sim_cloud(tmp_path / "sim", compute=2) as sim, rehearsal(temporal, sim, simulate=True) as handle:
        report = await handle.result()
    assert report.simulated is not None
    assert (report.simulated.state, report.simulated.violations) == ("completed", ())
    assert report.simulated.steps > 40
    assert report.ok
