"""Whole upgrades of simulated clouds, carried out by the real activities over real SSH and HTTP."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from model.availability_spec import Availability
from model.releases import find_release
from model.status import Report, RunState, StepState
from simulator.server import Simulation
from tests.simulator.conftest import sim_cloud, upgrade

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(300)]


def assert_wholly_at(sim: Simulation, release: str) -> None:
    wanted = find_release(release)
    running = {
        (host.name, unit.name): unit.version for host in sim.cloud.hosts.values() for unit in host.units.values()
    }
    assert running == {
        (host.name, unit.name): wanted.versions[unit.component.service]
        for host in sim.cloud.hosts.values()
        for unit in host.units.values()
    }
    assert {row.version for row in sim.cloud.nova.services} == {wanted.nova_service_version}
    assert not [row.host for row in sim.cloud.nova.services if row.disabled]


async def test_a_small_cloud_is_upgraded_and_nobody_notices(temporal: Client, tmp_path: Path) -> None:
    async with sim_cloud(tmp_path / "sim") as sim, upgrade(temporal, sim) as run:
        before = set(sim.cloud.nova.guests)
        result = await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
        assert result["state"] == "completed"
        assert sim.shell.unknown == []
        assert_wholly_at(sim, "2026.2")
        assert {guest.id for guest in sim.cloud.nova.guests.values() if guest.status == "ACTIVE"} == before
        assert {move.status for move in sim.cloud.nova.migrations} == {"completed"}
    assert {step.state for step in report.steps} == {StepState.DONE}
    assert {step.tries for step in report.steps} == {1}
    assert {api.service: api.failed for api in report.availability} == dict.fromkeys(
        ("keystone", "placement", "glance", "nova-api"), 0
    )


async def test_a_host_that_fails_is_put_back_and_a_retry_goes_on(temporal: Client, tmp_path: Path) -> None:
    """Besides, a migration fails once, a connection breaks, and an API answers 500 once: nobody has to do a thing."""
    faults: tuple[dict[str, Any], ...] = (
        {"on": "cmp1", "at": "migration", "how": "error"},
        {"on": "ctl1", "at": "install:glance", "how": "disconnect"},
        {"on": "nova", "at": "GET /v2.1/os-migrations", "how": "http", "status": 500, "skip": 4},
        {"on": "cmp2", "at": "start:nova-compute", "how": "exit", "output": "no libvirt", "times": 3},
    )
    async with (
        sim_cloud(tmp_path / "sim", *faults, compute=2) as sim,
        upgrade(temporal, sim, availability=Availability(enabled=False)) as run,
    ):
        status = await run.until(RunState.FAILING)
        assert [step.id for step in status.failed] == ["cmp2/switch"]
        assert "no libvirt" in status.failed[0].error
        assert "taken back" in status.failed[0].error
        cmp2 = sim.cloud.hosts["cmp2"]
        assert cmp2.units["nova-compute"].version == "33.0.1"
        assert cmp2.complete == {("nova", "33.0.1")}
        assert not sim.cloud.nova.record("nova-compute", "cmp2").disabled
        assert len(sim.cloud.faults.happened) == 6
        await run.handle.execute_update("retry", {"by": "anna", "reason": "mended", "step": "cmp2/switch"})
        assert (await run.handle.result())["state"] == "completed"
        assert_wholly_at(sim, "2026.2")
        assert {guest.status for guest in sim.cloud.nova.guests.values()} == {"ACTIVE"}
        assert sim.shell.unknown == []
