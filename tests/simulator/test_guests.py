"""Guests that move and are switched, by nova's rules; and what their machines really did meanwhile."""

import asyncio
from collections.abc import Callable

import pytest

from model.fleet import GroupPolicy
from simulator.cloud import SimCloud
from simulator.guests import Group, Guest
from simulator.settings import SimSpec


@pytest.fixture
def cloud() -> SimCloud:
    """Time passes a thousand times faster here."""
    return SimCloud(SimSpec(speed=1000))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


def on(cloud: SimCloud, host: str) -> Guest:
    return next(guest for guest in cloud.nova.guests.values() if guest.host == host)


def grouped(cloud: SimCloud, *guests: Guest, policy: GroupPolicy = GroupPolicy.ANTI_AFFINITY) -> Group:
    group = Group("web", policy, [guest.id for guest in guests])
    cloud.nova.groups[group.id] = group
    return group


def test_a_cloud_begins_without_a_violation(cloud: SimCloud) -> None:
    assert cloud.truth.audit() == []


async def test_a_guest_moves_to_the_host_that_is_wanted_and_counts_on(cloud: SimCloud) -> None:
    guest = on(cloud, "cmp1")
    machine = cloud.machines[guest.id]
    move = cloud.migrate(guest, "cmp3")
    await until(lambda: not move.unfinished)
    assert (move.status, guest.host, machine.host, machine.moves) == ("completed", "cmp3", "cmp3", 1)
    assert machine.restarts == 0
    assert [pause.why for pause in machine.pauses] == ["live migration"]
    assert cloud.truth.audit() == []


async def test_a_paused_guest_stays_paused(cloud: SimCloud) -> None:
    guest = cloud.add_guest("still", "cmp1", "PAUSED")
    move = cloud.migrate(guest)
    assert (guest.status, guest.vm_state) == ("MIGRATING", "paused")
    await until(lambda: not move.unfinished)
    assert (move.status, guest.status, guest.host) == ("completed", "PAUSED", move.target)
    assert cloud.machines[guest.id].restarts == 0


async def test_a_guest_that_is_off_moves_cold_and_stays_off(cloud: SimCloud) -> None:
    guest = cloud.add_guest("off", "cmp1", "SHUTOFF")
    await cloud.mover.resize(guest, kind="migration", wanted="cmp2")
    assert (guest.status, guest.host) == ("VERIFY_RESIZE", "cmp2")
    assert cloud.mover.settle(guest, confirm=True)
    assert (guest.status, guest.vm_state, cloud.machines[guest.id].restarts) == ("SHUTOFF", "stopped", 0)
    assert cloud.truth.audit() == []


@pytest.mark.parametrize("confirm", [True, False])
async def test_a_guest_that_ran_begins_anew_when_it_moves_cold(cloud: SimCloud, confirm: bool) -> None:
    guest = on(cloud, "cmp1")
    await cloud.mover.resize(guest, kind="migration")
    assert cloud.mover.settle(guest, confirm=confirm)
    assert guest.status == "ACTIVE"
    assert cloud.machines[guest.id].restarts == (1 if confirm else 2)
    assert cloud.machines[guest.id].host == guest.host
    assert cloud.truth.audit() == []


async def test_nobody_goes_where_a_member_of_the_group_is(cloud: SimCloud) -> None:
    first, second = on(cloud, "cmp1"), on(cloud, "cmp2")
    grouped(cloud, first, second)
    move = cloud.migrate(first, "cmp2")
    await until(lambda: not move.unfinished)
    assert (move.status, first.host) == ("error", "cmp1")
    assert "No valid host was found" in first.actions[0]["message"]
    free = cloud.migrate(first)
    await until(lambda: not free.unfinished)
    assert first.host == "cmp3"


@pytest.mark.parametrize("late_check", [False, True])
async def test_two_members_that_move_at_once_meet_unless_the_target_looks(late_check: bool) -> None:
    cloud = SimCloud(SimSpec(speed=1000, late_group_check=late_check))
    first, second = on(cloud, "cmp1"), on(cloud, "cmp2")
    grouped(cloud, first, second)
    moves = [cloud.migrate(first, "cmp3"), cloud.migrate(second, "cmp3")]
    await until(lambda: not any(move.unfinished for move in moves))
    assert [move.status for move in moves] == ["completed", "error" if late_check else "completed"]
    assert [one.rule for one in cloud.truth.violations] == ([] if late_check else ["group"])


async def test_what_breaks_a_rule_is_written_down(cloud: SimCloud) -> None:
    guest = on(cloud, "cmp1")
    cloud.nova.allocations[cloud.nova.providers["cmp2"]]["somebody"] = {"MEMORY_MB": 65000}
    cloud.machines.put(guest.id, "cmp3")
    rules = [one.rule for one in cloud.truth.audit()]
    assert rules == ["place", "room"]
    assert len(cloud.truth.audit()) == 2, "each only once"


async def test_a_host_that_is_rebooted_with_guests_kills_them(cloud: SimCloud) -> None:
    guest = on(cloud, "cmp1")
    saved = cloud.add_guest("saved", "cmp1", "SUSPENDED")
    await cloud.reboot(cloud.hosts["cmp1"])
    assert (guest.status, cloud.machines[guest.id].deaths) == ("SHUTOFF", ["cmp1 went down"])
    assert (saved.status, cloud.machines[saved.id].deaths) == ("SUSPENDED", [])
    assert {one.rule for one in cloud.truth.violations} == {"killed"}
    assert f"guest {guest.name} running" in cloud.truth.violations[0].text


async def test_guests_are_resumed_on_a_host_that_comes_back() -> None:
    cloud = SimCloud(SimSpec(speed=1000, resume_guests=True))
    guest = on(cloud, "cmp1")
    await cloud.reboot(cloud.hosts["cmp1"])
    await until(lambda: guest.status == "ACTIVE")
    assert cloud.machines[guest.id].restarts == 1
