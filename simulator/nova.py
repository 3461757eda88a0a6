"""What nova and placement know: service records and their ratchet, guests, migrations, allocations."""

import uuid
from dataclasses import dataclass, field

from model.components import COMPUTE_UNIT
from model.inventory import Role
from model.releases import RELEASES, release_of
from simulator.catalog import Inventory
from simulator.clock import Clock
from simulator.guests import IMAGE_META, Aggregate, Group, Guest, Migration
from simulator.host import Host
from simulator.settings import LEAST_DOWN_AFTER, Durations

__all__ = ["Guest", "Migration", "Nova", "image_meta"]

CONDUCTOR = "nova-conductor"
API_BINARY = "nova-osapi_compute"
# The record's name where it is not the unit's.
BINARIES = {"nova-api": API_BINARY}
DEFAULT_ZONE = "nova"


class RefusedStartError(Exception):
    """A service that ends at once; the message is what it logs."""


@dataclass
class Service:
    """A row of nova's table of services."""

    binary: str
    host: str
    version: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    disabled: bool = False
    reason: str | None = None
    forced_down: bool = False
    updated: float = 0.0


class Nova:
    """nova's databases, and placement's."""

    def __init__(self, hosts: dict[str, Host], clock: Clock, durations: Durations, version: int) -> None:
        self._hosts, self._clock = hosts, clock
        self._down_after = max(durations.down_after / clock.speed, LEAST_DOWN_AFTER)
        self.services: list[Service] = []
        # Where each row is in the list; a restored dump may change that.
        self._places: dict[tuple[str, str], int] = {}
        self.guests: dict[str, Guest] = {}
        self.deleted: set[str] = set()
        self.migrations: list[Migration] = []
        self.providers: dict[str, str] = {}
        self.allocations: dict[str, dict[str, dict[str, int]]] = {}
        self.groups: dict[str, Group] = {}
        self.aggregates: list[Aggregate] = []
        # The lowest version of each binary, as each running conductor remembers it.
        self._remembered: dict[str, dict[str, int]] = {}
        for host in hosts.values():
            if Role.COMPUTE in host.roles:
                self.providers[host.name] = str(uuid.uuid4())
                self.allocations[self.providers[host.name]] = {}
            for unit in host.units.values():
                if unit.component.service == "nova":
                    binary = BINARIES.get(unit.name, unit.name)
                    self.services.append(Service(binary, host.name, version, updated=clock.now()))

    def record(self, binary: str, host: str) -> Service:
        """Return a service's row."""
        place = self._places.get((binary, host), 0)
        row = self.services[place]
        if (row.binary, row.host) != (binary, host):
            self._places = {(row.binary, row.host): place for place, row in enumerate(self.services)}
            row = self.services[self._places[binary, host]]
        return row

    def lowest(self, binary: str) -> int:
        """Return the lowest version on record."""
        return min((row.version for row in self.services if row.binary == binary), default=0)

    def admit(self, unit: str, host: str, version: str) -> None:
        """Let a service start, as ``Service.save`` and ``raise_if_old_compute`` do.

        Raises:
            RefusedStartError: it is older than all records, or some compute service is too old for it.
        """
        binary = BINARIES.get(unit, unit)
        row, number = self.record(binary, host), service_version(version)
        lowest = self.lowest(binary)
        if number < lowest:
            raise RefusedStartError(
                f"nova.exception.ServiceTooOld: This service is older (v{number}) than the minimum (v{lowest}) version "
                "of the rest of the deployment. Unable to continue."
            )
        oldest = _oldest_compute(version)
        if unit != COMPUTE_UNIT and self.lowest(COMPUTE_UNIT) < oldest:
            raise RefusedStartError(
                f"nova.exception.TooOldComputeService: Current Nova version does not support computes older than "
                f"v{oldest} but the minimum compute service level in your system is {self.lowest(COMPUTE_UNIT)}."
            )
        row.version = number
        row.updated = self._clock.now()

    def remember(self, host: str) -> None:
        """Let the conductor of a host read the versions anew, as it does when it starts and at SIGHUP."""
        self._remembered[host] = {row.binary: self.lowest(row.binary) for row in self.services}

    def report(self) -> None:
        """Let every running service report: compute services through the conductors, all others by themselves."""
        ready = [self._remembered.get(host, {}) for host in self._running(CONDUCTOR)]
        # Whoever asks several conductors in turn will be refused by the one that remembers too much.
        least = max((one.get(COMPUTE_UNIT, 0) for one in ready), default=None)
        now = self._clock.now()
        for row in self.services:
            if not self.runs(row.binary, row.host):
                continue
            if row.binary != COMPUTE_UNIT or (least is not None and row.version >= least):
                row.updated = now

    def is_up(self, row: Service) -> bool:
        """Tell whether a service counts as up."""
        return not row.forced_down and self._clock.now() - row.updated <= self._down_after

    def runs(self, unit: str, host: str) -> bool:
        """Tell whether a unit really runs on a host."""
        found = self._hosts[host].units.get(unit)
        return bool(found and found.running and self._hosts[host].up)

    def starts(self, unit: str, host: str) -> int:
        """Return how often a unit was started; -1 while it does not run."""
        return self._hosts[host].units[unit].starts if self.runs(unit, host) else -1

    def first_running(self, unit: str) -> str | None:
        """Return a host on which a unit runs."""
        return next(iter(self._running(unit)), None)

    def guests_on(self, host: str) -> list[Guest]:
        """Return the servers of a host."""
        return [guest for guest in self.guests.values() if guest.host == host]

    def groups_of(self, guest: str) -> list[Group]:
        """Return the server groups that a guest is in."""
        return [group for group in self.groups.values() if guest in group.members]

    def zone_of(self, host: str) -> str:
        """Return the availability zone of a host."""
        zones = (aggregate.zone for aggregate in self.aggregates if host in aggregate.hosts and aggregate.zone)
        return next(zones, DEFAULT_ZONE)

    def inventory(self, host: str) -> Inventory:
        """Return what placement knows of a host's size."""
        return self._hosts[host].size.inventory

    def traits(self, host: str) -> tuple[str, ...]:
        """Return the traits of a host's resource provider."""
        return self._hosts[host].size.traits

    def hypervisor_version(self, host: str) -> int:
        """Return the version of a host's hypervisor as a number, such as 7002022."""
        return self._hosts[host].hypervisor_version

    def used(self, provider: str) -> dict[str, int]:
        """Return what is used of a resource provider."""
        found = dict.fromkeys(("VCPU", "MEMORY_MB", "DISK_GB"), 0)
        for resources in self.allocations[provider].values():
            for name, amount in resources.items():
                found[name] += amount
        return found

    def room(self, host: str) -> dict[str, float]:
        """Return how much may be used on a host, by resource class."""
        return {n: (i["total"] - i["reserved"]) * i["allocation_ratio"] for n, i in self.inventory(host).items()}

    def has_room(self, host: str, need: dict[str, int]) -> bool:
        """Tell whether something fits on a host, by placement."""
        used, room = self.used(self.providers[host]), self.room(host)
        return all(used[name] + amount <= room[name] for name, amount in need.items())

    def held_by(self, consumer: str) -> list[str]:
        """Return the hosts on which somebody holds room."""
        return [host for host, provider in self.providers.items() if consumer in self.allocations[provider]]

    def place(self, guest: Guest, host: str) -> None:
        """Put a guest on a host, allocations included."""
        guest.host = host
        self.allocations[self.providers[host]][guest.id] = guest.resources

    def delete(self, guest: Guest) -> None:
        """Take a guest away."""
        self.guests.pop(guest.id, None)
        self.deleted.add(guest.id)
        self.release(guest)

    def release(self, guest: Guest) -> None:
        """Take a guest's room back, wherever it holds some."""
        for held in self.allocations.values():
            held.pop(guest.id, None)

    def _running(self, unit: str) -> list[str]:
        return [host for host in self._hosts if self.runs(unit, host)]


def image_meta(version: str) -> str:
    """Return the version of ImageMetaProps that a version of nova writes."""
    return IMAGE_META[version.partition(".")[0]]


def reads(version: str, found: str) -> bool:
    """Tell whether a version of nova understands what is stored in this version of ImageMetaProps."""
    return number(found) <= number(image_meta(version))


def number(version: str) -> tuple[int, ...]:
    """Return a version as something that can be compared."""
    return tuple(map(int, version.split(".")))


def service_version(version: str) -> int:
    """Return the number that a version of nova writes into its service records: the same within a series."""
    release = release_of("nova", version)
    if release is None:
        raise RefusedStartError(f"nova {version} belongs to no release")
    return release.nova_service_version


def _oldest_compute(version: str) -> int:
    """Return the oldest compute service that a release's control services accept: two releases before it."""
    order = [release.nova_service_version for release in RELEASES.values()]
    return order[max(0, order.index(service_version(version)) - 2)]
