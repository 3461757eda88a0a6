"""Where guests go now: the planned targets while they are valid, and the best others where the cloud has changed."""

from collections.abc import Collection, Mapping
from enum import StrEnum

from model.base import Record
from model.fleet import Fleet, FleetGuest
from model.placement.catalog import Catalog, Item, is_usable, refusal
from model.placement.records import Filter
from model.placement.rooms import Room, Rooms
from model.placement.shortfalls import amount


class Kind(StrEnum):
    """How a target was found."""

    PLANNED = "planned"
    DONE = "done"
    ANY = "any"
    NONE = "none"


class Choice(Record):
    """The target of one guest.

    Attributes:
        target: the host; None when there is none.
        kind: ``planned``, another host that is ``done``, ``any`` host that is not (the guest will move once more), or
            ``none``.
        reason: why it is not the planned one, or why there is none; empty for the planned one.
    """

    target: str | None = None
    kind: Kind
    reason: str = ""


def choose_targets(
    fleet: Fleet,
    guests: Collection[str],
    *,
    clean: Collection[str],
    avoid: Collection[str],
    planned: Mapping[str, str],
) -> dict[str, Choice]:
    """Choose a target for each guest of a drain, as the cloud is now.

    Planned targets come first, in the order given; then the others, largest first. Room that one of them takes is
    not given to the next. Room that migrations in progress have claimed is in placement's figures already; the
    server groups' members on their way are counted at their targets.

    Args:
        fleet: the cloud as it is now.
        guests: ids of those to be moved; who is unknown or has no host is left out.
        clean: hosts that are done or need nothing.
        avoid: hosts that must not take guests: those that are out of service, or about to be.
        planned: the target of each guest by the schedule.
    """
    chooser = _Chooser(fleet, clean, avoid)
    leaving: dict[str, list[FleetGuest]] = {}
    for id_ in dict.fromkeys(guests):
        guest = chooser.catalog.guests.get(id_)
        if guest is not None and guest.host in fleet.hosts:
            leaving.setdefault(guest.host, []).append(guest)
    items = [(item, host) for host, movers in leaving.items() for item in chooser.catalog.items(movers, host)]
    found: dict[str, Choice] = {}
    later = []
    for item, host in items:
        target = planned.get(item.guests[0])
        wrong = "it has no planned target" if target is None else chooser.obstacle(item, host, target)
        if wrong or target is None:
            later.append((item, host, wrong))
        else:
            chooser.take(item, target)
            found.update(dict.fromkeys(item.guests, Choice(target=target, kind=Kind.PLANNED)))
    for item, host, wrong in sorted(later, key=lambda each: (-each[0].size, each[0].guests[0])):
        found.update(dict.fromkeys(item.guests, chooser.choose(item, host, wrong)))
    return {guest: found[guest] for guest in dict.fromkeys(guests) if guest in found}


class _Chooser:
    """The rooms as they are now."""

    def __init__(self, fleet: Fleet, clean: Collection[str], avoid: Collection[str]) -> None:
        self.catalog = Catalog(fleet)
        self._clean = frozenset(clean)
        self._avoid = frozenset(avoid)
        self._done = Rooms(self.catalog)
        self._undone = Rooms(self.catalog)
        for name, host in sorted(fleet.hosts.items()):
            if is_usable(host) and name not in self._avoid:
                rooms = self._done if name in self._clean else self._undone
                rooms.open(name, self.catalog.on[name], clean=True)
        self._count_arriving(fleet)

    def room(self, host: str) -> Room | None:
        """Return the room of a host that may take guests at all."""
        return self._done.clean.get(host) or self._undone.clean.get(host)

    def obstacle(self, item: Item, source: str, target: str) -> str:
        """Say what keeps guests from their planned target; empty when nothing does."""
        room = self.room(target)
        if room is None or target == source:
            return f"the planned target {target} may not take guests now"
        if (broken := refusal(item.rules, self.catalog.hosts[target])) is not None:
            return f"the planned target {target} is {broken.meaning}"
        if room.breaks(item):
            return f"the planned target {target} is {Filter.GROUP.meaning}"
        if not room.fits(item.need):
            return f"the planned target {target} has too little {self._scarce(item, room)} now"
        return ""

    def take(self, item: Item, target: str) -> None:
        """Take room on a host."""
        rooms = self._done if target in self._done.clean else self._undone
        rooms.place(item, rooms.clean[target])

    def choose(self, item: Item, source: str, wrong: str) -> Choice:
        """Find the best room for guests without a valid planned target."""
        near = self.catalog.hosts[source].zone
        for rooms, kind in ((self._done, Kind.DONE), (self._undone, Kind.ANY)):
            room = rooms.best(item, near, without=source)
            if room is not None:
                rooms.place(item, room)
                undone = "" if kind is Kind.DONE else "; no host that is done has room, so it will move once more"
                return Choice(target=room.host, kind=kind, reason=f"{wrong}{undone}")
        return Choice(kind=Kind.NONE, reason=f"{wrong}; {self._why_none(item, source)}")

    def _why_none(self, item: Item, source: str) -> str:
        """Count the hosts by what rules them out."""
        counts: dict[str, int] = {}
        for name, host in sorted(self.catalog.hosts.items()):
            what = self._ruled_out(item, name, source)
            if what is None:
                # Rules are satisfied, so it is the room that lacks.
                room = self.room(name)
                what = f"with too little {self._scarce(item, room)}" if room else host.state
            counts[what] = counts.get(what, 0) + 1
        counts.pop(Filter.SOURCE.meaning, None)
        parts = [f"{number} {what}" for what, number in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
        return "no other host may take it" + (f": {', '.join(parts)}" if parts else "")

    def _ruled_out(self, item: Item, name: str, source: str) -> str | None:
        if name == source:
            return Filter.SOURCE.meaning
        room = self.room(name)
        if room is None:
            return Filter.OUT.meaning
        if (broken := refusal(item.rules, self.catalog.hosts[name])) is not None:
            return broken.meaning
        return Filter.GROUP.meaning if room.breaks(item) else None

    def _scarce(self, item: Item, room: Room) -> str:
        """Name the resource of which a room has too little: ``VCPU (needs 4 vCPUs, 2 vCPUs free)``."""
        for index, resource in enumerate(self.catalog.resources):
            if item.need[index] > room.free[index]:
                need, free = amount(resource, item.need[index]), amount(resource, room.free[index])
                return f"{resource} (needs {need}, {free} free)"
        return "room"

    def _count_arriving(self, fleet: Fleet) -> None:
        for migration in fleet.migrations:
            group = self.catalog.group_of.get(migration.guest)
            room = self.room(migration.target) if migration.target and migration.moving else None
            guest = self.catalog.guests.get(migration.guest)
            if group and room and guest and guest.host != room.host:
                room.members[group.id] = room.members.get(group.id, 0) + 1
