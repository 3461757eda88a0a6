"""Whether the guests of a compute host fit on the others: what placement has free, host by host."""

from collections.abc import Collection, Mapping

from model.base import Record
from model.work import Capacity


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


def find_shortages(
    host: str, capacity: Mapping[str, Capacity], *, targets: Collection[str], also_out: int = 0
) -> tuple[Shortage, ...]:
    """Compare what the guests of a host hold with what its possible targets have free, by resource class.

    The sums say for certain when there is too little; that there is enough in sum does not promise that every guest
    finds one host that takes it whole.

    Args:
        host: the host to be drained.
        capacity: room by host, of placement.
        targets: hosts that may take guests: up and enabled.
        also_out: how many other hosts may be out of service at the same time; those with the most room are taken, as
            the worst case.
    """
    if host not in capacity:
        return ()
    others = [name for name in targets if name != host and name in capacity]
    found = []
    for resource, needed in sorted(capacity[host].used.items()):
        room = sorted(free_of(capacity[name], resource) for name in others)
        free = sum(room[: max(0, len(room) - also_out)])
        if needed > free:
            found.append(Shortage(host=host, resource=resource, missing=needed - free, needed=needed, free=free))
    return tuple(found)


def free_of(room: Capacity, resource: str) -> float:
    """Return what is free of a resource class; nothing when a host is filled beyond its limit."""
    return max(0.0, room.total.get(resource, 0.0) - room.used.get(resource, 0.0))
