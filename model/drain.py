"""What a drain does next: a pure judgement over what nova and placement say of a host.

It holds no memory of its own. Which guests are on their way and how often a guest has failed is read from nova's own
migration records, so that a drain that begins anew after its worker died sees what the first one saw.
"""

from collections import Counter

from model.base import Record
from model.classify import Classified
from model.drained import Domain, what_is_left
from model.fleet import FleetGuest, GuestClass
from model.ladder import judge
from model.moves import Act, Blocked, Dossier, Move, Orders, Progress, Refusal, Verdict
from model.nova import LIVE_MIGRATION, Guest, Migration
from model.work import GuestFacts

MOVABLE = frozenset({"ACTIVE", "PAUSED"})

_REMEDIES = {
    "SHUTOFF": "start it (`openstack server start {id}`), move it cold (`openstack server migrate {id}`) or delete it",
    "SUSPENDED": "resume it: `openstack server resume {id}`",
    "SHELVED": "offload it: `openstack server shelve --offload {id}`",
    "RESCUE": "end the rescue: `openstack server unrescue {id}`",
    "VERIFY_RESIZE": "confirm or revert its resize: `openstack server resize confirm {id}`",
    "ERROR": "find the cause (`openstack server show {id}`), then `openstack server set --state active {id}` and "
    "`openstack server reboot --hard {id}`, or delete it",
    "SOFT_DELETED": "restore it or delete it for good: `openstack server delete --force {id}`",
}
_DEFAULT_REMEDY = "bring it to ACTIVE or delete it (`openstack server show {id}`)"


class HostView(Record):
    """What nova, placement and the hypervisor say of one host at one moment.

    Attributes:
        host: its name as nova has it.
        guests: the servers on it, those on their way from it or waiting to be confirmed, and servers in BUILD that have
            no host yet.
        classes: the class of each guest on it.
        migrations: nova's migrations from or to it.
        consumers: who holds allocations of its resource providers; None when placement was not asked.
        domains: what its hypervisor runs; None when it was not asked, or could not be.
        apart: guests that are members of a server group whose members are to be on different hosts.
    """

    host: str
    guests: tuple[FleetGuest, ...] = ()
    classes: dict[str, Classified] = {}
    migrations: tuple[Migration, ...] = ()
    consumers: tuple[str, ...] | None = None
    domains: tuple[Domain, ...] | None = None
    apart: frozenset[str] = frozenset()


class Memory(Record):
    """What one worker remembers of a drain besides; losing it costs time, never a guest.

    Attributes:
        refusals: what nova did not even begin, by guest.
        resting: guests whose last attempt failed so recently that the next one must wait.
        leftovers: what a failed attempt of a guest has left so far, and for how many seconds.
        progress: of running live migrations, by guest.
    """

    refusals: dict[str, tuple[Refusal, ...]] = {}
    resting: frozenset[str] = frozenset()
    leftovers: dict[str, tuple[tuple[str, ...], float]] = {}
    progress: dict[str, Progress] = {}


class Decision(Record):
    """What to do now.

    Attributes:
        moves: what is to be asked of nova.
        waiting: what is waited for, in words.
        blocked: guests that cannot be moved.
        stays: guests that may stay on the host.
        left: how many guests are on the host that may not stay.
        counts: how many of them are in which state, for people.
    """

    moves: tuple[Move, ...] = ()
    waiting: tuple[str, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    stays: tuple[str, ...] = ()
    left: int = 0
    counts: dict[str, int] = {}

    @property
    def done(self) -> bool:
        """Whether nothing is left on the host but what may stay."""
        return not (self.moves or self.waiting or self.blocked)

    @property
    def stuck(self) -> bool:
        """Whether waiting would change nothing: guests are left that cannot be moved, and nothing else is going on."""
        return bool(self.blocked) and not (self.moves or self.waiting)


def next_moves(view: HostView, orders: Orders, *, parallel: int, memory: Memory | None = None) -> Decision:
    """Decide what a drain does next.

    A guest that cannot be moved does not stop its neighbours: the drain is stuck only when all others are gone. But
    where a guest is to be left alone its host is not touched, so its neighbours stay too. Guests are stopped last, one
    by one, and only when nothing is in the way of the host any more.

    Args:
        view: what nova, placement and the hypervisor say.
        orders: what the drain was told.
        parallel: the most migrations from this host at the same time.
        memory: what the worker remembers besides.
    """
    verdicts = _verdicts(view, orders, memory or Memory())
    blocked = [verdict.blocked for verdict in verdicts.values() if verdict.blocked]
    waiting = [verdict.waiting for verdict in verdicts.values() if verdict.waiting]
    waiting += [move.text for move in _of_nobody(view, verdicts)]
    waiting += [f"guest {g.name} ({g.id}) is being built" for g in view.guests if _may_still_come(g, orders.since)]
    if any(found.kind is GuestClass.LEAVE for found in view.classes.values()):
        return _decision(view, verdicts, [], waiting, blocked)
    at_once = [v.move for v in verdicts.values() if v.move and v.move.act in {Act.CONFIRM, Act.FORCE, Act.ABORT}]
    ready = _in_order(view, [v.move for v in verdicts.values() if v.move and v.move.act in {Act.LIVE, Act.COLD}])
    free = max(0, parallel - sum(verdict.moving for verdict in verdicts.values()))
    start, later = ready[:free], ready[free:]
    waiting += [f"guest {move.name} ({move.guest}) waits for its turn" for move in later]
    stops = sorted((v.move for v in verdicts.values() if v.move and v.move.act is Act.STOP), key=lambda m: m.name)
    if stops and not (at_once or start or waiting or blocked):
        return _decision(view, verdicts, stops[:1], waiting, blocked)
    waiting += [
        f"guest {move.name} ({move.guest}) is stopped when the others are gone" for move in stops if not blocked
    ]
    return _decision(view, verdicts, [*at_once, *start], waiting, blocked)


def _decision(
    view: HostView, verdicts: dict[str, Verdict], moves: list[Move], waiting: list[str], blocked: list[Blocked]
) -> Decision:
    stays = frozenset(guest for guest, verdict in verdicts.items() if verdict.stays)
    if not (moves or waiting or blocked):
        waiting = [
            *what_is_left(
                view.host,
                view.guests,
                view.migrations,
                consumers=view.consumers or (),
                domains=view.domains,
                stays=stays,
            )
        ]
    left = [guest.id for guest in view.guests if guest.host == view.host and guest.id not in stays]
    return Decision(
        moves=tuple(moves),
        waiting=tuple(waiting),
        blocked=tuple(blocked),
        stays=tuple(sorted(stays)),
        left=len(left),
        counts=_counts(view, {guest: verdicts[guest] for guest in left}),
    )


def _verdicts(view: HostView, orders: Orders, memory: Memory) -> dict[str, Verdict]:
    """Judge each guest that is on the host, or that a migration from or to it is about."""
    busy = {move.guest for move in view.migrations if move.unfinished}
    found: dict[str, Verdict] = {}
    for guest in view.guests:
        if guest.host == view.host or guest.id in busy:
            leftovers, since = memory.leftovers.get(guest.id, ((), 0.0))
            dossier = Dossier(
                guest=guest,
                classified=view.classes.get(guest.id) or _passing(guest),
                migrations=tuple(move for move in view.migrations if move.guest == guest.id),
                refusals=memory.refusals.get(guest.id, ()),
                resting=guest.id in memory.resting,
                leftovers=leftovers,
                leftovers_for=since,
                progress=memory.progress.get(guest.id),
                apart=guest.id in view.apart,
            )
            found[guest.id] = judge(dossier, orders)
    return found


def _passing(guest: FleetGuest) -> Classified:
    """A guest that is not on the host: only its migration matters."""
    why = "it is on its way"
    return Classified(guest=guest.id, name=guest.name, host=guest.host, kind=GuestClass.LIVE, code="away", reason=why)


def _of_nobody(view: HostView, verdicts: dict[str, Verdict]) -> list[Migration]:
    """Migrations of guests that are not seen: deleted just now, or coming from elsewhere."""
    return [move for move in view.migrations if move.unfinished and move.guest not in verdicts]


def _in_order(view: HostView, moves: list[Move]) -> list[Move]:
    """Fewest failures first, so that who fails again and again holds up nobody; then the largest: it takes longest."""
    sizes = {guest.id: guest.ram_mb for guest in view.guests}
    return sorted(moves, key=lambda move: (move.tries, -sizes.get(move.guest, 0), move.name, move.guest))


def _counts(view: HostView, left: dict[str, Verdict]) -> dict[str, int]:
    kinds = {move.guest: move.kind for move in view.migrations if move.unfinished}
    return dict(Counter(_state(verdict, kinds.get(guest, LIVE_MIGRATION)) for guest, verdict in left.items()))


def _state(verdict: Verdict, kind: str) -> str:
    if verdict.blocked:
        return "blocked"
    if verdict.moving:
        return "live" if kind == LIVE_MIGRATION else "cold"
    return "stop" if verdict.move and verdict.move.act is Act.STOP else "wait"


def _may_still_come(guest: Guest, since: str) -> bool:
    """A server without a host that was asked for before the host was disabled may have been promised to it."""
    return guest.host is None and guest.status == "BUILD" and guest.created < since


def find_obstacle(guest: GuestFacts) -> Blocked | None:
    """Say why a guest at rest cannot be moved live; None if it can."""
    if guest.status in MOVABLE:
        return None
    remedy = _REMEDIES.get(guest.status, _DEFAULT_REMEDY).format(id=guest.id)
    return Blocked(
        guest=guest.id,
        name=guest.name,
        problem=f"it is {guest.status}; only guests that are ACTIVE or PAUSED can be moved live",
        remedy=remedy,
    )
