"""Drains by policy against the simulated nova; what its guests' machines really did is the judge."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.compute import ComputeActivities
from activities.context import Toolbox
from activities.ssh import Hosts
from cli.load import load_request
from model.actions import PARAMS, as_params
from model.fleet import GroupPolicy
from model.plan import Action
from model.rolling import DrainPolicy, Limits
from model.work import StepResult, Work
from simulator.guests import Group
from simulator.server import Simulation
from tests.simulator.conftest import sim_cloud

SIZE: dict[str, Any] = {"compute": 4, "guests": 8}
SECONDS = 90.0


class Drainer:
    """Runs activities of compute hosts against a simulated cloud, as a worker would."""

    def __init__(self, sim: Simulation, hosts: Hosts) -> None:
        self.inventory = load_request(sim.folder / "upgrade.yaml", by="test").inventory
        self._activities = ComputeActivities(Toolbox(hosts=hosts), poll=0.05, rest=0.1)

    async def run(self, action: Action, host: str = "cmp1", **params: Any) -> StepResult:
        made = PARAMS[action].model_validate({"host": host, **params})
        work = Work(
            upgrade="run-1",
            step=f"{host}/{action}",
            action=action,
            target=host,
            params=as_params(made),
            inventory=self.inventory,
            timeout=SECONDS,
        )
        environment, now = ActivityEnvironment(), datetime.now(tz=UTC)
        environment.info = replace(
            environment.info,
            scheduled_time=now,
            started_time=now,
            start_to_close_timeout=timedelta(seconds=SECONDS),
        )
        result: StepResult = await environment.run(getattr(self._activities, action.value), work)
        return result

    async def drain(self, host: str = "cmp1", **params: Any) -> StepResult:
        await self.run(Action.DISABLE_COMPUTE, host)
        return await self.run(Action.DRAIN_COMPUTE, host, **params)


def restarts(sim: Simulation) -> dict[str, int]:
    """Return how often each guest that was moved or stopped has begun anew."""
    guests = sim.cloud.nova.guests.values()
    return {guest.name: count for guest in guests if (count := sim.cloud.machines[guest.id].restarts)}


async def test_a_host_of_all_kinds_of_guests_is_emptied_and_nothing_is_broken(tmp_path: Path, hosts: Hosts) -> None:
    async with sim_cloud(tmp_path, **SIZE) as sim:
        cloud = sim.cloud
        off = cloud.add_guest("off", "cmp1", "SHUTOFF")
        paused = cloud.add_guest("paused", "cmp1", "PAUSED")
        stays = cloud.add_guest("stays", "cmp1", tags=["stackroll:drain=stop"])
        members = [cloud.add_guest(f"member{number}", "cmp1" if number < 2 else "cmp2") for number in range(3)]
        group = Group("db", GroupPolicy.SOFT_ANTI_AFFINITY, [guest.id for guest in members])
        cloud.nova.groups[group.id] = group
        drainer = Drainer(sim, hosts)
        result = await drainer.drain(policy=DrainPolicy(), limits=Limits(per_source=4), targets={off.id: "cmp3"})
        assert [guest.name for guest in cloud.nova.guests_on("cmp1")] == ["stays"]
        assert (off.host, off.status, paused.status, stays.status) == ("cmp3", "SHUTOFF", "PAUSED", "SHUTOFF")
        how = {row["name"]: row["how"] for row in result.details["guests"]}
        assert (how["off"], how["paused"], how["stays"]) == ("cold", "live", "stop")
        assert restarts(sim) == {}
        await drainer.run(Action.ENABLE_COMPUTE)
        started = await drainer.run(Action.START_GUESTS)
        assert started.summary == "1 of 1 guest on cmp1 run again"
        assert (stays.status, stays.metadata, off.metadata) == ("ACTIVE", {}, {})
        assert started.details["off"][stays.id] > 0
        known = {row["name"]: (row.get("paused"), row.get("off")) for row in result.details["guests"]}
        assert known["off"] == known["stays"] == (None, None)
        assert all(known[guest.name][0] == pytest.approx(0.3 / cloud.clock.speed, abs=0.001) for guest in members[:2])
        assert restarts(sim) == {"stays": 1}
        assert [violation.text for violation in cloud.truth.audit()] == []
        assert sim.shell.unknown == []


async def test_a_failed_migration_is_tried_again(tmp_path: Path, hosts: Hosts) -> None:
    async with sim_cloud(tmp_path, {"on": "cmp1", "at": "migration", "how": "error"}, compute=3, guests=3) as sim:
        result = await Drainer(sim, hosts).drain(policy=DrainPolicy(attempts=2), limits=Limits())
        assert sim.cloud.nova.guests_on("cmp1") == []
        assert [row["how"] for row in result.details["guests"]] == ["live"]
        assert restarts(sim) == {}
        assert [violation.text for violation in sim.cloud.truth.audit()] == []
