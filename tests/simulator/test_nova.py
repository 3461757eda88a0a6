"""nova's own rules, which make or break an upgrade: the ratchet of versions, and calls that die with their process."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from activities.database.mariadb import MariaDB
from simulator.cloud import SimCloud
from simulator.faults import FaultFile
from simulator.host import Host
from simulator.intents import Scripts
from simulator.settings import Durations, SimSpec

OLD, NEW = "33.0.1", "34.0.0"


@pytest.fixture
def cloud() -> SimCloud:
    """Time passes a thousand times faster here."""
    return SimCloud(SimSpec(speed=1000))


async def switch(cloud: SimCloud, host: Host, unit: str, version: str) -> bool:
    host.put("nova", version)
    host.links["nova"] = version
    await cloud.stop(host, unit)
    return await cloud.start(host, unit)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


def write_back(cloud: SimCloud, host: str, version: int) -> str:
    (part,) = Scripts().parse(MariaDB().record_versions(host, ("nova-compute",), version)) or ()
    return cloud.sql.ask(part.values["sql"])


async def test_the_last_old_compute_service_locks_the_way_back(cloud: SimCloud) -> None:
    computes = [cloud.hosts[name] for name in cloud.nova.providers]
    for host in computes[:2]:
        assert await switch(cloud, host, "nova-compute", NEW)
    assert await switch(cloud, computes[0], "nova-compute", OLD), "one old record is left, so old ones may come back"
    for host in computes:
        assert await switch(cloud, host, "nova-compute", NEW)
    assert not await switch(cloud, computes[0], "nova-compute", OLD)
    assert "ServiceTooOld" in computes[0].units["nova-compute"].log[-1]
    assert computes[0].units["nova-compute"].active == "failed"
    assert write_back(cloud, "cmp1", 72) == "before=74\nrecords=1\n"
    assert await switch(cloud, computes[0], "nova-compute", OLD)


async def test_conductors_refuse_reports_until_they_are_told_to_forget(cloud: SimCloud) -> None:
    computes = [cloud.hosts[name] for name in cloud.nova.providers]
    for host in computes:
        await switch(cloud, host, "nova-compute", NEW)
    for name in ("ctl1", "ctl2"):
        assert await switch(cloud, cloud.hosts[name], "nova-conductor", NEW)
    write_back(cloud, "cmp1", 72)
    await switch(cloud, computes[0], "nova-compute", OLD)
    row = cloud.nova.record("nova-compute", "cmp1")
    seen = row.updated
    cloud.nova.report()
    assert row.updated == seen, "the conductors remember 74"
    for name in ("ctl1", "ctl2"):
        cloud.reload(cloud.hosts[name], "nova-conductor")
    cloud.nova.report()
    assert row.updated > seen


async def test_a_migration_moves_guest_and_allocation(cloud: SimCloud) -> None:
    guest = next(guest for guest in cloud.nova.guests.values() if guest.host == "cmp1")
    move = cloud.migrate(guest)
    assert (guest.status, guest.task_state, move.status) == ("MIGRATING", "migrating", "accepted")
    await until(lambda: move.status == "running")
    assert move.uuid in cloud.nova.allocations[cloud.nova.providers["cmp1"]]
    await until(lambda: not move.unfinished)
    assert (move.status, guest.status, guest.host) == ("completed", "ACTIVE", move.target)
    holders = [host for host, p in cloud.nova.providers.items() if guest.id in cloud.nova.allocations[p]]
    assert holders == [move.target]
    assert move.uuid not in cloud.nova.allocations[cloud.nova.providers["cmp1"]]


@pytest.mark.parametrize(
    ("how", "status", "guest_status"), [("error", "error", "ACTIVE"), ("guest-error", "error", "ERROR")]
)
async def test_migrations_that_fail(cloud: SimCloud, how: str, status: str, guest_status: str) -> None:
    cloud.faults.arm(*FaultFile.model_validate({"faults": [{"on": "cmp1", "at": "drain", "how": how}]}).faults)
    guest = next(guest for guest in cloud.nova.guests.values() if guest.host == "cmp1")
    move = cloud.migrate(guest)
    await until(lambda: not move.unfinished)
    assert (move.status, guest.status, guest.host) == (status, guest_status, "cmp1")
    assert guest.id in cloud.nova.allocations[cloud.nova.providers["cmp1"]]
    assert guest.actions[0]["events"][0]["result"] == "Error"
    second = next(guest for guest in cloud.nova.guests.values() if guest.host == "cmp2")
    again = cloud.migrate(second)
    await until(lambda: not again.unfinished)
    assert again.status == "completed", "it happens once"


async def test_a_migration_that_never_converges_ends_when_it_is_aborted(cloud: SimCloud) -> None:
    fault = {"at": "migration", "how": "never-converges"}
    cloud.faults.arm(*FaultFile.model_validate({"faults": [fault]}).faults)
    guest = next(iter(cloud.nova.guests.values()))
    move = cloud.migrate(guest)
    await until(lambda: move.status == "running")
    await asyncio.sleep(0.05)
    assert move.status == "running"
    move.abort = True
    await until(lambda: not move.unfinished)
    assert (move.status, guest.status) == ("cancelled", "ACTIVE")


@pytest.mark.parametrize("confirm", [True, False])
async def test_a_resize_waits_for_its_owner(cloud: SimCloud, confirm: bool) -> None:
    guest = next(guest for guest in cloud.nova.guests.values() if guest.host == "cmp1")
    await cloud.mover.resize(guest)
    (move,) = cloud.nova.migrations
    assert (guest.status, guest.host, move.status, move.unfinished) == ("VERIFY_RESIZE", move.target, "finished", True)
    held = cloud.nova.allocations[cloud.nova.providers["cmp1"]]
    assert move.uuid in held
    assert cloud.mover.settle(guest, confirm=confirm)
    assert (guest.status, guest.host) == ("ACTIVE", move.target if confirm else "cmp1")
    assert move.status == ("confirmed" if confirm else "reverted")
    assert (move.uuid in held, guest.id in held) == (False, not confirm)
    assert not cloud.mover.settle(guest, confirm=True)


async def test_a_call_dies_with_its_conductor_and_leaves_everything_as_it_is() -> None:
    cloud = SimCloud(SimSpec(control=1, speed=1000), Durations(schedule=100.0))
    guest = next(iter(cloud.nova.guests.values()))
    move = cloud.migrate(guest)
    await restart(cloud, "ctl1", "nova-conductor")
    await asyncio.sleep(0.15)
    assert (move.status, guest.task_state) == ("accepted", "migrating")


async def test_a_migration_ends_in_error_when_its_compute_service_is_restarted() -> None:
    cloud = SimCloud(SimSpec(speed=1000), Durations(migrate_per_gib=1000.0))
    guest = next(guest for guest in cloud.nova.guests.values() if guest.host == "cmp1")
    move = cloud.migrate(guest)
    await until(lambda: move.status == "running")
    await restart(cloud, "cmp1", "nova-compute")
    await until(lambda: not move.unfinished)
    assert (move.status, guest.host) == ("error", "cmp1")


async def restart(cloud: SimCloud, host: str, unit: str) -> None:
    act: Callable[[Host, str], Awaitable[object]]
    for act in (cloud.stop, cloud.start):
        await act(cloud.hosts[host], unit)


async def test_control_services_refuse_computes_that_are_too_old(cloud: SimCloud) -> None:
    cloud.nova.record("nova-compute", "cmp3").version = 66
    assert not await switch(cloud, cloud.hosts["ctl1"], "nova-conductor", NEW)
    assert "TooOldComputeService" in cloud.hosts["ctl1"].units["nova-conductor"].log[-1]
