"""A fleet of many kinds of guests is rebooted by the real activities; the simulator's truth is the judge."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from simulator.machines import Power, power_of
from simulator.server import Simulation
from tests.simulator.conftest import rolling_reboot, sim_cloud

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
FLEET: dict[str, Any] = {
    "load": "3%",
    "sizes": {"tiny": 3, "small": 1},
    "updated": 1.0,
    "groups": 0.5,
    "states": {"SHUTOFF": 0.1, "PAUSED": 0.1, "locked": 0.2, "volume": 0.3},
}
# What a drain gets over by itself.
FAULTS: tuple[dict[str, Any], ...] = (
    {"on": "cmp1", "at": "migration", "how": "compute-restarted"},
    {"on": "cmp2", "at": "migration", "how": "error"},
    {"on": "cmp3", "at": "target", "how": "refuses"},
)


def problems(sim: Simulation) -> list[str]:
    """Return what is wrong with a fleet whose hosts have all been rebooted once."""
    cloud = sim.cloud
    found = [violation.text for violation in cloud.truth.audit()]
    for name in cloud.nova.providers:
        host, row = cloud.hosts[name], cloud.nova.record("nova-compute", name)
        if host.reboots != 1:
            found.append(f"{name} was rebooted {host.reboots} times")
        if host.kernel != host.kernels[-1]:
            found.append(f"{name} runs {host.kernel}")
        if row.disabled or not host.units["nova-compute"].running:
            found.append(f"{name} is not in service ({row.reason})")
    found += [
        f"guest {guest.name} is {guest.status}, {guest.task_state}"
        for guest in cloud.nova.guests.values()
        if guest.task_state is not None or cloud.machines[guest.id].power is not power_of(guest.status)
    ]
    return found + [f"not simulated: {text}" for text in sim.shell.unknown]


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_a_fleet_is_rebooted_and_no_guest_begins_anew(temporal: Client, tmp_path: Path) -> None:
    async with (
        sim_cloud(tmp_path / "sim", *FAULTS, compute=4, speed=200, fleet=FLEET) as sim,
        rolling_reboot(temporal, sim, on_failure="rollback") as run,
    ):
        cloud = sim.cloud
        before = {guest.id: guest.status for guest in cloud.nova.guests.values()}
        result = await run.handle.result()
        assert result["state"] == "completed"
        assert problems(sim) == []
        assert {guest.id: guest.status for guest in cloud.nova.guests.values()} == before
        running = [id_ for id_, was in before.items() if power_of(was) is not Power.OFF]
        assert {cloud.machines[id_].restarts for id_ in running} == {0}
        assert len(cloud.faults.happened) == len(FAULTS)
        moves = sum(machine.moves for machine in cloud.machines)
        print(f"{moves} moves of {len(before)} guests, {len(cloud.nova.migrations)} migrations")
