"""Room on hosts, taken and given back while a schedule is tried.

Every host that is emptied has two lives. In the first it holds its guests and those that are put on it for the time
being; in the second, back in service, it only receives. Guests are placed into lives, not into moments. So a schedule
holds whatever the order in which an executor finds its hosts done, as long as a host's first life is over before its
second begins.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from model.fleet import FleetGuest, GroupPolicy, ServerGroup
from model.placement.catalog import ANTI, EXACT, Catalog, Item, Vector

# So many placed items are tried for a change of place when one finds no room.
_REPAIRS = 64
# Where inbound moves are spread, so many hosts with room are compared; beyond that it makes no difference.
_COMPARED = 24


class Room:
    """What is free in one life of one host, and how many members of each server group it holds."""

    __slots__ = ("clean", "free", "host", "inbound", "members", "zone")

    def __init__(self, host: str, zone: str, free: Iterable[float], *, clean: bool) -> None:
        """Begin with what is free."""
        self.host = host
        self.zone = zone
        self.free = list(free)
        self.clean = clean
        self.members: dict[str, int] = {}
        self.inbound = 0.0

    def fits(self, need: Vector) -> bool:
        """Tell whether there is room."""
        return all(held <= free + EXACT for held, free in zip(need, self.free, strict=True))

    def breaks(self, item: Item) -> bool:
        """Tell whether the item's hard anti-affinity group has too many members here already."""
        group = item.group
        if group is None or group.policy is not GroupPolicy.ANTI_AFFINITY:
            return False
        return self.members.get(group.id, 0) + len(item.guests) > group.max_per_host

    def dislike(self, item: Item) -> int:
        """Count wishes that are not met here: soft groups."""
        group = item.group
        if group is None:
            return 0
        here = self.members.get(group.id, 0)
        if group.policy is GroupPolicy.SOFT_ANTI_AFFINITY:
            return here
        return int(group.policy is GroupPolicy.SOFT_AFFINITY and not here)

    def add(self, item: Item, sign: int) -> None:
        """Take the item's room (1), or give it back (-1)."""
        free = self.free
        for index, held in enumerate(item.need):
            free[index] -= sign * held
        self.inbound += sign * item.effort
        if item.group is not None:
            self.members[item.group.id] = self.members.get(item.group.id, 0) + sign * len(item.guests)


class Placed(NamedTuple):
    """An item and its room."""

    item: Item
    room: Room


class Rooms:
    """The rooms of all hosts: ``clean`` those that are done or need nothing, ``dirty`` the first lives of the others.

    Attributes:
        latest: hosts that were opened last; when moves are spread, others come before, because these are waited for.
        sums: what the clean ones have free together, by zone; the empty name stands for all zones.
    """

    def __init__(self, catalog: Catalog, *, spread: bool = False) -> None:
        """Begin with no room. ``spread``: prefer the target with the fewest moves to it to the tightest fit."""
        self.catalog = catalog
        self.spread = spread
        self.latest: frozenset[str] = frozenset()
        self.clean: dict[str, Room] = {}
        self.dirty: dict[str, Room] = {}
        self.sums: dict[str, list[float]] = {}
        self._sorted: dict[str, list[tuple[float, str]]] = {}

    def open(self, host: str, holds: Collection[FleetGuest], *, clean: bool) -> None:
        """Add a life of a host with the guests that it holds from its beginning."""
        catalog = self.catalog
        load = catalog.load(holds)
        rest = zip(catalog.total[host], catalog.fixed[host], load, strict=True)
        room = Room(
            host, catalog.hosts[host].zone, (max(0.0, all_ - fixed - used) for all_, fixed, used in rest), clean=clean
        )
        for guest in holds:
            if group := catalog.group_of.get(guest.id):
                room.members[group.id] = room.members.get(group.id, 0) + 1
        if not clean:
            self.dirty[host] = room
            return
        self.clean[host] = room
        self._list(room)
        self._sum(room.zone, room.free, 1)

    def forget_inbound(self) -> None:
        """Count moves to a room from now on."""
        for room in self.clean.values():
            room.inbound = 0.0

    def place(self, item: Item, room: Room) -> Placed:
        """Take room."""
        self._change(item, room, 1)
        return Placed(item, room)

    def take_back(self, placed: Iterable[Placed]) -> None:
        """Give room back."""
        for item, room in placed:
            self._change(item, room, -1)

    def lacks(self, zone: str | None, need: Sequence[float]) -> bool:
        """Tell whether the clean rooms of a zone (of all, without one) have too little even in sum."""
        free = self.sums.get(zone or "")
        return any(need) if free is None else any(n > f + EXACT for n, f in zip(need, free, strict=True))

    def best(self, item: Item, near: str, *, without: str = "") -> Room | None:
        """Return the clean room that suits an item best; ``near`` is the zone that it comes from.

        ``without`` names a host that is no target, where the source itself has a clean room. A guest that may go
        anywhere stays in its zone if it can: other zones' room is for those that asked for it.
        """
        zones = [item.rules.zone] if item.rules.zone is not None else [near, ""]
        choose = self._emptiest if self.spread else self._tightest
        for zone in zones:
            if room := choose(item, self._sorted.get(zone, []), without):
                return room
        return None

    def pack(self, items: Collection[Item], near: str) -> list[Placed] | None:
        """Find clean room for all items and take it: largest first, those with the fewest hosts before. Or for none."""
        placed: list[Placed] = []
        for item in sorted(items, key=self._hardest_first):
            room = self.best(item, near)
            if room is not None:
                placed.append(self.place(item, room))
            elif not self._repair(item, placed, near):
                self.take_back(placed)
                return None
        return placed

    def _repair(self, item: Item, placed: list[Placed], near: str) -> bool:
        """Make room for an item by giving one placed before it another place."""
        allowed = self.catalog.allowed(item.rules)
        for index in range(len(placed) - 1, max(-1, len(placed) - 1 - _REPAIRS), -1):
            other, room = placed[index]
            if room.host not in allowed:
                continue
            self.take_back([placed[index]])
            if room.fits(item.need) and not room.breaks(item):
                self._change(item, room, 1)
                if (elsewhere := self.best(other, near)) is not None:
                    placed[index] = self.place(other, elsewhere)
                    placed.append(Placed(item, room))
                    return True
                self._change(item, room, -1)
            self._change(other, room, 1)
        return False

    def _hardest_first(self, item: Item) -> tuple[int, bool, float, str]:
        return (len(self.catalog.allowed(item.rules)), item.group is None, -item.size, item.guests[0])

    def _tightest(self, item: Item, rooms: list[tuple[float, str]], without: str) -> Room | None:
        """The room that leaves least of the scarcest resource."""
        best, least = None, 0
        for room in self._possible(item, rooms, without):
            penalty = 2 * room.dislike(item) + self.catalog.wanted_by_others(room.host, item.rules)
            if not penalty:
                return room
            if best is None or penalty < least:
                best, least = room, penalty
        return best

    def _emptiest(self, item: Item, rooms: list[tuple[float, str]], without: str) -> Room | None:
        """The room that the fewest guests go to, so that no target's limit is waited for."""
        best, least = None, (0, False, 0.0)
        for count, room in enumerate(self._possible(item, rooms, without)):
            penalty = 2 * room.dislike(item) + self.catalog.wanted_by_others(room.host, item.rules)
            cost = (penalty, room.host in self.latest, room.inbound)
            if best is None or cost < least:
                best, least = room, cost
            if count >= _COMPARED and not least[0]:
                break
        return best

    def _possible(self, item: Item, rooms: list[tuple[float, str]], without: str) -> Iterable[Room]:
        allowed = self.catalog.allowed(item.rules)
        need = item.need[self.catalog.scarcest] if item.need else 0.0
        for index in range(bisect_left(rooms, (need - EXACT, "")), len(rooms)):
            host = rooms[index][1]
            if host in allowed and host != without:
                room = self.clean[host]
                if room.fits(item.need) and not room.breaks(item):
                    yield room

    def _change(self, item: Item, room: Room, sign: int) -> None:
        if not room.clean:
            room.add(item, sign)
            return
        self._unlist(room)
        room.add(item, sign)
        self._list(room)
        self._sum(room.zone, item.need, -sign)

    def _key(self, room: Room) -> tuple[float, str]:
        return (room.free[self.catalog.scarcest] if room.free else 0.0, room.host)

    def _list(self, room: Room) -> None:
        for zone in (room.zone, ""):
            insort(self._sorted.setdefault(zone, []), self._key(room))

    def _unlist(self, room: Room) -> None:
        key = self._key(room)
        for zone in (room.zone, ""):
            rooms = self._sorted[zone]
            del rooms[bisect_left(rooms, key)]

    def _sum(self, zone: str, amounts: Collection[float], sign: int) -> None:
        for name in (zone, ""):
            sums = self.sums.setdefault(name, [0.0] * len(self.catalog.resources))
            for index, amount in enumerate(amounts):
                sums[index] += sign * amount


def anti_groups(catalog: Catalog, guests: Collection[str]) -> frozenset[str]:
    """Return the anti-affinity groups, hard and soft, of these guests."""
    groups: Iterable[ServerGroup] = (catalog.group_of[guest] for guest in guests if guest in catalog.group_of)
    return frozenset(group.id for group in groups if group.policy in ANTI)
