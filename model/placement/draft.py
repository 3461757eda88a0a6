"""What an order of hosts has come to, before it is written down as a schedule."""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import NamedTuple

from model.fleet import ServerGroup
from model.placement.board import Board, Move, Task
from model.placement.catalog import ANTI
from model.placement.limits import Occupied
from model.placement.records import Shortfall, Wave


class Times(NamedTuple):
    """When a host goes out of service and when it is back, in seconds."""

    start: float
    done: float


class Draft:
    """Waves that are decided, on a board.

    Attributes:
        waves: in order; their ``needs`` and ``seconds`` are found at the end.
        hosts: the hosts of all waves, in order.
        shortfalls: what made hosts be left out, by host.
        times: when hosts go out and come back, as far as that was reckoned when they were chosen.
    """

    def __init__(self, board: Board) -> None:
        """Begin without a wave."""
        self.board = board
        self.waves: list[Wave] = []
        self.hosts: list[str] = []
        self.shortfalls: dict[str, Shortfall] = {}
        self.times: dict[str, Times] = {}

    @property
    def task(self) -> Task:
        """What was asked."""
        return self.board.task

    @property
    def makespan(self) -> float:
        """The seconds until all are back, as far as they were reckoned."""
        return max((times.done for times in self.times.values()), default=0.0)

    @property
    def moves(self) -> int:
        """How many moves of guests there are."""
        return sum(len(move.item.guests) for move in self.board.moves)

    def refuse(self, shortfall: Shortfall) -> None:
        """Leave a host out."""
        self.shortfalls[shortfall.host] = shortfall
        self.board.left.pop(shortfall.host, None)

    def needs(self) -> dict[str, tuple[str, ...]]:
        """Return what each host waits for: hosts whose room it uses, that put guests on it, or that share a group."""
        place = {host: index for index, host in enumerate(self.hosts)}
        needs: dict[str, set[str]] = {host: set() for host in self.hosts}
        for move in self.board.moves:
            target = move.room.host
            if target in place:
                first, then = (target, move.source) if move.room.clean else (move.source, target)
                needs[then].add(first)
        for group, holders in self._holders(place).items():
            for first, then in zip(holders, holders[self.task.together(group) :], strict=False):
                needs[then].add(first)
        canaries = {host for wave in self.waves if wave.canary for host in wave.hosts}
        for host in self.hosts:
            if host not in canaries:
                needs[host] |= canaries
        self._crowded(needs)
        return {host: tuple(sorted(needs[host], key=place.__getitem__)) for host in self.hosts}

    def _holders(self, place: dict[str, int]) -> dict[str, list[str]]:
        """The hosts that have members of an anti-affinity group before they are emptied, in order, for each group."""
        catalog = self.task.catalog
        holders: dict[str, set[str]] = {}
        for host in self.hosts:
            for guest in catalog.on[host]:
                _note(holders, catalog.group_of.get(guest.id), host)
        for move in self.board.moves:
            if not move.room.clean and move.room.host in place:
                _note(holders, move.item.group, move.room.host)
        return {group: sorted(hosts, key=place.__getitem__) for group, hosts in sorted(holders.items())}

    def _crowded(self, needs: dict[str, set[str]]) -> None:
        """Where hosts with some traits may be out only so many at once, they are as many chains."""
        for scope in self.task.budget.scopes:
            inside = [host for host in self.hosts if host in scope.hosts]
            if not scope.traits or not inside:
                continue
            most = self.task.budget.most(scope, inside)
            for before, host in zip(inside, inside[most:], strict=False):
                needs[host].add(before)


class Outing:
    """The hosts of one wave while it is put together, and what another one must not break."""

    def __init__(self, board: Board) -> None:
        """Begin with an empty wave."""
        self._board = board
        self._occupied = Occupied(board.task.catalog, board.task.slots)
        self._groups: Counter[str] = Counter()
        self._received: dict[str, set[str]] = {}
        self.hosts: list[str] = []

    def full(self) -> bool:
        """Tell whether no slot is left."""
        return self._occupied.full()

    def admits(self, host: str) -> bool:
        """Tell whether a host may be out together with those chosen so far."""
        task = self._board.task
        return (
            not self._received.get(host)
            and self._occupied.admits(host)
            and all(self._groups[group] < task.together(group) for group in self._board.groups(host))
            and task.budget.lack([*self.hosts, host]) is None
        )

    def add(self, host: str, moves: Collection[Move]) -> None:
        """Take a host with its moves, for good."""
        self.consider(host, moves)
        self._board.commit(host, moves)

    def consider(self, host: str, moves: Collection[Move]) -> None:
        """Count a host with its moves, which the board does not know yet."""
        self._groups.update(self._board.groups(host))
        for move in moves:
            if not move.room.clean:
                self._received.setdefault(move.room.host, set()).add(host)
        self._occupied.change(host, 1)
        self.hosts.append(host)

    def remove(self, host: str) -> None:
        """Let a host return."""
        self._groups.subtract(self._board.groups(host))
        for sources in self._received.values():
            sources.discard(host)
        self._occupied.change(host, -1)
        self.hosts.remove(host)


def wave_of(board: Board, index: int, outing: Iterable[str], *, canary: bool, room: dict[str, float]) -> Wave:
    """Write down a wave that has just been decided."""
    hosts = tuple(outing)
    chosen = set(hosts)
    catalog = board.task.catalog
    moves = [move for move in board.moves if move.source in chosen]
    load = [sum(move.item.need[i] for move in moves) for i in range(len(catalog.resources))]
    spare, reserve = board.task.budget.spare(hosts)
    return Wave(
        index=index,
        hosts=hosts,
        canary=canary,
        guests=sum(len(move.item.guests) for move in moves),
        room=room,
        load=catalog.amounts(load),
        spare=spare,
        reserve=reserve,
    )


def _note(holders: dict[str, set[str]], group: ServerGroup | None, host: str) -> None:
    if group is not None and group.policy in ANTI:
        holders.setdefault(group.id, set()).add(host)
