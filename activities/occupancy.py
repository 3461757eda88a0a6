"""Guests, where they are, and what placement holds for them: read together, because they are judged together."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from activities import openstack, rows
from activities.clouds import Cloud, call, pages
from activities.errors import Unreachable
from activities.ssh import Hosts
from model.base import JsonObject
from model.digest import Allocation, Allocations, GuestState
from model.inventory import Inventory
from model.nova import Migration

# Seconds until what could be an orphan, or a guest on its way, is looked at again.
SECOND_LOOK = 2.0


@dataclass(frozen=True)
class Occupancy:
    """All guests by id, the host of each, and their allocations."""

    guests: dict[str, GuestState] = field(default_factory=dict)
    places: dict[str, str | None] = field(default_factory=dict)
    allocations: Allocations = field(default_factory=Allocations)

    @property
    def suspects(self) -> set[str]:
        """Consumers whose allocations are not as they should be, which may be so only for this moment."""
        away = {id_ for id_, held in self.allocations.guests.items() if not held.home}
        return away | self.allocations.orphans.keys()


async def read_occupancy(hosts: Hosts, inventory: Inventory) -> Occupancy:
    """Read guests and allocations: twice, if the first look shows what may only be so for a moment.

    They cannot be read in the same moment: what users make, move or delete in between fits at the second look.

    Raises:
        Unreachable, Refused, StepFailed: nova, placement's database or keystone cannot be asked; or a cell is down.
    """
    first = await _look(hosts, inventory)
    if not first.suspects:
        return first
    await asyncio.sleep(SECOND_LOOK)
    second = await _look(hosts, inventory)
    doubts = second.suspects - first.suspects
    held = second.allocations
    settled = Allocations(
        guests={id_: _at_home(one) if id_ in doubts else one for id_, one in held.guests.items()},
        orphans={id_: one for id_, one in held.orphans.items() if id_ not in doubts},
        migrations=held.migrations,
    )
    return Occupancy(second.guests, second.places, settled)


async def _look(hosts: Hosts, inventory: Inventory) -> Occupancy:
    # Guests and migrations last: an allocation is made after its guest, and goes before it.
    held, providers = await asyncio.gather(rows.allocations(hosts, inventory), openstack.providers(inventory))
    servers, moves = await asyncio.gather(_servers(inventory), openstack.migrations(inventory))
    places = {row["id"]: row.get("OS-EXT-SRV-ATTR:host") or None for row in servers}
    return Occupancy(
        guests={row["id"]: _guest(row) for row in servers},
        places=places,
        allocations=_allocations(held, providers, places, [move for move in moves if move.unfinished]),
    )


def _at_home(one: Allocation) -> Allocation:
    return one.model_copy(update={"home": True})


def _allocations(
    held: Mapping[str, Mapping[str, Mapping[str, int]]],
    providers: Mapping[str, tuple[str, ...]],
    places: Mapping[str, str | None],
    moves: list[Migration],
) -> Allocations:
    """Sort what consumers hold into what servers hold and what nobody does; a migration holds room while it goes on."""
    moving = {move.uuid for move in moves}
    guests = {id_: Allocation(home=False) for id_, host in places.items() if host}
    orphans: dict[str, dict[str, int]] = {}
    for consumer, parts in held.items():
        resources = _sum(parts.values())
        if consumer in places:
            own = providers.get(places[consumer] or "", ())
            guests[consumer] = Allocation(resources=resources, home=set(parts) <= set(own))
        elif consumer not in moving:
            orphans[consumer] = resources
    migrations = {
        str(move.uuid or move.id): f"{move.kind} of {move.guest}, {move.source} to {move.target or '?'}: {move.status}"
        for move in moves
    }
    return Allocations(guests=guests, orphans=orphans, migrations=migrations)


def _sum(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for resources in several:
        for name, amount in resources.items():
            found[name] = found.get(name, 0) + amount
    return found


async def _servers(inventory: Inventory) -> list[JsonObject]:
    """Return nova's own rows of all servers of all tenants.

    Raises:
        Unreachable: a cell is down: what cannot be seen is not what does not exist.
    """

    def ask(cloud: Cloud) -> list[JsonObject]:
        params = {"all_tenants": "true", "limit": "1000"}
        return list(pages(cloud.compute, "/servers/detail", "servers", openstack.SERVERS, params))

    found = await call(inventory, "nova", ask)
    if hidden := [row["id"] for row in found if row.get("status") == "UNKNOWN"]:
        raise Unreachable(f"nova does not know the state of {len(hidden)} guests: a cell is down")
    return found


def _guest(row: JsonObject) -> GuestState:
    flavor = row.get("flavor") or {}
    size = f"{flavor.get('vcpus', 0)} vCPU, {flavor.get('ram', 0)} MB, {flavor.get('disk', 0)} GB"
    return GuestState(
        name=row.get("name", ""),
        project=row.get("tenant_id", ""),
        status=row["status"],
        vm_state=row.get("OS-EXT-STS:vm_state"),
        task_state=row.get("OS-EXT-STS:task_state"),
        power_state=row.get("OS-EXT-STS:power_state"),
        flavor=f"{flavor.get('original_name', '')} ({size})".strip(),
        # A server that was booted from a volume has none.
        image=(row.get("image") or {}).get("id"),
    )
