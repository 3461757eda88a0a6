"""Whatever is asked of nova, in whatever order: its rules hold, and a guest that is only moved counts on."""

import asyncio
import random

import pytest

from simulator.actions import ACTS
from simulator.cloud import SimCloud
from simulator.guests import Guest
from simulator.machines import Machine, Power
from simulator.settings import FleetSpec, SimSpec

FLEET = FleetSpec(
    zones=2,
    big=0.5,
    load="45%",
    spread=0.3,
    sizes={"medium": 1, "large": 1},
    groups=0.6,
    states={"SHUTOFF": 0.1, "PAUSED": 0.1, "pinned": 0.5, "volume": 0.3},
)
STEPS = 150


async def settled(cloud: SimCloud) -> None:
    async with asyncio.timeout(60):
        while any(guest.task_state is not None for guest in cloud.nova.guests.values()):
            await asyncio.sleep(0.005)


def order(cloud: SimCloud, dice: random.Random, guest: Guest) -> None:
    """Ask for one thing, if nova allows it."""
    if guest.task_state is not None:
        return
    name = dice.choice(("live", "live", "live", "cold", "settle", *ACTS))
    wanted = dice.choice((None, *cloud.nova.providers))
    if name == "live" and guest.vm_state in {"active", "paused"}:
        cloud.migrate(guest, wanted)
    elif name == "cold" and guest.vm_state in {"active", "stopped"} and wanted != guest.host:
        cloud.spawn(cloud.mover.resize(guest, kind="migration", wanted=wanted))
    elif name == "settle":
        cloud.mover.settle(guest, confirm=dice.random() < 0.5)
    elif name in ACTS and guest.vm_state in ACTS[name].states:
        guest.work(ACTS[name].task)
        cloud.spawn(cloud.actions.carry_out(guest, ACTS[name]))


@pytest.mark.parametrize("seed", range(4))
async def test_no_rule_is_ever_broken(seed: int) -> None:
    cloud = SimCloud(
        SimSpec(speed=2000, compute=6, late_group_check=True, fleet=FLEET.model_copy(update={"seed": seed}))
    )
    dice, guests = random.Random(seed), list(cloud.nova.guests.values())
    assert cloud.truth.audit() == []
    for _ in range(STEPS):
        cloud.nova.report()
        order(cloud, dice, dice.choice(guests))
        await asyncio.sleep(0.001 * dice.random())
    await settled(cloud)
    assert [one.text for one in cloud.truth.audit()] == []
    assert {move.status for move in cloud.nova.migrations} >= {"completed", "error"}
    await cloud.close()


def test_a_machine_counts_while_it_runs() -> None:
    machine = Machine("one", "cmp1")
    machine.start(100.0)
    assert machine.count(102.0) == 20
    machine.freeze(103.0)
    assert machine.count(200.0) == 30
    machine.thaw(203.0, "paused")
    assert machine.count(204.0) == 40
    machine.stand_still(205.0, 1.0, "live migration")
    assert machine.count(205.0) == 40
    assert [pause.seconds for pause in machine.pauses] == [100.0, 1.0]
    assert machine.restarts == 0


def test_a_machine_that_is_started_again_begins_anew() -> None:
    machine = Machine("one", "cmp1")
    machine.start(100.0)
    machine.end("its host went down")
    assert (machine.count(110.0), machine.power) == (0, Power.OFF)
    machine.start(110.0)
    assert (machine.count(111.0), machine.restarts, machine.deaths) == (10, 1, ["its host went down"])
    machine.end()
    machine.end("nothing dies twice")
    assert machine.deaths == ["its host went down"]


@pytest.mark.parametrize(
    ("status", "power"),
    [("ACTIVE", Power.RUNNING), ("PAUSED", Power.PAUSED), ("SUSPENDED", Power.SAVED), ("SHUTOFF", Power.OFF)],
)
def test_what_has_always_been_so_has_no_past(status: str, power: Power) -> None:
    cloud = SimCloud(SimSpec(guests=0))
    machine = cloud.machines[cloud.add_guest("one", "cmp1", status).id]
    assert (machine.power, machine.restarts, machine.moves, machine.pauses) == (power, 0, 0, [])
