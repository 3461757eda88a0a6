"""``RollingUpgrade``: the root that an operator starts. It makes the plan, walks it, and answers for it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from model.actions import GateParams, SoakParams
    from model.availability import AvailabilityResult, WatchRequest
    from model.base import JsonObject, Record
    from model.control import Abort, Who
    from model.messages import LockRequest, PlanRequest, PlanResult
    from model.plan import Action, Plan, Reversibility, Step
    from model.spec import UpgradeRequest
    from model.status import Event, Report, RunState, StepState, Waiting
    from model.work import Facts, Finding, StepResult
    from workflows import names
    from workflows.availability import AvailabilityWatch
    from workflows.children import Children
    from workflows.control import Controlled
    from workflows.dag import Machine
    from workflows.executor import Executor, StoppedError
    from workflows.ledger import Ledger, iso
    from workflows.lock import CloudLock
    from workflows.nodes import root_nodes
    from workflows.walker import Walker

_Answer = TypeVar("_Answer", Facts, PlanResult)
Handle = workflow.ChildWorkflowHandle[Any, Any]


@workflow.defn(name="RollingUpgrade")
class RollingUpgrade(Controlled):
    """Rolls a whole cloud from one release to the next, host by host, while its users work on."""

    @workflow.init
    def __init__(self, request: JsonObject) -> None:
        """Begin the record; a request that is not valid is refused in ``run``, with a clear failure."""
        cloud, source, target = _headline(request)
        self.ledger = Ledger(workflow.info().workflow_id, cloud, source, target, workflow.now())
        self.machine: Machine | None = None
        self.approved: dict[str, Event] = {}
        self.skipped: set[str] = set()
        self.stopping = False
        self.told_state = ""
        self._children = Children(self.ledger, lambda: self.stopping)
        self._before: JsonObject = {}
        self._after: JsonObject = {}
        self._availability: AvailabilityResult | None = None

    @workflow.run
    async def run(self, request: JsonObject) -> JsonObject:
        """Upgrade the cloud; the result is one sentence, the whole account is in the ``report`` query."""
        parsed = self._parse(request)
        workflow.upsert_search_attributes(
            [names.CLOUD_KEY.value_set(parsed.inventory.cloud), names.RELEASE_KEY.value_set(parsed.spec.to)]
        )
        self.ledger.note(workflow.now(), "start", "run", f"to {parsed.spec.to}", parsed.by)
        lock = await self._lock(parsed)
        # Not try/finally: when a worker forgets a workflow it closes the coroutine, and nothing may be awaited then.
        try:
            await self._upgrade(parsed)
        except (Exception, asyncio.CancelledError):
            await lock.signal(CloudLock.release)
            raise
        await lock.signal(CloudLock.release)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self.ledger.state is not RunState.COMPLETED:
            raise ApplicationError(self.ledger.message, type="Unfinished", non_retryable=True)
        return {"state": self.ledger.state.value, "message": self.ledger.message}

    async def _upgrade(self, request: UpgradeRequest) -> None:
        plan = await self._plan(request)
        watch = await self._start_watch(request)
        await self._walk(request, plan)
        await self._end_watch(watch)
        self._conclude()
        await self._write_report()

    # Before anything changes

    def _parse(self, request: JsonObject) -> UpgradeRequest:
        try:
            return UpgradeRequest.model_validate(request)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc'])) or 'request'}: {e['msg']}" for e in error.errors()]
            raise self._refusal("; ".join(lines)) from None

    async def _lock(self, request: UpgradeRequest) -> Handle:
        cloud = request.inventory.cloud
        try:
            return await workflow.start_child_workflow(
                CloudLock.run,
                LockRequest(cloud=cloud, upgrade=self.ledger.upgrade),
                id=names.lock_id(cloud),
                static_summary=f"{cloud} is being worked on by {self.ledger.upgrade}",
            )
        except WorkflowAlreadyStartedError:
            raise self._refusal(
                f"another run of cloud {cloud!r} is going on (it holds the workflow {names.lock_id(cloud)}); "
                "wait for its end, or abort it"
            ) from None

    async def _plan(self, request: UpgradeRequest) -> Plan:
        facts = await self._read(names.READ_FACTS, request, Facts, f"read {request.inventory.cloud}")
        asked = PlanRequest(request=request, facts=facts)
        made = await self._read(names.MAKE_PLAN, asked, PlanResult, "make the plan")
        for finding in made.findings:
            self.ledger.note(workflow.now(), finding.severity, finding.subject, _reason(finding))
        if made.plan is None:
            errors = [finding for finding in made.findings if finding.severity == "error"]
            raise self._refusal("; ".join(f"{error.subject}: {_reason(error)}" for error in errors), told=True)
        self.ledger.begin(made.plan)
        self.ledger.note(workflow.now(), "plan", made.plan.hash, f"{len(made.plan.steps)} steps")
        return made.plan

    async def _read(self, name: str, asked: Record, kind: type[_Answer], summary: str) -> _Answer:
        """Call an activity that changes nothing; what it raises refuses the upgrade."""
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
            raise self._refusal(str(error.cause or error)) from error
        return answer

    def _refusal(self, reasons: str, *, told: bool = False) -> ApplicationError:
        """End the run; reasons that the record has already are not told there again."""
        self.ledger.message = f"refused, nothing was changed: {reasons}"
        self._end(RunState.REFUSED, "nothing was changed" if told else "")
        return ApplicationError(self.ledger.message, type="Refused", non_retryable=True)

    # The walk

    async def _walk(self, request: UpgradeRequest, plan: Plan) -> None:
        """Walk the plan; a cancellation from outside is an abort."""
        machine = Machine(root_nodes(plan), plan.limits)
        machine.paused, machine.stopping = self.ledger.paused, self.stopping
        self.machine = machine
        self.changed()
        executor = Executor(self.ledger.upgrade, request.inventory, self.take, results=self._keep)
        walker = Walker(machine, lambda node: self._run_node(request, plan, executor, node), self.changed)
        while not machine.halted:
            try:
                await walker.walk(until_stuck=False)
            except asyncio.CancelledError:
                if workflow.cancellation_reason() is None:
                    raise  # nobody cancelled it: the worker forgets the workflow
                self.stop(Abort(by="cancel", reason="cancelled through Temporal"))

    async def _run_node(self, request: UpgradeRequest, plan: Plan, executor: Executor, node: str) -> None:
        steps = (plan.by_id[node],) if node in plan.by_id else plan.members(node)
        workflow.upsert_search_attributes([names.PHASE_KEY.value_set(steps[0].phase.value)])
        if node not in plan.by_id:
            await self._children.run(node, steps, request.inventory)
        elif steps[0].action is Action.GATE:
            await executor.watched(steps[0], lambda: self._gate(steps[0]))
        elif steps[0].action is Action.SOAK:
            await executor.watched(steps[0], lambda: self._soak(steps[0]))
        else:
            await executor.do(steps[0])

    async def _gate(self, step: Step) -> str:
        gate = GateParams.model_validate(step.params)
        if gate.automatic and gate.gate not in self.approved:
            event = self.ledger.note(workflow.now(), "approve", gate.gate, "given by the spec", "spec")
            self.approved[gate.gate] = event
        plan_hash = self.ledger.plan.hash if self.ledger.plan else ""
        waiting = Waiting(
            what=f"approval of {gate.gate}",
            since=iso(workflow.now()),
            go_on=f"stackroll approve {self.ledger.upgrade} --gate {gate.gate} --plan-hash {plan_hash}",
        )
        await self._wait(step, waiting, lambda: gate.gate in self.approved)
        return f"approved by {self.approved[gate.gate].by}"

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
        if step.action is Action.CAPTURE_BASELINE:
            self._before = result.details
        elif step.action is Action.VERIFY_CLOUD:
            self._after = result.details

    # The probe

    async def _start_watch(self, request: UpgradeRequest) -> Handle | None:
        if not request.spec.availability.enabled:
            return None
        return await workflow.start_child_workflow(
            AvailabilityWatch.run,
            WatchRequest(upgrade=self.ledger.upgrade, inventory=request.inventory, rate=request.spec.availability.rate),
            id=names.child_id(self.ledger.upgrade, "availability"),
            static_summary=f"availability of {request.inventory.cloud}",
        )

    async def _end_watch(self, watch: Handle | None) -> None:
        if watch is None:
            return
        try:
            await watch.signal(AvailabilityWatch.stop)
            self._availability = await watch
        except FailureError as error:
            # The outcome must not hang on the probe; the report says that nothing was measured.
            self.ledger.note(workflow.now(), "warning", "availability", f"the probe failed: {error.cause or error}")

    # The end

    def _conclude(self) -> None:
        ledger, finished = self.ledger, bool(self.machine and self.machine.finished)
        if finished and not self.skipped:
            ledger.message = f"{ledger.cloud} runs {ledger.target}, verified by an independent read"
        elif finished:
            ledger.message = f"finished without {', '.join(sorted(self.skipped))}: {ledger.cloud} may be mixed"
        else:
            left = f"the upgrade is not complete, and {ledger.cloud} may be mixed" if self._changed_it() else _UNTOUCHED
            ledger.message = f"{ledger.message}; {left}"
        self._end(RunState.COMPLETED if finished and not self.skipped else RunState.STOPPED)

    def _changed_it(self) -> bool:
        """Whether any step that changes something has begun."""
        begun = [step.id for step in self.ledger.steps.values() if step.state is not StepState.PENDING]
        return any(self.plan_steps[id_].reversibility is not Reversibility.R0 for id_ in begun)

    def _end(self, state: RunState, text: str = "") -> None:
        self.ledger.state = state
        self.ledger.ended = iso(workflow.now())
        self.ledger.note(workflow.now(), state.value, "run", text or self.ledger.message)
        self.changed()

    async def _write_report(self) -> None:
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

    # What Controlled asks for

    def make_report(self) -> Report:
        """Return the report as far as the run has come."""
        return Report(
            status=self.ledger.status(workflow.now()),
            steps=tuple(self.ledger.steps.values()),
            events=tuple(self.ledger.events),
            availability=self._availability.apis if self._availability else (),
            before=self._before,
            after=self._after,
            approvals=tuple(self.approved.values()),
        )

    def tell_children(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every running child."""
        self._children.tell(signal, order)


_UNTOUCHED = "nothing was changed"


def _headline(request: Any) -> tuple[str, str, str]:
    """Return cloud, source and target of a request of any shape, for the record of one that will be refused."""
    outer = request if isinstance(request, dict) else {}
    inventory, spec = outer.get("inventory"), outer.get("spec")
    known = inventory if isinstance(inventory, dict) else {}
    wanted = spec if isinstance(spec, dict) else {}
    return str(known.get("cloud", "?")), str(known.get("release", "?")), str(wanted.get("to", "?"))


def _reason(finding: Finding) -> str:
    return f"{finding.problem} ({finding.remedy})"
