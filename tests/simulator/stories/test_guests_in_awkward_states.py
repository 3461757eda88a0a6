"""Guests in ERROR, half resized, stuck in a task or on their way: a host with one of them is not called empty."""

from pathlib import Path
from typing import Any

from temporalio.client import Client

from model.nova import LIVE_MIGRATION
from simulator.cloud import SimCloud
from simulator.guests import Guest
from tests.simulator.stories.conftest import STORY, Story, story, until

pytestmark = STORY
BROKEN, RESIZED, RESIZING, STUCK, MOVING = "broken", "resized", "resizing", "stuck", "moving"
GHOST = "11111111-2222-4333-8444-555555555555"
NAMES = (BROKEN, RESIZED, RESIZING, STUCK, MOVING)


def crowd(cloud: SimCloud) -> None:
    for name in NAMES:
        cloud.add_guest(name, "cmp1")


def find(cloud: SimCloud, name: str) -> Guest:
    return next(guest for guest in cloud.nova.guests.values() if guest.name == name)


def spoil(cloud: SimCloud, *, resized: bool = True) -> None:
    """Bring each of them into a state from which it does not come by itself."""
    broken = find(cloud, BROKEN)
    broken.rest("ERROR")
    broken.fault = "Timed out waiting for network-vif-plugged"
    cloud.machines[broken.id].end("qemu died")
    if resized:
        cloud.spawn(cloud.mover.resize(find(cloud, RESIZED), wanted="cmp3"))
    find(cloud, RESIZING).work("resize_prep", "RESIZE")
    find(cloud, STUCK).work("rebooting", "REBOOT")
    moving = find(cloud, MOVING)
    cloud.ground.set(cloud.ground.begin(moving, LIVE_MIGRATION, "cmp2"), "running")
    moving.work("migrating", "MIGRATING")


async def spoiled(told: Story) -> None:
    spoil(told.cloud)
    await until(lambda: told.guest(RESIZED).status == "VERIFY_RESIZE")


async def mend(told: Story) -> None:
    """Do what the operator and the guests' owners do about them."""
    cloud = told.cloud
    broken = told.guest(BROKEN)
    broken.rest("ACTIVE")
    cloud.machines[broken.id].start(cloud.clock.now())
    assert cloud.mover.settle(told.guest(RESIZED), confirm=True)
    for name in (RESIZING, STUCK):
        told.guest(name).rest()
    await cloud.mover.reset(told.guest(MOVING))


async def test_the_run_does_not_begin_and_every_one_is_named_with_a_remedy(temporal: Client, tmp_path: Path) -> None:
    remedies = {
        "rescued": "openstack server unrescue",
        "shelved": "openstack server shelve --offload",
        BROKEN: "openstack server reboot --hard",
        STUCK: "wait until that is over",
        MOVING: "openstack server migration abort",
    }

    def prepare(cloud: SimCloud) -> None:
        crowd(cloud)
        cloud.add_guest("rescued", "cmp1", "RESCUE")
        cloud.add_guest("shelved", "cmp1", "SHELVED")
        spoil(cloud, resized=False)

    async with story(temporal, tmp_path, prepare=prepare) as told:
        reasons = await told.is_refused()
        assert [name for name in (*remedies, RESIZING) if told.guest(name).id not in reasons] == []
        assert [remedy for remedy in remedies.values() if remedy not in reasons] == []
        assert told.names_on("cmp1") == sorted({*NAMES, "rescued", "shelved", "guest1", "guest4"})


async def test_they_are_named_while_the_run_waits_and_the_host_is_not_rebooted(
    temporal: Client, tmp_path: Path
) -> None:
    # Two that nova counts as moving take places among those that may move.
    more: dict[str, Any] = {"approvals": {"plan": "manual"}, "limits": {"per_source": 4}, "drain_timeout": 15.0}
    async with story(temporal, tmp_path, prepare=crowd, size={"guests": 3}, **more) as told:
        await told.waits_for_approval()
        await spoiled(told)
        await told.approve()
        failed = await told.pauses_at("cmp1/drain")
        assert failed.error.startswith("cmp1: it is not empty after 15 s")
        assert [name for name in NAMES if told.guest(name).id not in failed.error] == []
        assert "next: " in failed.error
        assert {*NAMES} - {RESIZED} <= {*told.names_on("cmp1")}
        assert (told.reboots("cmp1"), told.in_service("cmp1")) == (0, True)
        await mend(told)
        await told.retry("cmp1/drain")
        # The first two of them by what their owners did: a hard reboot, and a resize.
        await told.ends_well(restarted=[BROKEN, RESIZED], hurt=[BROKEN])


async def test_a_guest_that_breaks_on_its_way_keeps_its_host_from_being_rebooted(
    temporal: Client, tmp_path: Path
) -> None:
    breaks = {
        "on": "guest1",
        "at": "migration",
        "how": "guest-error",
        "message": "qemu closed the monitor",
    }
    async with story(temporal, tmp_path, breaks) as told:
        failed = await told.pauses_at("cmp1/drain")
        guest = told.guest("guest1")
        assert failed.error.startswith("cmp1: 1 guest cannot be moved")
        assert f"guest guest1 ({guest.id}): it is in ERROR; nova says: {guest.fault}" in failed.error
        assert f"openstack server reboot --hard {guest.id}" in failed.error
        assert (guest.host, guest.status, told.names_on("cmp1")) == ("cmp1", "ERROR", ["guest1"])
        assert (told.reboots("cmp1"), told.in_service("cmp1"), len(told.moves("guest1"))) == (0, True, 1)
        guest.rest("ACTIVE")
        told.machine("guest1").start(told.cloud.clock.now())
        await told.retry("cmp1/drain")
        await told.ends_well(restarted=["guest1"], hurt=["guest1"])


async def test_a_machine_that_only_the_hypervisor_knows_keeps_its_host_from_being_rebooted(
    temporal: Client, tmp_path: Path
) -> None:
    def left_behind(cloud: SimCloud) -> None:
        cloud.machines.add(GHOST, "cmp1", "ACTIVE", cloud.clock.now())

    async with story(temporal, tmp_path, prepare=left_behind, drain_timeout=12.0) as told:
        failed = await told.pauses_at("cmp1/drain")
        assert told.names_on("cmp1") == []
        assert "its hypervisor still runs " in failed.error
        assert GHOST in failed.error
        assert (told.reboots("cmp1"), told.cloud.machines[GHOST].deaths) == (0, [])
        told.cloud.machines.remove(GHOST)
        await told.retry("cmp1/drain")
        await told.ends_well()
