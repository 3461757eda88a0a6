"""What one drain sees: the host in nova, in placement and on its hypervisor, and what has to be remembered of it."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

from activities import fleet, openstack, servers
from activities.drain_memory import Remembered
from activities.drain_report import DrainReport
from activities.ssh import Hosts
from model.classify import Classified, classify
from model.drain import HostView
from model.drained import Domain, parse_domains
from model.fleet import FleetGuest, GuestClass, ServerGroup
from model.inventory import Inventory
from model.ladder import failures_of
from model.limits import SPREAD, crowded
from model.moves import Orders
from model.nova import AWAITS_CONFIRMATION, LIVE_MIGRATION, Migration
from model.rolling import Limits

# Machines that run on a host, one a line; 127 where there is no libvirt to ask.
DOMAINS = "command -v virsh >/dev/null || exit 127; virsh --connect qemu:///system list --uuid --name"
# So many looks lie between two at the progress of copies.
LOOKS_BETWEEN = 4
# Seconds for which nova may still take back itself what the migration of a deleted guest holds.
FORSAKEN = 10.0
_RUNNING = frozenset({"ACTIVE", "PAUSED", "MIGRATING"})


@dataclass(frozen=True)
class Charge:
    """What one drain is charged with.

    Attributes:
        parallel: the most migrations from this host at the same time.
        limits: what may move at the same time in the cloud; None leaves it to ``parallel``.
        decided: what an operator said of single guests.
        avoid: hosts that should take no guests.
        full: whether all that decides is read, and the hypervisor is asked; else guests are moved live or not at all.
        poll: seconds between two looks.
        rest: seconds that a guest rests after its first failure.
    """

    inventory: Inventory
    orders: Orders
    parallel: int
    limits: Limits | None = None
    decided: Mapping[str, GuestClass] = field(default_factory=dict)
    avoid: tuple[str, ...] = ()
    full: bool = False
    poll: float = 0.7
    rest: float = 5.0


class Watcher:
    """Reads what a drain decides from. ``memory`` is what this worker remembers besides."""

    def __init__(self, charge: Charge, hosts: Hosts, report: DrainReport) -> None:
        self._charge, self._hosts, self._report = charge, hosts, report
        self._inventory, self._orders, self._host = charge.inventory, charge.orders, charge.orders.host
        self.memory = Remembered(charge.rest)
        self.zones: dict[str, str] = {}
        self._providers: tuple[str, ...] = ()
        self._groups: tuple[ServerGroup, ...] = ()
        self._off: frozenset[str] = frozenset()
        # Migrations that failed, and of which nothing is left.
        self._clean: set[int] = set()
        self._looks = 0

    def groups_of(self, guest: str) -> tuple[ServerGroup, ...]:
        """Return the server groups that a guest is a member of."""
        return tuple(group for group in self._groups if guest in group.members)

    def spread_groups_of(self, guest: str) -> tuple[ServerGroup, ...]:
        """Return those of its groups whose members are to be on different hosts."""
        return tuple(group for group in self.groups_of(guest) if group.policy in SPREAD)

    async def prepare(self, zones: Callable[[Inventory], Awaitable[dict[str, str]]]) -> None:
        """Read what does not change while the drain goes on; ``zones`` knows where hosts are."""
        self._providers = await openstack.providers_of(self._inventory, self._host)
        if not self._charge.full:
            return
        self._groups, self.zones, here = await asyncio.gather(
            fleet.read_groups(self._inventory),
            zones(self._inventory),
            servers.read_guests(self._inventory, host=self._host),
        )
        mine = {guest.id for guest in here}
        spread = [group for group in self._groups if group.policy in SPREAD and mine & set(group.members)]
        others = sorted({member for group in spread for member in group.members} - mine)
        found = [*here, *await asyncio.gather(*(servers.read_guest(self._inventory, one) for one in others))]
        self._off = frozenset(g.id for g in found if g and g.status not in _RUNNING)
        # What is stopped where it is has no target, and so no place in the plan of targets.
        stays = (guest.id for guest in here if self._classify(guest).kind is GuestClass.STOP)
        self._report.compare(here, stays)

    async def look(self) -> HostView:
        """Look at the host as nova has it."""
        view = await self._view()
        await self._remember(view)
        return view

    async def look_deeper(self, view: HostView) -> HostView:
        """Ask placement, and the hypervisor where it can be asked, what they have of the host."""
        held = await openstack.allocations_on(self._inventory, *self._providers)
        forsaken = await self._forsaken(held, view)
        await asyncio.gather(*(servers.forget_allocations(self._inventory, consumer) for consumer in forsaken))
        held = {consumer: what for consumer, what in held.items() if consumer not in forsaken}
        domains = await self._domains() if self._charge.full else None
        return view.model_copy(update={"consumers": tuple(sorted(held)), "domains": domains})

    async def _forsaken(self, held: Collection[str], view: HostView) -> set[str]:
        """Find allocations of migrations whose guests their users have deleted on the way.

        nova 33 and 34, as seen on a real cloud, end such a migration in ``error``, hide it with its guest, and leave
        what it holds of the source: nobody but an operator's ``nova-manage placement audit`` takes it back.
        """
        unfinished = {move.uuid for move in view.migrations if move.unfinished}
        movers = {one: guest for one in held if one not in unfinished and (guest := self.memory.guest_of(one))}
        guests = sorted(set(movers.values()))
        found = await asyncio.gather(*(servers.read_guest(self._inventory, guest) for guest in guests))
        gone = {guest for guest, there in zip(guests, found, strict=True) if there is None}
        forsaken = {one for one, guest in movers.items() if guest in gone and self.memory.forsaken_for(one) >= FORSAKEN}
        self._report.warn(
            f"guest {movers[one]} was deleted while it moved; what its migration {one} held here was taken back"
            for one in sorted(forsaken)
        )
        return forsaken

    async def _view(self) -> HostView:
        # Guests after migrations: one that has just arrived or left shows in at least one of the two.
        moves = await openstack.migrations(self._inventory, self._host)
        here, building = await asyncio.gather(
            servers.read_guests(self._inventory, host=self._host),
            servers.read_guests(self._inventory, status="BUILD"),
        )
        unplaced = tuple(guest for guest in building if guest.host is None)
        away = await self._awaiting(moves, here)
        classes = {guest.id: self._classify(guest) for guest in here}
        self._report.see(here, classes)
        apart = frozenset(guest.id for guest in here if self.spread_groups_of(guest.id))
        guests = (*here, *away, *unplaced)
        return HostView(host=self._host, guests=guests, classes=classes, migrations=moves, apart=apart)

    async def _awaiting(self, moves: tuple[Migration, ...], here: tuple[FleetGuest, ...]) -> list[FleetGuest]:
        """Guests that have been moved cold are elsewhere already, but wait for a word."""
        known = {guest.id for guest in here}
        ids = sorted({m.guest for m in moves if m.status == AWAITS_CONFIRMATION and m.source == self._host} - known)
        found = await asyncio.gather(*(servers.read_guest(self._inventory, guest) for guest in ids))
        return [guest for guest in found if guest is not None]

    def _classify(self, guest: FleetGuest) -> Classified:
        decided = self._charge.decided.get(guest.id)
        return classify(guest, self.groups_of(guest.id), self._orders.policy, off=self._off, decided=decided)

    async def _domains(self) -> tuple[Domain, ...] | None:
        done = await self._hosts.run(self._inventory, self._host, f"sh -c {shlex.quote(DOMAINS)}", check=False)
        if done.status == 0:
            return parse_domains(done.stdout)
        if done.status != 127:
            self._report.warn([f"its hypervisor could not be asked what it runs: {done.stderr.strip()[:200]}"])
        return None

    async def _remember(self, view: HostView) -> None:
        self.memory.see(view.migrations)
        busy = {move.guest for move in view.migrations if move.unfinished}
        for guest in busy:
            self.memory.see_leftovers(guest, ())
        await asyncio.gather(*(self._look_for_leftovers(one, view) for one in view.guests if one.id not in busy))
        self._looks += 1
        if self._charge.full and self._looks % LOOKS_BETWEEN == 1:
            mine = [move for move in view.migrations if move.kind == LIVE_MIGRATION and move.source == self._host]
            await asyncio.gather(*(self._look_at_copy(move) for move in mine if move.status.startswith("running")))

    async def _look_for_leftovers(self, guest: FleetGuest, view: HostView) -> None:
        """A failed attempt holds room on both ends until nova has cleaned up; the next one begins only then."""
        failed = failures_of(guest.id, view.migrations, self._orders)
        last = failed[-1] if failed else None
        if last is None or guest.host != self._host or last.id in self._clean:
            return
        held, of_move = await asyncio.gather(
            servers.held_by(self._inventory, guest.id), servers.held_by(self._inventory, last.uuid)
        )
        words = ["placement holds room for it elsewhere"] if held - set(self._providers) else []
        words += [f"placement holds room for migration {last.id}"] if of_move else []
        self.memory.see_leftovers(guest.id, tuple(words))
        if not words:
            self._clean.add(last.id)

    async def _look_at_copy(self, move: Migration) -> None:
        for row in await servers.copying(self._inventory, move.guest):
            if row["id"] == move.id:
                self.memory.see_copy(move.guest, row)

    async def crowded(self, moves: tuple[Migration, ...]) -> list[str]:
        """Look whether the groups of the guests that have moved are where they may be, and say where not."""
        moved = {move.guest for move in moves if move.source == self._host and move.created >= self._orders.since}
        groups = [group for group in self._groups if moved & set(group.members)]
        members = sorted({member for group in groups for member in group.members})
        found = await asyncio.gather(*(servers.read_guest(self._inventory, member) for member in members))
        places = {guest.id: guest.host for guest in found if guest is not None}
        return [problem for group in groups if (problem := crowded(group, places))]
