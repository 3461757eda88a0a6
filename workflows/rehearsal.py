"""``Rehearsal``: the database steps of an upgrade on a copy, then the whole plan on a simulated cloud.

Production is only read. What was made for it is removed at the end, whatever happened before.
"""

import asyncio
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from model.base import Record
    from model.rehearsal import (
        Copied,
        Measured,
        RehearsalPlan,
        RehearsalReport,
        RehearsalRequest,
        RehearsalTask,
        RehearsedStep,
        Simulated,
        describe,
    )
    from model.status import Event
    from model.words import duration
    from model.work import StepResult
    from workflows import names
    from workflows.ledger import iso

_Answer = TypeVar("_Answer")
# The end must not fail for one connection that breaks.
_TRIES = 5


@workflow.defn(name="Rehearsal")
class Rehearsal:
    """Runs an upgrade's migrations on a copy of the databases, and its plan on a simulator."""

    @workflow.init
    def __init__(self, asked: RehearsalRequest) -> None:
        """Begin the account."""
        request = asked.request
        self._asked = asked
        self._run = f"{workflow.info().workflow_id}/{workflow.info().run_id[:8]}"
        self._events: list[Event] = []
        self._report = RehearsalReport(
            run=workflow.info().workflow_id,
            cloud=request.inventory.cloud,
            source=request.inventory.release,
            target=request.spec.to,
            host=asked.scratch_host,
            started=iso(workflow.now()),
        )

    @workflow.run
    async def run(self, asked: RehearsalRequest) -> RehearsalReport:
        """Rehearse; what fails is part of the account, and no reason not to clean up."""
        try:
            await self._rehearse()
        except ActivityError as error:
            self._problem(error)
        except asyncio.CancelledError:
            if workflow.cancellation_reason() is None:
                raise  # nobody cancelled it: the worker forgets the workflow
            self._change(problems=(*self._report.problems, "it was cancelled"))
        await self._clean()
        if asked.simulate and workflow.cancellation_reason() is None:
            await self._simulate()
        self._change(ended=iso(workflow.now()))
        self._note("end", "nothing speaks against the upgrade" if self._report.ok else "something must be mended first")
        path = await self._call(names.WRITE_REHEARSAL, self._report, str, "write the report")
        self._note("report", path)
        return self._report

    @workflow.query(name="rehearsal", description="What has been measured so far.")
    def rehearsal(self) -> RehearsalReport:
        """Return the account as far as it has come."""
        return self._report

    @workflow.query(name="timeline", description="Everything that happened, in order.")
    def timeline(self) -> list[Event]:
        """Return every event."""
        return self._events

    async def _rehearse(self) -> None:
        plan = await self._go_on(names.PLAN_REHEARSAL, self._task(), RehearsalPlan, "make the plan")
        self._plan = plan
        self._change(plan_hash=plan.plan_hash)
        self._note("plan", f"{len(plan.steps)} database steps of plan {plan.plan_hash}")
        begun = await self._go_on(names.REHEARSAL_BEGIN, self._task(), StepResult, "start the scratch server")
        self._change(server=begun.summary)
        self._note("scratch", f"{begun.summary} runs on {self._report.host}")
        for service in plan.services:
            copied = await self._go_on(names.REHEARSAL_COPY, self._task(service=service), Copied, f"copy {service}")
            self._change(copies=(*self._report.copies, copied))
            took = f"dumped in {duration(copied.dump_seconds)}, restored in {duration(copied.restore_seconds)}"
            self._note("copy", f"{service}: {copied.tables} tables, {took}")
        for service in plan.services:
            task = self._task(service=service, version=plan.versions[service])
            done = await self._go_on(names.REHEARSAL_INSTALL, task, Measured, f"install {service} beside everything")
            self._change(installs={**self._report.installs, service: done.seconds})
            self._note("install", f"{done.title} in {duration(done.seconds)}")
        await self._walk(plan.steps)

    async def _walk(self, steps: tuple[RehearsedStep, ...]) -> None:
        """Carry out the steps in order; behind one that failed, those of its service would say nothing."""
        failed: set[str] = set()
        for step in steps:
            if step.service in failed:
                self._note("left out", f"{step.title}: an earlier step of {step.service} failed")
                continue
            measured = await self._go_on(names.REHEARSAL_STEP, self._task(step=step), Measured, step.title)
            self._change(steps=(*self._report.steps, measured))
            self._note(
                "done" if measured.ok else "failed", f"{step.title}: {duration(measured.seconds)}, {describe(measured)}"
            )
            if not measured.ok:
                failed.add(step.service)

    async def _clean(self) -> None:
        try:
            await self._call(names.REHEARSAL_END, self._task(), StepResult, "remove the scratch server")
            self._change(removed=True)
            self._note("removed", f"the scratch server and all beside it are gone from {self._report.host}")
            if plan := self._plan:
                task = self._task(revisions=plan.revisions)
                same = await self._call(names.REHEARSAL_UNTOUCHED, task, bool, "look at production's schemas")
                self._change(untouched=same)
                self._note(
                    "production", "its schemas are as they were" if same else "its schemas have changed meanwhile"
                )
        except ActivityError as error:
            self._problem(error)

    async def _simulate(self) -> None:
        try:
            task = self._task(guests=self._plan.guests if self._plan else 0)
            done = await self._call(names.SIMULATE_UPGRADE, task, Simulated, "run the plan on the simulator")
            self._change(simulated=done)
            self._note("simulated", f"{done.steps} steps: {done.state}, {done.message}")
        except ActivityError as error:
            self._problem(error)

    async def _go_on(self, name: str, asked: Record, kind: type[_Answer], summary: str) -> _Answer:
        """Call what must not begin, and after which nothing more may, once the rehearsal was cancelled."""
        answer = await self._call(name, asked, kind, summary)
        if workflow.cancellation_reason() is not None:
            # It was about to end, and so has ended well; the cancellation has reached nobody else.
            raise asyncio.CancelledError
        return answer

    async def _call(self, name: str, asked: Record, kind: type[_Answer], summary: str) -> _Answer:
        answer: Any = await workflow.execute_activity(
            name,
            asked,
            result_type=kind,
            start_to_close_timeout=names.REHEARSAL_TIMEOUT,
            heartbeat_timeout=None if name == names.WRITE_REHEARSAL else names.REHEARSAL_HEARTBEAT,
            retry_policy=RetryPolicy(maximum_attempts=_TRIES),
            # What is removed must not be made again by one that is still at it.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=summary,
        )
        return answer  # type: ignore[no-any-return]  # by result_type

    _plan: RehearsalPlan | None = None

    def _task(self, **more: Any) -> RehearsalTask:
        return RehearsalTask(asked=self._asked, run=self._run, **more)

    def _change(self, **changes: Any) -> None:
        self._report = self._report.model_copy(update=changes)

    def _problem(self, error: ActivityError) -> None:
        text = "it was cancelled" if is_cancelled_exception(error) else str(error.cause or error)
        self._change(problems=(*self._report.problems, text))
        self._note("problem", text)

    def _note(self, kind: str, text: str) -> None:
        self._events.append(Event(at=iso(workflow.now()), kind=kind, subject="rehearsal", text=text))
