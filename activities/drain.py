"""The loop of a drain: look, decide (``model.drain``), act, until nothing is left on a host but what may stay."""

import asyncio
import time

from activities import openstack, servers
from activities.context import progress
from activities.drain_report import DrainReport
from activities.drain_watch import Charge, Watcher
from activities.errors import StackrollError, StepFailed
from activities.retarget import Retarget
from activities.ssh import Hosts
from activities.standstill import times_of
from activities.traffic import Traffic
from model.classify import MOVED_BY, STOPPED_BY
from model.drain import Decision, HostView, next_moves
from model.moves import Act, Blocked, Move
from model.nova import COLD_MIGRATION, Migration
from model.words import count
from model.work import StepResult

# By how much the time between two looks grows while nothing is begun, and up to which multiple of the first.
MORE_PATIENT, MOST_PATIENT = 1.3, 4.0


class Drain:
    """One drain on its way. What it remembers only slows it down or counts refusals; what counts is read from nova."""

    def __init__(self, charge: Charge, hosts: Hosts, traffic: Traffic) -> None:
        self._charge, self._hosts, self._traffic = charge, hosts, traffic
        self._inventory, self._orders, self._host = charge.inventory, charge.orders, charge.orders.host
        self._report = DrainReport(charge.orders, charge.decided)
        self._watch = Watcher(charge, hosts, self._report)
        self._retarget = Retarget(charge.inventory, charge.avoid)
        self._held: dict[str, str] = {}
        # How many migrations of a guest there were when nova was asked for one more.
        self._asked: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._stays: tuple[str, ...] = ()
        # Migrations that were looked at for such of others that began in the same moment.
        self._raced: set[int] = set()

    async def run(self, limit: float) -> None:
        """Look, decide, act, until nothing is left but what may stay.

        Raises:
            StepFailed: guests are left that cannot be moved, or time is over.
        """
        started, pause = time.monotonic(), self._charge.poll
        await self._watch.prepare(self._traffic.zones)
        while True:
            decision = await self._decide()
            if decision.done:
                self._stays = decision.stays
                return
            if decision.stuck:
                raise await self._blocked(decision)
            if time.monotonic() - started > limit:
                raise self._too_slow(decision, limit)
            self._held = {}
            await asyncio.gather(*(self._act(move) for move in decision.moves))
            progress(self._report.line(decision, self._watch.memory.memory(), self._held))
            # Each look costs nova four requests: while guests are only waited for, fewer do.
            pause = self._charge.poll if decision.moves else min(pause * MORE_PATIENT, self._charge.poll * MOST_PATIENT)
            await asyncio.sleep(pause)

    async def result(self) -> StepResult:
        """Say what was moved: read from nova, so that it tells of moves that a worker began which then died."""
        moves = await openstack.migrations(self._inventory, self._host)
        if self._charge.full:
            await self._take_marks(moves)
            self._report.warn(await self._watch.crowded(moves))
            self._report.warn(f"guest {guest}: {reason}" for guest, reason in self._retarget.reasons.items())
        times, problems = await times_of(self._hosts, self._inventory, self._orders, moves)
        self._report.warn(problems)
        return self._report.result(moves, self._stays, times)

    async def _decide(self) -> Decision:
        view = await self._watch.look()
        for guest, before in list(self._asked.items()):
            if sum(move.guest == guest for move in view.migrations) > before:
                self._traffic.forget(self._inventory, guest)
                del self._asked[guest]
        if self._charge.full:
            self._orders = await self._retarget.renew(view, self._orders, self._watch.memory.refusals)
            await self._end_races(view)
        memory, parallel = self._watch.memory.memory(), self._charge.parallel
        decision = next_moves(view, self._orders, parallel=parallel, memory=memory)
        if decision.done:
            # Empty by nova; the rest is asked last, because what it holds goes only after the guests.
            view = await self._watch.look_deeper(view)
            decision = next_moves(view, self._orders, parallel=parallel, memory=memory)
        self._counts = {guest.id: sum(m.guest == guest.id for m in view.migrations) for guest in view.guests}
        return decision

    async def _end_races(self, view: HostView) -> None:
        """Two workers may have begun to move two members of a group in the same moment: the later one is taken back.

        Of two that go to the same host both would be there before nova's scheduler has seen either.
        """
        mine = {move.guest: move for move in view.migrations if move.moving and move.source == self._host}
        watched = {guest: groups for guest in mine if (groups := self._watch.spread_groups_of(guest))}
        if self._charge.limits is None or not watched or all(mine[guest].id in self._raced for guest in watched):
            return
        moving = {move.guest: move for move in await servers.moving(self._inventory)}
        for guest, groups in watched.items():
            move = mine[guest]
            if move.target and move.status.startswith("running"):
                self._raced.add(move.id)
            for other in {member for group in groups for member in group.members} & moving.keys() - {guest}:
                if move.target and moving[other].target == move.target and 0 < moving[other].id < move.id:
                    self._report.warn([f"guest {guest} and {other} of its group were to go to {move.target} at once"])
                    self._raced.add(move.id)
                    # Refused when it is over already; the groups are looked at again in the end.
                    await servers.abort(self._inventory, guest, move.id)

    # Acting

    async def _act(self, move: Move) -> None:
        match move.act:
            case Act.LIVE | Act.COLD:
                refusal = await self._begin(move)
            case Act.CONFIRM:
                refusal = await servers.confirm(self._inventory, move.guest)
            case Act.STOP:
                refusal = await self._stop(move)
            case Act.FORCE | Act.ABORT:
                ask = servers.force_complete if move.act is Act.FORCE else servers.abort
                self._watch.memory.hurried(move)
                # A refusal says that it is over already, or not yet running: the next look tells.
                await ask(self._inventory, move.guest, move.migration or 0)
                refusal = None
        if refusal is not None:
            self._watch.memory.refuse(move, refusal)

    async def _begin(self, move: Move) -> str | None:
        charge = self._charge
        if charge.limits is None:
            return await self._migrate(move)
        hindrance, refusal = await self._traffic.begin(
            self._inventory,
            move.guest,
            self._host,
            move.target,
            lambda: self._migrate(move),
            limits=charge.limits,
            zones=self._watch.zones,
            groups=self._watch.groups_of(move.guest),
        )
        if hindrance is not None:
            self._held[move.guest] = hindrance
        elif refusal is None:
            self._asked[move.guest] = self._counts.get(move.guest, 0)
        return refusal

    async def _migrate(self, move: Move) -> str | None:
        inventory, run = self._inventory, self._orders.run
        if move.act is Act.LIVE:
            return await openstack.live_migrate(inventory, move.guest, move.target)
        # Marked first: whoever goes on after a failure of this step must know that the move is ours to confirm.
        refusal = await servers.set_metadata(inventory, move.guest, MOVED_BY, run)
        return refusal or await servers.cold_migrate(inventory, move.guest, move.target)

    async def _stop(self, move: Move) -> str | None:
        refusal = await servers.set_metadata(self._inventory, move.guest, STOPPED_BY, self._orders.run)
        return refusal or await servers.stop(self._inventory, move.guest)

    async def _take_marks(self, moves: tuple[Migration, ...]) -> None:
        """Take the marks of guests that have been moved cold."""
        moved = {m.guest for m in moves if m.kind == COLD_MIGRATION and m.source == self._host}
        moved &= {m.guest for m in moves if m.status == "confirmed" and m.created >= self._orders.since}
        for guest in await asyncio.gather(*(servers.read_guest(self._inventory, one) for one in sorted(moved))):
            if guest is not None and guest.metadata.get(MOVED_BY) == self._orders.run:
                refusal = await servers.drop_metadata(self._inventory, guest.id, MOVED_BY)
                self._report.warn([f"guest {guest.id} still bears the mark {MOVED_BY}: {refusal}"] if refusal else [])

    # Failing

    async def _blocked(self, decision: Decision) -> StackrollError:
        reasons = await asyncio.gather(
            *(openstack.last_error(self._inventory, blocked.guest) for blocked in decision.blocked)
        )
        lines = [
            f"{self._told(b)}{f'; nova says: {reason}' if reason else ''}. Next: {b.remedy}"
            for b, reason in zip(decision.blocked, reasons, strict=True)
        ]
        return StepFailed(
            f"{count(len(lines), 'guest')} cannot be moved",
            host=self._host,
            tail="\n".join(lines),
            remedy="do for each guest what its line says, then retry the step; or skip the host",
        )

    def _told(self, blocked: Blocked) -> str:
        """Name a guest, what keeps it, and how much of what its other targets lack, where they were looked at."""
        places = self._retarget.reasons.get(blocked.guest)
        return f"guest {blocked.name} ({blocked.guest}): {blocked.problem}{f'; {places}' if places else ''}"

    def _too_slow(self, decision: Decision, limit: float) -> StackrollError:
        held = [f"guest {guest} waits: {why}" for guest, why in self._held.items()]
        return StepFailed(
            f"it is not empty after {limit:.0f} s: {decision.left} guests left",
            host=self._host,
            tail="\n".join(
                (*decision.waiting, *held, *(f"{self._told(b)}. Next: {b.remedy}" for b in decision.blocked))
            ),
            remedy="retry the step to go on waiting; a record that nothing works on any more is ended with "
            "`openstack server migration abort` or set to error; orphan allocations with `nova-manage placement audit`",
        )
