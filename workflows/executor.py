"""How a step is carried out: one activity per try, tried again where that is safe, every change reported."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from model.inventory import Inventory
    from model.plan import Action, Step, hosts_asked
    from model.status import StepState, StepStatus
    from model.work import StepResult, Work
    from workflows import names
    from workflows.ledger import iso, pending
    from workflows.names import OUTCOME_UNKNOWN, STEP_FAILED, STEP_GRACE, STEP_RETRY

# Marks the count of a step's compensation among the counts of tries.
UNDO = "#undo"

Report = Callable[[StepStatus], None]
Results = Callable[[Step, StepResult], None]


class StepError(Exception):
    """A step that has failed for good; the message is for the operator."""


class StoppedError(StepError):
    """A step that was given up because the run stops: it is no failure, it has just not happened."""


class Executor:
    """Carries out steps and their compensations, and reports every change of state."""

    def __init__(
        self,
        upgrade: str,
        inventory: Inventory,
        report: Report,
        *,
        by: str = "",
        results: Results | None = None,
        tries: dict[str, int] | None = None,
    ) -> None:
        """Take the upgrade's id, the cloud, whom to tell states and results, and how often each step was tried before.

        ``by`` is the workflow that works on the upgrade, where that is not the upgrade itself. ``tries`` is kept up to
        date; see ``tries_key``.
        """
        self._results = results
        self._upgrade = upgrade
        self._by = by
        self._inventory = inventory
        self._report = report
        self.tries = {} if tries is None else tries
        self.steps: dict[str, StepStatus] = {}

    def put(self, status: StepStatus) -> None:
        """Note and report a step's state."""
        self.steps[status.id] = status
        self._report(status)

    async def do(self, step: Step) -> None:
        """Carry out a step.

        Raises:
            StepError: when it has failed for good.
        """
        await self.watched(step, lambda: self._try(step))

    async def watched(self, step: Step, act: Callable[[], Awaitable[str]]) -> None:
        """Report a step's begin and end around what carries it out.

        Raises:
            StepError: when it has failed for good.
        """
        tries = self.tries.get(tries_key(step), 0) + 1
        running = {"state": StepState.RUNNING, "started": iso(workflow.now()), "tries": tries}
        self.put(pending(step).model_copy(update=running))
        try:
            summary = await act()
        except StoppedError:
            self.put(pending(step))
            raise
        except StepError as error:
            self.put(_ended(self.steps[step.id], StepState.FAILED, error=str(error)))
            raise
        self.put(_ended(self.steps[step.id], StepState.DONE, summary=summary))

    async def undo(self, step: Step) -> None:
        """Take back a step by its compensation.

        Raises:
            StepError: when the compensation has failed for good.
        """
        before = self.steps.get(step.id, pending(step))
        if step.undo is None:
            nothing = {"state": StepState.UNDONE, "undone": True, "summary": "nothing to take back"}
            self.put(before.model_copy(update=nothing))
            return
        self.put(
            before.model_copy(
                update={"state": StepState.UNDOING, "title": step.undo.title, "started": iso(workflow.now())}
            )
        )
        try:
            result = await self._call(step, step.undo.action, undo=True)
        except StepError as error:
            text = f"{before.error}\ntaking it back failed too: {error}".strip()
            self.put(before.model_copy(update={"state": StepState.FAILED, "error": text}))
            raise
        undone = {"state": StepState.UNDONE, "undone": True, "ended": iso(workflow.now())}
        self.put(before.model_copy(update={**undone, "summary": f"undone: {result.summary}"}))

    async def _try(self, step: Step) -> str:
        result = await self._call(step, step.action, undo=False)
        if self._results is not None:
            self._results(step, result)
        return result.summary

    async def _call(self, step: Step, action: Action, *, undo: bool) -> StepResult:
        """Call the activity, again after a known failure as often as the step allows."""
        key = step.id + UNDO if undo else tries_key(step)
        for left in range(step.retries, -1, -1):
            generation = self.tries.get(key, 0)
            try:
                result = await self._activity(step, action, undo=undo, generation=generation)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                text, kind = _explain(error)
                if kind not in (None, OUTCOME_UNKNOWN):
                    # The next try is a new one; where a job may still be running, the next try finds it by its name.
                    self.tries[key] = generation + 1
                if kind != STEP_FAILED or left == 0:
                    raise StepError(text) from error
                wait = names.BACKOFF_SECONDS * 2 ** (step.retries - left)
                await workflow.sleep(timedelta(seconds=wait), summary=f"before another try: {step.title}")
                self._another_try(step)
            else:
                # Done again after it was taken back, it is a new try, whose jobs have names of their own.
                self.tries[key] = generation + 1
                return result
        raise AssertionError("unreachable: the loop returns or raises")

    def _another_try(self, step: Step) -> None:
        status = self.steps[step.id]
        if status.state is StepState.RUNNING:
            self.put(status.model_copy(update={"tries": status.tries + 1}))

    async def _activity(self, step: Step, action: Action, *, undo: bool, generation: int) -> StepResult:
        compensation = step.undo if undo else None
        timeout = compensation.timeout if compensation else step.timeout
        work = Work(
            upgrade=self._upgrade,
            step=step.of or step.id,
            action=action,
            target=step.target,
            params=compensation.params if compensation else step.params,
            undo=undo or step.of is not None,
            by=self._by,
            generation=generation,
            inventory=self._inventory if step.target == "cloud" else self._inventory.narrowed(*hosts_asked(step)),
            timeout=timeout,
        )
        result: StepResult = await workflow.execute_activity(
            action.value,
            work,
            result_type=StepResult,
            start_to_close_timeout=timedelta(seconds=timeout),
            schedule_to_close_timeout=timedelta(seconds=timeout) + STEP_GRACE,
            heartbeat_timeout=timedelta(seconds=step.heartbeat),
            retry_policy=STEP_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=compensation.title if compensation else step.title,
        )
        return result


def tries_key(step: Step) -> str:
    """Return under which name a step's tries are counted: those of a compensation are the compensated step's."""
    return step.of + UNDO if step.of is not None else step.id


def _explain(error: ActivityError) -> tuple[str, str | None]:
    """Return what to tell the operator, and the failure's type; None for a timeout, whose outcome is not known."""
    cause: BaseException = error.cause or error
    if isinstance(cause, ApplicationError):
        return cause.message, cause.type or "ApplicationError"
    if isinstance(cause, ActivityTimeoutError):
        last = f" Its last error was: {cause.cause}" if cause.cause else ""
        text = (
            f"no result within the step's time limit ({cause.message}).{last} What it started on the host may still be "
            "running: look there, then retry (which waits for it) or skip"
        )
        return text, None
    return str(cause), type(cause).__name__


def _ended(running: StepStatus, state: StepState, *, summary: str = "", error: str = "") -> StepStatus:
    return running.model_copy(update={"state": state, "ended": iso(workflow.now()), "summary": summary, "error": error})
