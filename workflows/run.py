"""What every run does, whichever way it goes: read the cloud, keep its windows, walk a plan, tell its end."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from model.actions import GateParams, SoakParams
    from model.base import JsonObject, Record
    from model.control import Abort, Who
    from model.inventory import Inventory
    from model.messages import BatchNews
    from model.notify import Announcement, Occasion
    from model.plan import Action, Phase, Plan, Step
    from model.report import without_repetition
    from model.status import Report, RunState, Waiting
    from model.timetable import NextRun, NextRunAsked
    from model.windows import Windows
    from model.work import StepResult
    from workflows import names
    from workflows.alerts import wait_for_quiet
    from workflows.dag import Machine
    from workflows.dispatch import Dispatch
    from workflows.executor import Executor, StepError, StoppedError
    from workflows.herald import Herald
    from workflows.ledger import Ledger, iso
    from workflows.nodes import root_nodes
    from workflows.sharing import Sharing
    from workflows.walker import Walker
    from workflows.windows import WindowKeeper

_Answer = TypeVar("_Answer", bound=Record)


class Run(Sharing):
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
        self._dispatch = Dispatch(ledger, self._tries, lambda: self.stopping, self.take)
        self._summaries: dict[str, str] = {}
        self._before: JsonObject = {}
        self._after: JsonObject = {}
        self._contract: JsonObject = {}
        self._next_run = ""

    # Before anything changes

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
        await self._close()
        return machine.finished

    async def _close(self) -> None:
        """Let the batches of hosts end; a cancellation finds nothing more that it could end."""
        while True:
            try:
                await self._dispatch.close()
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is None:
                    raise
                self.ledger.note(workflow.now(), "abort refused", "run", "what was in work has ended already", "cancel")
            else:
                return

    def _fits(self, node: str) -> bool:
        """Whether a node may begin now."""
        return not self.holding and (self.keeper is None or self.keeper.fits(node))

    async def _run_node(self, plan: Plan, inventory: Inventory, executor: Executor, node: str) -> None:
        steps = self.steps_of(plan, node)
        self._tell_phase(steps[0].phase)
        self.herald.begins(steps)
        try:
            if node not in plan.by_id:
                await self._dispatch.run(node, steps, inventory)
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
        if workflow.patched("next-run"):
            await self._find_next_run()
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

    async def _find_next_run(self) -> None:
        """Look up when a schedule starts the next one; one whose run has failed is about to pause, and starts none."""
        info = workflow.info()
        own = info.typed_search_attributes.get(names.SCHEDULED_BY) or ""
        well = self.ledger.state is RunState.COMPLETED
        try:
            found = await workflow.execute_activity(
                names.FIND_NEXT_RUN,
                NextRunAsked(cloud=self.ledger.cloud, without="" if well else own),
                result_type=NextRun,
                start_to_close_timeout=names.READ_TIMEOUT,
                retry_policy=names.READ_RETRY,
                summary="when the next run is due",
            )
        except ActivityError as error:
            self.ledger.note(workflow.now(), "warning", "schedule", f"no answer about it: {error.cause or error}")
            return
        self._next_run = found.at

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
            next_run=self._next_run,
        )

    @workflow.signal(name="batch_news", description="Not for you: this run's own batches of hosts tell what is new.")
    def batch_news(self, news: BatchNews) -> None:
        """Take what a batch says."""
        self._dispatch.hear(news)

    def tell_children(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every running child."""
        self._dispatch.tell(signal, order)

    async def children_told(self) -> None:
        """Wait until every order has arrived."""
        await self._dispatch.told()
