"""Whole rolling reboots of simulated fleets, by the real activities; the simulator's truth is the judge."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from model.status import RunState, UpgradeStatus
from simulator.server import Simulation
from tests.simulator.conftest import rolling_reboot, sim_cloud
from tests.workflows.fake_cloud import Run

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
FLEET: dict[str, Any] = {"load": "30%", "sizes": {"small": 2, "medium": 1}, "updated": 1.0}


def whole(sim: Simulation) -> list[str]:
    """Return what is wrong with a fleet whose hosts have all been rebooted once."""
    cloud = sim.cloud
    problems = [violation.text for violation in cloud.truth.audit()]
    for name in cloud.nova.providers:
        host, row = cloud.hosts[name], cloud.nova.record("nova-compute", name)
        if host.reboots != 1:
            problems.append(f"{name} was rebooted {host.reboots} times")
        if host.kernel != host.kernels[-1]:
            problems.append(f"{name} runs {host.kernel}")
        if row.disabled or not host.units["nova-compute"].running:
            problems.append(f"{name} is not in service ({row.reason})")
    problems += [f"guest {g.name} is {g.status}, {g.task_state}" for g in cloud.nova.guests.values() if g.task_state]
    return problems + [f"not simulated: {text}" for text in sim.shell.unknown]


async def ended(run: Run) -> UpgradeStatus:
    """Wait until a run is over, or waits for a decision."""
    return await run.until(RunState.COMPLETED, RunState.FAILING, RunState.STOPPED)


async def test_a_fleet_is_rebooted_and_no_guest_stops_counting(temporal: Client, tmp_path: Path) -> None:
    async with (
        sim_cloud(tmp_path / "sim", compute=4, speed=50, fleet=FLEET) as sim,
        rolling_reboot(temporal, sim) as run,
    ):
        guests = dict.fromkeys(sim.cloud.nova.guests)
        status = await ended(run)
        assert status.state is RunState.COMPLETED, f"{status.message} {status.failed}"
        assert whole(sim) == []
        assert set(sim.cloud.nova.guests) == set(guests)
        assert {sim.cloud.machines[guest].restarts for guest in guests} == {0}
        assert {move.status for move in sim.cloud.nova.migrations} == {"completed"}
        print(f"{len(sim.cloud.nova.migrations)} moves of {len(guests)} guests")
