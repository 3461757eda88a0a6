"""How many hosts may be out of service at the same time: what the operator allows, and what room allows."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import NamedTuple

from model.placement.catalog import EXACT, Catalog, Vector, is_usable
from model.placement.records import Slots
from model.rolling import Rolling


def resolve(limit: int | str | None, of: int) -> int:
    """Return a number of hosts: itself, or a percentage of ``of``, rounded down; at least 1. None is no limit."""
    if limit is None:
        return max(1, of)
    if isinstance(limit, int):
        return limit
    return max(1, of * int(limit.removesuffix("%")) // 100)


class Scope(NamedTuple):
    """Guests that must find room within some hosts, all together.

    Attributes:
        zone: the zone that they asked for.
        traits: the traits that they need.
        hosts: the usable hosts that satisfy both.
        slack: what is free there in sum; less than nothing where guests are not where they asked to be.
    """

    zone: str | None
    traits: frozenset[str]
    hosts: frozenset[str]
    slack: Vector


class Lack(NamedTuple):
    """What is missing in a scope when some hosts are away."""

    scope: Scope
    resource: int
    missing: float
    reserve: float


class Budget:
    """Whether the cloud holds all its guests while some hosts, and the reserve besides, are lost at once.

    It compares sums, which is independent of where guests are at the moment: what is free on the hosts that remain
    must be enough for all that is on those that are lost. That every single guest finds a host that takes it whole is
    the packing's affair.
    """

    def __init__(self, catalog: Catalog, stays: Mapping[str, Collection[str]], reserve_hosts: int) -> None:
        """Take the guests that stay on their host while it is out of service (``stays``), and how many may fail."""
        self._catalog = catalog
        self._reserve_hosts = reserve_hosts
        width = range(len(catalog.resources))
        # A host that is filled beyond its limit, or whose inventory nobody has read, is full: it lacks nothing.
        loads = {name: catalog.load(guests) for name, guests in catalog.on.items()}
        self._holds = {
            name: tuple(max(catalog.total[name][i] - catalog.fixed[name][i], loads[name][i]) for i in width)
            for name in catalog.hosts
        }
        self._lost = {
            name: tuple(
                self._holds[name][i] - sum(catalog.need(guest)[i] for guest in stays.get(name, ())) for i in width
            )
            for name in catalog.hosts
        }
        self._sure: dict[tuple[str | None, frozenset[str]], int] = {}
        self._largest: dict[tuple[str | None, frozenset[str], int], list[str]] = {}
        self.scopes = tuple(self._scopes(frozenset(stays)))

    def lack(self, out: Collection[str]) -> Lack | None:
        """Return what is missing most when these and the reserve hosts are lost at once; None when nothing is."""
        worst: Lack | None = None
        for scope in self.scopes:
            inside = [name for name in out if name in scope.hosts]
            if len(inside) <= self._surely(scope):
                continue
            for index, slack in enumerate(scope.slack):
                reserve = self._reserve(scope, index, inside)
                missing = sum(self._lost[name][index] for name in inside) + reserve - slack
                if missing > EXACT and (worst is None or missing > worst.missing):
                    worst = Lack(scope, index, missing, reserve)
        return worst

    def spare(self, out: Collection[str]) -> tuple[dict[str, float], dict[str, float]]:
        """Return what is free beyond all needs when these hosts are lost, and the reserve in it, by resource class."""
        everywhere = self.scopes[0]
        spare, kept = [], []
        for index, slack in enumerate(everywhere.slack):
            reserve = self._reserve(everywhere, index, out)
            spare.append(slack - reserve - sum(self._lost[name][index] for name in out if name in everywhere.hosts))
            kept.append(reserve)
        return self._catalog.amounts(spare), self._catalog.amounts(kept)

    def most(self, scope: Scope, dirty: Collection[str]) -> int:
        """Return how many hosts of a scope may be away at once, whichever they are; at least 1."""
        inside = sorted(name for name in dirty if name in scope.hosts)
        best = len(inside)
        for index in range(len(self._catalog.resources)):
            ranked = sorted(inside, key=lambda name: -self._lost[name][index])
            while best > 1 and self._worst(scope, index, ranked[:best]) > scope.slack[index] + EXACT:
                best -= 1
        return max(1, best)

    def _surely(self, scope: Scope) -> int:
        """Return how many hosts may be away that need not be counted: those that hold most, and the largest fail."""
        key = (scope.zone, scope.traits)
        if key not in self._sure:
            best = len(scope.hosts)
            for index, slack in enumerate(scope.slack):
                lost = sorted((self._lost[name][index] for name in scope.hosts), reverse=True)
                while best and sum(lost[:best]) + self._reserve(scope, index, ()) > slack:
                    best -= 1
            self._sure[key] = best
        return self._sure[key]

    def time(self, scope: Scope, alone: Mapping[str, float]) -> float:
        """Return the seconds at least needed for hosts to be away for so long each, by the room that may be missing."""
        longest = 0.0
        for index, slack in enumerate(scope.slack):
            away = sum(self._lost[name][index] * seconds for name, seconds in alone.items() if name in scope.hosts)
            if slack > EXACT:
                longest = max(longest, away / slack)
        return longest

    def _worst(self, scope: Scope, index: int, out: list[str]) -> float:
        return sum(self._lost[name][index] for name in out) + self._reserve(scope, index, out)

    def _reserve(self, scope: Scope, index: int, out: Collection[str]) -> float:
        """What the largest hosts that are left hold: those that may fail besides."""
        if not self._reserve_hosts:
            return 0.0
        key = (scope.zone, scope.traits, index)
        if key not in self._largest:
            self._largest[key] = sorted(scope.hosts, key=lambda name: (-self._holds[name][index], name))
        left = islice((name for name in self._largest[key] if name not in out), self._reserve_hosts)
        return sum(self._holds[name][index] for name in left)

    def _scopes(self, emptied: frozenset[str]) -> list[Scope]:
        """All guests, and those that only some hosts may take: by zone and by traits."""
        catalog = self._catalog
        usable = frozenset(name for name, host in catalog.hosts.items() if is_usable(host))
        counted = [guest for name in catalog.hosts if name in usable | emptied for guest in catalog.on[name]]
        asked: dict[tuple[str | None, frozenset[str]], None] = {(None, frozenset()): None}
        for guest in counted:
            asked[guest.zone, frozenset(guest.traits)] = None
            asked[guest.zone, frozenset()] = None
        scopes = []
        for zone, traits in asked:
            hosts = frozenset(
                name
                for name in usable
                if zone in {None, catalog.hosts[name].zone} and traits <= frozenset(catalog.hosts[name].traits)
            )
            load = catalog.load([g for g in counted if zone in {None, g.zone} and traits <= frozenset(g.traits)])
            holds = [sum(self._holds[name][index] for name in sorted(hosts)) for index in range(len(load))]
            scopes.append(Scope(zone, traits, hosts, tuple(a - b for a, b in zip(holds, load, strict=True))))
        return scopes


def slots_of(catalog: Catalog, rolling: Rolling, budget: Budget, dirty: Collection[str]) -> Slots:
    """Return how many hosts may be out together: the smaller of what is allowed and what room allows."""
    zones: dict[str, int] = {}
    aggregates: dict[str, int] = {}
    for name in sorted(catalog.hosts):
        host = catalog.hosts[name]
        zones[host.zone] = zones.get(host.zone, 0) + 1
        for aggregate in host.aggregates:
            aggregates[aggregate] = aggregates.get(aggregate, 0) + 1
    allowed = {zone: resolve(rolling.max_per_zone, count) for zone, count in zones.items()}
    total = resolve(rolling.max_unavailable, len(catalog.hosts))
    for scope in budget.scopes:
        if scope.traits:
            continue
        most = budget.most(scope, dirty)
        if scope.zone is None:
            total = min(total, most)
        elif scope.zone in allowed:
            allowed[scope.zone] = min(allowed[scope.zone], most)
    halves = {name: resolve(rolling.max_per_aggregate, count) for name, count in aggregates.items()}
    return Slots(total=total, zones=allowed, aggregates=halves)


class Occupied:
    """The hosts that are out of service now, counted against the slots."""

    def __init__(self, catalog: Catalog, slots: Slots) -> None:
        """Begin with none."""
        self._hosts = catalog.hosts
        self._slots = slots
        self._zones: dict[str, int] = {}
        self._aggregates: dict[str, int] = {}
        self.count = 0

    def full(self) -> bool:
        """Tell whether no other host may go out."""
        return self.count >= self._slots.total

    def admits(self, name: str) -> bool:
        """Tell whether this host may go out too."""
        host = self._hosts[name]
        most = self._slots.zones.get(host.zone)
        if self.full() or (most is not None and self._zones.get(host.zone, 0) >= most):
            return False
        limits = self._slots.aggregates
        return all(self._aggregates.get(a, 0) < limits[a] for a in host.aggregates if a in limits)

    def change(self, name: str, by: int) -> None:
        """Count a host that goes out (1) or comes back (-1)."""
        host = self._hosts[name]
        self.count += by
        self._zones[host.zone] = self._zones.get(host.zone, 0) + by
        for aggregate in host.aggregates:
            self._aggregates[aggregate] = self._aggregates.get(aggregate, 0) + by
