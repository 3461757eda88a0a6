"""Who carries out the groups of a run: children of its own, or of a big fleet's compute hosts those of batches."""

from collections.abc import Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from model.control import Abort, Who
    from model.inventory import Inventory
    from model.messages import BatchNews, GroupAsked, GroupEnd, GroupRequest, GroupStatus
    from model.plan import Step, hosts_asked
    from model.rollback import interrupted, newest_states
    from model.status import StepState, StepStatus
    from workflows import names
    from workflows.batches import Batches
    from workflows.children import Children
    from workflows.executor import UNDO, StepError, StoppedError, tries_key
    from workflows.ledger import Ledger
    from workflows.rollback_plan import BACK

_PASSED = (StepState.DONE, StepState.SKIPPED)


class Dispatch:
    """Has groups carried out, and keeps the run's record of them."""

    def __init__(
        self, ledger: Ledger, tries: dict[str, int], stopping: Callable[[], bool], take: Callable[[StepStatus], None]
    ) -> None:
        """Take the run's record, its counts of tries, how to know whether it is stopping, and who takes reports."""
        self._take = take
        self._ledger = ledger
        self._tries = tries
        self._children = Children(
            ledger.run, paused=lambda: ledger.paused, stopping=stopping, note=self._note_what_came_too_late
        )
        self._batches = Batches(ledger.run)

    async def run(self, group: str, steps: tuple[Step, ...], inventory: Inventory) -> None:
        """Run a group to its end; its steps report to the run by themselves.

        Raises:
            StepError: when a step failed; StoppedError when the run stops.
        """
        request = self._request(group, steps, inventory)
        if self._in_batch(group, inventory):
            end = await self._batches.run(request, self._what, len(inventory.hosts))
        else:
            end = await self._run_in_child(request)
        if end.result is None:
            await self._lost(group, steps, end.problem)
            raise StepError(f"the child workflow {group} ended by itself: {end.problem}")
        result = end.result
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

    def _in_batch(self, group: str, inventory: Inventory) -> bool:
        host = group.removeprefix(BACK).startswith("host/")
        return host and len(inventory.hosts) > names.MOST_DIRECT and workflow.patched("host-batches")

    async def _run_in_child(self, request: GroupRequest) -> GroupEnd:
        try:
            return GroupEnd(group=request.group, result=await self._children.run(request, self._what))
        except FailureError as error:
            return GroupEnd(group=request.group, problem=str(error.cause or error))

    async def _lost(self, group: str, steps: tuple[Step, ...], problem: str) -> None:
        """Read how far a child came that ended without a result; what it was at is for a person to decide about."""
        if not workflow.patched("read-lost-group"):
            return
        id_ = names.child_id(self._ledger.run, group)
        before = [self._ledger.steps[step.id] for step in steps]
        told = await self._ask(id_)
        self._tries.update(told.tries)
        states = list(newest_states(before, told.steps).values())
        for status in states:
            if status != self._ledger.steps[status.id]:
                self._take(status)
        error = f"its workflow {id_} was ended before it had: {problem}. What it has begun on the host may still be "
        error += "running: a retry waits for it"
        for status in interrupted(states):
            self._take(status.model_copy(update={"state": StepState.FAILED, "error": error}))

    async def _ask(self, id_: str) -> GroupStatus:
        try:
            told: GroupStatus = await workflow.execute_activity(
                names.READ_GROUP,
                GroupAsked(id=id_),
                result_type=GroupStatus,
                start_to_close_timeout=names.READ_TIMEOUT,
                retry_policy=names.READ_RETRY,
                summary=f"how far {id_} came",
            )
        except ActivityError as error:
            self._ledger.note(workflow.now(), "warning", id_, f"how far it came is not known: {error.cause or error}")
            return GroupStatus()
        return told

    @property
    def _what(self) -> str:
        source, target = self._ledger.source, self._ledger.target
        return f"{source} to {target}" if source != target else "reboot"

    def tell(self, signal: str, order: Who | Abort) -> None:
        """Forward an order to every group in work."""
        self._children.tell(signal, order)
        self._batches.tell(signal, order)

    async def told(self) -> None:
        """Wait until every order that was forwarded is in its child's history, before whatever happens there next."""
        await self._children.told()
        await self._batches.told()

    def hear(self, news: BatchNews) -> None:
        """Take what a batch says: first its steps, then what has ended."""
        for status in news.steps:
            self._take(status)
        self._batches.hear(news)

    async def close(self) -> None:
        """Let the batches end, when nothing more is to be done."""
        await self._batches.close()

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

    def _note_what_came_too_late(self, group: str, text: str) -> None:
        self._ledger.note(workflow.now(), "warning", group, text)
