"""The reader of digests where things are not as they should be; the hosts' answers and the APIs are arranged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from activities import rows
from activities.digest import read_digest
from activities.errors import StepFailed, Unreachable
from activities.ssh import Completed, Hosts
from model.digest import Digest
from model.inventory import Inventory
from model.verdict import judge
from tests.activities.fake_hosts import FakeHosts
from tests.activities.fake_openstack import FakeCloud, place_of, serve


class World:
    """A cloud, its hosts, and the rows of its databases by a word of the query."""

    def __init__(self, inventory: Inventory, cloud: FakeCloud) -> None:
        self.cloud, self.inventory = cloud, inventory
        self.hosts = FakeHosts(inventory, tables={"alembic_version": ["nova\thead1"]})
        self.told: list[str] = []

    async def digest(self, **changed: Any) -> Digest:
        inventory = self.inventory.model_copy(update=changed)
        return await read_digest(cast("Hosts", self.hosts), inventory, self.told.append)

    def held(self, consumer: str, provider: str = "provider-cmp1", **resources: int) -> None:
        """Let placement's database have allocations, as the query gives them."""
        found = [{"consumer": consumer, "provider": provider, "resource": n, "used": u} for n, u in resources.items()]
        self.hosts.tables.setdefault("placement.allocations", []).extend(map(json.dumps, found))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("activities.digest.api_url", place_of)
    monkeypatch.setattr("activities.occupancy.SECOND_LOOK", 0.0)
    cloud = FakeCloud()
    with serve(cloud, tmp_path) as inventory:
        yield World(inventory, cloud)


async def test_each_host_is_told_as_it_is_read(world: World) -> None:
    digest = await world.digest()
    assert digest.unread == {}
    assert world.told == ["1 of 3 hosts", "2 of 3 hosts", "3 of 3 hosts"]


async def test_what_answers_is_read_though_other_things_do_not(world: World) -> None:
    world.cloud.boot("a")
    world.hosts.unreachable["cmp2"] = Unreachable("no connection", host="cmp2")
    world.cloud.failing["image"] = 500
    digest = await world.digest()
    assert set(digest.unread) == {"processes/cmp2", "packages/cmp2", "apis/glance"}
    assert digest.unread["processes/cmp2"] == "no connection"
    assert set(digest.processes) == set(digest.packages) == {"ctl1", "cmp1"}
    assert set(digest.guests) == {"id-a"}


async def test_without_keystone_hosts_and_databases_are_read(world: World) -> None:
    world.cloud.keystone_down = True
    digest = await world.digest()
    assert set(digest.unread) == {"apis", "services", "guests", "places", "allocations"}
    assert len(set(digest.unread.values())) == 1
    assert digest.schemas == {"nova": ("head1",)}
    assert digest.processes["cmp1"]["nova-compute"].version == "33.0.1"


async def test_a_cell_that_is_down_hides_guests_and_that_is_said(world: World) -> None:
    world.cloud.boot("a", status="UNKNOWN")
    digest = await world.digest()
    assert set(digest.unread) == {"guests", "places", "allocations"}
    assert "a cell is down" in digest.unread["places"]
    assert not judge(await world.digest(), digest).whole


async def test_a_host_whose_shell_says_nothing_is_unread(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = FakeHosts._answer

    def silent(self: FakeHosts, host: str, command: str, text: str | None) -> Completed:
        return Completed(127, "", "sudo: command not found") if host == "cmp1" else answer(self, host, command, text)

    monkeypatch.setattr(FakeHosts, "_answer", silent)
    digest = await world.digest()
    assert digest.unread["processes/cmp1"] == "its shell ended with status 127: sudo: command not found"
    assert digest.unread["packages/cmp1"] == digest.unread["processes/cmp1"]


async def test_a_torso_of_an_installation_is_marked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeHosts, "_installed", lambda *_: "C nova-33.0.1\nT nova-34.0.0\nL nova-33.0.1\n")
    digest = await world.digest()
    assert digest.packages["cmp1"]["nova"].installed == ("33.0.1", "34.0.0 (in part)")
    assert digest.packages["cmp1"]["nova"].active == "33.0.1"


async def test_a_unit_that_is_down_has_no_version(world: World) -> None:
    world.hosts.running["cmp1"]["nova-compute"] = None
    digest = await world.digest()
    assert digest.processes["cmp1"]["nova-compute"].model_dump() == {"state": "failed", "version": None}


async def test_services_that_the_cloud_has_not_are_not_missed(world: World) -> None:
    digest = await world.digest(services=("keystone", "placement"))
    assert digest.unread == {}
    assert [digest.guests, digest.services, digest.images] == [{}, {}, {}]
    assert set(digest.apis) == {"keystone", "placement"}


async def test_a_migration_that_goes_on_is_nobodys_orphan(world: World) -> None:
    world.cloud.looks = 99
    guest = world.cloud.boot("a")
    record = world.cloud.begin_migration(guest)
    world.held(record["uuid"], VCPU=1, MEMORY_MB=64)
    world.held(guest, "provider-cmp2", VCPU=1, MEMORY_MB=64)
    digest = await world.digest()
    assert digest.allocations.orphans == {}
    assert digest.allocations.guests[guest].model_dump() == {"resources": {"VCPU": 1, "MEMORY_MB": 64}, "home": False}
    assert digest.allocations.migrations == {record["uuid"]: "live-migration of id-a, cmp1 to cmp2: running"}


async def test_what_is_odd_for_a_moment_only_is_not_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest that is deleted between the look at allocations and the look at guests."""
    looks: list[int] = []
    read = rows.allocations

    async def allocations(hosts: Hosts, inventory: Inventory) -> Any:
        looks.append(1)
        world.hosts.tables["placement.allocations"] = []
        if len(looks) == 1:
            world.held("deleted-in-between", VCPU=1)
        else:
            world.held("deleted-later", VCPU=1)
        return await read(hosts, inventory)

    monkeypatch.setattr(rows, "allocations", allocations)
    digest = await world.digest()
    assert digest.allocations.orphans == {}
    assert len(looks) == 2


async def test_what_is_no_json_is_no_empty_table(world: World) -> None:
    world.hosts.tables["glance.images"] = ["ERROR 1045"]
    with pytest.raises(StepFailed, match="no JSON"):
        await rows.images(cast("Hosts", world.hosts), world.inventory)
    digest = await world.digest()
    assert digest.unread == {"images": "the database's answer is no JSON"}


async def test_rows_become_tables(world: World) -> None:
    extra = json.dumps({"name": "nova", "description": "x"})
    world.hosts.tables["keystone.service"] = [
        json.dumps({"table": "services", "id": "s1", "type": "compute", "enabled": 1, "extra": extra}),
        json.dumps({"table": "endpoints", "id": "e1", "url": "http://c", "enabled": 0}),
    ]
    found = await rows.catalog(cast("Hosts", world.hosts), world.inventory)
    assert found == {
        "regions": {},
        "services": {"s1": {"type": "compute", "enabled": True, "name": "nova"}},
        "endpoints": {"e1": {"url": "http://c", "enabled": False}},
    }
