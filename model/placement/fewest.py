"""The order with the fewest moves: emptiest hosts first, into hosts that are done, in waves that grow with their room.

Emptying a host with load L needs L of free clean room and adds its capacity; free clean room never shrinks by it. So of
two neighbours in an order the one with the smaller load may always go first: if any order needs no second moves,
ascending load does. With several resources, groups and zones this is a heuristic, and each wave is proved by packing.
Only where nothing is clean, guests of the first host must go to hosts whose turn is still to come.
"""

from collections.abc import Collection, Mapping

from model.placement.board import Board, Move, Task
from model.placement.draft import Draft, Outing, wave_of
from model.placement.ranks import ranks
from model.placement.records import Cause
from model.placement.shortfalls import explain

# Of the hosts that may be emptied first at the price of second moves, so many are really tried.
_TRIED = 8


def fewest_moves(task: Task, seconds: Mapping[str, float]) -> Draft:
    """Plan all hosts for the fewest moves. ``seconds``: how long each host is out of service."""
    draft = Draft(Board(task))
    rank = ranks(task, draft.board, seconds)
    canaries = dict.fromkeys(task.canaries())
    while waiting := [host for host in draft.board.left if not canaries or host in canaries]:
        _next_wave(draft, waiting, rank, canary=bool(canaries))
        for host in [*draft.hosts, *draft.shortfalls]:
            canaries.pop(host, None)
    return draft


def _next_wave(draft: Draft, waiting: Collection[str], rank: Mapping[str, float], *, canary: bool) -> None:
    """Decide one wave; without one, say what each of the waiting hosts lacks."""
    board = draft.board
    room = board.clean_room()
    outing = Outing(board)
    _fill(board, outing, waiting, rank)
    _seed_zones(board, outing, waiting)
    if not outing.hosts:
        _seed(board, outing, waiting, len(waiting))
    if not outing.hosts:
        for host in waiting:
            draft.refuse(explain(board, host))
        return
    draft.waves.append(wave_of(board, len(draft.waves), outing.hosts, canary=canary, room=room))
    draft.hosts += outing.hosts
    for host in outing.hosts:
        board.done(host)


def _fill(board: Board, outing: Outing, waiting: Collection[str], rank: Mapping[str, float]) -> None:
    """Take every host whose guests fit into clean rooms, in ascending load; of equal ones the one with more room.

    Where there is room for whatever may go, those go first that take longest or share groups with many, so that they
    do not wait for each other at the end; zones that still grow come before.
    """
    hosts, total, scarcest = board.task.catalog.hosts, board.task.catalog.total, board.task.catalog.scarcest
    ample = _ample(board, waiting)

    def early(host: str) -> tuple[bool, float, float, str]:
        if hosts[host].zone in ample:
            return (True, -rank[host], 0.0, host)
        return (False, board.load(host), -sum(total[host][scarcest : scarcest + 1]), host)

    board.rooms.forget_inbound()
    for host in sorted(waiting, key=early):
        if outing.full():
            return
        # Tight targets keep large gaps whole, which growth needs; apart they do not wait for each other's moves.
        board.rooms.spread = hosts[host].zone in ample
        if outing.admits(host) and (moves := board.try_clean(host)) is not None:
            outing.add(host, moves)


def _ample(board: Board, waiting: Collection[str]) -> set[str]:
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


def _seed_zones(board: Board, outing: Outing, waiting: Collection[str]) -> None:
    """Begin in every zone where waiting for other zones would help nobody: its guests may not leave it."""
    zones: dict[str, list[str]] = {}
    for host in waiting:
        if host in board.left:
            zones.setdefault(board.task.catalog.hosts[host].zone, []).append(host)
    busy = {board.task.catalog.hosts[host].zone for host in outing.hosts}
    for zone, hosts in sorted(zones.items()):
        if zone not in busy and all(_bound(board, host, zone) for host in hosts):
            _seed(board, outing, hosts, _TRIED)


def _bound(board: Board, host: str, zone: str) -> bool:
    """Tell whether a host's guests that asked for its zone find no clean room there, and its others do anywhere."""
    width = len(board.task.catalog.resources)
    bound, free = [0.0] * width, [0.0] * width
    for item in board.items[host]:
        held = free if item.rules.zone is None else bound
        for index, amount in enumerate(item.need):
            held[index] += amount
    return board.rooms.lacks(zone, bound) and not board.rooms.lacks(None, free)


def _seed(board: Board, outing: Outing, hosts: Collection[str], tried: int) -> None:
    """Empty one host at the price of second moves: the one that costs fewest, and lets another one follow."""
    ranked = sorted((_price(board, host, hosts), board.load(host), host) for host in hosts if outing.admits(host))
    best: tuple[int, str] | None = None
    for price, _, host in ranked[:tried]:
        if best is not None and best[0] <= price - len(board.items[host]):
            break
        moves = _spill(board, host, outing)
        if moves is None:
            continue
        board.undo(moves)
        cost = sum(len(move.item.guests) for move in moves if not move.room.clean) + price - _guests(board, host)
        if best is None or cost < best[0]:
            best = (cost, host)
    if best is not None and (moves := _spill(board, best[1], outing)) is not None:
        outing.add(best[1], moves)


def _spill(board: Board, host: str, outing: Outing) -> list[Move] | None:
    zone = board.task.catalog.hosts[host].zone
    nothing = not any(room.zone == zone for room in board.rooms.clean.values())
    return board.try_spill(host, outing.hosts, Cause.SEED if nothing else Cause.SPILL)


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
