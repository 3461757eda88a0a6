"""Reading a cloud into its digest: processes, packages, databases and APIs, independently of what steps reported.

It only reads. A host or an API that does not answer costs its own part of the digest, which then says so.
"""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from activities import openstack, rows
from activities.balancer import balancer_of
from activities.baselines import BASELINES, upgrade_slug
from activities.context import progress
from activities.databases import revisions
from activities.errors import StackrollError, StepFailed
from activities.occupancy import Occupancy, read_occupancy
from activities.packaging import Installed, packaging_of
from activities.running import read_units
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
# A digest of a big cloud has some ten megabytes.
FILE_TIMEOUT = 300.0


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
    name = shlex.quote(digest_path(work.upgrade))
    command = f"umask 077; mkdir -p -m 700 {BASELINES} && cat > {name}.new && mv {name}.new {name}"
    await hosts.run(inventory, inventory.database.host, command, input=digest.to_json(), timeout=FILE_TIMEOUT)
    return digest


async def load_digest(hosts: Hosts, work: Work) -> Digest | None:
    """Return the digest that an upgrade has kept; None when it has kept none.

    Raises:
        StepFailed: there is one, and it cannot be read.
    """
    place, path = work.inventory.database.host, digest_path(work.upgrade)
    command = f"cat {shlex.quote(path)} 2>/dev/null"
    done = await hosts.run(work.inventory, place, command, check=False, timeout=FILE_TIMEOUT)
    if done.status != 0 and not done.stdout:
        return None
    try:
        return Digest.from_json(done.stdout)
    except DigestError as error:
        raise StepFailed(
            f"{path} cannot be read: {error}",
            host=place,
            remedy="put the file back from a copy, or remove it to do without the comparison; then retry the step",
        ) from None


def digest_path(upgrade: str) -> str:
    """Return where an upgrade's digest lies on the database host."""
    return f"{BASELINES}/{upgrade_slug(upgrade)}.digest.json"


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


def _package(found: list[Installed]) -> Package:
    return Package(
        active=next((one.version for one in found if one.active), None),
        installed=tuple(sorted(one.version if one.whole else f"{one.version} (in part)" for one in found)),
    )
