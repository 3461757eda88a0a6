"""What a drain does next: a pure judgement over what nova and placement say of a host.

It holds no memory of its own. Which guests are on their way and how often a guest has failed is read from nova's own
migration records, so that a drain that begins anew after its worker died sees what the first one saw.
"""

from collections.abc import Mapping
from types import MappingProxyType

from model.base import Record
from model.nova import AWAITS_CONFIRMATION, FAILED, LIVE_MIGRATION, Guest, Migration
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
    """What nova and placement say of one host at one moment.

    Attributes:
        host: its name as nova has it.
        guests: the servers on it, and servers in BUILD that have no host yet.
        migrations: nova's migrations from or to it.
        consumers: who holds allocations of its resource provider; None when placement was not asked.
    """

    host: str
    guests: tuple[Guest, ...] = ()
    migrations: tuple[Migration, ...] = ()
    consumers: tuple[str, ...] | None = None


class Blocked(Record):
    """A guest that a drain cannot move, why, and what would help."""

    guest: str
    name: str
    problem: str
    remedy: str


class Decision(Record):
    """What to do now.

    Attributes:
        start: guests whose live migration is to be started.
        waiting: what is waited for, in words.
        blocked: guests that cannot be moved.
        left: how many guests are on the host.
    """

    start: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    left: int = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left on the host."""
        return not (self.start or self.waiting or self.blocked)

    @property
    def stuck(self) -> bool:
        """Whether waiting would change nothing: guests are left that cannot be moved, and nothing else is going on."""
        return bool(self.blocked) and not (self.start or self.waiting)


def next_moves(
    view: HostView,
    *,
    since: str,
    parallel: int,
    attempts: int = 3,
    refusals: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    resting: frozenset[str] = frozenset(),
) -> Decision:
    """Decide what a drain does next.

    A guest that cannot be moved does not stop its neighbours: the drain is stuck only when all others are gone.

    Args:
        view: what nova and placement say.
        since: when this drain was ordered, ISO 8601 in UTC; failed migrations from before do not count against a guest.
        parallel: the most live migrations from this host at the same time.
        attempts: how many failed live migrations, and refusals to begin one, make a guest count as blocked.
        refusals: what nova answered when it did not even begin a guest's migration, by guest.
        resting: guests whose last migration failed so recently that the next one must wait.
    """
    here = [guest for guest in view.guests if guest.host == view.host]
    unfinished = [migration for migration in view.migrations if migration.unfinished]
    busy = {migration.guest for migration in unfinished}
    waiting = [f"{migration.text}" for migration in unfinished if migration.status != AWAITS_CONFIRMATION]
    blocked = [_unconfirmed(migration) for migration in unfinished if migration.status == AWAITS_CONFIRMATION]
    waiting += [f"guest {g.name} ({g.id}) is being built" for g in view.guests if _may_still_come(g, since)]
    ready: list[tuple[int, Guest]] = []
    for guest in (guest for guest in here if guest.id not in busy):
        failures, refused = _failures(guest, view.migrations, since), refusals.get(guest.id, ())
        tries = len(failures) + len(refused)
        if work := _in_progress(guest):
            waiting.append(work)
        elif obstacle := find_obstacle(guest):
            blocked.append(obstacle)
        elif tries >= attempts:
            blocked.append(_failed(guest, failures, refused))
        elif guest.id in resting:
            waiting.append(f"guest {guest.name} ({guest.id}) rests after a failed migration")
        else:
            ready.append((tries, guest))
    # Fewest failures first, so that a guest that fails again and again does not hold up the others.
    ready.sort(key=lambda pair: (pair[0], pair[1].name, pair[1].id))
    # A migration that was accepted just now has no record yet, only the guest's state tells.
    moving = {m.guest for m in unfinished if m.source == view.host} | {g.id for g in here if _is_moving(g)}
    free = max(0, parallel - len(moving))
    start = tuple(guest.id for _, guest in ready[:free])
    waiting += [f"guest {guest.name} ({guest.id}) waits for its turn" for _, guest in ready[free:]]
    if not (here or unfinished or waiting):
        waiting += [f"placement still has an allocation of {consumer}" for consumer in view.consumers or ()]
    return Decision(start=start, waiting=tuple(waiting), blocked=tuple(blocked), left=len(here))


def _may_still_come(guest: Guest, since: str) -> bool:
    """A server without a host that was asked for before the host was disabled may have been promised to it."""
    return guest.host is None and guest.status == "BUILD" and guest.created < since


def _in_progress(guest: Guest) -> str | None:
    if guest.status in {"BUILD", "MIGRATING"} or guest.task_state is not None:
        return f"guest {guest.name} ({guest.id}) is in {guest.task_state or guest.status}"
    return None


def _is_moving(guest: Guest) -> bool:
    return guest.status == "MIGRATING" or guest.task_state == "migrating"


def _failures(guest: Guest, migrations: tuple[Migration, ...], since: str) -> list[Migration]:
    return sorted(
        (
            migration
            for migration in migrations
            if migration.guest == guest.id
            and migration.kind == LIVE_MIGRATION
            and migration.status in FAILED
            and migration.source == guest.host
            and migration.created >= since
        ),
        key=lambda migration: migration.id,
    )


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


def _failed(guest: Guest, failures: list[Migration], refused: tuple[str, ...]) -> Blocked:
    numbers = ", ".join(str(migration.id) for migration in failures)
    problems = [f"{len(failures)} live migrations failed (migration {numbers})"] if failures else []
    problems += [f"nova refused to begin {len(refused)} times, last with {refused[-1]}"] if refused else []
    return Blocked(
        guest=guest.id,
        name=guest.name,
        problem="; ".join(problems),
        remedy=f"see `openstack server event list {guest.id}` and the nova-compute log of {guest.host}; move the guest "
        "by hand or delete it, then retry the step",
    )


def _unconfirmed(migration: Migration) -> Blocked:
    return Blocked(
        guest=migration.guest,
        name=migration.guest,
        problem=f"{migration.text}, which waits for a confirmation",
        remedy=_REMEDIES["VERIFY_RESIZE"].format(id=migration.guest),
    )
