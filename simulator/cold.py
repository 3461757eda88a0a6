"""Guests that move while they are off: cold migrations and resizes, which wait for somebody's word at the end."""

from model.components import COMPUTE_UNIT
from model.nova import AWAITS_CONFIRMATION
from simulator.faults import Fault, GuestError, MigrationError, Slow
from simulator.ground import FailedMigrationError, Ground, Lost
from simulator.guests import Guest, Migration
from simulator.machines import Power
from simulator.scheduler import NoValidHostError

MIGRATION, RESIZE = "migration", "resize"
_CONFIRMING = "confirming"


class ColdMover:
    """Carries them out."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def move(self, guest: Guest, *, kind: str = RESIZE, wanted: str | None = None) -> None:
        """Move a guest to another host, where it waits; flavours of a resize differ only by name."""
        ground = self._ground
        move = ground.begin(guest, kind, wanted)
        fault = ground.faults.find("cold", (guest.host or "", guest.name, guest.id), ("cold",))
        guest.work("resize_prep", "RESIZE")
        try:
            await self._schedule(guest, move)
            await self._carry(guest, move, fault)
        except Lost:
            ground.stranded.add(guest.id)
        except FailedMigrationError as error:
            self._fail(guest, move, str(error), broken=isinstance(fault, GuestError))

    async def _schedule(self, guest: Guest, move: Migration) -> None:
        ground = self._ground
        await ground.order()
        ground.check_source(move)
        try:
            target = ground.scheduler.choose(guest, wanted=move.wanted)
        except NoValidHostError as error:
            raise FailedMigrationError(str(error)) from None
        ground.claim(guest, move, target)
        ground.set(move, "pre-migrating")

    async def _carry(self, guest: Guest, move: Migration, fault: Fault | None) -> None:
        """Switch it off, copy its disk, and let it run again at the target, if it did before."""
        ground = self._ground
        clock, durations, machine = ground.clock, ground.durations, ground.machines[guest.id]
        await clock.sleep(durations.prepare)
        guest.task_state = "resize_migrating"
        ground.set(move, "migrating")
        move.ran = machine.power is Power.RUNNING
        if isinstance(fault, MigrationError | GuestError):
            raise FailedMigrationError(fault.message)
        machine.end()
        more = fault.seconds if isinstance(fault, Slow) else 0.0
        await clock.sleep(durations.migrate_per_gib * guest.resources["DISK_GB"] + more)
        for host in (move.source, move.target or ""):
            if not ground.nova.runs(COMPUTE_UNIT, host):
                raise FailedMigrationError(f"nova-compute on {host} was stopped in the middle of it")
        guest.task_state = "resize_finish"
        ground.set(move, "post-migrating")
        guest.host = move.target
        ground.machines.put(guest.id, move.target)
        await clock.sleep(durations.build)
        if move.ran:
            machine.start(clock.now())
        guest.rest("VERIFY_RESIZE")
        ground.set(move, AWAITS_CONFIRMATION)
        name = "migrate" if move.kind == MIGRATION else "resize"
        guest.acted(name, clock.iso(move.created), clock.iso(clock.now()))
        ground.truth.look(hosts=(move.source, move.target or ""))

    def waiting(self, guest: Guest) -> Migration | None:
        """Return the move of a guest that waits for a word."""
        moves = self._ground.nova.migrations
        return next((m for m in moves if m.guest == guest.id and m.status == AWAITS_CONFIRMATION), None)

    def settle(self, guest: Guest, *, confirm: bool) -> bool:
        """End a move that waits; tell whether there was one."""
        move = self.waiting(guest)
        if move is not None:
            self._end(guest, move, confirm=confirm)
        return move is not None

    async def settle_later(self, guest: Guest, move: Migration, *, confirm: bool) -> None:
        """End a move that waits, in its time."""
        ground = self._ground
        ground.set(move, _CONFIRMING if confirm else "reverting")
        if not confirm:
            guest.work("resize_reverting", "REVERT_RESIZE")
        await ground.clock.sleep(ground.durations.prepare)
        self._end(guest, move, confirm=confirm)

    def _end(self, guest: Guest, move: Migration, *, confirm: bool) -> None:
        ground, nova = self._ground, self._ground.nova
        held = nova.allocations[nova.providers[move.source]]
        resources = held.pop(move.uuid, guest.resources)
        if not confirm:
            nova.allocations[nova.providers[move.target or ""]].pop(guest.id, None)
            held[guest.id], guest.host = resources, move.source
            self._return(guest, move)
        guest.rest("ACTIVE" if move.ran else "SHUTOFF")
        ground.set(move, "confirmed" if confirm else "reverted")
        ground.truth.look((guest,), (move.source, move.target or move.source))

    def _return(self, guest: Guest, move: Migration) -> None:
        ground = self._ground
        machine = ground.machines[guest.id]
        machine.end()
        ground.machines.put(guest.id, move.source)
        if move.ran:
            machine.start(ground.clock.now())

    def _fail(self, guest: Guest, move: Migration, message: str, *, broken: bool) -> None:
        ground = self._ground
        ground.give_back(guest, move)
        guest.fault = message
        guest.host = move.source
        ground.machines.put(guest.id, move.source)
        off = ground.machines[guest.id].power is Power.OFF
        # Nova leaves a guest in ERROR that it had switched off when the move failed.
        guest.rest("ERROR" if broken or (off and move.ran and guest.resting == "ACTIVE") else None)
        ground.set(move, "error")
        ground.truth.look((guest,), (move.source,))
