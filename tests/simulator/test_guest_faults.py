"""What can go wrong with guests and hosts while a host is emptied."""

import asyncio
from collections.abc import Callable

import pytest

from simulator.cloud import SimCloud
from simulator.guests import Guest, Migration
from simulator.settings import Durations, SimSpec
from tests.simulator.conftest import faults_of


@pytest.fixture
def cloud() -> SimCloud:
    """Time passes a thousand times faster here."""
    return SimCloud(SimSpec(speed=1000), Durations(migrate_per_gib=100.0))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


def on(cloud: SimCloud, host: str) -> Guest:
    return next(guest for guest in cloud.nova.guests.values() if guest.host == host)


async def moved(cloud: SimCloud, guest: Guest, wanted: str | None = None) -> Migration:
    move = cloud.migrate(guest, wanted)
    await until(lambda: not move.unfinished)
    return move


@pytest.mark.parametrize("side", ["source", "target"])
async def test_nova_compute_is_restarted_in_the_middle(cloud: SimCloud, side: str) -> None:
    cloud.faults.arm(*faults_of({"on": "cmp1", "at": "migration", "how": "compute-restarted", "side": side}))
    guest, host = on(cloud, "cmp1"), cloud.hosts["cmp1" if side == "source" else "cmp2"]
    starts = host.units["nova-compute"].starts
    move = await moved(cloud, guest, "cmp2")
    assert (move.status, guest.status, guest.host) == ("error", "ACTIVE", "cmp1")
    await until(lambda: host.units["nova-compute"].starts == starts + 1)
    assert cloud.machines[guest.id].restarts == 0
    assert (await moved(cloud, guest, "cmp2")).status == "completed"
    assert cloud.truth.audit() == []


async def test_room_stays_taken_after_a_move(cloud: SimCloud) -> None:
    cloud.faults.arm(*faults_of({"on": "cmp1", "at": "migration", "how": "orphan"}))
    move = await moved(cloud, on(cloud, "cmp1"))
    assert move.status == "completed"
    assert move.uuid in cloud.nova.allocations[cloud.nova.providers["cmp1"]]


async def test_another_host_fails_while_one_is_emptied(cloud: SimCloud) -> None:
    fault = {"on": "cmp1", "at": "migration", "how": "neighbour-gone", "hosts": "cmp3"}
    cloud.faults.arm(*faults_of(fault))
    lost = on(cloud, "cmp3")
    move = await moved(cloud, on(cloud, "cmp1"), "cmp2")
    assert move.status == "completed"
    assert not cloud.hosts["cmp3"].up
    assert cloud.machines[lost.id].deaths == ["cmp3 went down"]
    assert cloud.truth.violations == [], "nobody has rebooted it"
    cloud.faults.mend()
    await until(lambda: cloud.hosts["cmp3"].up and not cloud.hosts["cmp3"].booting)
    assert lost.status == "SHUTOFF"


async def test_users_take_the_room_half_way(cloud: SimCloud) -> None:
    cloud.faults.arm(*faults_of({"on": "cmp1", "at": "migration", "how": "crowded", "skip": 1}))
    cloud.nova.record("nova-compute", "cmp1").disabled = True
    first, second = cloud.nova.guests_on("cmp1")
    assert (await moved(cloud, first)).status == "completed"
    failed = await moved(cloud, second)
    assert (failed.status, second.host) == ("error", "cmp1")
    assert "No valid host was found" in second.actions[0]["message"]
    assert cloud.truth.audit() == [], "what placement has not, nobody gets"


async def test_a_target_that_refuses(cloud: SimCloud) -> None:
    cloud.faults.arm(*faults_of({"on": "cmp3", "at": "target", "how": "refuses", "times": None}))
    guest = on(cloud, "cmp1")
    assert (await moved(cloud, guest, "cmp3")).status == "error"
    move = await moved(cloud, guest)
    assert (move.status, move.target) == ("completed", "cmp2"), "the scheduler looks for another one"


@pytest.mark.parametrize(("how", "status"), [("error", "ACTIVE"), ("guest-error", "ERROR")])
async def test_a_cold_migration_that_fails(cloud: SimCloud, how: str, status: str) -> None:
    cloud.faults.arm(*faults_of({"on": "cmp1", "at": "cold", "how": how}))
    guest = on(cloud, "cmp1")
    await cloud.mover.resize(guest, kind="migration", wanted="cmp2")
    (move,) = cloud.nova.migrations
    assert (move.status, guest.status, guest.host) == ("error", status, "cmp1")
    assert cloud.truth.audit() == []


async def test_a_guest_never_goes_to_an_older_hypervisor(cloud: SimCloud) -> None:
    cloud.hosts["cmp1"].hypervisor_version += 1
    assert (await moved(cloud, on(cloud, "cmp1"))).status == "error"
    assert (await moved(cloud, on(cloud, "cmp2"), "cmp1")).status == "completed"


async def test_a_guest_stays_in_the_zone_it_was_asked_to_be_in() -> None:
    cloud = SimCloud(SimSpec(speed=1000, compute=4, fleet={"zones": 2}))
    guest = on(cloud, "cmp1")
    guest.zone = "az1"
    assert (await moved(cloud, guest, "cmp2")).status == "error"
    assert (await moved(cloud, guest)).target == "cmp3"
    assert (guest.host, cloud.truth.audit()) == ("cmp3", [])


async def test_a_guest_dies_when_its_migration_takes_it_along(cloud: SimCloud) -> None:
    cloud.faults.arm(*faults_of({"on": "cmp1", "at": "migration", "how": "guest-error", "message": "qemu is gone"}))
    guest = on(cloud, "cmp1")
    await moved(cloud, guest)
    assert (guest.status, cloud.machines[guest.id].deaths) == ("ERROR", ["qemu is gone"])


async def test_the_truth_can_be_read_by_other_programs(cloud: SimCloud) -> None:
    guest = on(cloud, "cmp1")
    await moved(cloud, guest)
    await cloud.reboot(cloud.hosts["cmp2"])
    dump = cloud.truth.dump()
    (mine,) = [one for one in dump["guests"] if one["id"] == guest.id]
    assert mine["moves"] == 1
    assert {one["rule"] for one in dump["violations"]} == {"killed"}
