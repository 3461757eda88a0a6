"""Rolling reboots of simulated clouds by the real activities: only where needed, with hooks, and guests that return."""

from pathlib import Path

import pytest
from temporalio.client import Client

from model.reboot_report import FleetReport
from model.status import Report, RunState, StepState
from simulator.server import Simulation
from tests.simulator.conftest import rolling_reboot, sim_cloud

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(300)]


def reboots(sim: Simulation) -> dict[str, int]:
    return {name: sim.cloud.hosts[name].reboots for name in sim.cloud.nova.providers}


def places(sim: Simulation) -> dict[str, str | None]:
    return {guest.id: guest.host for guest in sim.cloud.nova.guests.values()}


async def test_only_who_needs_it_is_rebooted_and_its_guests_come_back(temporal: Client, tmp_path: Path) -> None:
    hooks = {
        "before_drain": [{"run": "true"}],
        "after_wave": [{"run": "true", "at": "ctl1"}],
    }
    async with sim_cloud(tmp_path / "sim", compute=3, guests=6) as sim:
        sim.cloud.hosts["cmp1"].update("6.1.0-99-amd64")
        before = places(sim)
        async with rolling_reboot(temporal, sim, reboot="if-required", rebalance="return", hooks=hooks) as run:
            await run.until(RunState.COMPLETED, RunState.FAILING, RunState.REFUSED)
            report = await run.handle.query("report", result_type=Report)
            why = await run.handle.query("why", "cmp2", result_type=str)
        assert report.status.state is RunState.COMPLETED, report.status.message
        assert reboots(sim) == {"cmp1": 1, "cmp2": 0, "cmp3": 0}
        assert sim.cloud.hosts["cmp1"].kernel == "6.1.0-99-amd64"
        assert places(sim) == before
        assert [violation.text for violation in sim.cloud.truth.audit()] == []
        assert sim.shell.unknown == []
        ran = {name: [about for _, about in host.hooks] for name, host in sim.cloud.hosts.items() if host.hooks}
    assert {name: len(abouts) for name, abouts in ran.items()} == {"cmp1": 1, "ctl1": 1}
    assert (ran["cmp1"][0]["STACKROLL_HOST"], ran["ctl1"][0]["STACKROLL_WAVE"]) == ("cmp1", "1")
    assert why == "cmp2 is not done: nothing on it waits for a reboot"
    told = FleetReport.model_validate(report.fleet)
    assert [(host.host, host.state, host.kernel) for host in told.hosts] == [("cmp1", StepState.DONE, "6.1.0-99-amd64")]
    assert {one.host for one in told.skipped} == {"cmp2", "cmp3"}
