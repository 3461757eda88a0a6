"""The batches of a run: opened one after the other, given hosts, told orders, and heard."""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from model.control import Abort, Who
    from model.messages import BatchGroups, BatchNews, BatchOrder, BatchRequest, GroupEnd, GroupRequest
    from workflows import names
    from workflows.batch import HostBatch


class Batches:
    """Has compute hosts carried out in batches."""

    def __init__(self, run: str) -> None:
        """Take the run's id."""
        self._run = run
        self._number = 0
        self._batches: dict[int, _Batch] = {}

    async def run(self, request: GroupRequest, what: str, hosts: int) -> GroupEnd:
        """Run a group to its end in the batch that has room; ``hosts``: how many the run has in all."""
        batch = self._batches.get(self._number)
        if batch is None or not batch.has_room:
            self._number += 1
            asked = BatchRequest(root=self._run, what=what, hosts=hosts, number=self._number)
            batch = self._batches[self._number] = _Batch(asked)
        return await batch.carry(request)

    def tell(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every batch that has hosts in work."""
        for batch in self._batches.values():
            batch.tell(signal, order)

    async def told(self) -> None:
        """Wait until every host in work has heard of every order."""
        for batch in tuple(self._batches.values()):
            await batch.told()

    def hear(self, news: BatchNews) -> None:
        """Take what a batch says of its groups and of orders."""
        self._batches[news.batch].hear(news)

    async def close(self) -> None:
        """Let every batch end."""
        for batch in tuple(self._batches.values()):
            await batch.close()


class _Batch:
    """One batch. What it is told goes to it in one line, so that nothing overtakes what was said before."""

    def __init__(self, request: BatchRequest) -> None:
        self._request = request
        self._id = names.batch_id(request.root, request.number)
        self._given = 0
        self._line: list[GroupRequest | BatchOrder] = []
        self._closing = self._last = self._over = False
        self._ordered = self._heard = 0
        self._ends: dict[str, asyncio.Future[GroupEnd]] = {}
        self._serving = asyncio.create_task(self._serve())

    @property
    def has_room(self) -> bool:
        """Whether it takes another group."""
        return not self._closing and not self._over and self._given < names.HOSTS_PER_BATCH

    @property
    def _full(self) -> bool:
        """Whether it has yet to be told that there will be no more."""
        return not self._last and not self.has_room

    async def carry(self, request: GroupRequest) -> GroupEnd:
        """Give it a group, and wait for its end."""
        end: asyncio.Future[GroupEnd] = asyncio.get_running_loop().create_future()
        self._ends[request.group] = end
        self._given += 1
        self._line.append(request.model_copy(update={"reports_to": self._id}))
        return await end

    def tell(self, signal: str, order: Who | Abort) -> None:
        """Tell it an order, where it has hosts in work."""
        if self._ends:
            self._ordered += 1
            self._line.append(BatchOrder.of(self._ordered, signal, order))

    async def told(self) -> None:
        """Wait until its hosts have heard of every order."""
        await workflow.wait_condition(lambda: self._over or self._heard >= self._ordered)

    def hear(self, news: BatchNews) -> None:
        """Take its news."""
        self._heard = max(self._heard, news.told)
        for end in news.ended:
            if end.group in self._ends:
                self._ends.pop(end.group).set_result(end)

    async def close(self) -> None:
        """Say that there will be no more, and wait for its end."""
        self._closing = True
        await workflow.wait_condition(self._serving.done)

    async def _serve(self) -> None:
        """Start the batch, tell it what there is to tell, and see it end."""
        try:
            handle = await workflow.start_child_workflow(
                HostBatch.run,
                self._request,
                id=self._id,
                static_summary=f"up to {names.HOSTS_PER_BATCH} hosts: {self._request.what}",
            )
            await asyncio.gather(self._talk(handle), self._watch(handle))
        except (asyncio.CancelledError, GeneratorExit):
            raise  # only when the worker forgets the workflow
        except BaseException as defect:  # noqa: BLE001 - handed to those who wait for a group, and by them to the walk
            self._over = True
            self._break_off(defect)

    async def _watch(self, handle: workflow.ChildWorkflowHandle[Any, Any]) -> None:
        """See it end; what it had in work when it ended by itself is nobody's any more."""
        problem = "its batch has ended"
        try:
            await handle
        except FailureError as error:
            problem = f"its batch {self._id} ended by itself: {error.cause or error}"
        self._over = True
        for group in tuple(self._ends):
            self._ends.pop(group).set_result(GroupEnd(group=group, problem=problem))

    async def _talk(self, handle: workflow.ChildWorkflowHandle[Any, Any]) -> None:
        """Tell it everything in line, and that there will be no more."""
        while True:
            await workflow.wait_condition(lambda: bool(self._over or self._line or self._full))
            if self._over:
                return
            try:
                if not self._line:
                    self._last = True
                    await handle.signal(HostBatch.run_groups, BatchGroups(last=True))
                elif isinstance(first := self._line[0], BatchOrder):
                    del self._line[0]
                    await handle.signal(HostBatch.order, first)
                else:
                    await handle.signal(HostBatch.run_groups, BatchGroups(groups=self._next_groups()))
            except FailureError:
                return  # it has ended, and who watches it says so

    def _next_groups(self) -> tuple[GroupRequest, ...]:
        """Take the groups at the head of the line, as many as one message may hold."""
        groups: list[GroupRequest] = []
        while self._line and len(groups) < names.MOST_GROUPS_TOLD and isinstance(head := self._line[0], GroupRequest):
            groups.append(head)
            del self._line[0]
        return tuple(groups)

    def _break_off(self, defect: BaseException) -> None:
        for group in tuple(self._ends):
            self._ends.pop(group).set_exception(defect)
