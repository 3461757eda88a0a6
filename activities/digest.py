"""Reading a cloud into its digest: processes, packages, databases and APIs, independently of what steps reported.

It only reads. A host or an API that does not answer costs its own part of the digest, which then says so.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from activities import openstack, rows
from activities.balancer import balancer_of
from activities.baselines import BASELINES, keep_file, kept_file, upgrade_slug
from activities.context import progress
from activities.databases import revisions
from activities.errors import StackrollError, StepFailed
from activities.occupancy import Occupancy, read_occupancy
from activities.packaging import Installed, packaging_of
from activities.running import UnitState, parse_units, units_command
from activities.ssh import Hosts
from model.baseline import summarise_versions
from model.components import Component, api_url, apis, components_on
from model.digest import (
    Balancer,
    Digest,
    DigestError,
    Package,
    Process,
    Section,
    ServiceState,
    Table,
)
from model.inventory import Inventory
from model.work import Work

T = TypeVar("T")
Told = Callable[[str], None]
Services = dict[str, dict[str, ServiceState]]
Tables = dict[str, Table]
_NO_TABLE: Table = {}
_NO_TABLES: Tables = {}
_NO_SERVICES: Services = {}

# So many hosts are asked at the same time.
HOSTS_AT_ONCE = 64
# Parts the answers of a host.
_BREAK = "=="


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
    digest = await read_digest(hosts, inventory, lambda text: progress(f"reading the state: {text}"))
    await keep_file(hosts, work, digest_path(work.upgrade), digest.to_json())
    return digest


async def load_digest(hosts: Hosts, work: Work) -> Digest | None:
    """Return the digest that an upgrade has kept; None when it has kept none.

    Raises:
        StepFailed: there is one, and it cannot be read.
        Unreachable, Refused: as of ``Hosts.run``.
    """
    path = digest_path(work.upgrade)
    text = await kept_file(hosts, work, path)
    if text is None:
        return None
    try:
        return Digest.from_json(text)
    except DigestError as error:
        raise StepFailed(
            f"{path} cannot be read: {error}",
            host=work.inventory.database.host,
            remedy="put the file back from a copy, then retry the step",
        ) from None


def digest_path(upgrade: str) -> str:
    """Return where an upgrade's digest lies on the database host."""
    return f"{BASELINES}/{upgrade_slug(upgrade)}.digest.json"


class HostState(NamedTuple):
    """What is installed on a host, and what runs."""

    packages: dict[str, Package]
    processes: dict[str, Process]


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
        states, databases, balancer, cloud = await asyncio.gather(
            asyncio.gather(*(self._host(name, limit, len(names)) for name in names)),
            self._databases(),
            self._try(Section.BALANCER, self._balancer(), Balancer()),
            self._cloud(),
        )
        schemas, images, identity, catalog = databases
        services, look, offered = cloud
        return Digest(
            cloud=self.inventory.cloud,
            packages={host: state.packages for host, state in zip(names, states, strict=True) if state},
            processes={host: state.processes for host, state in zip(names, states, strict=True) if state},
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

    async def _host(self, host: str, limit: asyncio.Semaphore, total: int) -> HostState | None:
        async with limit:
            found = await self._try(f"{Section.PROCESSES}/{host}", self._host_state(host), None)
        if found is None:
            self.unread[f"{Section.PACKAGES}/{host}"] = self.unread[f"{Section.PROCESSES}/{host}"]
        self._done += 1
        self.told(f"{self._done} of {total} hosts")
        return found

    async def _host_state(self, host: str) -> HostState | None:
        """Read packages and processes with one command: the answers of a big fleet take their time."""
        inventory, adapter = self.inventory, packaging_of(self.inventory)
        wanted = [component.unit for component in components_on(inventory, host)]
        command = f"{adapter.installed()}\necho {_BREAK}\n{units_command(inventory, wanted)}"
        done = await self.hosts.run(inventory, host, command, check=False)
        packages, found, processes = done.stdout.partition(f"{_BREAK}\n")
        if not found:
            raise StepFailed(f"its shell ended with status {done.status}: {done.stderr.strip()[:200]}", host=host)
        units = parse_units(processes, inventory.packaging.root)
        states = {unit: units.get(unit, UnitState(unit, "unknown", (), "")) for unit in wanted}
        return HostState(
            _packages(adapter.parse_installed(packages)),
            {unit: Process(state=state.active, version=state.version) for unit, state in states.items()},
        )

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

    async def _cloud(self) -> tuple[Services, Occupancy, dict[str, dict[str, str]]]:
        """Read what the APIs say."""
        nothing = Occupancy()
        # Asked first and alone: without a token nothing else can work.
        if not await self._try(Section.APIS, openstack.token(self.inventory), ""):
            parts = (Section.SERVICES, Section.GUESTS, Section.PLACES, Section.ALLOCATIONS)
            self.unread |= {part: self.unread[Section.APIS] for part in parts if "nova" in self.inventory.services}
            return {}, nothing, {}
        hosts, inventory = self.hosts, self.inventory
        (services, look), versions = await asyncio.gather(
            asyncio.gather(
                self._of("nova", Section.SERVICES, self._services, _NO_SERVICES),
                self._of("nova", Section.GUESTS, lambda: read_occupancy(hosts, inventory), nothing),
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


def _packages(found: Iterable[Installed]) -> dict[str, Package]:
    services: dict[str, list[Installed]] = {}
    for one in found:
        services.setdefault(one.service, []).append(one)
    return {
        service: Package(
            active=next((one.version for one in several if one.active), None),
            installed=tuple(sorted(one.version if one.whole else f"{one.version} (in part)" for one in several)),
        )
        for service, several in services.items()
    }
