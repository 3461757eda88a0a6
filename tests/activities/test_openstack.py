"""What is asked of OpenStack, and what its failures are called."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from activities import openstack
from activities.errors import Refused, Unreachable
from model.inventory import Inventory, OpenStackAccess
from model.work import Capacity
from tests.activities.fake_openstack import FakeCloud, make_inventory, serve


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def inventory(cloud: FakeCloud, tmp_path: Path) -> Iterator[Inventory]:
    with serve(cloud, tmp_path) as found:
        yield found


async def test_a_missing_file_is_named() -> None:
    inventory = make_inventory_elsewhere("/nowhere/clouds.yaml")
    with pytest.raises(Refused, match=r"/nowhere/clouds.yaml does not exist"):
        await openstack.token(inventory)


def make_inventory_elsewhere(path: str, cloud: str = "fake", folder: Path | None = None) -> Inventory:
    base = make_inventory(folder or Path("/tmp"), "http://127.0.0.1:1/v3")
    return base.model_copy(update={"openstack": OpenStackAccess(cloud=cloud, clouds_yaml=path)})


def rewrite(path: str) -> None:
    Path(path).write_text(Path(path).read_text() + "\n")


async def test_a_missing_entry_is_named_with_those_that_exist(tmp_path: Path) -> None:
    inventory = make_inventory_elsewhere(str(tmp_path / "clouds.yaml"), "prod", tmp_path)
    with pytest.raises(Refused, match=r"clouds.yaml has no entry 'prod'") as raised:
        await openstack.token(inventory)
    assert "fake" in raised.value.remedy


async def test_no_keystone_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no good answer from keystone") as raised:
        await openstack.token(make_inventory(tmp_path, "http://127.0.0.1:1/v3"))
    assert raised.value.remedy


async def test_wrong_credentials_are_refused_and_a_corrected_file_counts_at_once(
    cloud: FakeCloud, inventory: Inventory
) -> None:
    cloud.keystone_down = True
    with pytest.raises(Refused, match="keystone does not accept the credentials in entry 'fake'"):
        await openstack.token(inventory)
    cloud.keystone_down = False
    rewrite(str(inventory.openstack.clouds_yaml))
    assert await openstack.token(inventory) == f"token-{cloud.token_requests}"


async def test_one_token_serves_many_requests(cloud: FakeCloud, inventory: Inventory) -> None:
    await openstack.token(inventory)
    await openstack.guests(inventory)
    await openstack.capacity(inventory)
    assert cloud.token_requests == 1


async def test_an_api_that_is_away_is_unreachable_and_says_so_in_its_own_words(
    cloud: FakeCloud, inventory: Inventory
) -> None:
    cloud.failing["compute"] = 503
    with pytest.raises(Unreachable, match="answered 503: out of order"):
        await openstack.service_records(inventory)


async def test_a_cell_that_is_down_is_not_an_empty_cell(cloud: FakeCloud, inventory: Inventory) -> None:
    cloud.servers["x"] = {"id": "x", "status": "UNKNOWN"}
    with pytest.raises(Unreachable, match="a cell is down"):
        await openstack.guests(inventory)


async def test_guests_of_exactly_one_host(cloud: FakeCloud, inventory: Inventory) -> None:
    cloud.boot("a")
    cloud.boot("b", "cmp2")
    (guest,) = await openstack.guests(inventory, host="cmp1")
    assert (guest.name, guest.vcpus, guest.ram_mb, guest.disk_gb) == ("a", 1, 64, 1)
    assert len(await openstack.guests(inventory)) == 2


async def test_everything_in_flight(cloud: FakeCloud, inventory: Inventory) -> None:
    cloud.boot("quiet")
    cloud.boot("fresh", None, "BUILD")
    cloud.looks = 9
    cloud.begin_migration(cloud.boot("moving"))
    assert sorted(await openstack.in_flight(inventory)) == [
        "guest fresh (id-fresh) is in BUILD",
        "guest moving (id-moving) is in migrating",
        "live-migration 1 of guest id-moving, cmp1 to cmp2: running",
    ]


async def test_room_on_a_host(cloud: FakeCloud, inventory: Inventory) -> None:
    cloud.boot("a")
    assert (await openstack.capacity(inventory))["cmp1"] == Capacity(total={"VCPU": 6.0}, used={"VCPU": 1.0})
