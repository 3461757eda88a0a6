"""The whole fleet, read from a nova and a placement over HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from activities import servers
from activities.errors import Unreachable
from activities.fleet import read_fleet, read_zones
from activities.traffic import Traffic
from model.fleet import GroupPolicy
from model.inventory import Inventory
from tests.activities.fake_openstack import FakeCloud, serve

ROW: dict[str, Any] = {
    "id": "g1",
    "name": "web",
    "status": "ACTIVE",
    "tenant_id": "p1",
    "created": "2026-01-01T00:00:00Z",
    "OS-EXT-STS:task_state": None,
    "OS-EXT-STS:vm_state": "active",
    "OS-EXT-STS:power_state": 1,
    "OS-EXT-SRV-ATTR:host": "cmp1",
    "locked": True,
    "tags": ["stackroll:drain=cold"],
    "metadata": {"a": "b"},
    "config_drive": "True",
    "pinned_availability_zone": "west",
    "image": {"id": "i1", "properties": {"hw_tpm_version": "2.0", "trait:HW_CPU_X86_AVX2": "required"}},
    "os-extended-volumes:volumes_attached": [{"id": "v1"}, {"id": "v2"}],
    "flavor": {
        "original_name": "big",
        "vcpus": 2,
        "ram": 4096,
        "disk": 10,
        "ephemeral": 5,
        "swap": 1500,
        "extra_specs": {"resources:VGPU": "1", "trait:CUSTOM_GPU": "required", "trait:NOT": "forbidden"},
    },
}


def test_a_server_is_read_with_all_that_decides_how_it_can_leave() -> None:
    guest = servers.parse_guest(ROW)
    assert (guest.host, guest.zone, guest.locked, guest.config_drive, guest.volumes) == ("cmp1", "west", True, True, 2)
    assert (guest.tags, guest.metadata, guest.flavor, guest.image) == (
        ("stackroll:drain=cold",),
        {"a": "b"},
        "big",
        "i1",
    )
    assert guest.local_disk_gb == 17
    assert guest.resources == {"VCPU": 2.0, "MEMORY_MB": 4096.0, "DISK_GB": 17.0, "VGPU": 1.0}
    assert guest.traits == ("CUSTOM_GPU", "HW_CPU_X86_AVX2")
    assert guest.image_properties["hw_tpm_version"] == "2.0"


def test_a_server_that_boots_from_a_volume_has_no_root_disk() -> None:
    assert servers.parse_guest({**ROW, "image": ""}).local_disk_gb == 7


def test_dedicated_processors_are_another_resource() -> None:
    flavor = {**ROW["flavor"], "extra_specs": {"hw:cpu_policy": "dedicated"}}
    assert servers.parse_guest({**ROW, "flavor": flavor}).resources["PCPU"] == 2.0


def test_a_server_of_a_cell_that_is_down_is_not_overlooked() -> None:
    with pytest.raises(Unreachable, match="a cell is down"):
        servers.parse_guest({**ROW, "status": "UNKNOWN"})


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud(hosts=("cmp1", "cmp2", "cmp3"))


@pytest.fixture
def inventory(cloud: FakeCloud, tmp_path: Path) -> Iterator[Inventory]:
    with serve(cloud, tmp_path) as found:
        yield found


async def test_the_fleet_is_read_in_few_requests(cloud: FakeCloud, inventory: Inventory) -> None:
    cloud.services["cmp2"] |= {"zone": "east", "status": "disabled", "disabled_reason": "disk", "forced_down": True}
    members = [cloud.boot("a"), cloud.boot("b", "cmp2", "SHUTOFF")]
    cloud.groups = [
        {"id": "s1", "name": "db", "policy": "anti-affinity", "rules": {"max_server_per_host": 2}, "members": members}
    ]
    cloud.aggregates = [{"id": 1, "name": "ssd", "hosts": ["cmp1"]}]
    cloud.traits["provider-cmp1"] = ["HW_CPU_X86_AVX2"]
    cloud.allocations["provider-cmp2"]["orphan"] = {"VCPU": 2}
    cloud.begin_migration("id-a", target="cmp3")
    cloud.requests.clear()
    fleet = await read_fleet(inventory)

    one, two = fleet.hosts["cmp1"], fleet.hosts["cmp2"]
    assert (one.aggregates, one.traits, one.hypervisor_version) == (("ssd",), ("HW_CPU_X86_AVX2",), 7002022)
    assert (one.capacity.total, one.capacity.used) == ({"VCPU": 6.0}, {"VCPU": 1.0})
    assert (two.zone, two.status, two.disabled_reason, two.forced_down) == ("east", "disabled", "disk", True)
    assert two.capacity.used == {"VCPU": 3.0}
    assert {guest.name: guest.resources for guest in fleet.guests} == {"a": {"VCPU": 1.0}, "b": {"VCPU": 1.0}}
    (group,) = fleet.groups
    assert (group.policy, group.members, group.max_per_host) == (GroupPolicy.ANTI_AFFINITY, tuple(members), 2)
    assert [(move.guest, move.target) for move in fleet.migrations] == [("id-a", "cmp3")]
    asked = [request for request in cloud.requests if "/compute/v2.1/" in request]
    assert len([request for request in asked if request.endswith("/servers/detail")]) == 3
    assert len(asked) < 20
    assert len([request for request in cloud.requests if "/placement/resource_providers/" in request]) == 9


async def test_only_the_room_that_matters_is_read(cloud: FakeCloud, inventory: Inventory) -> None:
    cloud.boot("a")
    fleet = await read_fleet(inventory, hosts=["cmp2"])
    assert set(fleet.hosts) == {"cmp1", "cmp2", "cmp3"}
    assert fleet.hosts["cmp2"].capacity.total == {"VCPU": 6.0}
    assert fleet.hosts["cmp1"].capacity.total == {}
    assert [guest.name for guest in fleet.guests] == ["a"]
    assert await read_zones(inventory) == {"cmp1": "nova", "cmp2": "nova", "cmp3": "nova"}


async def test_what_nova_has_just_taken_on_moves_though_it_has_no_record(
    cloud: FakeCloud, inventory: Inventory
) -> None:
    cloud.boot("a")
    cloud.servers["id-a"] |= {"status": "MIGRATING", "OS-EXT-STS:task_state": "migrating"}
    (move,) = await servers.moving(inventory)
    assert (move.guest, move.source, move.target) == ("id-a", "cmp1", None)


async def test_images_of_an_older_nova_are_asked_of_glance(
    cloud: FakeCloud, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def older(_inventory: Inventory) -> bool:
        return False

    monkeypatch.setattr(servers, "_has_images", older)
    cloud.boot("a", image={"id": "i1"})
    cloud.boot("b", image={"id": "gone"})
    cloud.images["i1"] = {"id": "i1", "hw_mem_encryption": "true", "size": 1}
    guests = {guest.name: guest.image_properties for guest in await servers.read_guests(inventory)}
    assert guests["a"]["hw_mem_encryption"] == "true"
    assert guests["b"] == {}


async def test_drains_ask_for_the_zones_of_the_fleet_once_in_a_while(
    inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def read(known: Inventory) -> dict[str, str]:
        asked.append(known.cloud)
        return {"cmp1": "nova"}

    monkeypatch.setattr("activities.fleet.read_zones", read)
    traffic = Traffic()
    found = await asyncio.gather(*(traffic.zones(inventory) for _ in range(5)))
    assert (found, len(asked)) == ([{"cmp1": "nova"}] * 5, 1)
    monkeypatch.setattr("activities.traffic.ZONES_KNOWN", 0.0)
    await traffic.zones(inventory)
    assert len(asked) == 2
