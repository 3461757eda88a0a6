"""The children of a run: the steps of one service on the control hosts, or of one compute host.

When a step fails for good, the steps of its scope (the host, or the service's instance on it) that have happened are
taken back before the child ends, so that no host stays half way.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.base import JsonObject
    from model.control import Abort, Who
    from model.messages import GroupRequest, GroupResult, GroupStatus, StepReports
    from model.plan import Action, Step
    from model.status import StepState, StepStatus
    from model.work import StepResult
    from workflows.dag import Machine, NodeState, compensation
    from workflows.details import group_details
    from workflows.executor import Executor
    from workflows.ledger import pending
    from workflows.nodes import group_nodes
    from workflows.rollback_plan import BACK
    from workflows.walker import Walker

# What these steps found, a report tells.
_TOLD = frozenset({Action.DRAIN_COMPUTE, Action.REBOOT_HOST, Action.START_GUESTS})


class _Group:
    """What both kinds of child do."""

    def __init__(self, request: GroupRequest) -> None:
        self._request = request
        self._steps = {step.id: step for step in request.steps}
        self._nodes = group_nodes(request.steps)
        self._machine = Machine(self._nodes, passed=request.passed)
        self._machine.paused = request.paused
        self._root = request.root or request.upgrade
        self._details: dict[str, JsonObject] = {}
        self._executor = Executor(
            request.upgrade,
            request.inventory,
            self._tell_root,
            by=request.root,
            results=self._keep,
            tries=dict(request.tries),
        )
        self._outbox: list[StepStatus] = []
        self._telling = False
        for step in request.steps:
            state = StepState.DONE if step.id in request.passed else StepState.PENDING
            self._executor.steps[step.id] = pending(step).model_copy(update={"state": state})

    async def _walk(self) -> GroupResult:
        teller = asyncio.create_task(self._tell())
        walker = Walker(self._machine, lambda id_: self._executor.do(self._steps[id_]))
        await walker.walk(until_stuck=True)
        failed = self._machine.in_state(NodeState.FAILED)
        if not self._machine.finished:
            await self._take_back_open_scopes()
        # A signal on its way must not be cancelled; what has not been told goes with the result.
        await workflow.wait_condition(lambda: not self._telling)
        teller.cancel()
        return GroupResult(
            steps=tuple(self._executor.steps.values()),
            tries=self._executor.tries,
            failed=failed[0] if failed else None,
            stopped=not failed and not self._machine.finished,
            untold=tuple(self._outbox),
            details=self._details,
        )

    def _keep(self, step: Step, result: StepResult) -> None:
        if step.action in _TOLD:
            self._details[step.id] = result.details

    async def _take_back_open_scopes(self) -> None:
        """Compensate the steps that happened in every scope that has not been completed, in reverse order."""
        happened = {*self._machine.in_state(NodeState.DONE), *self._machine.in_state(NodeState.FAILED)}
        unfinished = {
            step.scope or step.id for step in self._request.steps if self._machine.state(step.id) is not NodeState.DONE
        }
        # A compensation has no compensation: on the way back nothing is taken back again.
        back = {id_ for id_ in happened if (scope := self._steps[id_].scope) is not None and scope in unfinished}
        failure = {id_: self._executor.steps[id_] for id_ in self._machine.in_state(NodeState.FAILED) if id_ in back}
        walker = Walker(Machine(compensation(self._nodes, back)), lambda id_: self._executor.undo(self._steps[id_]))
        await walker.walk(until_stuck=True)
        for id_, status in failure.items():
            # What failed stays visible as failed: it is what the operator must decide about.
            now = self._executor.steps[id_]
            note = "; what had been done on it was taken back" if now.state is StepState.UNDONE else ""
            error = status.error + note if now.state is StepState.UNDONE else now.error
            self._executor.put(status.model_copy(update={"error": error, "undone": now.undone}))

    def _tell_root(self, status: StepStatus) -> None:
        self._outbox.append(status)
        self._show()

    def _show(self) -> None:
        """Bring the web UI's table up to date."""
        steps = tuple(self._executor.steps.values())
        workflow.set_current_details(group_details(self._root, steps, paused=self._machine.paused))

    async def _tell(self) -> None:
        """Signal every change to the root, in order; of many in a short time several at once."""
        root = workflow.get_external_workflow_handle(self._request.reports_to or self._root)
        due = workflow.now()
        while True:
            await workflow.wait_condition(lambda: bool(self._outbox))
            await self._until(due)
            batch, self._outbox, self._telling = tuple(self._outbox), [], True
            await root.signal("step_reports", StepReports(steps=batch))
            self._telling, due = False, workflow.now() + timedelta(seconds=self._request.report_every)

    async def _until(self, due: datetime) -> None:
        """Wait until a moment or a failure, and until all that happens just now has happened: an end, and a begin."""
        left = due - workflow.now()
        if left > timedelta():
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: any(status.state is StepState.FAILED for status in self._outbox),
                    timeout=left,
                    timeout_summary="before the next report to the run",
                )
        await workflow.wait_condition(lambda: True)

    @workflow.query(name="status", description="Whether it is paused, and its steps.")
    def status(self) -> GroupStatus:
        """Return what this child is doing."""
        return GroupStatus(
            paused=self._machine.paused,
            stopping=self._machine.stopping,
            steps=tuple(self._executor.steps.values()),
            tries=self._executor.tries,
        )

    @workflow.signal(
        name="pause", description="From the run, to which orders go. Let the running step finish and start no other."
    )
    def pause(self, who: Who) -> None:
        """Hold at the next step boundary."""
        del who
        self._machine.paused = True
        self._show()

    @workflow.signal(name="resume", description="From the run, to which orders go. Go on after a pause.")
    def resume(self, who: Who) -> None:
        """Go on."""
        del who
        self._machine.paused = False
        self._show()

    @workflow.signal(
        name="abort",
        description="From the run, to which orders go. End after the running step; an unfinished host is put back.",
    )
    def abort(self, order: Abort) -> None:
        """End after what runs."""
        del order
        self._machine.stopping = True


@workflow.defn
class HostUpgrade(_Group):
    """Brings one compute host to the new release."""

    @workflow.init
    def __init__(self, request: GroupRequest) -> None:
        """Take the host's steps."""
        super().__init__(request)

    @workflow.run
    async def run(self, request: GroupRequest) -> GroupResult:
        """Carry out the host's steps."""
        del request
        return await self._walk()


@workflow.defn
class ServiceUpgrade(_Group):
    """Brings one service on the control hosts to the new release, one host at a time."""

    @workflow.init
    def __init__(self, request: GroupRequest) -> None:
        """Take the service's steps."""
        super().__init__(request)

    @workflow.run
    async def run(self, request: GroupRequest) -> GroupResult:
        """Carry out the service's steps."""
        del request
        return await self._walk()


@workflow.defn
class HostReboot(_Group):
    """Empties one compute host, boots it anew, and puts it back into service."""

    @workflow.init
    def __init__(self, request: GroupRequest) -> None:
        """Take the host's steps."""
        super().__init__(request)

    @workflow.run
    async def run(self, request: GroupRequest) -> GroupResult:
        """Carry out the host's steps."""
        del request
        return await self._walk()


@workflow.defn
class HostRollback(_Group):
    """Brings one compute host back to the release before."""

    @workflow.init
    def __init__(self, request: GroupRequest) -> None:
        """Take the host's compensations."""
        super().__init__(request)

    @workflow.run
    async def run(self, request: GroupRequest) -> GroupResult:
        """Carry out the host's compensations."""
        del request
        return await self._walk()


@workflow.defn
class ServiceRollback(_Group):
    """Brings one service on the control hosts back to the release before, one host at a time."""

    @workflow.init
    def __init__(self, request: GroupRequest) -> None:
        """Take the service's compensations."""
        super().__init__(request)

    @workflow.run
    async def run(self, request: GroupRequest) -> GroupResult:
        """Carry out the service's compensations."""
        del request
        return await self._walk()


GROUPS: tuple[type[_Group], ...] = (HostUpgrade, HostReboot, ServiceUpgrade, HostRollback, ServiceRollback)


def workflow_of(steps: tuple[Step, ...]) -> type[_Group]:
    """Return the kind of child that runs these steps."""
    group = steps[0].group or ""
    host = group.removeprefix(BACK).startswith("host/")
    if group.startswith(BACK):
        return HostRollback if host else ServiceRollback
    if any(step.action is Action.VERIFY_HOST for step in steps):
        return HostReboot
    return HostUpgrade if host else ServiceUpgrade
