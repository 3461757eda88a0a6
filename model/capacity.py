"""Whether the guests of a compute host fit on the others: what placement has free, host by host."""

from bisect import bisect_left
from collections.abc import Collection, Mapping
from itertools import accumulate

from model.base import Record
from model.work import Capacity

# Sums of thousands of fractions are not exact; nothing that placement counts is so small.
_EXACT = 1e-6


class Shortage(Record):
    """Room that lacks when a host is drained.

    Attributes:
        host: the host to be drained.
        resource: placement's resource class, such as ``MEMORY_MB``.
        missing: how much more the others would need, in the class's own unit.
        needed: what the host's guests hold.
        free: what the others have free.
    """

    host: str
    resource: str
    missing: float
    needed: float
    free: float


class Room:
    """What is free on the hosts that may take guests, asked for one host after another.

    Sorted once: a fleet asks for each of its hosts.
    """

    def __init__(self, capacity: Mapping[str, Capacity], targets: Collection[str]) -> None:
        """Take the room by host, of placement, and the hosts that may take guests: up and enabled."""
        self._capacity = capacity
        self._targets = {name for name in targets if name in capacity}
        self._free: dict[str, list[float]] = {}
        self._sums: dict[str, list[float]] = {}

    def shortages(self, host: str, *, also_out: int = 0) -> tuple[Shortage, ...]:
        """Compare what the guests of a host hold with what its possible targets have free, by resource class.

        The sums say for certain when there is too little; that there is enough in sum does not promise that every
        guest finds one host that takes it whole.

        Args:
            host: the host to be drained.
            also_out: how many other hosts may be out of service at the same time; those with the most room are taken,
                as the worst case.
        """
        if host not in self._capacity:
            return ()
        found = []
        for resource, needed in sorted(self._capacity[host].used.items()):
            free = self._free_without(host, resource, also_out)
            if needed > free + _EXACT:
                found.append(Shortage(host=host, resource=resource, missing=needed - free, needed=needed, free=free))
        return tuple(found)

    def _free_without(self, host: str, resource: str, also_out: int) -> float:
        """Return what the targets but this one have free, less those that have the most."""
        if resource not in self._free:
            self._free[resource] = sorted(free_of(self._capacity[name], resource) for name in self._targets)
            self._sums[resource] = list(accumulate(self._free[resource], initial=0.0))
        free, sums = self._free[resource], self._sums[resource]
        if host not in self._targets:
            return sums[max(0, len(free) - also_out)]
        own = free_of(self._capacity[host], resource)
        left = max(0, len(free) - 1 - also_out)
        return sums[left] if bisect_left(free, own) >= left else sums[left + 1] - own


def free_of(room: Capacity, resource: str) -> float:
    """Return what is free of a resource class; nothing when a host is filled beyond its limit."""
    return max(0.0, room.total.get(resource, 0.0) - room.used.get(resource, 0.0))
