"""Restarting conductors and schedulers without losing a call: nova works on nothing meanwhile.

A nova-conductor or nova-scheduler that stops loses the RPC calls that it holds, in every release up to now; whoever
waits for the answer runs into its timeout. So writes are held back at the load balancer for some seconds: clients
wait a little longer, and nothing fails. The hold ends by itself should its holder die (``Front.hold``).
"""

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from activities import openstack
from activities.context import Toolbox, progress, remaining, step_activity, wait_for
from activities.errors import StackrollError, StepFailed
from activities.front import Front
from activities.hosts import switch_units
from activities.work import Hand
from model.actions import SwitchParams
from model.plan import Action
from model.work import StepResult, Work

# A hold lives this long without being renewed; the balancer lets writes pass after 90 s whatever happens.
HOLD_SECONDS = 20
RENEW_EVERY = 4.0
# First wait with writes going on: for migrations, which take long, and a little for a moment in which nothing happens,
# which a busy cloud never has. Then hold the writes and wait for the last ones to end.
MIGRATIONS_LIMIT = 20.0
QUIET_LIMIT = 5.0
SETTLE_LIMIT = 25.0
LOOKS = 2
LOOK_EVERY = 0.5
TRIES = 3
REST = 5.0
REPORT_LIMIT = 60.0


class Hold:
    """Holds back writes of a frontend for as long as the block runs; without a frontend it does nothing."""

    def __init__(self, front: Front, frontend: str | None) -> None:
        self._front, self._frontend = front, frontend
        self._begun = self._renewed = 0.0
        self._keeper: asyncio.Task[None] | None = None
        self.lapsed = False

    @property
    def seconds(self) -> float:
        """How long it has been on."""
        return time.monotonic() - self._begun if self._begun else 0.0

    async def __aenter__(self) -> Self:
        if self._frontend is not None:
            await self._front.hold(self._frontend, HOLD_SECONDS)
            self._begun = self._renewed = time.monotonic()
            self._keeper = asyncio.create_task(self._keep(self._frontend))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeper is None or self._frontend is None:
            return
        self._keeper.cancel()
        self._note_gap()
        # If the balancer cannot be told, the hold ends by itself within seconds.
        with contextlib.suppress(StackrollError):
            await asyncio.shield(self._front.hold(self._frontend, 0))

    async def _keep(self, frontend: str) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            with contextlib.suppress(StackrollError):
                await self._front.hold(frontend, HOLD_SECONDS)
                self._note_gap()
                self._renewed = time.monotonic()

    def _note_gap(self) -> None:
        self.lapsed |= time.monotonic() - self._renewed > HOLD_SECONDS


class QuiesceActivities:
    """Restarts of what nova's own messages go through."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.SWITCH_QUIESCED)
    async def switch_quiesced(self, work: Work, params: SwitchParams) -> StepResult:
        """Restart conductor and scheduler on a version while nova works on nothing, and until all report again."""
        front = Front(self._tools.hosts, work.inventory)
        frontend = params.hold if work.inventory.load_balancer.hold_map else None
        before = {
            (row.binary, row.host) for row in await openstack.service_records(work.inventory) if row.state == "up"
        }
        problems: list[str] = []
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(REST)
            await self._wait_quiet(work)
            async with Hold(front, frontend) as hold:
                problems = await self._settle(front, work, frontend, hold)
                if problems and frontend is not None:
                    continue
                hand = Hand(self._tools, work)
                result = await switch_units(hand, params)
                await self._wait_reports(hand, params, before)
                return _result(result, hold)
        raise StepFailed(
            f"nova does not come to rest: {len(problems)} thing(s) still going on after {TRIES} holds of "
            f"{SETTLE_LIMIT:g} s",
            host=work.target,
            tail="\n".join(problems),
            remedy="wait for them, or reset what is stuck (`openstack server set --state`), then retry the step",
        )

    async def _wait_quiet(self, work: Work) -> None:
        """Wait a little for what is going on to end by itself, so that the hold may be short."""

        async def no_migration() -> bool:
            return not any(move.moving for move in await openstack.migrations(work.inventory))

        async def quiet() -> bool:
            return not await openstack.in_flight(work.inventory)

        await wait_for(no_migration, "nova's migrations to end", limit=min(MIGRATIONS_LIMIT, remaining(work)))
        await wait_for(quiet, "a moment in which nova works on nothing", limit=min(QUIET_LIMIT, remaining(work)))

    async def _settle(self, front: Front, work: Work, frontend: str | None, hold: Hold) -> list[str]:
        """Wait until nothing that began before the hold is going on, in two looks running; return what still is.

        What nova shows as done may have a last call to a conductor on its way.
        """
        problems: list[str] = []
        rests = 0

        async def settled() -> bool:
            nonlocal problems, rests
            problems = await _requests(front, frontend, hold) or await openstack.in_flight(work.inventory)
            rests = 0 if problems else rests + 1
            return rests >= LOOKS

        limit = SETTLE_LIMIT if frontend is not None else 0.0
        await wait_for(settled, "nova to finish what it works on", limit=limit, every=LOOK_EVERY)
        return problems

    async def _wait_reports(self, hand: Hand, params: SwitchParams, before: set[tuple[str, str]]) -> None:
        """Wait until every service that was up has reported since: reports go through the conductors."""
        work = hand.work
        progress("waiting for all nova services to report")
        begun = await hand.units(*params.units)
        rows = await openstack.service_records(work.inventory)
        reported = {(row.binary, row.host): row.updated_at for row in rows}
        silent = before

        async def all_reported() -> bool:
            nonlocal silent
            rows = await openstack.service_records(work.inventory)
            fresh = {
                (row.binary, row.host)
                for row in rows
                if row.state == "up" and row.updated_at != reported.get((row.binary, row.host))
            }
            silent = before - fresh
            # Writes are being held: a service that dies of its own code is known at once, not at the end of the wait.
            await hand.check_steady(begun, params.version)
            return not silent

        limit = min(REPORT_LIMIT, remaining(work))
        if not await wait_for(all_reported, "all nova services to report", limit=limit):
            raise StepFailed(
                f"no report within {limit:.0f} s from {', '.join(f'{b} on {h}' for b, h in sorted(silent))}",
                host=work.target,
                remedy="see their logs and the message queue, then retry the step",
            )


async def _requests(front: Front, frontend: str | None, hold: Hold) -> list[str]:
    """Describe requests from before the hold that the API is still working on, or that wait for an instance of it."""
    if frontend is None:
        return []
    # The balancer counts in whole seconds: a request of the very second in which the hold began counts as older.
    held = int(hold.seconds)
    found = [s for s in await front.sessions(frontend) if s.server is not None and s.age >= held]
    queued = await front.waiting(frontend)
    waiting = [f"{queued} request(s) wait for an instance of {frontend}"] if queued else []
    return [f"a request of {s.age} s at {frontend}/{s.server}" for s in found] + waiting


def _result(result: StepResult, hold: Hold) -> StepResult:
    if not hold.seconds:
        return result
    held = f"; writes were held for {hold.seconds:.0f} s"
    lapsed = ", with a gap in which the balancer could not be reached" if hold.lapsed else ""
    details = {**result.details, "held": round(hold.seconds, 1), "lapsed": hold.lapsed}
    return StepResult(summary=f"{result.summary}{held}{lapsed}", details=details)
