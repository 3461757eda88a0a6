"""The way back as activities: planned once, and kept in the history of the run that takes it.

What an ended upgrade has done is read from Temporal itself: its record, and those of its children, which are nearer to
their steps than a run that was terminated could be.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

from temporalio import activity
from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.context import errors_mapped
from activities.errors import Refused
from model.control import RollbackRequest
from model.messages import GroupAsked, GroupStatus, PastUpgrade, RollbackPlanRequest, RunRecord
from model.plan import Action, Plan
from model.rollback import changed_anything, effective, mark_undone, newest_states, unsettled
from model.status import StepState, StepStatus
from workflows.names import CLOUD_KEY, MAKE_ROLLBACK_PLAN, READ_GROUP, READ_UPGRADE, child_id
from workflows.rollback_plan import VERIFY, make_rollback_plan
from workflows.way_back import Known, find_way_back

_AT_ONCE = 16
_ENDED = (StepState.DONE, StepState.SKIPPED)


class RollbackPlanner:
    """Reads what was done, and calls what plans the way back; it decides nothing itself."""

    def __init__(self, client: Client | None = None) -> None:
        """Take the client to ask; by default the worker's own."""
        self._client = client

    @activity.defn(name=MAKE_ROLLBACK_PLAN)
    async def make_rollback_plan(self, asked: RollbackPlanRequest) -> Plan:
        """Plan the way back of a run that is still open."""
        async with errors_mapped():
            happened = [id_ for id_ in effective(asked.steps) if id_ in asked.plan.by_id]
            unknown = [id_ for id_ in unsettled(asked.steps) if id_ in asked.plan.by_id]
            return make_rollback_plan(asked.plan, asked.inventory, happened, unknown)

    @activity.defn(name=READ_UPGRADE)
    async def read_upgrade(self, asked: RollbackRequest) -> PastUpgrade:
        """Read what an ended upgrade has done, and plan its way back."""
        async with errors_mapped():
            past = Past(self._client or activity.client(), asked.upgrade)
            return await past.read()

    @activity.defn(name=READ_GROUP)
    async def read_group(self, asked: GroupAsked) -> GroupStatus:
        """Ask a child that somebody has ended how far it came; it may end a moment later than what it was part of."""
        client = self._client or activity.client()
        async with errors_mapped():
            await _ended(client, asked.id)
            return await ask_group(client, asked.id)


async def _ended(client: Client, id_: str) -> None:
    """Wait for the end of a workflow, whatever it is; of one that never began there is nothing to wait for."""
    try:
        await client.get_workflow_handle(id_).result()
    except WorkflowFailureError:
        return
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def ask_group(client: Client, id_: str) -> GroupStatus:
    """Return the state of a child's steps, whether it runs or not; of one that never began there are none."""
    try:
        status: GroupStatus = await client.get_workflow_handle(id_).query("status", result_type=GroupStatus)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return GroupStatus()
        raise
    return status


class Past:
    """An upgrade that has ended, and everything that was done about it since."""

    def __init__(self, client: Client, upgrade: str) -> None:
        """Take the client to ask, and the upgrade's id."""
        self._client = client
        self._upgrade = upgrade
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._proven = False

    async def read(self) -> PastUpgrade:
        """Return what was done, and the way back or why there is none."""
        if await self._status() is WorkflowExecutionStatus.RUNNING:
            order = f"`stackroll abort {self._upgrade} --mode rollback` takes it back"
            return PastUpgrade(refusal=f"{self._upgrade} is still going on; {order}")
        record = await self._record(self._upgrade)
        steps = await self._steps(record)
        later = await self._later(record.plan.cloud) if record.plan is not None else None
        return find_way_back(Known(record, steps, later, self._proven))

    async def _status(self) -> WorkflowExecutionStatus | None:
        try:
            described = await self._client.get_workflow_handle(self._upgrade).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise Refused(
                    f"there is no upgrade {self._upgrade!r}, or Temporal has forgotten it",
                    remedy="`stackroll list` shows the runs; a namespace must retain them as long as snapshots.keep",
                ) from None
            raise
        if described.workflow_type != "RollingUpgrade":
            raise Refused(
                f"{self._upgrade} is a {described.workflow_type}, not a RollingUpgrade", remedy="name the upgrade"
            )
        return described.status

    async def _record(self, id_: str, run: str | None = None) -> RunRecord:
        handle = self._client.get_workflow_handle(id_, run_id=run)
        record: RunRecord = await handle.query("record", result_type=RunRecord)
        return record

    async def _steps(self, record: RunRecord) -> dict[str, StepStatus]:
        """Return the state of every step, by the upgrade, its children, and the rollbacks since."""
        states = await self._with_children(self._upgrade, record)
        self._proven = _is_done(states, VERIFY)
        done = _taken_back(record, states)
        if record.plan is not None:
            async for run in self._runs("Rollback", record.plan.cloud):
                other = await self._record(run.id, run.run_id)
                if other.upgrade == self._upgrade and other.back is not None:
                    others = await self._with_children(run.id, other)
                    done |= _taken_back(other, others)
                    self._proven |= _is_done(others, VERIFY)
        return mark_undone(states, done)

    async def _with_children(self, id_: str, record: RunRecord) -> dict[str, StepStatus]:
        """Ask the children of groups that are not known to have ended; one that never began is not there."""
        states = {status.id: status for status in record.steps}
        plans = [plan for plan in (record.plan, record.back) if plan is not None]
        open_ = [
            group
            for plan in plans
            for group in plan.groups
            if any(states[step.id].state not in _ENDED for step in plan.members(group) if step.id in states)
        ]
        told = await asyncio.gather(*(self._child(child_id(id_, group)) for group in open_))
        return newest_states(record.steps, (status for group in told for status in group))

    async def _child(self, id_: str) -> tuple[StepStatus, ...]:
        async with self._room:
            return (await ask_group(self._client, id_)).steps

    async def _later(self, cloud: str) -> str | None:
        """Return a later upgrade of the cloud that has changed something."""
        mine = await self._client.get_workflow_handle(self._upgrade).describe()
        async for run in self._runs("RollingUpgrade", cloud):
            if run.id == self._upgrade or run.start_time <= mine.start_time:
                continue
            try:
                record = await self._record(run.id, run.run_id)
            except (WorkflowQueryFailedError, RPCError):
                return run.id  # what it has done cannot be known, so it counts
            if record.plan is not None and changed_anything(record.plan, record.steps):
                return run.id
        return None

    async def _runs(self, kind: str, cloud: str) -> AsyncIterator[WorkflowExecution]:
        """Yield the ended runs of this kind, the newest first."""
        query = f"WorkflowType = '{kind}' AND {CLOUD_KEY.name} = '{cloud}' AND ExecutionStatus != 'Running'"
        async for run in self._client.list_workflows(query):
            yield run


def _taken_back(record: RunRecord, states: dict[str, StepStatus]) -> set[str]:
    """Return the steps of the upgrade whose compensations have been carried out."""
    steps: Iterable[StepStatus] = states.values()
    done = {status.id for status in steps if status.state is StepState.DONE}
    back = record.back.steps if record.back is not None else ()
    taken = (step for step in back if step.action is not Action.SETTLE)
    return {step.of for step in taken if step.of is not None and step.id in done}


def _is_done(states: dict[str, StepStatus], step: str) -> bool:
    return step in states and states[step].state is StepState.DONE
