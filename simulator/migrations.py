"""Guests that are built, and that move while they run: through nova's states, at a rate, with their allocations."""

import asyncio
import uuid
from collections.abc import Callable

from model.components import COMPUTE_UNIT
from model.nova import LIVE_MIGRATION
from simulator.cold import ColdMover
from simulator.faults import (
    ComputeRestarted,
    Fault,
    GuestError,
    MigrationError,
    NeverConverges,
    Orphan,
    Refused,
    Slow,
)
from simulator.ground import FailedMigrationError, Ground, Lost
from simulator.guests import Guest, Migration
from simulator.nova import CONDUCTOR
from simulator.scheduler import NoValidHostError

_SLICE = 2.0
# The part of its memory that a guest whose migration does not converge keeps ahead.
_ENDLESS = 0.2


class Mover:
    """Carries out what nova has taken on.

    Attributes:
        halfway: told of a migration whose memory is half copied, with the fault that happens to it.
    """

    def __init__(self, ground: Ground, *, at_once: int | None = None) -> None:
        self._ground = ground
        self._nova, self._clock, self._durations = ground.nova, ground.clock, ground.durations
        self._faults = ground.faults
        self.stranded = ground.stranded
        self.cold = ColdMover(ground)
        self.resize, self.settle = self.cold.move, self.cold.settle
        self.halfway: Callable[[Migration, Fault], None] = lambda _move, _fault: None
        # nova's max_concurrent_live_migrations, by source; None lets them all run.
        self._at_once = at_once
        self._turns: dict[str, asyncio.Semaphore] = {}

    def accept(self, guest: Guest, wanted: str | None = None) -> Migration:
        """Take on a live migration."""
        move = self._ground.begin(guest, LIVE_MIGRATION, wanted)
        guest.work("migrating", "MIGRATING")
        request = f"req-{uuid.uuid4()}"
        guest.actions.insert(
            0, {"action": "live-migration", "request_id": request, "message": None, "events": [], "move": move.id}
        )
        return move

    async def migrate(self, guest: Guest, move: Migration, fault: Fault | None) -> None:
        """Move a guest to where it was asked to go, or wherever the scheduler wants."""
        try:
            await self._schedule(guest, move)
            if self._at_once is None:
                await self._copy(guest, move, fault)
            else:
                self._ground.set(move, "queued")
                async with self._turns.setdefault(move.source, asyncio.Semaphore(self._at_once)):
                    _check_abort(move)
                    await self._copy(guest, move, fault)
        except Lost:
            self.stranded.add(guest.id)
        except FailedMigrationError as error:
            self._fail(guest, move, str(error), status="cancelled" if move.abort else "error")
            if isinstance(fault, GuestError):
                self._break(guest, str(error))
        else:
            self._complete(guest, move, fault)

    async def _schedule(self, guest: Guest, move: Migration) -> None:
        """The conductor's part: find a target that agrees, and claim room there."""
        ground = self._ground
        await ground.order()
        ground.check_source(move)
        refusing: list[str] = []
        while move.target is None:
            try:
                target = ground.scheduler.choose(guest, wanted=move.wanted, ignored=refusing)
            except NoValidHostError as error:
                raise FailedMigrationError(str(error)) from None
            if isinstance(self._faults.find("target", (target, guest.name, guest.id), ("target",)), Refused):
                refusing.append(target)
            else:
                ground.claim(guest, move, target)
        ground.set(move, "preparing")

    async def _copy(self, guest: Guest, move: Migration, fault: Fault | None) -> None:
        await self._clock.sleep(self._durations.prepare)
        _check_abort(move)
        self._ground.set(move, "running")
        if isinstance(fault, MigrationError | GuestError):
            raise FailedMigrationError(fault.message)
        both = [(host, self._nova.starts(COMPUTE_UNIT, host)) for host in (move.source, move.target or "")]
        whole = left = self._seconds(guest) + (fault.seconds if isinstance(fault, Slow) else 0.0)
        move.copying = (self._clock.now(), whole / self._clock.speed)
        told = False
        while not move.force:
            move.endless = self._endless(guest, fault)
            if left <= 0 and not move.endless:
                break
            if left <= whole / 2 and not told and fault is not None:
                told = True
                self.halfway(move, fault)
            await self._clock.sleep(min(_SLICE, max(left, 0.2)))
            left -= _SLICE
            _check_abort(move)
            if guest.id not in self._nova.guests:
                raise FailedMigrationError("the guest was deleted")
            for host, begun in both:
                if begun < 0 or self._nova.starts(COMPUTE_UNIT, host) != begun:
                    raise FailedMigrationError(f"nova-compute on {host} was stopped in the middle of it")
            if told and isinstance(fault, ComputeRestarted):
                # Its end and its new beginning may both fall between two looks.
                left = max(left, _SLICE)

    def progress(self, guest: Guest, move: Migration) -> tuple[float, float]:
        """Return how much of a guest's memory has been copied, and how much is left, as parts of all of it.

        What the guest writes meanwhile is copied again: more may have been copied than there is.
        """
        if move.copying is None:
            return 0.0, 0.0
        begun, seconds = move.copying
        part = (self._clock.now() - begun) / max(seconds, 1e-6)
        done = part / (1 - min(guest.dirty, 0.9))
        if not move.endless or part < 1 - _ENDLESS:
            return done, max(1 - part, 0.001)
        # It writes as fast as it is copied: what is left goes up and down.
        return done, _ENDLESS * (1.5 - part % 1)

    def _seconds(self, guest: Guest) -> float:
        """How long a guest's memory and disk take, with what it writes anew meanwhile."""
        gib = guest.resources["MEMORY_MB"] / 1024 / (1 - min(guest.dirty, 0.9)) + guest.resources["DISK_GB"]
        return self._durations.migrate_per_gib * gib

    def _endless(self, guest: Guest, fault: Fault | None) -> bool:
        never = isinstance(fault, NeverConverges) and not self._faults.mended.is_set()
        return never or guest.dirty >= 1

    async def build(self, guest: Guest) -> None:
        """Make a guest that was asked for."""
        conductor = self._nova.first_running(CONDUCTOR)
        begun = self._nova.starts(CONDUCTOR, conductor) if conductor else -1
        await self._clock.sleep(self._durations.schedule)
        if conductor is None or self._nova.starts(CONDUCTOR, conductor) != begun:
            self.stranded.add(guest.id)
            return
        if guest.id not in self._nova.guests:
            return
        try:
            target = self._ground.scheduler.choose(guest)
        except NoValidHostError as error:
            guest.rest("ERROR")
            guest.fault = str(error)
            return
        self._nova.place(guest, target)
        self._ground.machines.put(guest.id, target)
        guest.task_state = "spawning"
        self._ground.truth.look((guest,))
        await self._clock.sleep(self._durations.build)
        if guest.id in self._nova.guests:
            self._ground.machines[guest.id].start(self._clock.now())
        guest.rest("ACTIVE")

    async def reset(self, guest: Guest) -> None:
        """Do what an operator does about a stranded guest: reset its state and that of its migration, build it anew."""
        self.stranded.discard(guest.id)
        for move in self._nova.migrations:
            if move.guest == guest.id and move.unfinished:
                self._fail(guest, move, "reset by the operator", "error")
        if guest.host is None:
            await self.build(guest)

    def _complete(self, guest: Guest, move: Migration, fault: Fault | None) -> None:
        nova, machine, now = self._nova, self._ground.machines[guest.id], self._clock.now()
        if not isinstance(fault, Orphan):
            nova.allocations[nova.providers[move.source]].pop(move.uuid, None)
        guest.host = move.target
        self._ground.machines.put(guest.id, move.target)
        gap = self._durations.forced_gap if move.force else self._durations.gap
        machine.stand_still(now, gap / self._clock.speed, "forced live migration" if move.force else "live migration")
        machine.arrival = (now - move.created, gap / self._clock.speed)
        guest.rest()
        move.copying = None
        self._ground.set(move, "completed")
        self._ground.truth.look((guest,), (move.source,))

    def _fail(self, guest: Guest, move: Migration, message: str, status: str) -> None:
        self._ground.give_back(guest, move)
        guest.rest()
        for action in guest.actions:
            if action["move"] == move.id:
                action["message"] = message
                action["events"] = [{"event": "compute_live_migration", "result": "Error", "details": message}]
        move.copying = None
        self._ground.set(move, status)
        self._ground.truth.look((guest,), (move.source,))

    def _break(self, guest: Guest, message: str) -> None:
        guest.status, guest.fault = "ERROR", message
        self._ground.machines[guest.id].end(message)


def _check_abort(move: Migration) -> None:
    if move.abort:
        raise FailedMigrationError("aborted")
