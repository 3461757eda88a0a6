"""The digest of a simulated cloud, read over real SSH and HTTP: what it sees, and the proof that a cloud is back."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import rows
from activities.context import Toolbox
from activities.digest import load_digest, read_digest, save_digest
from activities.ssh import Hosts
from activities.verify import VerifyActivities
from activities.verify_rollback import VerifyRollbackActivities
from cli.load import load_inventory
from model.actions import NoParams, VerifyCloudParams, as_params
from model.digest import Digest, Section, differences
from model.inventory import Inventory
from model.nova import is_settled
from model.plan import Action
from model.releases import find_release
from model.verdict import judge
from model.work import GuestFacts, StepResult, Work
from simulator.faults import Gone
from simulator.server import Simulation
from tests.simulator.conftest import sim_cloud

OLD, NEW = find_release("2026.1"), find_release("2026.2")


class World:
    """A simulated cloud and what looks at it."""

    def __init__(self, sim: Simulation, hosts: Hosts) -> None:
        self.sim, self.hosts = sim, hosts
        self.inventory: Inventory = load_inventory(sim.folder / "cloud.yaml")

    async def digest(self) -> Digest:
        return await read_digest(self.hosts, self.inventory)

    def work(self, action: Action) -> Work:
        params = VerifyCloudParams(versions=OLD.versions, service_version=OLD.nova_service_version)
        given = NoParams() if action is Action.CAPTURE_BASELINE else params
        return Work(
            upgrade="up/1",
            step=action,
            action=action,
            target="cloud",
            params=as_params(given),
            inventory=self.inventory,
        )

    async def run(self, action: Action, *, settle: float = 0.0, patience: float = 0.0) -> StepResult:
        tools = Toolbox(hosts=self.hosts)
        owner: Any = VerifyRollbackActivities(tools, settle=settle, every=0.05, patience=patience)
        if action is Action.CAPTURE_BASELINE:
            owner = VerifyActivities(tools, settle=settle, every=0.05)
        result: StepResult = await ActivityEnvironment().run(getattr(owner, action.value), self.work(action))
        return result

    async def refused(self) -> str:
        with pytest.raises(ApplicationError) as raised:
            await self.run(Action.VERIFY_ROLLBACK)
        assert raised.value.type == "StepFailed"
        return raised.value.message


@pytest.fixture
async def world(tmp_path: Path, hosts: Hosts) -> Any:
    async with sim_cloud(tmp_path / "sim", control=2, compute=3, guests=4) as sim:
        yield World(sim, hosts)
        assert sim.shell.unknown == []


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


# Reading


async def test_two_looks_at_a_cloud_that_nobody_touches_are_the_same_text(world: World) -> None:
    first, second = await world.digest(), await world.digest()
    assert first.to_json() == second.to_json()
    assert first.unread == {}
    assert first.cloud == "sim"


async def test_everything_is_in_it(world: World) -> None:
    digest = await world.digest()
    assert digest.packages["cmp1"]["nova"].model_dump() == {"active": "33.0.1", "installed": ("33.0.1",)}
    assert set(digest.packages["ctl1"]) == {"keystone", "placement", "glance", "nova"}
    assert digest.processes["ctl2"]["nova-api"].model_dump() == {"state": "active", "version": "33.0.1"}
    record = digest.services["nova-compute"]["cmp2"]
    assert (record.version, record.state, record.status, record.forced_down) == (72, "up", "enabled", False)
    api = digest.services["nova-osapi_compute"]["ctl1"]
    assert (api.version, api.state) == (72, None), "nova lists no API services; their records count all the same"
    assert digest.balancer.servers["keystone"] == {"ctl1": "up", "ctl2": "up"}
    assert digest.apis["placement"] == {"v1.0": "1.0 to 1.39"}
    assert set(digest.schemas) == {"keystone", "placement", "glance", "nova_api", "nova_cell0", "nova"}
    assert sorted(guest.name for guest in digest.guests.values()) == ["guest1", "guest2", "guest3", "guest4"]
    assert {guest.power_state for guest in digest.guests.values()} == {1}
    assert sorted(str(place) for place in digest.places.values()) == ["cmp1", "cmp1", "cmp2", "cmp3"]
    assert {held.home for held in digest.allocations.guests.values()} == {True}
    assert [image["name"] for image in digest.images.values()] == ["tiny"]
    assert {row["name"] for row in digest.identity["users"].values()} == {"admin", "demo"}
    assert {row["name"] for row in digest.identity["domains"].values()} == {"Default"}
    assert len(digest.identity["assignments"]) == 2
    assert len(digest.catalog["endpoints"]) == 12
    assert {row["name"] for row in digest.catalog["services"].values()} == {"keystone", "placement", "glance", "nova"}
    assert "password" not in digest.to_json().lower()


async def test_what_runs_counts_not_what_is_active(world: World) -> None:
    host = world.sim.cloud.hosts["cmp1"]
    host.put("nova", "34.0.0")
    host.links["nova"] = "34.0.0"
    digest = await world.digest()
    assert digest.packages["cmp1"]["nova"].model_dump() == {"active": "34.0.0", "installed": ("33.0.1", "34.0.0")}
    assert digest.processes["cmp1"]["nova-compute"].version == "33.0.1"


async def test_a_move_changes_places_alone(world: World) -> None:
    before = await world.digest()
    nova = world.sim.cloud.nova
    move = world.sim.cloud.migrate(nova.guests_on("cmp2")[0])
    await until(lambda: not move.unfinished)
    after = await world.digest()
    assert {difference.section for difference in differences(before, after)} == {Section.PLACES}
    assert before.state_hash == after.state_hash
    assert before.hash != after.hash


async def test_a_hold_and_an_instance_out_of_service_are_seen(world: World) -> None:
    balancer = world.sim.cloud.balancer
    balancer.hold("nova-api", 60)
    balancer.held_until["glance"] = time.time() - 1
    balancer.say("set server glance/ctl2 state drain")
    digest = await world.digest()
    assert digest.balancer.holds == ("nova-api",)
    assert digest.balancer.servers["glance"] == {"ctl1": "up", "ctl2": "drain"}


async def test_an_orphan_and_a_guest_without_its_allocation_are_seen(world: World) -> None:
    nova = world.sim.cloud.nova
    nova.allocations[nova.providers["cmp1"]]["nobody"] = {"VCPU": 1}
    guest = nova.guests_on("cmp2")[0]
    del nova.allocations[nova.providers["cmp2"]][guest.id]
    before = Digest(cloud="sim")
    digest = await world.digest()
    assert digest.allocations.orphans == {"nobody": {"VCPU": 1}}
    assert not digest.allocations.guests[guest.id].home
    assert "allocations nobody orphans: should not be there (VCPU 1)" in judge(before, digest).problems


async def test_a_host_that_does_not_answer_costs_its_own_part_alone(world: World) -> None:
    before = await world.digest()
    lost = world.sim.cloud.hosts["cmp3"]
    world.sim.cloud.spawn(world.sim.cloud.lose(lost, Gone(how="gone", at="any", seconds=None, connections="refused")))
    await until(lambda: not lost.up)
    after = await world.digest()
    assert set(after.unread) == {"processes/cmp3", "packages/cmp3"}
    assert "cmp3" not in after.processes
    assert after.processes["cmp1"] == before.processes["cmp1"]
    assert len(after.guests) == 4
    verdict = judge(before, after)
    assert not verdict.whole
    assert any("processes/cmp3 could not be read" in problem for problem in verdict.problems)


async def test_what_does_not_answer_is_named(world: World) -> None:
    for host in ("ctl1", "ctl2"):
        world.sim.cloud.balancer.say(f"set server nova-api/{host} state maint")
    digest = await world.digest()
    assert set(digest.unread) == {"services", "guests", "places", "allocations", "apis/nova-api"}
    assert digest.images
    assert digest.processes["ctl1"]["nova-api"].version == "33.0.1"


async def test_deleted_by_somebody_is_told_from_lost(world: World) -> None:
    cloud = world.sim.cloud
    guest = next(iter(cloud.nova.guests.values()))
    image = next(iter(cloud.tenants.images.values()))
    cloud.nova.delete(guest)
    cloud.tenants.delete_image(image)
    asked = [guest.id, image.id, "00000000-0000-4000-8000-000000000000", "'; DROP TABLE x; --"]
    assert await rows.deleted(world.hosts, world.inventory, asked) == {guest.id, image.id}
    assert await rows.deleted(world.hosts, world.inventory, []) == set()


@pytest.mark.slow
async def test_a_fleet_is_read_in_bounded_time(tmp_path: Path, hosts: Hosts) -> None:
    async with sim_cloud(tmp_path / "sim", control=3, compute=50, guests=500) as sim:
        begun = time.monotonic()
        digest = await read_digest(hosts, load_inventory(sim.folder / "cloud.yaml"))
        took = time.monotonic() - begun
        print(f"53 hosts and 500 guests read in {took:.1f} s")
    assert digest.unread == {}
    assert len(digest.processes) == 53
    assert len(digest.guests) == 500
    assert took < 30


# The proof that a cloud is back


async def test_a_digest_is_kept_with_the_baseline(world: World) -> None:
    work = world.work(Action.CAPTURE_BASELINE)
    assert await load_digest(world.hosts, work) is None
    saved = await save_digest(world.hosts, work)
    assert await load_digest(world.hosts, work) == saved
    assert "/var/lib/stackroll/baselines/up_1.digest.json" in world.sim.cloud.hosts["infra1"].files
    world.sim.cloud.hosts["infra1"].files["/var/lib/stackroll/baselines/up_1.digest.json"] = "torso"
    with pytest.raises(Exception, match="cannot be read: no JSON"):
        await load_digest(world.hosts, work)


async def test_a_cloud_that_is_back_is_proven(world: World) -> None:
    kept = await world.run(Action.CAPTURE_BASELINE)
    cloud = world.sim.cloud
    cloud.add_guest("new1", "cmp1")
    cloud.add_guest("new2", "cmp2")
    cloud.tenants.add_image("mine", {})
    cloud.tenants.add_project("late")
    cloud.nova.delete(next(guest for guest in cloud.nova.guests.values() if guest.name == "guest4"))
    cloud.schemas.run("nova", NEW.versions["nova"], "nova-manage", "db sync")
    move = cloud.migrate(next(guest for guest in cloud.nova.guests.values() if guest.name == "guest2"))
    await until(lambda: not move.unfinished)
    result = await world.run(Action.VERIFY_ROLLBACK)
    assert result.summary == (
        "back at 2026.1: equal to before; 2 servers, 1 image, 1 project made since are kept; 1 server deleted since; "
        "schemas of nova, nova_cell0 stay expanded; 1 guest is on another host"
    )
    assert result.details["digest"]["before"] == kept.details["digest"]
    assert result.details["digest"]["differences"]["system"] == 0
    assert result.details["digest"]["after"]["system_hash"] == kept.details["digest"]["system_hash"]
    assert result.details["running"]["cmp1"] == {"nova-compute": "33.0.1"}


async def test_everything_that_is_not_back_is_listed(world: World) -> None:
    await world.run(Action.CAPTURE_BASELINE)
    cloud = world.sim.cloud
    for name in ("cmp1", "cmp3"):
        cloud.hosts[name].put("nova", "34.0.0")
    cloud.balancer.hold("nova-api", 600)
    nova = cloud.nova
    nova.allocations[nova.providers["cmp1"]]["nobody"] = {"VCPU": 1}
    image = next(iter(cloud.tenants.images.values()))
    del cloud.tenants.images[image.id]
    told = await world.refused()
    for problem in (
        "the cloud is not as it was before: 4 problems",
        "packages cmp1, cmp3 nova installed: 33.0.1 and 34.0.0, should be 33.0.1",
        "balancer holds: nova-api, should be nothing",
        "allocations nobody orphans: should not be there (VCPU 1)",
        f"images tiny ({image.id}): is gone",
        "/var/lib/stackroll/baselines/up_1.digest.json on infra1",
    ):
        assert problem in told


async def test_a_unit_that_still_runs_the_new_version_is_not_back(world: World) -> None:
    await world.run(Action.CAPTURE_BASELINE)
    cloud = world.sim.cloud
    cloud.hosts["cmp2"].put("nova", "34.0.0")
    cloud.hosts["cmp2"].units["nova-compute"].version = "34.0.0"
    assert "nova-compute on cmp2 runs from 34.0.0, not from 33.0.1" in await world.refused()


async def test_what_users_have_begun_may_end_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.run(Action.CAPTURE_BASELINE)
    guest = world.sim.cloud.add_guest("slow", "cmp1", "BUILD")
    guest.task_state = "spawning"
    assert f"guest slow ({guest.id}) is still in spawning" in await world.refused()
    looks: list[bool] = []

    def look(found: GuestFacts) -> bool:
        """Let it end as soon as it was waited for."""
        looks.append(is_settled(found))
        guest.status, guest.task_state = "ACTIVE", None
        return looks[-1]

    monkeypatch.setattr("activities.verify_rollback.is_settled", look)
    result = await world.run(Action.VERIFY_ROLLBACK, patience=20)
    assert result.summary == "back at 2026.1: equal to before; 1 server made since is kept"
    assert looks.count(False) == 1


async def test_without_a_digest_of_before_that_is_said(world: World) -> None:
    said = await world.refused()
    assert "all 15 units run keystone 29.0.1" in said
    assert "/var/lib/stackroll/baselines/up_1.digest.json is gone" in said
