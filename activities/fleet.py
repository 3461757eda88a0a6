"""The whole fleet at one moment: hosts, guests, server groups, migrations and room, in few requests.

Of nova's lists each is asked once; of placement the tree of providers once, and of each provider its inventory, its
allocations and its traits: from allocations come both what is used and what each guest holds.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from activities import openstack, servers
from activities.clouds import Cloud, call, check, get, pages
from model.base import JsonObject
from model.components import COMPUTE_UNIT
from model.fleet import Fleet, FleetGuest, FleetHost, GroupPolicy, ServerGroup
from model.inventory import Inventory
from model.nova import ServiceRow
from model.work import Capacity

# 2.64: one policy and its rules, instead of a list of policies.
GROUPS = "2.64"
AGGREGATES = "2.41"
PLACEMENT = "1.20"
_PAGE = 1000


@dataclass
class _Room:
    """What placement has of one host, over all providers of its tree."""

    total: dict[str, float] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    traits: set[str] = field(default_factory=set)
    held: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, inventories: JsonObject, allocations: JsonObject, traits: Iterable[str]) -> None:
        """Add one provider's answers."""
        for name, item in inventories.items():
            room = (item["total"] - item["reserved"]) * item["allocation_ratio"]
            self.total[name] = self.total.get(name, 0.0) + room
        for consumer, parts in allocations.items():
            mine = self.held.setdefault(consumer, {})
            for name, amount in parts["resources"].items():
                mine[name] = mine.get(name, 0.0) + amount
                self.used[name] = self.used.get(name, 0.0) + amount
        self.traits |= set(traits)


async def read_fleet(inventory: Inventory, hosts: Collection[str] | None = None) -> Fleet:
    """Read everything that draining is decided from.

    Args:
        inventory: which cloud.
        hosts: compute hosts whose room is read; by default all. All hosts are named, and all guests.

    Raises:
        Unreachable: an API does not answer, or a cell is down.
        Refused: the account may not ask.
    """
    rows, hypervisors, aggregates, groups, guests, moving = await asyncio.gather(
        openstack.service_records(inventory, binary=COMPUTE_UNIT),
        _hypervisors(inventory),
        _aggregates(inventory),
        read_groups(inventory),
        servers.read_guests(inventory),
        servers.moving(inventory),
    )
    rooms = await _rooms(inventory, {h: ids for h, (_, ids) in hypervisors.items() if hosts is None or h in hosts})
    found = {row.host: _host(row, hypervisors, aggregates, rooms) for row in rows}
    held = {guest: parts for room in rooms.values() for guest, parts in room.held.items()}
    return Fleet(
        hosts=found,
        guests=tuple(_holding(guest, held) for guest in guests),
        groups=groups,
        migrations=moving,
    )


async def read_zones(inventory: Inventory) -> dict[str, str]:
    """Return the availability zone of each compute host."""
    return {row.host: row.zone for row in await openstack.service_records(inventory, binary=COMPUTE_UNIT)}


async def read_groups(inventory: Inventory) -> tuple[ServerGroup, ...]:
    """Return the server groups of all projects."""

    def read(cloud: Cloud) -> list[JsonObject]:
        found: list[JsonObject] = []
        while True:
            params = {"all_projects": "true", "limit": str(_PAGE), "offset": str(len(found))}
            page = get(cloud.compute, "/os-server-groups", GROUPS, params)["server_groups"]
            found += page
            if len(page) < _PAGE:
                return found

    return tuple(_group(row) for row in await call(inventory, "nova", read))


def _group(row: JsonObject) -> ServerGroup:
    rules = row.get("rules") or {}
    return ServerGroup(
        id=row["id"],
        name=row.get("name", ""),
        policy=GroupPolicy(row.get("policy") or row["policies"][0]),
        members=tuple(row.get("members") or ()),
        max_per_host=int(rules.get("max_server_per_host", 1)),
    )


async def _hypervisors(inventory: Inventory) -> dict[str, tuple[JsonObject, tuple[str, ...]]]:
    """Return of each compute host its first hypervisor, and the ids of all of them (bare metal has many)."""
    rows = await call(
        inventory,
        "nova",
        lambda cloud: list(pages(cloud.compute, "/os-hypervisors/detail", "hypervisors", openstack.HYPERVISORS, {})),
    )
    found: dict[str, tuple[JsonObject, tuple[str, ...]]] = {}
    for row in rows:
        first, ids = found.get(row["service"]["host"], (row, ()))
        found[row["service"]["host"]] = (first, (*ids, str(row["id"])))
    return found


async def _aggregates(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """Return the names of the aggregates that each host is in."""
    rows = await call(inventory, "nova", lambda cloud: get(cloud.compute, "/os-aggregates", AGGREGATES)["aggregates"])
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        for host in row["hosts"]:
            found[host] = (*found.get(host, ()), row["name"])
    return found


async def _rooms(inventory: Inventory, providers: Mapping[str, tuple[str, ...]]) -> dict[str, _Room]:
    """Read what placement has of these hosts, each with the ids of its root providers."""
    trees = await _trees(inventory)
    hosts = {one: host for host, ids in providers.items() for root in ids for one in trees.get(root, {root})}
    answers = await asyncio.gather(*(_provider(inventory, one) for one in hosts))
    rooms = {host: _Room() for host in providers}
    for host, answer in zip(hosts.values(), answers, strict=True):
        rooms[host].add(*answer)
    return rooms


async def _trees(inventory: Inventory) -> dict[str, set[str]]:
    """Return the providers of each tree, by its root: devices and NUMA nodes are providers of their own below it."""
    rows = await call(
        inventory,
        "placement",
        lambda cloud: get(cloud.placement, "/resource_providers", PLACEMENT)["resource_providers"],
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.get("root_provider_uuid") or row["uuid"], set()).add(row["uuid"])
    return found


async def _provider(inventory: Inventory, provider: str) -> tuple[JsonObject, JsonObject, list[str]]:
    def read(cloud: Cloud) -> tuple[JsonObject, JsonObject, list[str]]:
        url = f"/resource_providers/{provider}"
        response = cloud.placement.get(f"{url}/inventories", microversion=PLACEMENT, connect_retries=2, raise_exc=False)
        if response.status_code == 404:  # gone since the list, as a device that was taken away
            return {}, {}, []
        check(response)
        return (
            response.json()["inventories"],
            get(cloud.placement, f"{url}/allocations", PLACEMENT)["allocations"],
            get(cloud.placement, f"{url}/traits", PLACEMENT)["traits"],
        )

    return await call(inventory, "placement", read)


def _host(
    row: ServiceRow,
    hypervisors: Mapping[str, tuple[JsonObject, tuple[str, ...]]],
    aggregates: Mapping[str, tuple[str, ...]],
    rooms: Mapping[str, _Room],
) -> FleetHost:
    hypervisor, _ = hypervisors.get(row.host, ({}, ()))
    room = rooms.get(row.host, _Room())
    return FleetHost(
        name=row.host,
        zone=row.zone,
        state=row.state,
        status=row.status,
        disabled_reason=row.disabled_reason,
        forced_down=row.forced_down,
        hypervisor=hypervisor.get("hypervisor_type", ""),
        hypervisor_version=int(hypervisor.get("hypervisor_version") or 0),
        aggregates=aggregates.get(row.host, ()),
        traits=tuple(sorted(room.traits)),
        capacity=Capacity(total=room.total, used=room.used),
    )


def _holding(guest: FleetGuest, held: Mapping[str, Mapping[str, float]]) -> FleetGuest:
    """What a guest really holds counts more than what its flavor says."""
    return guest.model_copy(update={"resources": dict(held[guest.id])}) if guest.id in held else guest
