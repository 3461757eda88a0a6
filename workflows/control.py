"""The control surface of a run: what operators may send it and ask it. Names and payloads are those of the design."""

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from model.actions import GateParams
    from model.control import Abort, Approve, StepOrder, Who, WindowOrder
    from model.messages import StepReports
    from model.plan import Action, Plan, Step
    from model.status import Event, Report, RunState, StepState, StepStatus, UpgradeStatus
    from workflows.dag import Machine, NodeState
    from workflows.details import current_details
    from workflows.ledger import Ledger
    from workflows.names import STATE_KEY
    from workflows.windows import WindowKeeper


_ENDED_HOW = {"stop": "stopped", "rollback": "rollback ordered"}


def not_allowed(message: str) -> ApplicationError:
    """Return the refusal of an order, to be raised by its validator."""
    return ApplicationError(message, type="Refused", non_retryable=True)


class Controlled:
    """State and handlers that a run shows to its operators; the run itself is in the subclass.

    ``mode`` is how the run is to end before its plan has: None until somebody says so.
    """

    ledger: Ledger
    machine: Machine | None
    approved: dict[str, Event]
    skipped: set[str]
    stopping: bool
    mode: Literal["stop", "rollback"] | None
    told_state: str
    keeper: WindowKeeper | None
    _showing = False

    def changed(self) -> None:
        """Bring the state up to date, and the web UI's table once for everything that happens in this moment."""
        if self.keeper is not None and self.machine is not None:
            self.keeper.tell(self.machine)
        self._derive_state()
        self._tell_state()
        if not self._showing:
            self._showing = True
            asyncio.get_running_loop().call_soon(self._show)

    def _show(self) -> None:
        self._showing = False
        workflow.set_current_details(current_details(self.ledger.status(workflow.now(), outlook=False)))

    @abstractmethod
    def tell_children(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every running child."""

    @abstractmethod
    async def children_told(self) -> None:
        """Wait until every order is in the history of the children that it is for."""

    @abstractmethod
    def make_report(self) -> Report:
        """Return the report as far as the run has come."""

    @abstractmethod
    def failed(self, steps: Sequence[Step]) -> None:
        """Take note that one of these steps has failed for good."""

    @property
    @abstractmethod
    def point_passed(self) -> tuple[str, ...]:
        """The steps behind the commit point that have begun; while there are none, ``rollback`` loses nothing."""

    @property
    def going_back(self) -> bool:
        """Whether the run is on its way back already."""
        return self.ledger.back is not None

    def _tell_state(self) -> None:
        """Keep the search attribute in step, so that lists and saved views show what a run is doing."""
        state = self.ledger.state.value
        if state != self.told_state:
            self.told_state = state
            workflow.upsert_search_attributes([STATE_KEY.value_set(state)])

    def _derive_state(self) -> None:
        ledger, machine = self.ledger, self.machine
        if ledger.ended or machine is None:
            return
        # A group whose step has failed is first taken back; only then is there something to decide.
        ledger.undecided = set() if machine.stopping else set(machine.in_state(NodeState.FAILED))
        if machine.stopping:
            ledger.state = RunState.STOPPING
        elif ledger.undecided:
            ledger.state = RunState.FAILING
        elif machine.paused:
            ledger.state = RunState.PAUSED
        elif ledger.waiting:
            ledger.state = RunState.WAITING
        elif self.going_back:
            ledger.state = RunState.ROLLING_BACK
        else:
            ledger.state = RunState.RUNNING

    @workflow.signal(
        name="pause", description='Let running steps finish and start none. Payload: {"by": "you", "reason": "why"}'
    )
    def pause(self, who: Who) -> None:
        """Hold every host at its next step boundary."""
        self.ledger.paused = True
        if self.machine is not None:
            self.machine.paused = True
        self.ledger.note(workflow.now(), "pause", "run", who.reason, who.by)
        self.tell_children("pause", who)
        self.changed()

    @workflow.signal(name="resume", description='Go on after a pause. Payload: {"by": "you", "reason": "why"}')
    def resume(self, who: Who) -> None:
        """Go on."""
        self.ledger.paused = False
        if self.machine is not None:
            self.machine.paused = False
        self.ledger.note(workflow.now(), "resume", "run", who.reason, who.by)
        self.tell_children("resume", who)
        self.changed()

    @workflow.signal(
        name="abort",
        description="End: running steps finish, unfinished hosts are put back, and with mode rollback everything is "
        'taken back. Payload: {"by": "you", "reason": "why", "mode": "rollback"} or "stop"',
    )
    def abort(self, order: Abort) -> None:
        """End the run after what runs; an order that cannot be followed is noted, and changes nothing."""
        if reason := self.no_abort(order):
            self.ledger.note(workflow.now(), "abort refused", "run", reason, order.by)
            self.changed()
            return
        self.order_end(order)

    @workflow.update(
        name="abort", description="As the signal of this name, but an order that cannot be followed is refused at once."
    )
    async def abort_update(self, order: Abort) -> str:
        """End the run after what runs; answered when every running child has been told, so that none begins more."""
        self.order_end(order)
        if workflow.patched("abort-answered-when-told"):
            await self.children_told()
        return f"{self.ledger.run} ends after what runs now ({order.mode})"

    @abort_update.validator
    def _may_abort(self, order: Abort) -> None:
        if reason := self.no_abort(order):
            raise not_allowed(reason)

    def no_abort(self, order: Abort) -> str:
        """Return why an order to end cannot be followed; empty when it can."""
        if self.ledger.ended:
            return "the run has ended already"
        if self.machine is not None and self.machine.halted:
            return f"the run is about to end; then `stackroll rollback {self.ledger.run}` takes it back"
        if order.mode == "rollback" and self.going_back:
            return "it is going back already; mode stop ends that where it is"
        if order.mode == "rollback" and self.point_passed:
            return (
                f"the commit point is passed ({self.point_passed[0]} has begun): only restoring the dumps goes back, "
                "and that loses what was written since; let it end, or abort with mode stop; then `stackroll rollback "
                f"{self.ledger.run}` counts what would be lost, and asks for an approval before it restores"
            )
        return ""

    def order_end(self, order: Abort) -> None:
        """Start nothing more; when what runs has ended, end or go back. Of several orders the last one counts."""
        self.ledger.note(workflow.now(), "abort", "run", f"{order.mode}: {order.reason}", order.by)
        self.ledger.message = f"{_ENDED_HOW[order.mode]} by {order.by}: {order.reason}"
        self.stopping, self.mode = True, order.mode
        if self.machine is not None:
            self.machine.stopping = True
        self.tell_children("abort", order)
        self.changed()

    def cancelled(self) -> None:
        """Take a cancellation through Temporal as an order to go back, or to stop where there is no way back."""
        order = Abort(by="cancel", reason="cancelled through Temporal", mode="rollback")
        if self.going_back:
            self.ledger.note(workflow.now(), "abort refused", "run", self.no_abort(order), order.by)
            self.changed()
            return
        self.order_end(order if not self.no_abort(order) else order.model_copy(update={"mode": "stop"}))

    @workflow.update(
        name="approve",
        description='Open a gate: plan, canary, data, commit or restore. Payload: {"by": "you", "gate": "commit"}',
    )
    def approve(self, approval: Approve) -> str:
        """Open a gate."""
        event = self.ledger.note(workflow.now(), "approve", approval.gate, f"plan {self._hash}", approval.by)
        self.approved[approval.gate] = event
        self.changed()
        return f"gate {approval.gate} approved by {approval.by}"

    @approve.validator
    def _may_approve(self, approval: Approve) -> None:
        steps = self.ledger.plan.steps if self.ledger.plan else ()
        gates = [step.params["gate"] for step in steps if step.action in (Action.GATE, Action.ALERTS)]
        if self.ledger.plan is None:
            raise not_allowed("there is no plan to approve yet; ask again when the run waits for an approval")
        if approval.gate not in gates:
            raise not_allowed(f"no gate {approval.gate!r}; the plan's gates are {', '.join(gates)}")
        if approval.gate in self.approved:
            raise not_allowed(f"gate {approval.gate} is approved already, by {self.approved[approval.gate].by}")
        if approval.plan_hash is not None and approval.plan_hash != self._hash:
            raise not_allowed(f"the approval is for plan {approval.plan_hash}, but this run's plan is {self._hash}")
        gate = next((s.params for s in steps if s.action is Action.GATE and s.params["gate"] == approval.gate), None)
        started_by = next((event.by for event in self.ledger.events if event.kind == "start"), "")
        if gate and (reason := GateParams.model_validate(gate).refusal(approval.by, started_by, approval.plan_hash)):
            raise not_allowed(reason)

    @property
    def _hash(self) -> str:
        return self.ledger.plan.hash if self.ledger.plan else ""

    @workflow.update(
        name="retry",
        description='Run a failed step again. Payload: {"by": "you", "step": "cmp1/drain", "reason": "why"}',
    )
    def retry(self, order: StepOrder) -> str:
        """Run a failed step again."""
        self._note_order("retry", order)
        self._machine.retry(self._node(order.step))
        self.changed()
        return f"{order.step} runs again"

    @retry.validator
    def _may_retry(self, order: StepOrder) -> None:
        self._must_be_failed(order)

    @workflow.update(
        name="skip", description="Go on without a failed step; the run then cannot succeed. Payload as for retry"
    )
    def skip(self, order: StepOrder) -> str:
        """Go on without a failed step."""
        self._note_order("skip", order)
        node = self._node(order.step)
        status = self.ledger.steps[order.step]
        self.ledger.put(status.model_copy(update={"state": StepState.SKIPPED}))
        self.skipped.add(order.step)
        if node == order.step:
            self._machine.skip(node)
        else:
            # The rest of the host's steps runs in a new child, in which this one has passed.
            self._machine.retry(node)
        self.changed()
        return f"{order.step} is skipped"

    @skip.validator
    def _may_skip(self, order: StepOrder) -> None:
        self._must_be_failed(order)

    @workflow.update(
        name="window",
        description="Open the maintenance window by hand for so many seconds from now; 0 ends that. Payload: "
        '{"by": "you", "reason": "why", "open_for": 3600}',
    )
    def window(self, order: WindowOrder) -> str:
        """Open the maintenance window by hand."""
        answer = self.keeper.order(order) if self.keeper is not None else ""
        what = f"open for {order.open_for:g} s" if order.open_for else "no longer opened by hand"
        self.ledger.note(
            workflow.now(), "window", "run", f"{what}{f': {order.reason}' if order.reason else ''}", order.by
        )
        self.changed()
        return answer

    @window.validator
    def _may_open(self, order: WindowOrder) -> None:
        del order
        if self.ledger.ended:
            raise not_allowed("the run has ended already")
        if self.keeper is None:
            raise not_allowed("the run keeps to no maintenance windows now; `stackroll resume` ends a pause")

    @property
    def _machine(self) -> Machine:
        if self.machine is None:
            raise not_allowed("the run has no plan yet")
        return self.machine

    def _node(self, step: str) -> str:
        found = self.ledger.find(step)
        return (found.group if found else None) or step

    def _must_be_failed(self, order: StepOrder) -> None:
        if self.ledger.find(order.step) is None:
            raise not_allowed(f"no step {order.step!r} in this plan; `stackroll status` names the failed ones")
        undecided = self._machine.in_state(NodeState.FAILED)
        failed = [step.id for step in self.ledger.in_state(StepState.FAILED) if self._node(step.id) in undecided]
        if order.step not in failed:
            raise not_allowed(f"{order.step} has not failed; failed steps: {', '.join(failed) or 'none'}")

    def _note_order(self, kind: str, order: StepOrder) -> None:
        self.ledger.note(workflow.now(), kind, order.step, order.reason, order.by)

    @workflow.signal(
        name="step_reports", description="Not for you: this run's own children tell which steps have changed state."
    )
    def step_reports(self, reports: StepReports) -> None:
        """Take a child's reports."""
        for status in reports.steps:
            self.take(status)

    def take(self, status: StepStatus) -> None:
        """Note a step's new state."""
        self.ledger.put(status)
        text = status.error or status.summary
        self.ledger.note(
            workflow.now(), status.state.value, status.id, f"{status.title}: {text}" if text else status.title
        )
        self.changed()

    @workflow.query(
        name="status", description="What an operator sees: phases, hosts, running steps, what it waits for."
    )
    def status(self) -> UpgradeStatus:
        """Return the status."""
        return self.ledger.status(workflow.now())

    @workflow.query(name="plan", description="The plan: every step with its needs, compensation and reversibility.")
    def plan(self) -> Plan | None:
        """Return the plan."""
        return self.ledger.plan

    @workflow.query(name="way_back", description="The way back, if the run has taken it: every step with its needs.")
    def way_back(self) -> Plan | None:
        """Return the way back."""
        return self.ledger.back

    @workflow.query(name="timeline", description="Everything that happened, in order.")
    def timeline(self) -> list[Event]:
        """Return the events."""
        return self.ledger.events

    @workflow.query(name="report", description="The data of the report, as far as the run has come.")
    def report(self) -> Report:
        """Return the report."""
        return self.make_report()
