"""Which host is better begun early, so that nothing is left for the end that can only go one after another."""

from collections.abc import Collection, Mapping

from model.fleet import FleetGuest
from model.placement.board import Board, Task
from model.placement.records import Durations

# The part of the time of the hosts that one shares groups with that counts as its own: they cannot go beside it, but
# others can.
_CROWD = 0.25


def service(task: Task, durations: Durations, host: str, guests: Collection[FleetGuest]) -> float:
    """Return the seconds that a host is out of service, if these leave it and wait for no moves of others."""
    limits = task.rolling.limits
    each = [durations.of_guest(guest) for guest in guests]
    parallel = min(limits.per_source, max(1.0, limits.total / task.slots.total))
    return max(sum(each) / parallel, max(each, default=0.0)) + durations.of_host(host)


def services(task: Task, durations: Durations) -> dict[str, float]:
    """Return the seconds that each host is out of service when only its own guests leave it."""
    return {host: service(task, durations, host, task.movers[host]) for host in task.dirty}


def ranks(task: Task, board: Board, seconds: Mapping[str, float], crowd: float = _CROWD) -> dict[str, float]:
    """Return what decides who goes first: the longer, and those that must not be out together with many others."""
    members: dict[str, list[str]] = {}
    for host in task.dirty:
        for group in sorted(board.groups(host)):
            members.setdefault(group, []).append(host)
    found = dict(seconds)
    for host in task.dirty:
        others = {other for group in board.groups(host) for other in members[group]} - {host}
        found[host] += crowd * sum(seconds[other] for other in sorted(others))
    return found


def ample_zones(board: Board, waiting: Collection[str]) -> set[str]:
    """Return the zones whose clean rooms could take, in sum, the fullest hosts that the slots let go together."""
    task = board.task
    zones: dict[str, list[str]] = {}
    for host in waiting:
        zones.setdefault(task.catalog.hosts[host].zone, []).append(host)
    share = -(-task.slots.total // max(1, len(zones)))
    found = set()
    for zone, hosts in zones.items():
        together = min(share, task.slots.zones.get(zone, share))
        fullest = sorted(hosts, key=lambda host: (-board.load(host), host))[:together]
        need = [sum(task.loads[host][index] for host in fullest) for index in range(len(task.catalog.resources))]
        if not board.rooms.lacks(zone, need):
            found.add(zone)
    return found
