"""The child workflows of groups: started, told what operators order, and waited for."""

import asyncio
from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from model.control import Abort, Who
    from model.messages import GroupRequest, GroupResult
    from workflows import names
    from workflows.group import workflow_of


class Children:
    """Runs groups in children of the workflow that it is used in."""

    def __init__(
        self, run: str, *, paused: Callable[[], bool], stopping: Callable[[], bool], note: Callable[[str, str], None]
    ) -> None:
        """Take the run's id, how to know what operators have ordered, and whom to tell of a group's warnings."""
        self._run = run
        self._paused, self._stopping = paused, stopping
        self._note = note
        self._handles: dict[str, workflow.ChildWorkflowHandle[Any, Any]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, request: GroupRequest, what: str) -> GroupResult:
        """Run a group to its end; its steps report by themselves. ``what`` happens to it, for people.

        Raises:
            FailureError: when the child ended by itself.
        """
        group = request.group
        handle = await workflow.start_child_workflow(
            workflow_of(request.steps).__name__,
            request,
            result_type=GroupResult,
            id=names.child_id(self._run, group),
            static_summary=f"{group.replace('/', ' ')}: {what}",
        )
        self._handles[group] = handle
        self._tell_what_came_meanwhile(group)
        try:
            result: GroupResult = await handle
        finally:
            del self._handles[group]
        return result

    def tell(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every running child."""
        for group in self._handles:
            self._send(group, signal, order)

    async def told(self) -> None:
        """Wait until every order that was forwarded is in its child's history, before whatever happens there next."""
        await workflow.wait_condition(lambda: not self._sending)

    def _tell_what_came_meanwhile(self, group: str) -> None:
        """Give a child the orders that came while it was starting."""
        if self._paused():
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
                self._note(group, f"{signal} came too late: {error}")

        task = asyncio.create_task(send())
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
