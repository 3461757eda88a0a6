"""What a drain knows of its guests, what it was told, and what it asks of nova."""

from enum import StrEnum

from model.base import Record
from model.classify import Classified
from model.fleet import FleetGuest
from model.nova import Migration
from model.rolling import DrainPolicy


class Act(StrEnum):
    """Something that is asked of nova."""

    LIVE = "live-migrate"
    COLD = "cold-migrate"
    CONFIRM = "confirm"
    STOP = "stop"
    FORCE = "force-complete"
    ABORT = "abort"


class Move(Record):
    """What is to be asked of nova for a guest.

    Attributes:
        target: the host that it should go to; None leaves it to nova's scheduler.
        migration: the number of the migration that it is about, for ``CONFIRM``, ``FORCE`` and ``ABORT``.
        tries: how many attempts of it have failed so far.
        why: the reason, where it is not plain.
    """

    act: Act
    guest: str
    name: str = ""
    target: str | None = None
    migration: int | None = None
    tries: int = 0
    why: str = ""


class Blocked(Record):
    """A guest that a drain cannot move, why, and what would help."""

    guest: str
    name: str
    problem: str
    remedy: str
    code: str = ""


class Orders(Record):
    """What a drain was told.

    Attributes:
        host: the host that is emptied, as nova has it.
        run: the run that orders it; what it stops or moves cold bears its name.
        since: when it was ordered, ISO 8601 in UTC; attempts from before do not count.
        policy: what may be done to guests.
        targets: the planned target of each guest.
        spares: hosts to go to, in this order, when the planned one does not take a guest.
        others: by guest, what was chosen since instead of the spares; nothing where none of them has room.
    """

    host: str
    run: str = ""
    since: str
    policy: DrainPolicy = DrainPolicy()
    targets: dict[str, str] = {}
    others: dict[str, tuple[str, ...]] = {}
    spares: tuple[str, ...] = ()


class Progress(Record):
    """How far a running live migration is, by nova's count.

    Attributes:
        left: bytes of memory that are still to be copied.
        total: bytes of memory in all.
        stalled: seconds since fewer were left than ever before.
        running: seconds since it was first seen running.
        forced: seconds since it was to be completed by force; None when it was not.
        aborted: whether it was to be aborted.
    """

    migration: int
    left: int = 0
    total: int = 0
    stalled: float = 0.0
    running: float = 0.0
    forced: float | None = None
    aborted: bool = False


class Refusal(Record):
    """nova did not even begin: what was asked for, to where, and nova's words."""

    act: Act
    target: str | None = None
    text: str


class Dossier(Record):
    """Everything that is known of one guest.

    Attributes:
        migrations: nova's migrations of this guest.
        refusals: what nova did not even begin.
        resting: whether its last attempt failed so recently that the next one must wait.
        leftovers: what a failed attempt has left behind so far, in words.
        leftovers_for: seconds since that was first seen.
        progress: of its live migration, while one runs.
        apart: whether it is a member of a server group whose members are to be on different hosts.
    """

    guest: FleetGuest
    classified: Classified
    migrations: tuple[Migration, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    resting: bool = False
    leftovers: tuple[str, ...] = ()
    leftovers_for: float = 0.0
    progress: Progress | None = None
    apart: bool = False


class Verdict(Record):
    """What is to be done for one guest: one of the four.

    Attributes:
        move: ask nova for this.
        waiting: wait for this.
        blocked: somebody must decide.
        stays: it may stay where it is.
        moving: whether it is on its way from the host, and so takes a place among those.
    """

    move: Move | None = None
    waiting: str = ""
    blocked: Blocked | None = None
    stays: bool = False
    moving: bool = False
