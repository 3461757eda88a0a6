"""The loop of a drain: look, decide (``model.drain``), act, until nova and placement have nothing left on a host."""

import asyncio
import time

from activities import openstack
from activities.context import progress
from activities.errors import StackrollError, StepFailed
from model.drain import Decision, HostView, next_moves
from model.inventory import Inventory
from model.work import StepResult


class Drain:
    """One drain on its way. What it remembers only slows it down or counts refusals; what counts is read from nova."""

    def __init__(self, inventory: Inventory, host: str, parallel: int, *, since: str, poll: float, rest: float) -> None:
        self._inventory = inventory
        self._host = host
        self._parallel = parallel
        self._since = since
        self._poll = poll
        self._rest = rest
        self._providers: tuple[str, ...] = ()
        self._refusals: dict[str, tuple[str, ...]] = {}
        self._rest_until: dict[str, float] = {}
        self._failures_seen: dict[int, str] | None = None
        self._names: dict[str, str] = {}
        self._most = 0

    async def run(self, limit: float) -> None:
        """Look, decide, act, until nothing is left.

        Raises:
            StepFailed: guests are left that cannot be moved, or time is over.
        """
        started = time.monotonic()
        self._providers = await openstack.providers_of(self._inventory, self._host)
        while True:
            decision = await self._decide()
            if decision.done:
                return
            if decision.stuck:
                raise await self._blocked(decision)
            if time.monotonic() - started > limit:
                raise self._too_slow(decision, limit)
            self._tell(decision)
            await asyncio.gather(*(self._start(guest) for guest in decision.start))
            await asyncio.sleep(self._poll)

    async def result(self) -> StepResult:
        """Say what was moved: read from nova, so that it tells of moves that a worker began which then died."""
        moved = [
            {"guest": m.guest, "to": m.target, "migration": m.id}
            for m in await openstack.migrations(self._inventory, self._host)
            if m.source == self._host and m.status == "completed" and m.created >= self._since
        ]
        count = f"{len(moved)} guest{'s' if len(moved) != 1 else ''} moved" if moved else "no guest was on it"
        return StepResult(summary=f"{self._host} is empty: {count}", details={"moved": moved})

    async def _decide(self) -> Decision:
        view = await self._view()
        decision = self._judge(view)
        if not decision.done:
            return decision
        # Empty by nova; placement is asked last, because allocations go only after the guests.
        held = await openstack.allocations_on(self._inventory, *self._providers)
        return self._judge(view.model_copy(update={"consumers": tuple(sorted(held))}))

    async def _view(self) -> HostView:
        # Guests after migrations: one that has just arrived or left shows in at least one of the two.
        moves = await openstack.migrations(self._inventory, self._host)
        here, building = await asyncio.gather(
            openstack.guests(self._inventory, host=self._host), openstack.guests(self._inventory, status="BUILD")
        )
        self._names |= {guest.id: guest.name for guest in here}
        unplaced = tuple(guest for guest in building if guest.host is None)
        return HostView(host=self._host, guests=(*here, *unplaced), migrations=moves)

    def _judge(self, view: HostView) -> Decision:
        now = time.monotonic()
        failed = {m.id: m.guest for m in view.migrations if m.status == "error"}
        if self._failures_seen is not None:
            for number in failed.keys() - self._failures_seen.keys():
                self._rest_until[failed[number]] = now + self._rest
        self._failures_seen = failed
        return next_moves(
            view,
            since=self._since,
            parallel=self._parallel,
            refusals=self._refusals,
            resting=frozenset(guest for guest, until in self._rest_until.items() if until > now),
        )

    async def _start(self, guest: str) -> None:
        refusal = await openstack.live_migrate(self._inventory, guest)
        if refusal is not None:
            self._refusals[guest] = (*self._refusals.get(guest, ()), refusal)
            self._rest_until[guest] = time.monotonic() + self._rest

    def _tell(self, decision: Decision) -> None:
        self._most = max(self._most, decision.left)
        text = f"{decision.left} of {self._most} guests left on {self._host}"
        if decision.waiting:
            text += f"; {decision.waiting[0]}"
        for guest, name in self._names.items():
            text = text.replace(guest, name)
        progress(text)

    async def _blocked(self, decision: Decision) -> StackrollError:
        reasons = await asyncio.gather(
            *(openstack.last_error(self._inventory, blocked.guest) for blocked in decision.blocked)
        )
        lines = [
            f"guest {b.name} ({b.guest}): {b.problem}{f'; nova says: {reason}' if reason else ''}. Next: {b.remedy}"
            for b, reason in zip(decision.blocked, reasons, strict=True)
        ]
        return StepFailed(
            f"{len(lines)} guests cannot be moved",
            host=self._host,
            tail="\n".join(lines),
            remedy="do for each guest what its line says, then retry the step; or skip the host",
        )

    def _too_slow(self, decision: Decision, limit: float) -> StackrollError:
        return StepFailed(
            f"it is not empty after {limit:.0f} s: {decision.left} guests left",
            host=self._host,
            tail="\n".join((*decision.waiting, *(f"guest {b.name}: {b.problem}" for b in decision.blocked))),
            remedy="retry the step to go on waiting; a record that nothing works on any more is ended with "
            "`openstack server migration abort` or set to error; orphan allocations with `nova-manage placement audit`",
        )
