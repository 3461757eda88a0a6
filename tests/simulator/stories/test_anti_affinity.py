"""Members of an anti-affinity group leave several hosts at the same time, and never meet (Launchpad bug 1821755)."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities import openstack
from activities.compute import ComputeActivities
from activities.context import Toolbox
from activities.ssh import Hosts
from cli.load import load_request
from model.actions import PARAMS, as_params
from model.fleet import GroupPolicy
from model.plan import Action
from model.work import Work
from simulator.cloud import SimCloud
from simulator.faults import Occasion
from simulator.guests import Group
from simulator.server import Simulation
from tests.simulator.conftest import faults_of, sim_cloud
from tests.simulator.stories.conftest import PATIENCE, STORY, story, until

pytestmark = STORY


def grouped(cloud: SimCloud) -> Group:
    """Make a group of a member on each of the first two hosts; nothing but the policy keeps them apart."""
    members = [cloud.add_guest(f"member{number}", f"cmp{number}") for number in (1, 2)]
    group = Group("db", GroupPolicy.ANTI_AFFINITY, [guest.id for guest in members])
    cloud.nova.groups[group.id] = group
    return group


async def drain(activities: ComputeActivities, sim: Simulation, host: str, targets: dict[str, str]) -> None:
    """Empty a host as a worker does; every planned target is the same host."""
    inventory = load_request(sim.folder / "upgrade.yaml", by="test").inventory
    drained: dict[str, Any] = {"policy": {"when_stuck": "wait"}, "limits": {}, "targets": targets, "timeout": PATIENCE}
    for action in (Action.DISABLE_COMPUTE, Action.DRAIN_COMPUTE):
        more = drained if action is Action.DRAIN_COMPUTE else {}
        params = PARAMS[action].model_validate({"host": host, **more})
        work = Work(
            upgrade="run-1",
            step=f"{host}/{action}",
            action=action,
            target=host,
            params=as_params(params),
            inventory=inventory,
            timeout=PATIENCE,
        )
        environment, now = ActivityEnvironment(), datetime.now(tz=UTC)
        times: dict[str, Any] = {
            "scheduled_time": now,
            "started_time": now,
            "start_to_close_timeout": timedelta(seconds=PATIENCE),
        }
        environment.info = replace(environment.info, **times)
        await environment.run(getattr(activities, action.value), work)


def apart(sim: Simulation) -> list[str]:
    """Return what is wrong with a group whose hosts have been emptied."""
    hosts = {guest.host for guest in sim.cloud.nova.guests.values() if guest.name.startswith("member")}
    found = [] if len(hosts) == 2 and not hosts & {"cmp1", "cmp2"} else [f"the members are on {hosts}"]
    return found + [violation.text for violation in sim.cloud.truth.audit()]


@pytest.mark.parametrize("max_per_group", [1, 2])
async def test_hosts_of_a_group_are_out_of_service_at_the_same_time_only_where_that_is_allowed(
    temporal: Client, tmp_path: Path, max_per_group: int
) -> None:
    rolling: dict[str, Any] = {"hosts": ["cmp1", "cmp2"], "max_unavailable": 2, "max_per_aggregate": None}
    rolling |= {"max_per_group": max_per_group, "canary": {"count": 0}}
    size = {"compute": 4, "guests": 4}
    out: set[int] = set()
    moving: set[int] = set()
    async with story(temporal, tmp_path, prepare=grouped, size=size, **rolling) as told:

        def look(_: Occasion) -> None:
            members = {told.guest(f"member{number}").id for number in (1, 2)}
            out.add(sum(told.cloud.nova.record("nova-compute", host).disabled for host in ("cmp1", "cmp2")))
            moving.add(sum(move.unfinished and move.guest in members for move in told.cloud.nova.migrations))

        told.cloud.faults.witnesses.append(look)
        await told.ends_well("cmp1", "cmp2")
        assert [len(told.moves(name)) for name in ("member1", "member2")] == [1, 1]
        assert (max(out), max(moving)) == (max_per_group, 1)


async def test_drains_of_one_worker_that_want_the_same_target(tmp_path: Path, hosts: Hosts) -> None:
    async with sim_cloud(tmp_path, compute=4, guests=0, speed=50) as sim:
        targets = dict.fromkeys(grouped(sim.cloud).members, "cmp3")
        activities = ComputeActivities(Toolbox(hosts=hosts))
        await asyncio.gather(*(drain(activities, sim, host, targets) for host in ("cmp1", "cmp2")))
        assert apart(sim) == []


async def test_drains_of_two_workers_that_ask_nova_in_the_same_moment(
    tmp_path: Path, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet(monkeypatch)
    both = faults_of({"on": "member*", "at": "migration", "how": "never-converges", "times": 2})
    async with sim_cloud(tmp_path, compute=4, guests=0, speed=50) as sim:
        sim.cloud.faults.arm(*both)
        targets = dict.fromkeys(grouped(sim.cloud).members, "cmp3")
        drains = [
            asyncio.create_task(drain(ComputeActivities(Toolbox(hosts=hosts)), sim, host, targets))
            for host in ("cmp1", "cmp2")
        ]
        await until(lambda: any(move.status == "cancelled" for move in sim.cloud.nova.migrations))
        assert [move.target for move in sim.cloud.nova.migrations[:2]] == ["cmp3", "cmp3"]
        sim.cloud.faults.mend()
        await asyncio.gather(*drains)
        assert apart(sim) == []


def meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the first two orders of live migrations wait for each other: neither drain can have seen the other's."""
    barrier, ask = asyncio.Barrier(2), openstack.live_migrate
    seen: list[str] = []

    async def together(inventory: Any, guest: str, target: str | None) -> str | None:
        seen.append(guest)
        if len(seen) <= 2:
            await barrier.wait()
        return await ask(inventory, guest, target)

    monkeypatch.setattr(openstack, "live_migrate", together)
