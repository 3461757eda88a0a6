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


def ranks(task: Task, board: Board, seconds: Mapping[str, float]) -> dict[str, float]:
    """Return what decides who goes first: the longer, and those that must not be out together with many others."""
    others = _neighbours(board)
    return {host: seconds[host] + _CROWD * sum(seconds[other] for other in others[host]) for host in task.dirty}


class Crowd:
    """Who shares anti-affinity groups with whom, while hosts are planned and guests are put on other hosts."""

    def __init__(self, board: Board, weight: float) -> None:
        """Take the part of the others' time that counts as a host's own (``weight``)."""
        self._board = board
        self._weight = weight
        self._others: dict[str, list[str]] | None = None

    def changed(self) -> None:
        """Take note that guests have been put on hosts that are still to be emptied."""
        self._others = None

    def rank(self, host: str, seconds: Mapping[str, float]) -> float:
        """Return a host's own time, and a part of that of the hosts that are left and share groups with it."""
        if self._others is None:
            self._others = _neighbours(self._board)
        left = self._board.left
        return seconds[host] + self._weight * sum(seconds[other] for other in self._others[host] if other in left)


def _neighbours(board: Board) -> dict[str, list[str]]:
    """Return the hosts that each host shares an anti-affinity group with, and cannot be out together with."""
    members: dict[str, list[str]] = {}
    for host in board.task.dirty:
        for group in board.groups(host):
            if board.task.together(group) == 1:
                members.setdefault(group, []).append(host)
    return {
        host: sorted({other for group in board.groups(host) for other in members.get(group, ())} - {host})
        for host in board.task.dirty
    }


def ample_zones(board: Board, waiting: Collection[str], part: float = 1.0) -> set[str]:
    """Return the zones whose clean rooms could take, in sum, the fullest hosts that the slots let go together.

    ``part`` of them, at least one, is enough.
    """
    task = board.task
    zones: dict[str, list[str]] = {}
    for host in waiting:
        zones.setdefault(task.catalog.hosts[host].zone, []).append(host)
    share = -(-task.slots.total // max(1, len(zones)))
    found = set()
    for zone, hosts in zones.items():
        together = min(share, task.slots.zones.get(zone, share))
        together = max(1, round(together * part))
        fullest = sorted(hosts, key=lambda host: (-board.load(host), host))[:together]
        need = [sum(task.loads[host][index] for host in fullest) for index in range(len(task.catalog.resources))]
        if not board.rooms.lacks(zone, need):
            found.add(zone)
    return found
