"""Whole upgrades of simulated clouds, carried out by the real activities over real SSH and HTTP."""

from pathlib import Path

import pytest
from temporalio.client import Client

from model.releases import find_release
from model.status import Report, StepState
from simulator.server import Simulation
from tests.simulator.conftest import sim_cloud, upgrade

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]


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
