"""The root's children: started for groups, told what operators order, and listened to."""

import asyncio
from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from model.control import Abort, Who
    from model.inventory import Inventory
    from model.messages import GroupRequest, GroupResult
    from model.plan import Step, hosts_asked
    from model.status import StepState, StepStatus
    from workflows import names
    from workflows.executor import UNDO, StepError, StoppedError, tries_key
    from workflows.group import workflow_of
    from workflows.ledger import Ledger

_PASSED = (StepState.DONE, StepState.SKIPPED)


class Children:
    """Runs groups in child workflows."""

    def __init__(
        self, ledger: Ledger, tries: dict[str, int], stopping: Callable[[], bool], take: Callable[[StepStatus], None]
    ) -> None:
        """Take the run's record, its counts of tries, how to know whether it is stopping, and who takes reports."""
        self._take = take
        self._ledger = ledger
        self._tries = tries
        self._stopping = stopping
        self._handles: dict[str, workflow.ChildWorkflowHandle[Any, Any]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, group: str, steps: tuple[Step, ...], inventory: Inventory) -> None:
        """Run a group to its end in a child; its steps report to the run by themselves.

        Raises:
            StepError: when a step failed; StoppedError when the run stops.
        """
        request = self._request(group, steps, inventory)
        handle = await workflow.start_child_workflow(
            workflow_of(steps).__name__,
            request,
            result_type=GroupResult,
            id=names.child_id(self._ledger.run, group),
            static_summary=f"{group.replace('/', ' ')}: {self._what}",
        )
        self._handles[group] = handle
        self._tell_what_came_meanwhile(group)
        try:
            result: GroupResult = await handle
        except FailureError as error:
            raise StepError(f"the child workflow {group} ended by itself: {error.cause or error}") from error
        finally:
            del self._handles[group]
        for status in result.untold:
            self._take(status)
        for status in result.steps:
            if status.id not in request.passed:
                self._ledger.put(status)
        self._tries.update(result.tries)
        self._ledger.details.update(result.details)
        if result.stopped:
            raise StoppedError(group)
        if result.failed:
            raise StepError(result.failed)

    @property
    def _what(self) -> str:
        source, target = self._ledger.source, self._ledger.target
        return f"{source} to {target}" if source != target else "reboot"

    def tell(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every running child."""
        for group in self._handles:
            self._send(group, signal, order)

    async def told(self) -> None:
        """Wait until every order that was forwarded is in its child's history, before whatever happens there next."""
        await workflow.wait_condition(lambda: not self._sending)

    def _request(self, group: str, steps: tuple[Step, ...], inventory: Inventory) -> GroupRequest:
        states = {step.id: self._ledger.steps[step.id].state for step in steps}
        keys = dict.fromkeys(key for step in steps for key in (tries_key(step), step.id + UNDO))
        return GroupRequest(
            upgrade=self._ledger.upgrade,
            root=self._ledger.run if self._ledger.run != self._ledger.upgrade else "",
            group=group,
            steps=steps,
            inventory=inventory.narrowed(*(host for step in steps for host in hosts_asked(step))),
            passed=tuple(id_ for id_, state in states.items() if state in _PASSED),
            tries={key: self._tries[key] for key in keys if key in self._tries},
            paused=self._ledger.paused,
            report_every=names.report_every(len(inventory.hosts)),
        )

    def _tell_what_came_meanwhile(self, group: str) -> None:
        """Give a child the orders that came while it was starting."""
        if self._ledger.paused:
            self._send(group, "pause", Who(by="run", reason="paused while it was starting"))
        if self._stopping():
            self._send(group, "abort", Abort(by="run", reason="aborted while it was starting"))

    def _send(self, group: str, signal: str, order: Who | Abort) -> None:
        handle = self._handles[group]

        async def send() -> None:
            try:
                await handle.signal(signal, order)
            except FailureError as error:
                # It ended in the same moment; what it did is in its result.
                self._ledger.note(workflow.now(), "warning", group, f"{signal} came too late: {error}")

        task = asyncio.create_task(send())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
