"""A worker whose activities tell the simulated cloud of their run which step is at work: so a fault hits its step."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
)

from activities.ssh import Hosts
from model.work import Work
from tests.chaos.haste import HastyActivities
from tests.chaos.points import Place
from workers.registry import WORKFLOWS
from workers.worker import HEARTBEAT_THROTTLE

# By the id of the run, what is to be around each try of its steps.
Around = Callable[[Place], AbstractAsyncContextManager[None]]


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next_: ActivityInboundInterceptor, around: dict[str, Around]) -> None:
        super().__init__(next_)
        self._around = around

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - Temporal's name
        work = input.args[0] if input.args else None
        if not isinstance(work, Work) or work.upgrade not in self._around:
            return await super().execute_activity(input)
        async with self._around[work.upgrade](Place(work.step, work.undo)):
            return await super().execute_activity(input)


class Placing(Interceptor):
    """Tells of the begin and end of each try of a step."""

    def __init__(self) -> None:
        self.around: dict[str, Around] = {}

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - Temporal's
        return _Inbound(next, self.around)


@contextlib.asynccontextmanager
async def placing_worker(client: Client) -> AsyncIterator[tuple[str, Placing, Hosts]]:
    """Run a worker with hasty activities; yields its task queue, what tells of steps, and its connections."""
    activities, placing, queue = HastyActivities(), Placing(), f"chaos-{uuid4().hex[:8]}"
    worker = Worker(
        client,
        task_queue=queue,
        workflows=WORKFLOWS,
        activities=activities.all,
        interceptors=[placing],
        max_concurrent_activities=200,
        max_cached_workflows=500,
        # Otherwise it reads every module's source to make one.
        build_id="chaos",
        # Processes that share a machine with others take longer than the limit for a step of a workflow's code.
        debug_mode=True,
        # As in the worker's own process.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
    )
    try:
        async with worker:
            yield queue, placing, activities.tools.hosts
    finally:
        await activities.close()
