"""How long guests did not run, asked where it is known: hypervisors of live migrations, nova of everything else."""

import asyncio
import shlex
from collections.abc import Iterable
from functools import partial

from activities import servers
from activities.clouds import Cloud, call, check, get
from activities.context import wait_for
from activities.errors import StackrollError
from activities.openstack import ACTIONS
from activities.ssh import Hosts
from model.drain_report import arrivals
from model.inventory import Inventory
from model.moves import Orders
from model.nova import LIVE_MIGRATION, Migration
from model.standstill import HEADER, ActionTime, action_time, off_for, parse_pauses

# What is kept of the last migration of each guest that is named; 127 where there is no libvirt to ask. Without
# --keep-completed it could be read only once. A guest that is not there any more is passed over.
PAUSES = """\
command -v virsh >/dev/null || exit 127
for guest in {guests}; do
  echo "{header}$guest"
  LC_ALL=C timeout 10 virsh --connect qemu:///system domjobinfo --completed --keep-completed "$guest" 2>&1
done
true"""
_NO_LIBVIRT = 127
# Seconds in which nova writes down that what it did has ended.
_WRITTEN_WITHIN = 15.0
# nova's power_state of a guest that runs.
_RUNNING = 1


def pauses_command(guests: Iterable[str]) -> str:
    """Return the command that asks a hypervisor for how long guests stood still when they came to it."""
    names = " ".join(shlex.quote(guest) for guest in sorted(guests))
    return f"sh -c {shlex.quote(PAUSES.format(guests=names, header=HEADER))}"


async def read_pauses(hosts: Hosts, inventory: Inventory, host: str, guests: Iterable[str]) -> dict[str, float]:
    """Return for how many seconds guests stood still when they came to a host, by id, as far as that is known.

    Raises:
        StackrollError: the host cannot be reached.
    """
    done = await hosts.run(inventory, host, pauses_command(guests), check=False)
    return {} if done.status == _NO_LIBVIRT else parse_pauses(done.stdout)


async def times_of(
    hosts: Hosts, inventory: Inventory, orders: Orders, moves: Iterable[Migration]
) -> tuple[dict[int, dict[str, float]], list[str]]:
    """Return for how long guests that have left a host were paused or off, by migration, and what hindered asking."""
    last = arrivals(orders, moves)
    live = [move for move in last if move.kind == LIVE_MIGRATION]
    cold = [move for move in last if move.kind != LIVE_MIGRATION]
    targets = sorted({move.target for move in live if move.target})
    asked = await asyncio.gather(
        *(_ask(hosts, inventory, target, [m.guest for m in live if m.target == target]) for target in targets)
    )
    paused = {target: found for target, (found, _) in zip(targets, asked, strict=True)}
    off = await asyncio.gather(*(_off_while_moved(inventory, move) for move in cold))
    times = {m.id: {"paused": paused[m.target][m.guest]} for m in live if m.target and m.guest in paused[m.target]}
    times |= {move.id: {"off": seconds} for move, seconds in zip(cold, off, strict=True) if seconds is not None}
    return times, [problem for _, problem in asked if problem]


async def _ask(hosts: Hosts, inventory: Inventory, host: str, guests: list[str]) -> tuple[dict[str, float], str]:
    """A host that does not answer is no reason to fail what is done: what is asked here is only told.

    A step knows the hosts to which its guests were planned to go; of others nothing is known.
    """
    if host not in inventory.hosts:
        return {}, ""
    try:
        return await read_pauses(hosts, inventory, host, guests), ""
    except StackrollError as error:
        return {}, f"{host} could not be asked how long guests stood still: {error}"


async def _off_while_moved(inventory: Inventory, move: Migration) -> float | None:
    """For how long a guest was off that has been moved cold; None for one that did not run before."""
    guest = await servers.read_guest(inventory, move.guest)
    if guest is None or guest.power_state != _RUNNING:
        return None
    moved = await read_action(inventory, move.guest, "migrate")
    return off_for(moved, moved)


async def off_while_stopped(inventory: Inventory, guest: str) -> float | None:
    """Return for how many seconds a guest was off, from the last order to stop to the end of the last start.

    A guest is shown as ACTIVE some moments before nova writes down that its start has ended.
    """
    down = await read_action(inventory, guest, "stop")
    if down is None:
        return None
    started = partial(read_action, inventory, guest, "start")
    return off_for(
        down, await wait_for(started, f"nova to write down the start of guest {guest}", limit=_WRITTEN_WITHIN)
    )


async def read_action(inventory: Inventory, guest: str, name: str) -> ActionTime | None:
    """Return when the last action of this name (nova/compute/instance_actions.py) was ordered and ended.

    Returns:
        None when there was none, or when it has not ended well.
    """

    def read(cloud: Cloud) -> ActionTime | None:
        base = f"/servers/{guest}/os-instance-actions"
        response = cloud.compute.get(base, microversion=ACTIONS, connect_retries=2, raise_exc=False)
        if response.status_code == 404:
            return None
        check(response)
        # The newest is the first.
        row = next((row for row in response.json()["instanceActions"] if row["action"] == name), None)
        return row and action_time(get(cloud.compute, f"{base}/{row['request_id']}", ACTIONS)["instanceAction"])

    return await call(inventory, "nova", read)
