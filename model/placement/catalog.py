"""A fleet made ready to be asked quickly which host may take which guest, and what each of them holds."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from model.fleet import Fleet, FleetGuest, FleetHost, GroupPolicy, GuestClass, ServerGroup
from model.placement.records import MIB_PER_GIB, Filter

MOVING = frozenset({GuestClass.LIVE, GuestClass.COLD})
ANTI = frozenset({GroupPolicy.ANTI_AFFINITY, GroupPolicy.SOFT_ANTI_AFFINITY})
# Sums of thousands of fractions are not exact; nothing that placement counts is so small.
EXACT = 1e-6
# A move takes as long beside its memory as some GiB of it do.
_GIB_PER_MOVE = 4.0

Vector = tuple[float, ...]


class Item(NamedTuple):
    """Guests that move together to one host: a single one, or the members of an affinity group on one host.

    Attributes:
        guests: their ids.
        need: what they hold together, by resource.
        rules: what decides which hosts may take them; equal for many.
        group: their server group, if any.
        size: the part of an average host that they fill, in the resource that they need most of.
        gib: their memory.
        effort: how much their moves keep a target from others: their memory, and what each move takes beside it.
    """

    guests: tuple[str, ...]
    need: Vector
    rules: "Rules"
    group: ServerGroup | None
    size: float
    gib: float
    effort: float


class Rules(NamedTuple):
    """What a guest asks of its host, whatever the moment; the last two are those of the host that it is on."""

    zone: str | None
    traits: frozenset[str]
    hypervisor: str
    version: int


def refusal(rules: Rules, host: FleetHost) -> Filter | None:
    """Name the first rule that a host breaks as the target of a guest; None when it may take it."""
    if rules.zone is not None and host.zone != rules.zone:
        return Filter.ZONE
    if not rules.traits <= frozenset(host.traits):
        return Filter.TRAITS
    if rules.hypervisor and host.hypervisor and host.hypervisor != rules.hypervisor:
        return Filter.HYPERVISOR
    # A guest that has run on a newer hypervisor may not start on an older one (QEMU machine types and devices).
    if rules.version and host.hypervisor_version and host.hypervisor_version < rules.version:
        return Filter.VERSION
    return None


def is_usable(host: FleetHost) -> bool:
    """Tell whether nova would place a guest on this host."""
    return host.state == "up" and host.status == "enabled" and not host.forced_down


def need_of(guest: FleetGuest) -> dict[str, float]:
    """Return what a guest holds in placement; what its flavor says, where placement was not read."""
    if guest.resources:
        return guest.resources
    return {"VCPU": float(guest.vcpus), "MEMORY_MB": float(guest.ram_mb)}


class Catalog:
    """A fleet with vectors in the place of dictionaries, groups by member and guests by host.

    Attributes:
        resources: the resource classes that guests hold, which vectors follow.
        scarcest: the place of the one of which the largest part is used.
        guests: by id.
        on: guests by host, by their ids.
        total: what each host offers.
        fixed: what is used on each host by nobody whom the fleet lists; it stays there.
        group_of: by guest. nova allows one group to a guest.
    """

    def __init__(self, fleet: Fleet) -> None:
        """Read all of the fleet once."""
        self.fleet = fleet
        self.hosts = fleet.hosts
        self.guests = {guest.id: guest for guest in fleet.guests}
        needs = {guest.id: need_of(guest) for guest in fleet.guests}
        self.resources = tuple(sorted({name for need in needs.values() for name, held in need.items() if held > 0}))
        self._needs = {key: self.vector(need) for key, need in needs.items()}
        self.on: dict[str, list[FleetGuest]] = {name: [] for name in fleet.hosts}
        for guest in sorted(fleet.guests, key=lambda guest: guest.id):
            if guest.host in self.on:
                self.on[guest.host].append(guest)
        self.group_of: dict[str, ServerGroup] = {}
        for group in fleet.groups:
            for member in group.members:
                if member in self.guests:
                    self.group_of.setdefault(member, group)
        self.total = {name: self.vector(host.capacity.total) for name, host in fleet.hosts.items()}
        self.fixed = {name: self._fixed(host) for name, host in fleet.hosts.items()}
        self.scarcest = self._scarcest()
        self._average = self._average_host()
        self._traits = {name: frozenset(host.traits) for name, host in fleet.hosts.items()}
        self.asked = frozenset(trait for guest in fleet.guests for trait in guest.traits)
        self._allowed: dict[Rules, frozenset[str]] = {}

    def vector(self, amounts: Mapping[str, float]) -> Vector:
        """Return amounts in the order of ``resources``."""
        return tuple(amounts.get(name, 0.0) for name in self.resources)

    def amounts(self, vector: Collection[float]) -> dict[str, float]:
        """Return a vector by resource class."""
        return {name: round(amount, 3) for name, amount in zip(self.resources, vector, strict=True)}

    def need(self, guest: str) -> Vector:
        """Return what a guest holds."""
        return self._needs[guest]

    def rules(self, guest: FleetGuest, host: str) -> Rules:
        """Return what the target of a guest must satisfy that leaves this host."""
        source = self.hosts[host]
        return Rules(guest.zone, frozenset(guest.traits), source.hypervisor, source.hypervisor_version)

    def allowed(self, rules: Rules) -> frozenset[str]:
        """Return the hosts that satisfy the rules, usable or not."""
        if rules not in self._allowed:
            self._allowed[rules] = frozenset(n for n, host in self.hosts.items() if refusal(rules, host) is None)
        return self._allowed[rules]

    def wanted_by_others(self, host: str, rules: Rules) -> bool:
        """Tell whether a host has traits that some guests need, and these do not: it is better kept for those."""
        return bool((self._traits[host] & self.asked) - rules.traits)

    def item(self, guests: Collection[FleetGuest], host: str) -> Item:
        """Return guests of one host as what is moved together."""
        first, *others = guests
        need = self._needs[first.id]
        for other in others:
            need = tuple(a + b for a, b in zip(need, self._needs[other.id], strict=True))
        rules = self.rules(first, host)
        for other in others:
            more = self.rules(other, host)
            rules = rules._replace(zone=rules.zone or more.zone, traits=rules.traits | more.traits)
        size = max((held / average for held, average in zip(need, self._average, strict=True) if average), default=0.0)
        gib = sum(guest.ram_mb for guest in guests) / MIB_PER_GIB
        return Item(
            guests=tuple(guest.id for guest in guests),
            need=need,
            rules=rules,
            group=self.group_of.get(first.id),
            size=size,
            gib=gib,
            effort=gib + _GIB_PER_MOVE * len(guests),
        )

    def items(self, guests: Collection[FleetGuest], host: str) -> list[Item]:
        """Return guests that leave a host as what is moved together: members of an affinity group are one item."""
        together: dict[str, list[FleetGuest]] = {}
        alone = []
        for guest in guests:
            group = self.group_of.get(guest.id)
            if group is not None and group.policy is GroupPolicy.AFFINITY:
                together.setdefault(group.id, []).append(guest)
            else:
                alone.append([guest])
        return [self.item(members, host) for members in [*alone, *together.values()]]

    def mutex(self, guest: str) -> str | None:
        """Return the anti-affinity group, hard or soft, of which only one member moves at a time; None without one."""
        group = self.group_of.get(guest)
        return group.id if group is not None and group.policy in ANTI else None

    def load(self, guests: Collection[FleetGuest]) -> list[float]:
        """Return what guests hold together."""
        total = [0.0] * len(self.resources)
        for guest in guests:
            for index, held in enumerate(self._needs[guest.id]):
                total[index] += held
        return total

    def _fixed(self, host: FleetHost) -> Vector:
        """What nobody listed holds: allocations of guests on their way here, or left over."""
        listed = self.load(self.on[host.name])
        used = self.vector(host.capacity.used)
        return tuple(max(0.0, all_ - known) for all_, known in zip(used, listed, strict=True))

    def _scarcest(self) -> int:
        usable = [name for name in sorted(self.hosts) if is_usable(self.hosts[name])]
        share = []
        for index in range(len(self.resources)):
            total = sum(self.total[name][index] for name in usable)
            used = sum(self._needs[guest.id][index] for name in usable for guest in self.on[name])
            share.append(used / total if total else 0.0)
        return max(range(len(share)), key=lambda index: share[index], default=0)

    def _average_host(self) -> list[float]:
        count = max(1, len(self.hosts))
        return [sum(total[index] for total in self.total.values()) / count for index in range(len(self.resources))]
