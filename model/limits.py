"""How many guests may move at the same time: a judgement over everything that nova moves just now."""

from collections import Counter
from collections.abc import Iterable, Mapping

from model.fleet import GroupPolicy, ServerGroup
from model.nova import Migration
from model.rolling import Limits

SPREAD = frozenset({GroupPolicy.ANTI_AFFINITY, GroupPolicy.SOFT_ANTI_AFFINITY})


def find_hindrance(
    guest: str,
    source: str,
    target: str | None,
    moving: Iterable[Migration],
    *,
    limits: Limits,
    zones: Mapping[str, str],
    groups: Iterable[ServerGroup] = (),
) -> str | None:
    """Say why a guest must wait before it may move; None when it may.

    Args:
        guest: its id.
        source: the host that it leaves.
        target: the host that it is to go to; None when nova chooses.
        moving: everything that moves just now, whoever began it.
        limits: what may move at the same time.
        zones: the availability zone of each host; one that is not named is in none.
        groups: the server groups that the guest is a member of. Of a group that is to be spread only one member moves
            at a time: where two of them will be is decided before either is there.
    """
    others = {move.guest: move for move in moving if move.guest != guest}
    if len(others) >= limits.total:
        return f"{len(others)} guests are moving in all, of at most {limits.total}"
    from_here = sum(move.source == source for move in others.values())
    if from_here >= limits.per_source:
        return f"{from_here} guests are leaving {source}, of at most {limits.per_source}"
    to_there = sum(move.target == target for move in others.values()) if target else 0
    if to_there >= limits.per_target:
        return f"{to_there} guests are on their way to {target}, of at most {limits.per_target}"
    counts = _by_zone(others.values(), zones)
    for zone in {zones.get(source), zones.get(target or "")} - {None}:
        if counts[zone] >= limits.per_zone:
            return f"{counts[zone]} guests are moving in zone {zone}, of at most {limits.per_zone}"
    for group in groups:
        if group.policy in SPREAD and (busy := sorted(others.keys() & set(group.members))):
            return f"guest {busy[0]} of its group {group.name or group.id} is moving"
    return None


def _by_zone(moving: Iterable[Migration], zones: Mapping[str, str]) -> Counter[str | None]:
    counts = Counter[str | None]()
    for move in moving:
        counts.update({zones.get(move.source), zones.get(move.target or "")} - {None})
    return counts


def crowded(group: ServerGroup, places: Mapping[str, str | None]) -> str | None:
    """Say where more members of a hard anti-affinity group are than may be; None when all is well.

    ``places`` has the host of each member, as far as it has one.
    """
    if group.policy is not GroupPolicy.ANTI_AFFINITY:
        return None
    counts = Counter(host for member, host in places.items() if host and member in group.members)
    host, number = max(counts.items(), key=lambda item: item[1], default=("", 0))
    if number <= group.max_per_host:
        return None
    return f"group {group.name or group.id} has {number} members on {host}, of at most {group.max_per_host}"
