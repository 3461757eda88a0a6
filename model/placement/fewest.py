"""The order with the fewest moves: emptiest hosts first, into hosts that are done, in waves that grow with their room.

Emptying a host with load L needs L of free clean room and adds its capacity; free clean room never shrinks by it. So of
two neighbours in an order the one with the smaller load may always go first: if any order needs no second moves,
ascending load does. With several resources, groups and zones this is a heuristic, and each wave is proved by packing.
Only where nothing is clean, guests of the first host must go to hosts whose turn is still to come.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from model.placement.board import Board, Move, Task
from model.placement.draft import Draft, Outing, wave_of
from model.placement.ranks import ample_zones, ranks
from model.placement.records import Cause
from model.placement.shortfalls import explain

# Of the hosts that may be emptied first at the price of second moves, so many are really tried.
_TRIED = 8


def fewest_moves(task: Task, seconds: Mapping[str, float], *, extra: int = 0, apart: bool = False) -> Draft:
    """Plan all hosts for the fewest moves.

    Args:
        task: what is asked.
        seconds: how long each host is out of service.
        extra: so many more hosts are emptied first than need be; growth begins from more room, for some more moves.
        apart: whether hosts that share no group with the wave before come first; they need not wait for it.
    """
    draft = Draft(Board(task))
    rank = ranks(task, draft.board, seconds)
    canaries = dict.fromkeys(task.canaries())
    while waiting := [host for host in draft.board.left if not canaries or host in canaries]:
        _next_wave(draft, waiting, rank, canary=bool(canaries), extra=0 if canaries else extra)
        if not apart:
            draft.board.latest_groups = frozenset()
        extra = extra if canaries else 0
        for host in [*draft.hosts, *draft.shortfalls]:
            canaries.pop(host, None)
    return draft


def _next_wave(draft: Draft, waiting: Collection[str], rank: Mapping[str, float], *, canary: bool, extra: int) -> None:
    """Decide one wave; without one, say what each of the waiting hosts lacks."""
    board = draft.board
    room = board.clean_room()
    outing = Outing(board)
    _fill(board, outing, waiting, rank)
    _seed_zones(board, outing, waiting)
    if not outing.hosts:
        _seed(board, outing, waiting, len(waiting))
    for _ in range(extra):
        _seed(board, outing, [host for host in waiting if host in board.left], _TRIED, hasty=True)
    if not outing.hosts:
        for host in waiting:
            draft.refuse(explain(board, host))
        return
    draft.waves.append(wave_of(board, len(draft.waves), outing.hosts, canary=canary, room=room))
    draft.hosts += outing.hosts
    groups = {group for host in outing.hosts for group in board.groups(host)}
    board.latest_groups = frozenset(group for group in groups if board.task.together(group) == 1)
    for host in outing.hosts:
        board.done(host)
    board.rooms.latest = frozenset(outing.hosts)


class _Choice(NamedTuple):
    """One way to put a wave together.

    Attributes:
        ample: zones in which those go first that take longest or share groups with many, so that they do not wait for
            each other at the end; in others, which still grow and come before, it is the emptiest.
        spread: zones in which targets are chosen apart, so that moves do not wait for each other; in others they are
            tight, which keeps large gaps whole.
    """

    ample: frozenset[str]
    spread: frozenset[str]


def _fill(board: Board, outing: Outing, waiting: Collection[str], rank: Mapping[str, float]) -> None:
    """Take hosts whose guests fit into clean rooms: in the fastest way that fills the wave, else the largest wave."""
    zones = frozenset(board.task.catalog.hosts[host].zone for host in waiting)
    ample = frozenset(ample_zones(board, waiting))
    none: frozenset[str] = frozenset()
    best: list[tuple[str, list[Move]]] = []
    for choice in dict.fromkeys(
        (_Choice(zones, zones), _Choice(ample, zones), _Choice(none, zones), _Choice(none, none))
    ):
        chosen, full = _try(board, waiting, rank, choice)
        for _, moves in reversed(chosen):
            board.undo(moves)
        if len(chosen) > len(best):
            best = chosen
        if full:
            break
    for host, moves in best:
        board.redo(moves)
        outing.add(host, moves)


def _try(
    board: Board, waiting: Collection[str], rank: Mapping[str, float], choice: _Choice
) -> tuple[list[tuple[str, list[Move]]], bool]:
    """Put a wave together in one way; tell whether it is full. Its moves are placed, and not committed."""
    hosts, total, scarcest = board.task.catalog.hosts, board.task.catalog.total, board.task.catalog.scarcest

    def early(host: str) -> tuple[int, float, float, str]:
        if hosts[host].zone in choice.ample:
            # Who shares a group with a host of the wave before waits until that one is back.
            return (1 + (not board.latest_groups.isdisjoint(board.groups(host))), -rank[host], 0.0, host)
        return (0, board.load(host), -sum(total[host][scarcest : scarcest + 1]), host)

    trial = Outing(board)
    board.rooms.forget_inbound()
    chosen: list[tuple[str, list[Move]]] = []
    for host in sorted(waiting, key=early):
        if trial.full():
            break
        board.rooms.spread = hosts[host].zone in choice.spread
        if trial.admits(host) and (moves := board.try_clean(host)) is not None:
            trial.consider(host, moves)
            chosen.append((host, moves))
    return chosen, trial.full()


def _seed_zones(board: Board, outing: Outing, waiting: Collection[str]) -> None:
    """Begin in every zone where waiting for other zones would help nobody: its guests may not leave it."""
    zones: dict[str, list[str]] = {}
    for host in waiting:
        if host in board.left:
            zones.setdefault(board.task.catalog.hosts[host].zone, []).append(host)
    busy = {board.task.catalog.hosts[host].zone for host in outing.hosts}
    for zone, hosts in sorted(zones.items()):
        if zone in busy:
            continue
        held = {host: _held(board, host) for host in hosts}
        if all(board.rooms.lacks(zone, bound) for bound, _ in held.values()):
            _seed(board, outing, [h for h, (_, free) in held.items() if not board.rooms.lacks(None, free)], _TRIED)


def _held(board: Board, host: str) -> tuple[list[float], list[float]]:
    """Return what a host's guests hold that asked for its zone, and what its others do."""
    width = len(board.task.catalog.resources)
    bound, free = [0.0] * width, [0.0] * width
    for item in board.items[host]:
        held = free if item.rules.zone is None else bound
        for index, amount in enumerate(item.need):
            held[index] += amount
    return bound, free


def _seed(board: Board, outing: Outing, hosts: Collection[str], tried: int, *, hasty: bool = False) -> None:
    """Empty one host at the price of second moves: the one that costs fewest, and lets another one follow."""
    ranked = sorted((_price(board, host, hosts), board.load(host), host) for host in hosts if outing.admits(host))
    best: tuple[int, str] | None = None
    for price, _, host in ranked[:tried]:
        if best is not None and best[0] <= price - len(board.items[host]):
            break
        moves = _spill(board, host, outing, hasty=hasty)
        if moves is None:
            continue
        board.undo(moves)
        cost = sum(len(move.item.guests) for move in moves if not move.room.clean) + price - _guests(board, host)
        if best is None or cost < best[0]:
            best = (cost, host)
    if best is not None and (moves := _spill(board, best[1], outing, hasty=hasty)) is not None:
        outing.add(best[1], moves)


def _spill(board: Board, host: str, outing: Outing, *, hasty: bool) -> list[Move] | None:
    zone = board.task.catalog.hosts[host].zone
    nothing = not any(room.zone == zone for room in board.rooms.clean.values())
    cause = Cause.HASTE if hasty else Cause.SEED if nothing else Cause.SPILL
    return board.try_spill(host, outing.hosts, cause)


def _price(board: Board, host: str, hosts: Collection[str]) -> int:
    """Count the guests that would move twice at most: its own, and the next host's if its room is too small for any."""
    catalog = board.task.catalog
    others = [other for other in hosts if other != host]
    sums = board.rooms.sums.get("", [0.0] * len(catalog.resources))
    room = [a + b for a, b in zip(sums, catalog.total[host], strict=True)]
    follows = any(all(n <= r for n, r in zip(board.task.loads[other], room, strict=True)) for other in others)
    next_ = 0 if follows else min((_guests(board, other) for other in others), default=0)
    return _guests(board, host) + next_


def _guests(board: Board, host: str) -> int:
    return sum(len(item.guests) for item in board.items[host])
