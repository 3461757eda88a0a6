"""What nova's API says of guests and does to them, asked for with openstacksdk as the activities do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from model.fleet import GroupPolicy
from simulator.catalog import FLAVORS
from simulator.guests import Group, Guest
from simulator.server import Simulation
from simulator.settings import PASSWORD, Durations
from tests.simulator.conftest import faults_of, sim_cloud

NEWEST = "2.100"


class Api:
    """nova's API, asked by somebody."""

    def __init__(self, sim: Simulation, client: httpx.AsyncClient, user: str = "admin") -> None:
        self.sim, self._client, self._user = sim, client, user
        self._token = ""

    async def ask(self, method: str, path: str, body: Any = None, version: str = NEWEST) -> httpx.Response:
        headers = {"X-Auth-Token": await self._get_token(), "OpenStack-API-Version": f"compute {version}"}
        url = f"http://{self.sim.spec.vip}:8774/v2.1{path}"
        return await self._client.request(method, url, json=body, headers=headers)

    async def get(self, path: str, version: str = NEWEST) -> Any:
        answer = await self.ask("GET", path, version=version)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def act(self, guest: Guest, action: str, content: Any = None, version: str = NEWEST) -> httpx.Response:
        return await self.ask("POST", f"/servers/{guest.id}/action", {action: content}, version)

    async def done(self, guest: Guest, action: str, content: Any = None) -> str:
        """Do it, and return the status of the guest when it is done."""
        answer = await self.act(guest, action, content)
        assert answer.status_code < 300, answer.text
        await until(lambda: guest.task_state is None)
        return guest.status

    async def _get_token(self) -> str:
        if not self._token:
            user = {"name": self._user, "password": PASSWORD, "domain": {"name": "Default"}}
            auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
            auth["scope"] = {"project": {"name": self._user, "domain": {"name": "Default"}}}
            url = f"http://{self.sim.spec.vip}:5000/v3/auth/tokens"
            self._token = (await self._client.post(url, json={"auth": auth})).headers["X-Subject-Token"]
        return self._token


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulation]:
    async with sim_cloud(tmp_path / "sim", compute=3) as running:
        yield running
        assert [one.text for one in running.cloud.truth.audit()] == []


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as one:
        yield one


@pytest.fixture
def api(sim: Simulation, client: httpx.AsyncClient) -> Api:
    return Api(sim, client)


def a_guest(sim: Simulation, **more: Any) -> Guest:
    return sim.cloud.add_guest("mine", "cmp1", **more)


# What is shown


async def test_a_guest_is_shown_with_all_that_a_drain_asks_for(sim: Simulation, api: Api) -> None:
    guest = a_guest(
        sim, flavor=FLAVORS["ssd"], zone="nova", tags=["a"], metadata={"k": "v"}, config_drive=True, volumes=["v1"]
    )
    group = Group("web", GroupPolicy.ANTI_AFFINITY, [guest.id])
    sim.cloud.nova.groups[group.id] = group
    row = (await api.get(f"/servers/{guest.id}"))["server"]
    assert row["flavor"]["original_name"] == "ssd"
    assert row["flavor"]["extra_specs"] == {"trait:STORAGE_DISK_SSD": "required"}
    assert (row["status"], row["OS-EXT-STS:vm_state"], row["OS-EXT-STS:power_state"]) == ("ACTIVE", "active", 1)
    assert (row["OS-EXT-SRV-ATTR:host"], row["OS-EXT-AZ:availability_zone"]) == ("cmp1", "nova")
    assert (row["pinned_availability_zone"], row["tags"], row["metadata"]) == ("nova", ["a"], {"k": "v"})
    assert (row["config_drive"], row["locked"], row["locked_reason"]) == ("True", False, None)
    assert row["os-extended-volumes:volumes_attached"] == [{"id": "v1", "delete_on_termination": False}]
    assert (row["server_groups"], row["host_status"]) == ([group.id], "UP")


async def test_old_microversions_show_less(sim: Simulation, api: Api) -> None:
    guest = a_guest(sim)
    row = (await api.get(f"/servers/{guest.id}", "2.8"))["server"]
    assert not {"locked", "tags", "locked_reason", "pinned_availability_zone", "host_status"} & set(row)
    assert row["flavor"] == {"id": "1", "links": []}
    newer = (await api.get(f"/servers/{guest.id}", "2.95"))["server"]
    assert {"locked", "tags"} <= set(newer)
    assert "pinned_availability_zone" not in newer


async def test_a_guest_of_a_volume_has_no_image(sim: Simulation, api: Api) -> None:
    row = (await api.get(f"/servers/{a_guest(sim, image=None).id}"))["server"]
    assert row["image"] == ""


async def test_image_properties_are_shown(sim: Simulation, api: Api) -> None:
    image = next(iter(sim.cloud.tenants.images.values()))
    image.properties["hw_cpu_policy"] = "dedicated"
    row = (await api.get(f"/servers/{a_guest(sim).id}"))["server"]
    assert row["image"]["properties"] == {"hw_cpu_policy": "dedicated"}


async def test_lists_are_filtered(sim: Simulation, api: Api) -> None:
    guest = a_guest(sim, status="SHUTOFF", tags=["x"])
    for query in ("status=SHUTOFF", "tags=x", "host=cmp1&status=SHUTOFF"):
        rows = (await api.get(f"/servers/detail?all_tenants=true&{query}"))["servers"]
        assert [row["id"] for row in rows] == [guest.id], query


async def test_groups_flavors_aggregates_and_zones(tmp_path: Path, client: httpx.AsyncClient) -> None:
    fleet = {"zones": 2, "racks": 1, "ssd": 1.0, "load": "10%", "groups": 0.5}
    async with sim_cloud(tmp_path / "wide", compute=6, fleet=fleet) as sim:
        api = Api(sim, client)
        groups = (await api.get("/os-server-groups?all_projects=true"))["server_groups"]
        assert groups
        assert {(row["policy"], len(row["members"])) for row in groups} == {("anti-affinity", 3)}
        assert (await api.get("/os-server-groups"))["server_groups"] == [], "they are another project's"
        old = (await api.get("/os-server-groups?all_projects=1", "2.12"))["server_groups"][0]
        assert old["policies"] == ["anti-affinity"]
        rows = (await api.get("/os-aggregates"))["aggregates"]
        assert [(row["name"], row["availability_zone"]) for row in rows] == [
            ("az1", "az1"),
            ("az2", "az2"),
            ("rack1", None),
        ]
        zones = (await api.get("/os-availability-zone/detail"))["availabilityZoneInfo"]
        assert {row["zoneName"]: sorted(row["hosts"]) for row in zones}["az2"] == ["cmp2", "cmp4", "cmp6"]
        flavors = {row["name"]: row for row in (await api.get("/flavors/detail"))["flavors"]}
        assert flavors["ssd"]["extra_specs"] == {"trait:STORAGE_DISK_SSD": "required"}
        services = (await api.get("/os-services?binary=nova-compute"))["services"]
        assert {row["zone"] for row in services} == {"az1", "az2"}
        provider = sim.cloud.nova.providers["cmp1"]
        url = f"http://{sim.spec.vip}:8778/resource_providers/{provider}/traits"
        token = {"X-Auth-Token": next(iter(sim.cloud.tokens))}
        assert (await client.get(url, headers=token)).json()["traits"] == ["STORAGE_DISK_SSD"]


# What is done where they are


@pytest.mark.parametrize(
    ("there", "away", "back", "state"),
    [
        ("os-stop", "SHUTOFF", "os-start", "stopped"),
        ("pause", "PAUSED", "unpause", "paused"),
        ("suspend", "SUSPENDED", "resume", "suspended"),
        ("rescue", "RESCUE", "unrescue", "rescued"),
        ("shelve", "SHELVED", "unshelve", "shelved"),
    ],
)
async def test_there_and_back(sim: Simulation, api: Api, there: str, away: str, back: str, state: str) -> None:
    guest = a_guest(sim)
    assert await api.done(guest, there) == away
    assert guest.vm_state == state
    refused = await api.act(guest, there)
    assert (refused.status_code, f"vm_state {state}" in refused.text) == (409, True)
    assert await api.done(guest, back) == "ACTIVE"
    machine = sim.cloud.machines[guest.id]
    kept = there in {"pause", "suspend"}
    assert (machine.restarts == 0, bool(machine.pauses)) == (kept, kept)


async def test_a_shelved_guest_leaves_its_host(sim: Simulation, api: Api) -> None:
    guest = a_guest(sim)
    await api.done(guest, "shelve")
    assert await api.done(guest, "shelveOffload") == "SHELVED_OFFLOADED"
    assert (guest.host, sim.cloud.nova.held_by(guest.id), guest.vm_state) == (None, [], "shelved_offloaded")
    assert await api.done(guest, "unshelve") == "ACTIVE"
    assert guest.host is not None


async def test_what_is_locked_only_administrators_change(sim: Simulation, api: Api, client: httpx.AsyncClient) -> None:
    guest, owner = a_guest(sim), Api(sim, client, "demo")
    await api.act(guest, "lock", {"locked_reason": "mine"})
    assert (await api.get(f"/servers/{guest.id}"))["server"]["locked_reason"] == "mine"
    refused = await owner.act(guest, "os-stop")
    assert (refused.status_code, "is locked" in refused.text) == (409, True)
    assert await api.done(guest, "os-stop") == "SHUTOFF"
    await api.act(guest, "unlock")
    assert await owner.done(guest, "os-start") == "ACTIVE"


async def test_states_are_reset(sim: Simulation, api: Api) -> None:
    guest = a_guest(sim)
    await api.act(guest, "os-resetState", {"state": "error"})
    assert (guest.status, guest.vm_state) == ("ERROR", "error")
    assert await api.done(guest, "os-resetState", {"state": "active"}) == "ACTIVE"


async def test_an_order_waits_until_its_host_takes_it(sim: Simulation, api: Api) -> None:
    guest, host = a_guest(sim), sim.cloud.hosts["cmp1"]
    await sim.cloud.stop(host, "nova-compute")
    assert (await api.act(guest, "os-stop")).status_code == 202
    await asyncio.sleep(0.1)
    assert (guest.status, guest.task_state) == ("ACTIVE", "powering-off")
    await sim.cloud.start(host, "nova-compute")
    await until(lambda: guest.task_state is None)
    assert guest.status == "SHUTOFF"


async def test_a_guest_that_does_not_start(sim: Simulation, api: Api) -> None:
    guest = a_guest(sim, status="SHUTOFF")
    fault = {"on": "mine", "at": "guest-start", "how": "guest-error", "message": "no disk"}
    sim.cloud.faults.arm(*faults_of(fault))
    assert await api.done(guest, "os-start") == "ERROR"
    assert (await api.get(f"/servers/{guest.id}"))["server"]["fault"]["message"] == "no disk"


async def test_metadata_and_tags(sim: Simulation, api: Api) -> None:
    guest = a_guest(sim)
    base = f"/servers/{guest.id}"
    assert (await api.ask("POST", f"{base}/metadata", {"metadata": {"a": "1"}})).json() == {"metadata": {"a": "1"}}
    await api.ask("PUT", f"{base}/metadata/b", {"meta": {"b": "2"}})
    assert guest.metadata == {"a": "1", "b": "2"}
    assert (await api.ask("DELETE", f"{base}/metadata/a")).status_code == 204
    assert (await api.ask("DELETE", f"{base}/metadata/a")).status_code == 404
    await api.ask("PUT", f"{base}/metadata", {"metadata": {"c": "3"}})
    assert (await api.get(f"{base}/metadata"))["metadata"] == {"c": "3"}
    statuses = [(await api.ask(m, f"{base}/tags/x")).status_code for m in ("PUT", "PUT", "GET", "DELETE", "GET")]
    assert statuses == [201, 204, 204, 204, 404]
    assert (await api.ask("PUT", f"{base}/tags", {"tags": ["y", "z"]})).json() == {"tags": ["y", "z"]}
    assert (await api.ask("DELETE", f"{base}/tags")).status_code == 204
    assert guest.tags == []


# What moves


async def test_a_live_migration_to_a_host_that_is_wanted(sim: Simulation, api: Api) -> None:
    guest = a_guest(sim)
    for host, said in (("nowhere", "Compute host nowhere could not be found"),):
        refused = await api.act(guest, "os-migrateLive", {"host": host, "block_migration": "auto"})
        assert (refused.status_code, said in refused.text) == (400, True)
    forced = {"host": "cmp2", "block_migration": "auto", "force": True}
    assert (await api.act(guest, "os-migrateLive", forced)).status_code == 400, "2.68 has no force any more"
    assert await api.done(guest, "os-migrateLive", {"host": "cmp3", "block_migration": "auto"}) == "ACTIVE"
    assert guest.host == "cmp3"
    sim.cloud.nova.record("nova-compute", "cmp2").disabled = True
    await api.done(guest, "os-migrateLive", {"host": "cmp2", "block_migration": "auto"})
    assert (guest.host, sim.cloud.nova.migrations[-1].status) == ("cmp3", "error")
    (shown, *_) = (await api.get(f"/os-migrations?instance_uuid={guest.id}"))["migrations"]
    assert (shown["status"], shown["migration_type"]) == ("error", "live-migration")


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Simulation]:
    """Memory is copied slowly enough to look at it."""
    async with sim_cloud(tmp_path / "slow", durations=Durations(migrate_per_gib=200)) as running:
        yield running


async def begun(sim: Simulation, api: Api) -> tuple[Guest, str]:
    guest = a_guest(sim, flavor=FLAVORS["small"], image=None)
    await api.act(guest, "os-migrateLive", {"host": "cmp2", "block_migration": "auto"})
    await until(lambda: sim.cloud.nova.migrations[-1].status == "running")
    return guest, f"/servers/{guest.id}/migrations"


async def test_memory_is_seen_to_be_copied(slow: Simulation, client: httpx.AsyncClient) -> None:
    api = Api(slow, client)
    guest, path = await begun(slow, api)
    left = []
    while guest.task_state is not None:
        rows = (await api.get(path))["migrations"]
        left += [row["memory_remaining_bytes"] for row in rows]
        await asyncio.sleep(0.05)
    assert left == sorted(left, reverse=True)
    assert len(set(left)) > 5
    assert left[0] <= 2048 * 1024**2
    assert (await api.get(path))["migrations"] == []


Order = Callable[[Api, str, int], Awaitable[httpx.Response]]


async def test_a_migration_that_does_not_converge_is_forced_or_aborted(
    slow: Simulation, client: httpx.AsyncClient
) -> None:
    api = Api(slow, client)
    guest, path = await begun(slow, api)
    guest.dirty = 1.0
    number = slow.cloud.nova.migrations[-1].id
    assert (await api.ask("POST", f"{path}/{number}/action", {"force_complete": None})).status_code == 202
    await until(lambda: guest.task_state is None)
    assert (guest.host, slow.cloud.machines[guest.id].pauses[-1].why) == ("cmp2", "forced live migration")
    await api.act(guest, "os-migrateLive", {"host": "cmp1", "block_migration": "auto"})
    await until(lambda: slow.cloud.nova.migrations[-1].status == "running")
    number = slow.cloud.nova.migrations[-1].id
    assert (await api.ask("DELETE", f"{path}/{number}")).status_code == 202
    await until(lambda: guest.task_state is None)
    assert (guest.host, slow.cloud.nova.migrations[-1].status) == ("cmp2", "cancelled")
    assert (await api.ask("DELETE", f"{path}/{number}")).status_code == 409, "nothing is migrating any more"


async def test_a_paused_guest_cannot_be_forced(slow: Simulation, client: httpx.AsyncClient) -> None:
    api = Api(slow, client)
    guest = a_guest(slow, status="PAUSED")
    await api.act(guest, "os-migrateLive", {"host": "cmp2", "block_migration": "auto"})
    await until(lambda: slow.cloud.nova.migrations[-1].status == "running")
    path = f"/servers/{guest.id}/migrations/{slow.cloud.nova.migrations[-1].id}"
    assert (await api.ask("POST", f"{path}/action", {"force_complete": None})).status_code == 409
    assert (await api.get(path))["migration"]["status"] == "running"


async def test_a_source_moves_only_so_many_at_once(tmp_path: Path, client: httpx.AsyncClient) -> None:
    slowly = Durations(migrate_per_gib=100)
    async with sim_cloud(tmp_path / "sim", durations=slowly, migrations_at_once=1) as sim:
        api, guests = Api(sim, client), sim.cloud.nova.guests_on("cmp1")
        for guest in guests:
            await api.act(guest, "os-migrateLive", {"host": None, "block_migration": "auto"})
        await until(lambda: {move.status for move in sim.cloud.nova.migrations} == {"queued", "running"})
        (queued,) = [move for move in sim.cloud.nova.migrations if move.status == "queued"]
        path = f"/servers/{queued.guest}/migrations/{queued.id}"
        assert (await api.ask("DELETE", path)).status_code == 202
        await until(lambda: not any(move.unfinished for move in sim.cloud.nova.migrations))
        assert sorted(move.status for move in sim.cloud.nova.migrations) == ["cancelled", "completed"]


@pytest.mark.parametrize(("confirm", "host"), [("confirmResize", "cmp3"), ("revertResize", "cmp1")])
@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF"])
async def test_a_cold_migration(sim: Simulation, api: Api, confirm: str, host: str, status: str) -> None:
    guest = a_guest(sim, status=status)
    assert (await api.act(guest, "migrate", {"host": "cmp1"})).status_code == 400
    assert await api.done(guest, "migrate", {"host": "cmp3"}) == "VERIFY_RESIZE"
    (move,) = sim.cloud.nova.migrations
    assert (guest.host, guest.vm_state, move.status, move.kind) == ("cmp3", "resized", "finished", "migration")
    assert (await api.act(guest, confirm)).status_code < 300
    await until(lambda: not move.unfinished)
    assert (guest.status, guest.host) == (status, host)
    assert (await api.act(guest, confirm)).status_code == 409


async def test_what_cannot_be_moved_cold_is_refused(sim: Simulation, api: Api) -> None:
    for status in ("PAUSED", "SUSPENDED", "RESCUE"):
        guest = sim.cloud.add_guest(f"one-{status}", "cmp1", status)
        assert (await api.act(guest, "migrate", None)).status_code == 409
    await sim.cloud.stop(sim.cloud.hosts["cmp1"], "nova-compute")
    sim.cloud.nova.record("nova-compute", "cmp1").updated = 0
    guest = a_guest(sim)
    assert (await api.act(guest, "migrate", None)).status_code == 409


async def test_users_make_guests_in_groups_zones_and_sizes(sim: Simulation, api: Api) -> None:
    made = await api.ask("POST", "/os-server-groups", {"server_group": {"name": "g", "policy": "anti-affinity"}})
    group = made.json()["server_group"]["id"]
    ids = []
    for number in range(4):
        server = {"name": f"new{number}", "flavorRef": "3", "imageRef": "any", "networks": "none"}
        body = {"server": server, "os:scheduler_hints": {"group": group}}
        ids.append((await api.ask("POST", "/servers", body)).json()["server"]["id"])
        await until(lambda: sim.cloud.nova.guests[ids[-1]].task_state is None)
    guests = [sim.cloud.nova.guests[id_] for id_ in ids]
    assert [guest.status for guest in guests] == ["ACTIVE", "ACTIVE", "ACTIVE", "ERROR"]
    assert {guest.flavor.ram for guest in guests} == {4096}
