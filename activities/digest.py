"""Reading a cloud into its digest: processes, packages, databases and APIs, independently of what steps reported.

It only reads. A host or an API that does not answer costs its own part of the digest, which then says so.
"""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from activities import openstack, rows
from activities.balancer import balancer_of
from activities.clouds import Cloud, call, pages
from activities.databases import revisions
from activities.errors import StackrollError, Unreachable
from activities.packaging import Installed, packaging_of
from activities.running import read_units
from activities.ssh import Hosts
from model.base import JsonObject
from model.baseline import summarise_versions
from model.components import Component, api_url, apis, components_on
from model.digest import (
    Allocation,
    Allocations,
    Balancer,
    Digest,
    DigestError,
    GuestState,
    Package,
    Process,
    Section,
    ServiceState,
    Table,
)
from model.inventory import Inventory
from model.nova import Migration
from model.work import Work

T = TypeVar("T")
Told = Callable[[str], None]
Services = dict[str, dict[str, ServiceState]]
Tables = dict[str, Table]
_NO_TABLE: Table = {}
_NO_TABLES: Tables = {}
_NO_SERVICES: Services = {}

DIGESTS = "/var/lib/stackroll/baselines"
# So many hosts are asked at the same time.
HOSTS_AT_ONCE = 64
# Seconds until what could be an orphan, or a guest on its way, is looked at again.
SECOND_LOOK = 2.0


async def read_digest(hosts: Hosts, inventory: Inventory, told: Told = lambda _: None) -> Digest:
    """Read the state of a cloud.

    Args:
        hosts: the connections.
        inventory: the cloud; what is not in it is not read.
        told: is told how far the reading is.
    """
    return await _Reader(hosts, inventory, told).read()


async def save_digest(hosts: Hosts, work: Work) -> Digest:
    """Read the state of the cloud and keep it beside the upgrade's baseline, where ``load_digest`` finds it."""
    inventory = work.inventory
    digest = await read_digest(hosts, inventory)
    name = shlex.quote(_path(work.upgrade))
    command = f"mkdir -p -m 700 {DIGESTS} && cat > {name}.new && mv {name}.new {name}"
    await hosts.run(inventory, inventory.database.host, command, input=digest.to_json())
    return digest


async def load_digest(hosts: Hosts, work: Work) -> Digest | None:
    """Return the digest that an upgrade has kept; None when there is none, or not a whole one.

    Raises:
        Unreachable, Refused: as of ``Hosts.run``.
    """
    inventory = work.inventory
    command = f"cat {shlex.quote(_path(work.upgrade))}"
    done = await hosts.run(inventory, inventory.database.host, command, check=False)
    if done.status != 0:
        return None
    try:
        return Digest.from_json(done.stdout)
    except DigestError:
        return None


def _path(upgrade: str) -> str:
    return f"{DIGESTS}/{upgrade.replace('/', '_')}.digest.json"


@dataclass(frozen=True)
class _Look:
    """Guests, and what placement holds for them, read together."""

    guests: dict[str, GuestState]
    places: dict[str, str | None]
    allocations: Allocations

    @property
    def suspects(self) -> set[str]:
        """Consumers whose allocations are not as they should be, which may be so only for this moment."""
        away = {id_ for id_, held in self.allocations.guests.items() if not held.home}
        return away | self.allocations.orphans.keys()


@dataclass
class _Reader:
    hosts: Hosts
    inventory: Inventory
    told: Told
    unread: dict[str, str] = field(default_factory=dict)
    _done: int = 0

    async def read(self) -> Digest:
        names = [host for host in self.inventory.hosts if components_on(self.inventory, host)]
        limit = asyncio.Semaphore(HOSTS_AT_ONCE)
        units, databases, balancer, cloud = await asyncio.gather(
            asyncio.gather(*(self._host(name, limit, len(names)) for name in names)),
            self._databases(),
            self._try(Section.BALANCER, self._balancer(), Balancer()),
            self._cloud(),
        )
        schemas, images, identity, catalog = databases
        services, look, offered = cloud
        return Digest(
            cloud=self.inventory.cloud,
            packages={host: found for host, (found, _) in zip(names, units, strict=True) if found is not None},
            processes={host: found for host, (_, found) in zip(names, units, strict=True) if found is not None},
            services=services,
            balancer=balancer,
            apis=offered,
            catalog=catalog,
            schemas=schemas,
            guests=look.guests,
            places=look.places,
            allocations=look.allocations,
            images=images,
            identity=identity,
            unread=dict(sorted(self.unread.items())),
        )

    async def _databases(self) -> tuple[dict[str, tuple[str, ...]], Table, Tables, Tables]:
        hosts, inventory = self.hosts, self.inventory
        return await asyncio.gather(
            self._try(Section.SCHEMAS, revisions(hosts, inventory), {}),
            self._of("glance", Section.IMAGES, lambda: rows.images(hosts, inventory), _NO_TABLE),
            self._of("keystone", Section.IDENTITY, lambda: rows.identity(hosts, inventory), _NO_TABLES),
            self._of("keystone", Section.CATALOG, lambda: rows.catalog(hosts, inventory), _NO_TABLES),
        )

    async def _try(self, part: str, reading: Awaitable[T], otherwise: T) -> T:
        try:
            return await reading
        except StackrollError as error:
            self.unread[part] = str(error.problem)
            return otherwise

    async def _of(self, service: str, part: str, reading: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """Read something of a service, if the cloud has it."""
        if service not in self.inventory.services:
            return otherwise
        return await self._try(part, reading(), otherwise)

    async def _host(
        self, host: str, limit: asyncio.Semaphore, total: int
    ) -> tuple[dict[str, Package] | None, dict[str, Process] | None]:
        async with limit:
            units = await self._try(f"{Section.PROCESSES}/{host}", self._processes(host), None)
            # One that did not answer would only let us wait once more.
            reason = self.unread.get(f"{Section.PROCESSES}/{host}")
            if reason is None:
                packages = await self._try(f"{Section.PACKAGES}/{host}", self._packages(host), None)
            else:
                packages, self.unread[f"{Section.PACKAGES}/{host}"] = None, reason
        self._done += 1
        self.told(f"{self._done} of {total} hosts")
        return packages, units

    async def _processes(self, host: str) -> dict[str, Process] | None:
        wanted = [component.unit for component in components_on(self.inventory, host)]
        units = await read_units(self.hosts, self.inventory, host, wanted)
        return {unit.unit: Process(state=unit.active, version=unit.version) for unit in units}

    async def _packages(self, host: str) -> dict[str, Package] | None:
        adapter = packaging_of(self.inventory)
        done = await self.hosts.run(self.inventory, host, adapter.installed())
        found: dict[str, list[Installed]] = {}
        for one in adapter.parse_installed(done.stdout):
            found.setdefault(one.service, []).append(one)
        return {service: _package(several) for service, several in found.items()}

    async def _balancer(self) -> Balancer:
        inventory, adapter = self.inventory, balancer_of(self.inventory)
        place = inventory.load_balancer.host
        backends = {component.backend for component in apis(inventory)}
        stats = await self.hosts.run(inventory, place, adapter.servers())
        held = await self.hosts.run(inventory, place, adapter.holds())
        servers: dict[str, dict[str, str]] = {}
        for server in adapter.parse_servers(stats.stdout):
            if server.backend in backends:
                word = "up" if server.up else server.status.split(" ")[0].lower()
                servers.setdefault(server.backend, {})[server.name] = word
        return Balancer(servers=servers, holds=adapter.parse_holds(held.stdout))

    async def _cloud(self) -> tuple[Services, _Look, dict[str, dict[str, str]]]:
        """Read what the APIs say."""
        nothing = _Look({}, {}, Allocations())
        # Asked first and alone: without a token nothing else can work.
        if not await self._try(Section.APIS, openstack.token(self.inventory), ""):
            parts = (Section.SERVICES, Section.GUESTS, Section.PLACES, Section.ALLOCATIONS)
            self.unread |= {part: self.unread[Section.APIS] for part in parts if "nova" in self.inventory.services}
            return {}, nothing, {}
        (services, look), versions = await asyncio.gather(
            asyncio.gather(
                self._of("nova", Section.SERVICES, self._services, _NO_SERVICES),
                self._of("nova", Section.GUESTS, self._guests, nothing),
            ),
            asyncio.gather(*(self._api(component) for component in apis(self.inventory))),
        )
        if reason := self.unread.get(Section.GUESTS):
            self.unread |= {Section.PLACES: reason, Section.ALLOCATIONS: reason}
        offered = zip(apis(self.inventory), versions, strict=True)
        return services, look, {component.unit: found for component, found in offered if found is not None}

    async def _api(self, component: Component) -> dict[str, str] | None:
        async def ask() -> dict[str, str] | None:
            scheme, _ = await openstack.transport(self.inventory)
            address = f"{api_url(self.inventory, component, scheme)}/"
            return summarise_versions(await openstack.api_versions(self.inventory, address))

        return await self._try(f"{Section.APIS}/{component.unit}", ask(), None)

    async def _services(self) -> Services:
        versions, listed = await asyncio.gather(
            rows.service_versions(self.hosts, self.inventory), openstack.service_records(self.inventory)
        )
        known = {(row.binary, row.host): row for row in listed}
        found: Services = {}
        for binary, host in sorted({*versions, *known}):
            row = known.get((binary, host))
            found.setdefault(binary, {})[host] = ServiceState(
                version=versions.get((binary, host)),
                state=row.state if row else None,
                status=row.status if row else None,
                reason=row.disabled_reason if row else None,
                forced_down=row.forced_down if row else None,
            )
        return found

    async def _guests(self) -> _Look:
        """Read guests and allocations: twice, if the first look shows what may only be so for a moment.

        They cannot be read in the same moment: what users make, move or delete in between fits at the second look.
        """
        first = await self._look()
        if not first.suspects:
            return first
        await asyncio.sleep(SECOND_LOOK)
        second = await self._look()
        doubts = second.suspects - first.suspects
        held = second.allocations
        settled = Allocations(
            guests={
                id_: one.model_copy(update={"home": True}) if id_ in doubts else one for id_, one in held.guests.items()
            },
            orphans={id_: one for id_, one in held.orphans.items() if id_ not in doubts},
            migrations=held.migrations,
        )
        return _Look(second.guests, second.places, settled)

    async def _look(self) -> _Look:
        # Guests and migrations last: an allocation is made after its guest, and goes before it.
        held, providers = await asyncio.gather(
            rows.allocations(self.hosts, self.inventory), openstack.providers(self.inventory)
        )
        servers, moves = await asyncio.gather(_servers(self.inventory), openstack.migrations(self.inventory))
        places = {row["id"]: row.get("OS-EXT-SRV-ATTR:host") or None for row in servers}
        return _Look(
            guests={row["id"]: _guest(row) for row in servers},
            places=places,
            allocations=_allocations(held, providers, places, [move for move in moves if move.unfinished]),
        )


def _package(found: list[Installed]) -> Package:
    return Package(
        active=next((one.version for one in found if one.active), None),
        installed=tuple(sorted(one.version if one.whole else f"{one.version} (in part)" for one in found)),
    )


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
