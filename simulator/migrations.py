"""Guests that are built, and that move: through nova's states, at a rate, with their allocations."""

import uuid

from model.components import COMPUTE_UNIT
from model.nova import AWAITS_CONFIRMATION, LIVE_MIGRATION
from simulator.clock import Clock
from simulator.faults import Fault, Faults, GuestError, MigrationError, NeverConverges, Slow
from simulator.nova import CONDUCTOR, Guest, Migration, Nova
from simulator.settings import Durations

_SLICE = 2.0


class Lost(Exception):  # noqa: N818 - what it is, not what went wrong with our code
    """The call died with the process that held it: nothing goes on, and nothing says so."""


class FailedMigrationError(Exception):
    """The migration ends in error; the message is nova's."""


class Mover:
    """Carries out what nova has taken on."""

    def __init__(self, nova: Nova, clock: Clock, durations: Durations, faults: Faults) -> None:
        self._nova, self._clock, self._durations, self._faults = nova, clock, durations, faults
        # Guests whose call died with its process; they stay as they are until somebody resets them.
        self.stranded: set[str] = set()

    def accept(self, guest: Guest) -> Migration:
        """Take on a live migration."""
        move = self._begin(guest, LIVE_MIGRATION)
        guest.status, guest.task_state = "MIGRATING", "migrating"
        request = f"req-{uuid.uuid4()}"
        guest.actions.insert(
            0, {"action": "live-migration", "request_id": request, "message": None, "events": [], "move": move.id}
        )
        return move

    def _begin(self, guest: Guest, kind: str) -> Migration:
        now = self._clock.now()
        move = Migration(len(self._nova.migrations) + 1, guest.id, guest.host or "", now, updated=now, kind=kind)
        self._nova.migrations.append(move)
        return move

    async def resize(self, guest: Guest) -> None:
        """Resize a guest onto another host, where it waits for its owner's word; flavours differ only by name."""
        move = self._begin(guest, "resize")
        guest.status, guest.task_state = "RESIZE", "resize_prep"
        try:
            await self._schedule(guest, move)
        except Lost:
            self.stranded.add(guest.id)
            return
        except FailedMigrationError as error:
            self._fail(guest, move, str(error), "error")
            return
        await self._clock.sleep(self._durations.build)
        guest.host, guest.status, guest.task_state = move.target, "VERIFY_RESIZE", None
        self._set(move, AWAITS_CONFIRMATION)

    def settle(self, guest: Guest, *, confirm: bool) -> bool:
        """End a resize that waits; tell whether there was one."""
        waiting = [m for m in self._nova.migrations if m.guest == guest.id and m.status == AWAITS_CONFIRMATION]
        for move in waiting:
            held = self._nova.allocations[self._nova.providers[move.source]]
            resources = held.pop(move.uuid, guest.resources)
            if not confirm:
                self._nova.allocations[self._nova.providers[move.target or ""]].pop(guest.id, None)
                held[guest.id], guest.host = resources, move.source
            guest.status = "ACTIVE"
            self._set(move, "confirmed" if confirm else "reverted")
        return bool(waiting)

    async def migrate(self, guest: Guest, move: Migration, fault: Fault | None) -> None:
        """Move a guest to wherever the scheduler wants."""
        try:
            await self._schedule(guest, move)
            await self._copy(guest, move, fault)
        except Lost:
            self.stranded.add(guest.id)
        except FailedMigrationError as error:
            self._fail(guest, move, str(error), status="cancelled" if move.abort else "error")
            if isinstance(fault, GuestError):
                guest.status, guest.fault = "ERROR", str(error)
        else:
            self._complete(guest, move)

    async def _schedule(self, guest: Guest, move: Migration) -> None:
        """The conductor's part: should it be restarted meanwhile, the call is lost, and everything stays as it is."""
        nova = self._nova
        conductor = nova.first_running(CONDUCTOR)
        if conductor is None or nova.first_running("nova-scheduler") is None:
            raise FailedMigrationError("MessagingTimeout: Timed out waiting for a reply")
        begun = nova.starts(CONDUCTOR, conductor)
        await self._clock.sleep(self._durations.schedule)
        if nova.starts(CONDUCTOR, conductor) != begun:
            raise Lost
        if not nova.runs(COMPUTE_UNIT, move.source):
            raise FailedMigrationError(f"Compute service of {move.source} is unavailable at this time.")
        target = nova.choose(guest)
        if target is None:
            raise FailedMigrationError("No valid host was found. There are not enough hosts available.")
        held = nova.allocations[nova.providers[move.source]]
        held[move.uuid] = held.pop(guest.id, guest.resources)
        nova.allocations[nova.providers[target]][guest.id] = guest.resources
        move.target = target
        self._set(move, "preparing")

    async def _copy(self, guest: Guest, move: Migration, fault: Fault | None) -> None:
        await self._clock.sleep(self._durations.prepare)
        self._set(move, "running")
        if isinstance(fault, MigrationError | GuestError):
            raise FailedMigrationError(fault.message)
        both = [(host, self._nova.starts(COMPUTE_UNIT, host)) for host in (move.source, move.target or "")]
        left = self._durations.migrate_per_gib * (guest.resources["MEMORY_MB"] / 1024 + guest.resources["DISK_GB"])
        left += fault.seconds if isinstance(fault, Slow) else 0.0
        while left > 0 or (isinstance(fault, NeverConverges) and not self._faults.mended.is_set()):
            await self._clock.sleep(min(_SLICE, max(left, 0.2)))
            left -= _SLICE
            if move.abort:
                raise FailedMigrationError("aborted")
            if guest.id not in self._nova.guests:
                raise FailedMigrationError("the guest was deleted")
            for host, begun in both:
                if begun < 0 or self._nova.starts(COMPUTE_UNIT, host) != begun:
                    raise FailedMigrationError(f"nova-compute on {host} was stopped in the middle of it")

    async def build(self, guest: Guest) -> None:
        """Make a guest that was asked for."""
        conductor = self._nova.first_running(CONDUCTOR)
        begun = self._nova.starts(CONDUCTOR, conductor) if conductor else -1
        await self._clock.sleep(self._durations.schedule)
        if conductor is None or self._nova.starts(CONDUCTOR, conductor) != begun:
            self.stranded.add(guest.id)
            return
        target = self._nova.choose(guest)
        if target is None:
            guest.status, guest.task_state, guest.fault = "ERROR", None, "No valid host was found."
            return
        self._nova.place(guest, target)
        guest.task_state = "spawning"
        await self._clock.sleep(self._durations.build)
        guest.status, guest.task_state = "ACTIVE", None

    async def reset(self, guest: Guest) -> None:
        """Do what an operator does about a stranded guest: reset its state and that of its migration, build it anew."""
        self.stranded.discard(guest.id)
        for move in self._nova.migrations:
            if move.guest == guest.id and move.unfinished:
                self._fail(guest, move, "reset by the operator", "error")
        if guest.host is None:
            await self.build(guest)

    def _complete(self, guest: Guest, move: Migration) -> None:
        nova = self._nova
        nova.allocations[nova.providers[move.source]].pop(move.uuid, None)
        guest.host, guest.status, guest.task_state = move.target, "ACTIVE", None
        self._set(move, "completed")

    def _fail(self, guest: Guest, move: Migration, message: str, status: str) -> None:
        nova = self._nova
        source = nova.allocations[nova.providers[move.source]]
        if move.target is not None:
            source.pop(move.uuid, None)
            nova.allocations[nova.providers[move.target]].pop(guest.id, None)
        if guest.id in nova.guests:
            source[guest.id] = guest.resources
        guest.status, guest.task_state = "ACTIVE", None
        for action in guest.actions:
            if action["move"] == move.id:
                action["message"] = message
                action["events"] = [{"event": "compute_live_migration", "result": "Error", "details": message}]
        self._set(move, status)

    def _set(self, move: Migration, status: str) -> None:
        move.status, move.updated = status, self._clock.now()
