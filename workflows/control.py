"""The control surface of a run: what operators may send it and ask it. Names and payloads are those of the design."""

from abc import abstractmethod
from collections.abc import Mapping

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from model.control import Abort, Approve, StepOrder, Who
    from model.plan import Action, Plan, Step
    from model.status import Event, Report, RunState, StepState, StepStatus, UpgradeStatus
    from workflows.dag import Machine, NodeState
    from workflows.details import current_details
    from workflows.ledger import Ledger
    from workflows.names import STATE_KEY


def _no(message: str) -> ApplicationError:
    return ApplicationError(message, type="Refused", non_retryable=True)


class Controlled:
    """State and handlers that a run shows to its operators; the run itself is in the subclass."""

    ledger: Ledger
    machine: Machine | None
    approved: dict[str, Event]
    skipped: set[str]
    stopping: bool
    told_state: str

    def changed(self) -> None:
        """Bring the web UI's table up to date."""
        self._derive_state()
        self._tell_state()
        workflow.set_current_details(current_details(self.ledger.status(workflow.now(), forecast=False)))

    @abstractmethod
    def tell_children(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every running child."""

    @abstractmethod
    def make_report(self) -> Report:
        """Return the report as far as the run has come."""

    @property
    def plan_steps(self) -> Mapping[str, Step]:
        """The steps of the plan; empty before there is one."""
        return self.ledger.plan.by_id if self.ledger.plan else {}

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
        description='End: running steps finish, unfinished hosts are put back. Payload: {"by": "you", "reason": "why"}',
    )
    def abort(self, order: Abort) -> None:
        """End the run after what runs."""
        if order.mode == "rollback":
            text = "mode rollback is not available; paused instead: send abort with mode stop, or resume"
            self.ledger.note(workflow.now(), "abort refused", "run", text, order.by)
            self.ledger.message = text
            self.pause(Who(by=order.by, reason=text))
            return
        self.stop(order)

    def stop(self, order: Abort) -> None:
        """Start nothing more, and end when what runs has ended."""
        self.ledger.note(workflow.now(), "abort", "run", order.reason, order.by)
        self.ledger.message = f"stopped by {order.by}: {order.reason}"
        self.stopping = True
        if self.machine is not None:
            self.machine.stopping = True
        self.tell_children("abort", order)
        self.changed()

    @workflow.update(
        name="approve",
        description='Open a gate: plan, data or commit. Payload: {"by": "you", "gate": "commit"}',
    )
    def approve(self, approval: Approve) -> str:
        """Open a gate."""
        event = self.ledger.note(workflow.now(), "approve", approval.gate, f"plan {self._hash}", approval.by)
        self.approved[approval.gate] = event
        self.changed()
        return f"gate {approval.gate} approved by {approval.by}"

    @approve.validator
    def _may_approve(self, approval: Approve) -> None:
        gates = [s.params["gate"] for s in self.plan_steps.values() if s.action is Action.GATE]
        if self.ledger.plan is None:
            raise _no("there is no plan to approve yet; ask again when the run waits for an approval")
        if approval.gate not in gates:
            raise _no(f"no gate {approval.gate!r}; the plan's gates are {', '.join(gates)}")
        if approval.gate in self.approved:
            raise _no(f"gate {approval.gate} is approved already, by {self.approved[approval.gate].by}")
        if approval.plan_hash is not None and approval.plan_hash != self._hash:
            raise _no(f"the approval is for plan {approval.plan_hash}, but this run's plan is {self._hash}")

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

    @property
    def _machine(self) -> Machine:
        if self.machine is None:
            raise _no("the run has no plan yet")
        return self.machine

    def _node(self, step: str) -> str:
        return self.plan_steps[step].group or step

    def _must_be_failed(self, order: StepOrder) -> None:
        if order.step not in self.plan_steps:
            raise _no(f"no step {order.step!r} in this plan; `stackroll status` names the failed ones")
        failed = [step.id for step in self.ledger.in_state(StepState.FAILED)]
        if order.step not in failed or self._machine.state(self._node(order.step)) is not NodeState.FAILED:
            raise _no(f"{order.step} has not failed; failed steps: {', '.join(failed) or 'none'}")

    def _note_order(self, kind: str, order: StepOrder) -> None:
        self.ledger.note(workflow.now(), kind, order.step, order.reason, order.by)

    @workflow.signal(
        name="step_report", description="Not for you: this run's own children tell that a step has changed its state."
    )
    def step_report(self, status: StepStatus) -> None:
        """Take a child's report."""
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

    @workflow.query(name="timeline", description="Everything that happened, in order.")
    def timeline(self) -> list[Event]:
        """Return the events."""
        return self.ledger.events

    @workflow.query(name="report", description="The data of the report, as far as the run has come.")
    def report(self) -> Report:
        """Return the report."""
        return self.make_report()
