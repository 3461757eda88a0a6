"""``HostBatch``: carries out a part of a fleet's compute hosts for a run, so that the run's history has bounds.

A run that starts each of its hosts itself, and hears of each of their steps, gets some 33 events a host: a history
that the server ends at 51,200. A batch has at most ``names.HOSTS_PER_BATCH`` hosts, starts them when the run says so,
and tells the run in one message what is new of all of them. Who decides is the run, as everywhere.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from model.messages import (
        BatchGroups,
        BatchNews,
        BatchOrder,
        BatchRequest,
        BatchResult,
        GroupEnd,
        GroupRequest,
        StepReports,
    )
    from model.status import StepState, StepStatus
    from workflows import names
    from workflows.children import Children
    from workflows.details import batch_details


@workflow.defn
class HostBatch:
    """Runs the children of some compute hosts, and tells the run what came of them."""

    @workflow.init
    def __init__(self, request: BatchRequest) -> None:
        """Begin without hosts."""
        self._request = request
        self._paused = self._stopping = self._last = False
        self._children = Children(
            request.root,
            paused=lambda: self._paused,
            stopping=lambda: self._stopping,
            note=lambda group, text: workflow.logger.warning("%s: %s", group, text),
        )
        self._open: set[str] = set()
        self._given = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._steps: list[StepStatus] = []
        self._ended: list[GroupEnd] = []
        self._seconds = 0.0
        self._finished = 0
        self._told = self._told_before = 0
        self._telling = False
        self._defect: BaseException | None = None

    @workflow.run
    async def run(self, request: BatchRequest) -> BatchResult:
        """Carry out the groups that the run gives, until there will be no more and all have ended."""
        del request
        teller = asyncio.create_task(self._beside(self._tell()))
        await workflow.wait_condition(lambda: self._over or self._defect is not None)
        if self._defect is not None:
            raise self._defect
        teller.cancel()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return BatchResult(groups=self._finished)

    @property
    def _over(self) -> bool:
        return self._last and not self._open and not self._news and not self._telling

    @property
    def _news(self) -> bool:
        return bool(self._steps or self._ended) or self._told != self._told_before

    # What the run says

    @workflow.signal(name="run_groups", description="Not for you: the run says which hosts to begin with.")
    def run_groups(self, groups: BatchGroups) -> None:
        """Begin with groups."""
        self._last = self._last or groups.last
        for request in groups.groups:
            self._open.add(request.group)
            self._given += 1
            self._start(self._carry(request))
        self._show()

    @workflow.signal(name="order", description="Not for you: orders go to the run, which forwards them.")
    def order(self, order: BatchOrder) -> None:
        """Forward an order to every host, and tell the run when all have heard of it."""
        self._paused = order.name == "pause" or (self._paused and order.name != "resume")
        self._stopping = self._stopping or order.name == "abort"
        self._children.tell(order.name, order.order)
        self._start(self._acknowledge(order.number))
        self._show()

    async def _acknowledge(self, number: int) -> None:
        await self._children.told()
        self._told = max(self._told, number)

    # What the hosts say

    async def _carry(self, request: GroupRequest) -> None:
        """Run a group to its end."""
        begun = workflow.now()
        try:
            result = await self._children.run(request, self._request.what)
        except FailureError as error:
            self._ended.append(GroupEnd(group=request.group, problem=str(error.cause or error)))
        else:
            self._ended.append(GroupEnd(group=request.group, result=result))
        self._seconds += (workflow.now() - begun).total_seconds()
        self._finished += 1
        self._open.discard(request.group)
        self._show()

    @workflow.signal(name="step_reports", description="Not for you: this batch's own hosts tell of their steps.")
    def step_reports(self, reports: StepReports) -> None:
        """Take a host's reports."""
        self._steps += reports.steps

    # What the run is told

    async def _tell(self) -> None:
        """Tell the run what is new, in order and not too often; what it must act on at once does not wait."""
        run = workflow.get_external_workflow_handle(self._request.root)
        told_at = workflow.now() - timedelta(days=1)
        while True:
            await workflow.wait_condition(lambda: self._news)
            left = told_at + timedelta(seconds=self._every) - workflow.now()
            if left > timedelta():
                with contextlib.suppress(TimeoutError):
                    await workflow.wait_condition(
                        lambda: self._urgent, timeout=left, timeout_summary="before the run is told more"
                    )
            # Let all that happens just now have happened: an end, and the report of another host.
            await workflow.wait_condition(lambda: True)
            news = self._take_news()
            self._telling = True
            await run.signal("batch_news", news)
            self._told_before, self._telling, told_at = max(self._told_before, news.told), False, workflow.now()

    @property
    def _every(self) -> float:
        if not self._finished:
            return names.report_every(self._request.hosts)
        return names.news_every(self._seconds / self._finished)

    @property
    def _urgent(self) -> bool:
        """Whether there is a failure, an answer to an order, or nothing left that is in work."""
        return (
            self._told != self._told_before
            or any(status.state is StepState.FAILED for status in self._steps)
            or any(end.result is None or end.result.failed for end in self._ended)
            or (bool(self._ended) and not self._open)
            or len(self._ended) >= names.MOST_GROUPS_TOLD
        )

    def _take_news(self) -> BatchNews:
        """Take from what is to be told as much as one message may hold; a group ends after its steps have been told."""
        steps, self._steps = self._steps[: names.MOST_STEPS_TOLD], self._steps[names.MOST_STEPS_TOLD :]
        ended: list[GroupEnd] = []
        if not self._steps:
            ended, self._ended = self._ended[: names.MOST_GROUPS_TOLD], self._ended[names.MOST_GROUPS_TOLD :]
        return BatchNews(batch=self._request.number, steps=tuple(steps), ended=tuple(ended), told=self._told)

    # Beside that

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._beside(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _beside(self, work: Coroutine[None, None, None]) -> None:
        """Carry out what goes on beside ``run``; a defect in it is one of the workflow."""
        try:
            await work
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as defect:  # noqa: BLE001 - handed to run(), which raises it in the workflow's own task
            self._defect = defect

    def _show(self) -> None:
        """Bring the web UI's text up to date."""
        counts = (self._given, self._finished)
        workflow.set_current_details(
            batch_details(self._request.root, self._request.what, sorted(self._open), *counts, paused=self._paused)
        )
