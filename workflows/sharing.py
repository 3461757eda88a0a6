"""How runs share a cloud: one holds its lock, one waits for it, and one gives way at a safe point and goes on later."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from model.control import Abort, GiveWay
    from model.messages import LockRequest
    from model.status import Waiting
    from workflows import names
    from workflows.dag import NodeState
    from workflows.herald import Herald
    from workflows.ledger import iso
    from workflows.lock import CloudLock
    from workflows.watched import Watched

# Seconds between two requests for the lock of a cloud: at first, and three times as many later.
LOCK_EVERY = 5.0
_AT_FIRST = timedelta(minutes=5)
_LOCK = "lock"

Handle = workflow.ChildWorkflowHandle[Any, Any]


class Sharing(Watched):
    """A run that is not alone in wanting its cloud."""

    herald: Herald

    def __init__(self) -> None:
        """Begin without the cloud."""
        super().__init__()
        self._lock: Handle | None = None
        self._yielding: GiveWay | None = None
        self._lending: asyncio.Task[None] | None = None

    @abstractmethod
    def refusal(self, reasons: str, *, told: bool = False) -> ApplicationError:
        """End the run; reasons that the record has already are not told there again."""

    @property
    def holding(self) -> bool:
        """Whether nothing more may begin, because another run goes first."""
        if self._lending is not None and self._lending.done():
            self._lending.result()  # a defect in it is one of the run
        return self._yielding is not None

    async def under_lock(self, cloud: str, work: Callable[[], Awaitable[None]], *, patience: float = 0.0) -> None:
        """Do the work while holding the lock of the cloud, or refuse: only one run of a cloud can go on.

        Args:
            cloud: its name.
            work: what is to be done.
            patience: seconds to wait for a run that gives way.
        """
        self._lock = await self._hold_lock(cloud, patience)
        # Not try/finally: when a worker forgets a workflow it closes the coroutine, and nothing may be awaited then.
        try:
            await work()
        except (Exception, asyncio.CancelledError):
            await self._let_go()
            await self.herald.finish()
            raise
        await self._let_go()
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _hold_lock(self, cloud: str, patience: float) -> Handle:
        begun = workflow.now()
        until = begun + timedelta(seconds=patience)
        while (lock := await self._take_lock(cloud)) is None:
            if workflow.now() >= until:
                self.ledger.waiting.pop(_LOCK, None)
                refusal = self.refusal(
                    f"another run of cloud {cloud!r} is going on (it holds the workflow {names.lock_id(cloud)}); "
                    "wait for its end, or abort it"
                )
                await self.herald.finish()
                raise refusal
            what = f"the run that holds {cloud} to reach a safe point and give way"
            go_on = "it goes on by itself; `stackroll list` names that run"
            self.ledger.waiting[_LOCK] = Waiting(what=what, since=iso(workflow.now()), until=iso(until), go_on=go_on)
            self.changed()
            pause = LOCK_EVERY if workflow.now() < begun + _AT_FIRST else 3 * LOCK_EVERY
            await workflow.sleep(pause, summary=f"before {cloud} is asked for again")
        self.ledger.waiting.pop(_LOCK, None)
        return lock

    async def _take_lock(self, cloud: str) -> Handle | None:
        """Take the lock of the cloud; None when another run holds it."""
        try:
            return await workflow.start_child_workflow(
                CloudLock.run,
                LockRequest(cloud=cloud, upgrade=self.ledger.run),
                id=names.lock_id(cloud),
                static_summary=f"{cloud} is being worked on by {self.ledger.run}",
            )
        except WorkflowAlreadyStartedError:
            return None

    async def _let_go(self) -> None:
        """Give the lock back; whoever asks for it from now on gets it."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        await lock.signal(CloudLock.release)
        if workflow.patched("lock-is-back"):
            # One that somebody has ended is back as well.
            with suppress(FailureError):
                await lock

    # Giving way

    @workflow.update(
        name="give_way",
        description="Let a security run of the same cloud go first. A reboot holds between two hosts, and goes on "
        'afterwards; an upgrade that has changed nothing ends. Payload: {"by": "you", "reason": "why", "to": "RUN"}',
    )
    def give_way(self, order: GiveWay) -> str:
        """Let another run go first."""
        self.ledger.note(workflow.now(), "give way", order.to, order.reason, order.by)
        return self.step_aside(order)

    @give_way.validator
    def _may_give_way(self, order: GiveWay) -> None:
        if reason := self.no_way(order):
            raise ApplicationError(reason, type="Refused", non_retryable=True)

    def no_way(self, order: GiveWay) -> str:
        """Return why another run cannot go first; empty when it can."""
        if self.ledger.ended or (self.machine is not None and self.machine.halted):
            return f"{self.ledger.run} has ended or is about to end: start {order.to} then"
        if self.stopping or self.going_back:
            return f"{self.ledger.run} is ending: start {order.to} when it has ended"
        if self._yielding is not None:
            return f"{self.ledger.run} gives way to {self._yielding.to} already"
        return ""

    def step_aside(self, order: GiveWay) -> str:
        """Make room for another run, and say how: end, unless the subclass knows better."""
        self.order_end(Abort(by=order.by, reason=f"gave way to {order.to}", mode="stop"))
        return f"{self.ledger.run} has changed nothing and ends; start it again when {order.to} has ended"

    def lend(self, order: GiveWay) -> str:
        """Begin nothing more until another run has ended; what runs is brought to its end first."""
        self._yielding = order
        self._lending = asyncio.create_task(self._lend(order))
        self.changed()
        return f"{self.ledger.run} holds when what it works on is done, and goes on when {order.to} has ended"

    async def _lend(self, order: GiveWay) -> None:
        def over() -> bool:
            return self.ledger.ended is not None or self.stopping

        await workflow.wait_condition(lambda: over() or self._at_rest())
        if not over():
            await self._away(order, over)
        self._yielding = None
        self.ledger.waiting.pop(_LOCK, None)
        self.changed()

    def _at_rest(self) -> bool:
        """Whether nothing is being worked on; who waits for an approval, or for the end of a soak, works on nothing."""
        running = self.machine.in_state(NodeState.RUNNING) if self.machine is not None else ("the plan",)
        return all(node in self.ledger.waiting for node in running)

    async def _away(self, order: GiveWay, over: Callable[[], bool]) -> None:
        """Let go of the cloud, and take it back once the other run has had it."""
        cloud = self.ledger.cloud
        await self._let_go()
        self.ledger.note(workflow.now(), "gave way", order.to, "nothing of this run is half done", order.by)
        go_on = f"it goes on by itself; watch the other: stackroll watch {order.to}"
        self.ledger.waiting[_LOCK] = Waiting(what=f"the end of {order.to}", since=iso(workflow.now()), go_on=go_on)
        self.changed()
        # The other one asks more often than this, so it is there first.
        pause = 4 * LOCK_EVERY
        while self._lock is None and not over():
            with suppress(TimeoutError):
                await workflow.wait_condition(over, timeout=pause, timeout_summary=f"{order.to} works on {cloud}")
            if not over():
                self._lock = await self._take_lock(cloud)
        if not over():
            self.ledger.note(workflow.now(), "goes on", order.to, f"{order.to} has let go of {cloud}")
