"""What everything that happens to guests stands on."""

from dataclasses import dataclass, field

from model.components import COMPUTE_UNIT
from simulator.clock import Clock
from simulator.faults import Faults
from simulator.guests import Guest, Migration
from simulator.machines import Machines
from simulator.nova import CONDUCTOR, Nova
from simulator.scheduler import Scheduler
from simulator.settings import Durations
from simulator.truth import Truth


class Lost(Exception):  # noqa: N818 - what it is, not what went wrong with our code
    """The call died with the process that held it: nothing goes on, and nothing says so."""


class FailedMigrationError(Exception):
    """The migration ends in error; the message is nova's."""


@dataclass
class Ground:
    """Nova, the machines, time and faults.

    Attributes:
        stranded: guests whose call died with its process; they stay as they are until somebody resets them.
    """

    nova: Nova
    machines: Machines
    truth: Truth
    scheduler: Scheduler
    clock: Clock
    durations: Durations
    faults: Faults
    stranded: set[str] = field(default_factory=set)

    def begin(self, guest: Guest, kind: str, wanted: str | None = None) -> Migration:
        """Write the record of a migration that nova has taken on."""
        now, nova = self.clock.now(), self.nova
        move = Migration(
            len(nova.migrations) + 1, guest.id, guest.host or "", now, updated=now, kind=kind, wanted=wanted
        )
        nova.migrations.append(move)
        return move

    def set(self, move: Migration, status: str) -> None:
        """Write a migration's status."""
        move.status, move.updated = status, self.clock.now()

    async def order(self) -> None:
        """Be the conductor that has taken a call on, and hands it to the scheduler.

        Raises:
            FailedMigrationError: there is nobody to do so.
            Lost: it was restarted meanwhile: the call is lost, and everything stays as it is.
        """
        nova = self.nova
        conductor = nova.first_running(CONDUCTOR)
        if conductor is None or nova.first_running("nova-scheduler") is None:
            raise FailedMigrationError("MessagingTimeout: Timed out waiting for a reply")
        begun = nova.starts(CONDUCTOR, conductor)
        await self.clock.sleep(self.durations.schedule)
        if nova.starts(CONDUCTOR, conductor) != begun:
            raise Lost

    def check_source(self, move: Migration) -> None:
        """Refuse to move from a host whose compute service is down.

        Raises:
            FailedMigrationError: it is.
        """
        if not self.nova.runs(COMPUTE_UNIT, move.source):
            raise FailedMigrationError(f"Compute service of {move.source} is unavailable at this time.")

    def claim(self, guest: Guest, move: Migration, target: str) -> None:
        """Let the migration hold the guest's room on the source, and the guest that on the target."""
        nova = self.nova
        held = nova.allocations[nova.providers[move.source]]
        held[move.uuid] = held.pop(guest.id, guest.resources)
        nova.allocations[nova.providers[target]][guest.id] = guest.resources
        move.target = target
        self.truth.look(hosts=(move.source, target))

    def give_back(self, guest: Guest, move: Migration) -> None:
        """Let the guest hold its room on the source again, and none on the target.

        Where it was deleted meanwhile nova leaves what the migration holds.
        """
        nova = self.nova
        source = nova.allocations[nova.providers[move.source]]
        if move.target is not None:
            if guest.id in nova.guests:
                source.pop(move.uuid, None)
            nova.allocations[nova.providers[move.target]].pop(guest.id, None)
        if guest.id in nova.guests:
            source[guest.id] = guest.resources
