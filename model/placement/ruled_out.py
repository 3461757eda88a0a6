"""What removed the other hosts as a guest's target, counted when its wave was planned."""

from typing import NamedTuple

from model.fleet import GroupPolicy
from model.placement.board import Move, Task
from model.placement.catalog import Item, Rules, Vector, is_usable, refusal
from model.placement.draft import Draft
from model.placement.records import Filter
from model.placement.rooms import Room, Rooms


class _Kind(NamedTuple):
    """What is the same for many moves of one wave."""

    rules: Rules
    need: Vector
    group: str | None
    spilled: bool


class Count:
    """Goes through a finished draft wave by wave, and counts for each move how many hosts each filter removes."""

    def __init__(self, draft: Draft) -> None:
        """Begin with the rooms as they were at the start."""
        self._task: Task = draft.task
        self._catalog = draft.task.catalog
        self._draft = draft
        self._rooms = Rooms(self._catalog)
        for name in self._task.clean:
            self._rooms.open(name, self._catalog.on[name], clean=True)
        for name in [*self._task.shelters, *self._task.dirty]:
            self._rooms.open(name, self._catalog.on[name], clean=False)
        self._usable = frozenset(name for name, host in self._catalog.hosts.items() if is_usable(host))
        self._fixed: dict[Rules, dict[str, int]] = {}
        self._rows: dict[tuple[tuple[str, int], ...], int] = {}

    def rows(self) -> tuple[list[int], tuple[dict[str, int], ...]]:
        """Return the row of each move of the draft, in order, and the rows."""
        found: dict[int, int] = {}
        moves: dict[str, list[tuple[int, Move]]] = {}
        for index, move in enumerate(self._draft.board.moves):
            moves.setdefault(move.source, []).append((index, move))
        for wave in self._draft.waves:
            out = frozenset(wave.hosts)
            cache: dict[_Kind, int] = {}
            here = [pair for host in wave.hosts for pair in moves.get(host, [])]
            for index, move in here:
                kind = self._kind(move)
                if kind not in cache:
                    row = tuple(sorted(self._count(move, kind, out).items()))
                    cache[kind] = self._rows.setdefault(row, len(self._rows))
                found[index] = cache[kind]
            for _, move in here:
                rooms = self._rooms.clean if move.room.clean else self._rooms.dirty
                if move.room.host in rooms:
                    self._rooms.place(move.item, rooms[move.room.host])
            for host in wave.hosts:
                if host in self._usable:
                    self._rooms.open(host, self._task.stays[host], clean=True)
        return [found[index] for index in range(len(found))], tuple(dict(row) for row in self._rows)

    def _kind(self, move: Move) -> _Kind:
        group = move.item.group
        hard = group is not None and group.policy is GroupPolicy.ANTI_AFFINITY
        return _Kind(move.item.rules, move.item.need, group.id if group and hard else None, not move.room.clean)

    def _count(self, move: Move, kind: _Kind, out: frozenset[str]) -> dict[str, int]:
        counts = dict(self._by_rules(kind.rules))
        for name in (self._catalog.allowed(kind.rules) & self._usable) - {move.source}:
            what = self._dynamic(name, move.item, out, spilled=kind.spilled)
            counts[what] = counts.get(what, 0) + 1
        return counts

    def _dynamic(self, name: str, item: Item, out: frozenset[str], *, spilled: bool) -> str:
        if name in out:
            return Filter.WAVE
        room: Room | None = self._rooms.clean.get(name)
        if room is None and spilled:
            room = self._rooms.dirty.get(name)
        if room is None:
            return Filter.LATER
        for index, resource in enumerate(self._catalog.resources):
            if item.need[index] > room.free[index] + 1e-6:
                return f"{Filter.ROOM}:{resource}"
        return Filter.GROUP if room.breaks(item) else Filter.POSSIBLE

    def _by_rules(self, rules: Rules) -> dict[str, int]:
        if rules not in self._fixed:
            counts: dict[str, int] = {}
            for name, host in self._catalog.hosts.items():
                what = refusal(rules, host) if name in self._usable else Filter.OUT
                if what is not None:
                    counts[what] = counts.get(what, 0) + 1
            self._fixed[rules] = counts
        return self._fixed[rules]
