"""What every run does, whichever way it goes: take the lock of the cloud, watch its APIs, walk a plan, tell its end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from model.actions import GateParams, SoakParams
    from model.base import JsonObject, Record
    from model.control import Abort, GiveWay, Who
    from model.inventory import Inventory
    from model.messages import LockRequest
    from model.notify import Announcement, Occasion
    from model.plan import Action, Phase, Plan, Step
    from model.report import without_repetition
    from model.status import Report, RunState, Waiting
    from model.windows import Windows
    from model.work import StepResult
    from workflows import names
    from workflows.alerts import wait_for_quiet
    from workflows.children import Children
    from workflows.dag import Machine, NodeState
    from workflows.executor import Executor, StepError, StoppedError
    from workflows.herald import Herald
    from workflows.ledger import Ledger, iso
    from workflows.lock import CloudLock
    from workflows.nodes import root_nodes
    from workflows.walker import Walker
    from workflows.watched import Watched
    from workflows.windows import WindowKeeper

# Seconds between two requests for the lock of a cloud: at first, and three times as many later.
LOCK_EVERY = 5.0
_AT_FIRST = timedelta(minutes=5)
_LOCK = "lock"

Handle = workflow.ChildWorkflowHandle[Any, Any]
_Answer = TypeVar("_Answer", bound=Record)


class Run(Watched):
    """A run of a cloud."""

    def __init__(self, ledger: Ledger) -> None:
        """Begin with an empty record."""
        super().__init__()
        self.ledger = ledger
        self.machine = None
        self.approved = {}
        self.herald = Herald(ledger, self.approved)
        self.skipped = set()
        self.stopping = False
        self.mode = None
        self.told_state = ""
        self.keeper = None
        self._told_phase: Phase | None = None
        self._tries: dict[str, int] = {}
        self._children = Children(ledger, self._tries, lambda: self.stopping, self.take)
        self._summaries: dict[str, str] = {}
        self._yielding: GiveWay | None = None
        self._lending: asyncio.Task[None] | None = None
        self._lock: Handle | None = None
        self._before: JsonObject = {}
        self._after: JsonObject = {}
        self._contract: JsonObject = {}

    # Before anything changes

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
        lock, self._lock = self._lock, None
        if lock is not None:
            await lock.signal(CloudLock.release)

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

    async def read(self, name: str, asked: Record, kind: type[_Answer], summary: str) -> _Answer:
        """Call an activity that changes nothing; what it raises refuses the run."""
        try:
            answer: _Answer = await workflow.execute_activity(
                name,
                asked,
                result_type=kind,
                start_to_close_timeout=names.READ_TIMEOUT,
                retry_policy=names.READ_RETRY,
                summary=summary,
            )
        except ActivityError as error:
            raise self.refusal(str(error.cause or error)) from error
        return answer

    async def keep_windows(self, windows: Windows | None, plan: Plan) -> None:
        """Keep to the maintenance windows of the specification from now on; refuse a plan that fits into none."""
        if windows is None:
            return
        self.keeper = WindowKeeper(windows, self.ledger.timed or plan, self.ledger, self.changed)
        try:
            problem = await self.keeper.begin()
        except ActivityError as error:
            raise self.refusal(str(error.cause or error)) from error
        if problem:
            raise self.refusal(problem)

    def refusal(self, reasons: str, *, told: bool = False) -> ApplicationError:
        """End the run; reasons that the record has already are not told there again."""
        self.ledger.message = f"refused, nothing was changed: {reasons}"
        self.end(RunState.REFUSED, "nothing was changed" if told else "")
        return ApplicationError(self.ledger.message, type="Refused", non_retryable=True)

    # The walk

    async def walk(self, plan: Plan, inventory: Inventory) -> bool:
        """Walk a plan until it has ended or the run stops; return whether every step has passed."""
        machine = Machine(root_nodes(plan), plan.limits)
        machine.paused, machine.stopping = self.ledger.paused, self.stopping
        self.machine = machine
        if self.keeper is not None and self.going_back:
            self.keeper.end()
            self.keeper = None
        self.changed()
        by = self.ledger.run if self.ledger.run != self.ledger.upgrade else ""
        executor = Executor(self.ledger.upgrade, inventory, self.take, by=by, results=self._keep, tries=self._tries)
        walker = Walker(machine, lambda node: self._run_node(plan, inventory, executor, node), self.changed, self._fits)
        keeping = asyncio.create_task(walker.beside(self.keeper.keep())) if self.keeper is not None else None
        while not machine.halted:
            try:
                await walker.walk(until_stuck=False)
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is None:
                    raise  # nobody cancelled it: the worker forgets the workflow
                self.cancelled()
        if keeping is not None:
            keeping.cancel()
        return machine.finished

    def _fits(self, node: str) -> bool:
        """Whether a node may begin now."""
        if self._lending is not None and self._lending.done():
            self._lending.result()  # a defect in it ends the walk
        return self._yielding is None and (self.keeper is None or self.keeper.fits(node))

    async def _run_node(self, plan: Plan, inventory: Inventory, executor: Executor, node: str) -> None:
        steps = self.steps_of(plan, node)
        self._tell_phase(steps[0].phase)
        self.herald.begins(steps)
        try:
            if node not in plan.by_id:
                await self._children.run(node, steps, inventory)
            elif steps[0].action is Action.GATE:
                await executor.watched(steps[0], lambda: self._gate(plan, steps[0]))
            elif steps[0].action is Action.ALERTS:
                await executor.watched(steps[0], lambda: wait_for_quiet(self, steps[0]))
            elif steps[0].action is Action.SOAK:
                await executor.watched(steps[0], lambda: self._soak(steps[0]))
            else:
                await executor.do(steps[0])
        except StoppedError:
            raise
        except StepError:
            self.failed(steps)
            raise

    def steps_of(self, plan: Plan, node: str) -> tuple[Step, ...]:
        """Return the steps of a node that is about to begin: a step itself, or those of a group."""
        return (plan.by_id[node],) if node in plan.by_id else plan.members(node)

    def _tell_phase(self, phase: Phase) -> None:
        """Keep the search attribute in step."""
        if phase is not self._told_phase:
            self._told_phase = phase
            workflow.upsert_search_attributes([names.PHASE_KEY.value_set(phase.value)])

    async def _gate(self, plan: Plan, step: Step) -> str:
        gate = GateParams.model_validate(step.params)
        if gate.automatic and gate.gate not in self.approved:
            event = self.ledger.note(workflow.now(), "approve", gate.gate, "given by the spec", "spec")
            self.approved[gate.gate] = event
        losses = f": {self._summaries.get(gate.losses, '')}" if gate.losses else ""
        waiting = Waiting(
            what=gate.title.removesuffix(" (given by the spec)") + losses,
            since=iso(workflow.now()),
            go_on=f"stackroll approve {self.ledger.run} --gate {gate.gate} --plan-hash {plan.hash}",
        )
        await self._wait(step, waiting, lambda: gate.gate in self.approved)
        return f"approved by {self.approved[gate.gate].by}{losses}"

    async def _soak(self, step: Step) -> str:
        seconds = SoakParams.model_validate(step.params).seconds
        until = workflow.now() + timedelta(seconds=seconds)
        waiting = Waiting(
            what="the end of the soak", since=iso(workflow.now()), until=iso(until), go_on="it goes on by itself"
        )
        await self._wait(step, waiting, lambda: False, seconds)
        return f"{seconds:g} s"

    async def _wait(
        self, step: Step, waiting: Waiting, fulfilled: Callable[[], bool], seconds: float | None = None
    ) -> None:
        """Wait for a condition, or so many seconds; a run that stops gives up the step."""
        self.ledger.waiting[step.id] = waiting
        self.changed()
        try:
            await workflow.wait_condition(
                lambda: fulfilled() or self.stopping,
                timeout=None if seconds is None else timedelta(seconds=seconds),
                timeout_summary=waiting.what,
            )
        except TimeoutError:
            return
        finally:
            self.ledger.waiting.pop(step.id, None)
        if not fulfilled():
            raise StoppedError(f"stopped while waiting for {waiting.what}")

    def _keep(self, step: Step, result: StepResult) -> None:
        self._summaries[step.id] = result.summary
        if step.action is Action.CAPTURE_BASELINE:
            self._before = result.details
        elif step.action in (Action.VERIFY_CLOUD, Action.VERIFY_ROLLBACK):
            self._after = result.details
        elif step.action is Action.CHECK_CONTRACT:
            self._contract = result.details

    # The end

    def end(self, state: RunState, text: str = "") -> None:
        """Note the end."""
        self.ledger.state = state
        self.ledger.ended = iso(workflow.now())
        self.ledger.note(workflow.now(), state.value, "run", text or self.ledger.message)
        self.changed()

    async def write_report(self) -> None:
        """Write the report where the worker keeps reports; a report that cannot be written changes no outcome."""
        await self.herald.finish()
        try:
            written = await workflow.execute_activity(
                names.WRITE_REPORT,
                self.make_report(),
                result_type=dict,
                start_to_close_timeout=names.REPORT_TIMEOUT,
                retry_policy=names.READ_RETRY,
                summary="write the report",
            )
            self.ledger.note(workflow.now(), "report", "run", ", ".join(map(str, written.values())))
        except ActivityError as error:
            self.ledger.note(workflow.now(), "warning", "report", f"it could not be written: {error.cause or error}")
        self.changed()

    @workflow.query(
        name="announcement", description="What people would be told now. Argument: planned, started, done …"
    )
    def announcement(self, occasion: Occasion) -> Announcement | None:
        """Return what people would be told of an occasion now; None for a run that tells nobody."""
        return self.herald.announcement(occasion)

    # What Controlled asks for

    def changed(self) -> None:
        """Bring every view up to date, and tell people where it is their turn."""
        super().changed()
        self.herald.saw()

    def make_report(self) -> Report:
        """Return the report as far as the run has come."""
        steps = tuple(self.ledger.steps.values())
        events = without_repetition(self.ledger.events, steps)
        return Report(
            status=self.ledger.status(workflow.now()),
            steps=steps,
            events=events,
            left_out=len(self.ledger.events) - len(events),
            availability=self.seen.apis if self.seen else (),
            unobserved=self.seen.unobserved if self.seen else 0.0,
            before=self._before,
            after=self._after,
            contract=self._contract,
            approvals=tuple(self.approved.values()),
        )

    def tell_children(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every running child."""
        self._children.tell(signal, order)
