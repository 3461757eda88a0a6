"""Drives a machine: starts what it says may start, tells it what came of it, until it halts or someone must decide."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows import names
    from workflows.dag import Machine, NodeState
    from workflows.executor import StepError


class Walker:
    """Executes what a machine returns; it decides nothing itself."""

    def __init__(
        self,
        machine: Machine,
        run: Callable[[str], Awaitable[None]],
        changed: Callable[[], None] | None = None,
        fits: Callable[[str], bool] | None = None,
    ) -> None:
        """Take the machine, what carries out a node (raising StepError when it has failed), and whom to tell then.

        ``fits`` says whether a node may begin at this time, where that depends on the time.
        """
        self._fits = fits
        self._changed = changed or (lambda: None)
        self.machine = machine
        self._run = run
        self._tasks: set[asyncio.Task[None]] = set()
        self._defect: BaseException | None = None

    @property
    def stuck(self) -> bool:
        """Whether nothing runs and nothing can, because a node has failed and nobody has decided about it."""
        return self.machine.idle and bool(self.machine.in_state(NodeState.FAILED))

    async def walk(self, *, until_stuck: bool) -> None:
        """Walk until the machine halts; with ``until_stuck`` also until a failure leaves nothing to do.

        May be called again, for instance after it was cancelled: what runs goes on meanwhile.
        """
        while not self.machine.halted:
            ready = self._startable()
            for id_ in ready[: names.MOST_STARTS]:
                self._start(id_)
            if until_stuck and self.stuck:
                return
            if len(ready) > names.MOST_STARTS:
                # What one activation does must not take long, and only an event, such as a timer's, begins another.
                await workflow.sleep(names.STARTS_EVERY, summary="before more is started")
            else:
                await workflow.wait_condition(
                    lambda: bool(
                        self._defect or self._startable() or self.machine.halted or (until_stuck and self.stuck)
                    )
                )
            if self._defect is not None:
                raise self._defect

    async def beside(self, work: Coroutine[None, None, None]) -> None:
        """Carry out what goes on beside the walk; a defect in it ends the walk."""
        try:
            await work
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as defect:  # noqa: BLE001 - handed to walk(), as that of a node
            self._defect = defect

    def _startable(self) -> tuple[str, ...]:
        return self.machine.startable(self._fits)

    def _start(self, id_: str) -> None:
        self.machine.start(id_)
        task = asyncio.create_task(self._one(id_))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, id_: str) -> None:
        try:
            await self._run(id_)
        except StepError:
            self.machine.fail(id_)
        except (asyncio.CancelledError, GeneratorExit):
            raise  # only when the worker forgets the workflow: nothing of it may run any more
        except BaseException as defect:  # noqa: BLE001 - handed to walk(), which raises it in the workflow's own task
            self._defect = defect
        else:
            self.machine.succeed(id_)
        self._changed()
