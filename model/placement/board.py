"""The state of a schedule while it is made: who is where, what is done, and which hosts are to be emptied."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from model.fleet import Fleet, FleetGuest, GuestClass
from model.placement.catalog import ANTI, MOVING, Catalog, Item, is_usable
from model.placement.limits import Budget, slots_of
from model.placement.records import Cause, Skipped, Slots
from model.placement.rooms import Placed, Room, Rooms, anti_groups
from model.rolling import Rolling
from model.words import listed


class Move(NamedTuple):
    """An item that leaves a host for a room, and why."""

    item: Item
    source: str
    room: Room
    cause: Cause


class Task:
    """What is asked: which hosts are to be emptied of which guests, under which rules. It does not change.

    Attributes:
        dirty: the hosts to be emptied, by name.
        skipped: those that are not, and why.
        movers: guests that leave, by host.
        stays: guests that stay on their host while it is out of service, by host.
        clean: hosts that are done or need nothing, and may take guests.
        shelters: hosts that are skipped and may take guests for want of others.
    """

    def __init__(
        self, fleet: Fleet, classes: Mapping[str, GuestClass], rolling: Rolling, hosts: Collection[str]
    ) -> None:
        """Sort hosts and guests."""
        self.catalog = Catalog(fleet)
        self.rolling = rolling
        self._classes = classes
        self.skipped: list[Skipped] = []
        self.movers: dict[str, list[FleetGuest]] = {}
        self.stays: dict[str, list[FleetGuest]] = {}
        for name in sorted(set(hosts)):
            if (skipped := self._obstacle(name, classes)) is not None:
                self.skipped.append(skipped)
                continue
            guests = self.catalog.on[name]
            self.movers[name] = [guest for guest in guests if classes[guest.id] in MOVING]
            self.stays[name] = [guest for guest in guests if classes[guest.id] not in MOVING]
        self._asked = frozenset(hosts)
        self._prepare()

    def drop(self, host: str, reason: str) -> None:
        """Leave a host as it is."""
        self.skipped.append(Skipped(host=host, reason=reason))
        del self.movers[host], self.stays[host]
        self._prepare()

    def _prepare(self) -> None:
        hosts = self.catalog.hosts
        usable = [name for name in sorted(hosts) if is_usable(hosts[name])]
        self.dirty = sorted(self.movers)
        self.clean = [name for name in usable if name not in self._asked]
        self.shelters = [name for name in usable if name in self._asked and name not in self.movers]
        self.budget = Budget(self.catalog, self._staying(), self.rolling.reserve_hosts)
        self.slots: Slots = slots_of(self.catalog, self.rolling, self.budget, self.dirty)
        self.loads = {name: self.catalog.load(movers) for name, movers in self.movers.items()}
        self._interrupted = anti_groups(self.catalog, self._not_live())

    def together(self, group: str) -> int:
        """Return how many hosts that have members of an anti-affinity group may be out of service at the same time."""
        return 1 if group in self._interrupted else self.rolling.max_per_group

    def weight(self, host: str) -> float:
        """Return what the movers hold of the scarcest resource."""
        return self.loads[host][self.catalog.scarcest] if self.catalog.resources else 0.0

    def canaries(self) -> list[str]:
        """Return the hosts that go first: those named, or the emptiest."""
        canary = self.rolling.canary
        if canary.hosts:
            return [name for name in dict.fromkeys(canary.hosts) if name in self.movers]
        return sorted(self.dirty, key=lambda name: (self.weight(name), len(self.movers[name]), name))[: canary.count]

    def _not_live(self) -> list[str]:
        guests = (guest.id for name in self.dirty for guest in self.catalog.on[name])
        return [guest for guest in guests if self._classes[guest] is not GuestClass.LIVE]

    def _staying(self) -> dict[str, list[str]]:
        return {name: [guest.id for guest in guests] for name, guests in self.stays.items()}

    def _obstacle(self, name: str, classes: Mapping[str, GuestClass]) -> Skipped | None:
        host = self.catalog.hosts.get(name)
        if host is None:
            return Skipped(host=name, reason="nova knows no compute host of this name")
        if host.state != "up" or host.forced_down:
            return Skipped(host=name, reason="its compute service is down, so nothing can be moved away from it")
        guests = self.catalog.on[name]
        kinds = {guest.id: classes.get(guest.id, GuestClass.BLOCKED) for guest in guests}
        blocked = [guest.name or guest.id for guest in guests if kinds[guest.id] is GuestClass.BLOCKED]
        if blocked:
            return Skipped(host=name, reason=f"somebody must decide about {_some(blocked)} first")
        left = [guest.name or guest.id for guest in guests if kinds[guest.id] is GuestClass.LEAVE]
        if left:
            return Skipped(host=name, reason=f"{_some(left)} is to be left as it is", exposed=True)
        return None


class Board:
    """The schedule so far.

    Attributes:
        items: what is still on each host that is to be emptied, by host.
        left: the hosts that are not planned yet.
        moves: all moves so far.
        twice: guests that must move once more, and may not be put on a host that is to be emptied again.
        latest_groups: where there are waves, the groups of the last one's hosts that keep others waiting.
        last: where the order of all hosts is known beforehand: those that are emptied last, first.
    """

    def __init__(self, task: Task, *, spread: bool = False) -> None:
        """Begin with nothing planned."""
        catalog = task.catalog
        self.task = task
        self.rooms = Rooms(catalog, spread=spread)
        self.items = {name: catalog.items(movers, name) for name, movers in task.movers.items()}
        self.left = dict.fromkeys(task.dirty)
        self.moves: list[Move] = []
        self.twice: set[str] = set()
        self.last: list[str] = []
        self.latest_groups: frozenset[str] = frozenset()
        self._leaving: dict[str, dict[str | None, list[float]]] = {}
        self._groups = {name: anti_groups(catalog, [guest.id for guest in catalog.on[name]]) for name in task.dirty}
        for name in task.clean:
            self.rooms.open(name, catalog.on[name], clean=True)
        for name in [*task.shelters, *(n for n in task.dirty if is_usable(catalog.hosts[n]))]:
            self.rooms.open(name, catalog.on[name], clean=False)

    def clean_room(self) -> dict[str, float]:
        """Return what the hosts that are done have free now, by resource class."""
        nothing = [0.0] * len(self.task.catalog.resources)
        return self.task.catalog.amounts(self.rooms.sums.get("", nothing))

    def groups(self, host: str) -> frozenset[str]:
        """Return the anti-affinity groups that have members on this host now."""
        return self._groups[host]

    def load(self, host: str) -> float:
        """Return what is to leave this host now, of the scarcest resource."""
        sums = self._sums(host)[None]
        return sums[self.task.catalog.scarcest] if sums else 0.0

    def hopeless(self, host: str) -> bool:
        """Tell at little cost whether the clean rooms have too little for a host's guests, even in sum."""
        return any(self.rooms.lacks(zone, need) for zone, need in self._sums(host).items())

    def _sums(self, host: str) -> dict[str | None, list[float]]:
        """Return what is to leave a host now: in all, and by the zone that was asked for."""
        if (sums := self._leaving.get(host)) is None:
            sums = self._leaving[host] = {None: [0.0] * len(self.task.catalog.resources)}
            for item in self.items[host]:
                for zone in {None, item.rules.zone}:
                    held = sums.setdefault(zone, [0.0] * len(item.need))
                    for index, amount in enumerate(item.need):
                        held[index] += amount
        return sums

    def try_clean(self, host: str) -> list[Move] | None:
        """Place all that is on a host into clean rooms; None, and nothing taken, when it does not fit."""
        if self.hopeless(host):
            return None
        placed = self.rooms.pack(self.items[host], self.task.catalog.hosts[host].zone)
        return None if placed is None else [Move(item, host, room, Cause.TURN) for item, room in placed]

    def try_spill(self, host: str, out: Collection[str], cause: Cause) -> list[Move] | None:
        """Place what fits into clean rooms, and the rest on hosts that are to be emptied last.

        What has been spilled before goes to clean rooms only, so that no guest moves more than twice. The smallest
        are packed first, because the number of guests that move twice counts, not their size.
        """
        near = self.task.catalog.hosts[host].zone
        again = [item for item in self.items[host] if self.twice.intersection(item.guests)]
        placed = self.rooms.pack(again, near)
        if placed is None:
            return None
        moves = [Move(item, host, room, Cause.TURN) for item, room in placed]
        rest = []
        once = [item for item in self.items[host] if item not in again]
        for item in sorted(once, key=lambda item: (item.size, item.group is None, item.guests[0])):
            room = self.rooms.best(item, near)
            if room is None:
                rest.append(item)
            else:
                moves.append(Move(item, host, room, Cause.TURN))
                self.rooms.place(item, room)
        late = self._late(host, out)
        for item in reversed(rest):
            allowed = self.task.catalog.allowed(item.rules)
            simple = item.group is None and not self.rooms.spread
            found = (r for r in late if r.host in allowed and r.fits(item.need) and not r.breaks(item))
            apart = self._apart(item, host)
            room = (
                next(found, None)
                if simple
                else min(found, key=lambda r: (r.dislike(item), apart(r.host), r.inbound), default=None)
            )
            if room is None:
                self.undo(moves)
                return None
            moves.append(Move(item, host, room, cause))
            self.rooms.place(item, room)
        return moves

    def _apart(self, item: Item, source: str) -> Callable[[str], int]:
        """Return how many hosts another one could no longer be out with if it held the item for the time being."""
        group = item.group
        if group is None or group.policy not in ANTI or self.task.together(group.id) > 1:
            return lambda _: 0
        holders = [name for name in self.left if name != source and group.id in self._groups[name]]
        return lambda host: sum(
            name != host and self._groups[name].isdisjoint(self._groups.get(host, ())) for name in holders
        )

    def undo(self, moves: Iterable[Move]) -> None:
        """Give back the room that moves have taken."""
        self.rooms.take_back(Placed(move.item, move.room) for move in moves)

    def redo(self, moves: Iterable[Move]) -> None:
        """Take again the room that had been given back."""
        for move in moves:
            self.rooms.place(move.item, move.room)

    def commit(self, host: str, moves: Collection[Move]) -> None:
        """Keep the moves of a host: it is empty now, and what was spilled is on other hosts."""
        catalog = self.task.catalog
        self.moves.extend(moves)
        self.items[host] = []
        self._leaving.pop(host, None)
        del self.left[host]
        for move in moves:
            target = move.room.host
            if not move.room.clean and target in self.items:
                guests = [catalog.guests[guest] for guest in move.item.guests]
                self.items[target].append(catalog.item(guests, target))
                self._leaving.pop(target, None)
                self.twice.update(move.item.guests)
                self._groups[target] |= anti_groups(catalog, move.item.guests)

    def done(self, host: str) -> None:
        """Bring a host back into service: its second life begins, unless it was disabled before."""
        if is_usable(self.task.catalog.hosts[host]):
            self.rooms.open(host, self.task.stays[host], clean=True)

    def _late(self, host: str, out: Collection[str]) -> list[Room]:
        """First hosts that stay as they are, because nobody moves from them again; then the fullest, done last."""
        task = self.task
        stay = [name for name in task.shelters if name != host]
        left = [name for name in self.left if name != host and name not in out]
        ranked = sorted(left, key=lambda name: (-self.load(name), name))
        if self.last:
            # Half of them is enough to spread moves over, and none of these is waited for soon. The very last round
            # is better short: it gets guests only when no other has room for them, unless groups keep hosts apart;
            # then a guest on a host of an earlier round costs more.
            ranked = [name for name in self.last if name in set(left)]
            half = 1 + len(ranked) // 2
            final = min(task.slots.total, half // 2) if task.rolling.max_per_group > 1 else 0
            ranked = [*ranked[final:half], *ranked[:final]]
        return [self.rooms.dirty[name] for name in [*stay, *ranked] if name in self.rooms.dirty]


def _some(names: list[str]) -> str:
    """Write a few names, and how many more there are."""
    kind = "guest" if len(names) == 1 else "guests"
    return f"{kind} {listed(names, 3)}"
