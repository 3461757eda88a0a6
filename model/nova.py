"""What nova says of its services, guests and migrations, as far as draining and checking a cloud need it."""

from model.base import Record
from model.work import GuestFacts, ServiceRecord

# nova/db/main/api.py, _migration_get_in_progress: whatever is in none of these states, nova still counts as going on.
ENDED = frozenset({"completed", "confirmed", "reverted", "done", "error", "failed", "cancelled"})
FAILED = frozenset({"error", "failed", "cancelled"})
# A resize or cold migration in this state goes on only when somebody confirms or reverts it.
AWAITS_CONFIRMATION = "finished"
LIVE_MIGRATION = "live-migration"
COLD_MIGRATION = "migration"


class ServiceRow(ServiceRecord):
    """A row of nova's service list with what is needed to change it.

    Attributes:
        id: the service's UUID (microversion 2.53 and later).
        updated_at: when it last reported, by nova's clock, ISO 8601 in UTC; None when it never did.
        forced_down: whether somebody declared it down, as before an evacuation.
        zone: the availability zone of its host; ``internal`` for services that are no compute services.
    """

    id: str
    updated_at: str | None = None
    forced_down: bool = False
    zone: str = "nova"


class Guest(GuestFacts):
    """A server with what a drain must know beyond where it is.

    Attributes:
        created: when it was asked for, ISO 8601 in UTC.
        fault: the message of nova's last fault, empty when there is none.
    """

    created: str = ""
    fault: str = ""

    @property
    def facts(self) -> GuestFacts:
        """The part that plans and baselines keep."""
        return GuestFacts.model_validate(self.model_dump(include=set(GuestFacts.model_fields)))


class Migration(Record):
    """A row of nova's migration list.

    Attributes:
        id: its number, unique in its cell.
        kind: ``live-migration``, ``migration``, ``resize`` or ``evacuation``.
        source: the host that the guest leaves.
        target: the host that it goes to; None until the scheduler has chosen one.
        created: ISO 8601 in UTC.
        updated: when nova last changed the record, ISO 8601 in UTC.
    """

    id: int
    uuid: str = ""
    guest: str
    kind: str
    status: str
    source: str
    target: str | None = None
    created: str = ""
    updated: str = ""

    @property
    def unfinished(self) -> bool:
        """Whether nova still counts it as going on."""
        return self.status not in ENDED

    @property
    def moving(self) -> bool:
        """Whether nova works on it now; one that awaits its owner's confirmation may do so for days."""
        return self.unfinished and self.status != AWAITS_CONFIRMATION

    @property
    def text(self) -> str:
        """How people read it."""
        return f"{self.kind} {self.id} of guest {self.guest}, {self.source} to {self.target or '?'}: {self.status}"


# nova-compute saves a server as deleted, and only then frees what it held and removes the record
# (nova/compute/manager.py, _delete_instance): until the record is gone, it is still at work.
_AT_WORK = frozenset({"BUILD", "MIGRATING", "DELETED"})


def is_settled(guest: GuestFacts) -> bool:
    """Tell whether nova works on nothing for this guest."""
    return guest.task_state is None and guest.status not in _AT_WORK
