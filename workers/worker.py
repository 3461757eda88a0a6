"""The worker: carries out workflows and activities until it is told to end, and hands back what it holds."""

import asyncio
import gc
import signal
import sys
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from workers.connect import Unreachable, connect
from workers.registry import WORKFLOWS, Activities
from workers.settings import Settings
from workflows.names import TASK_QUEUE

# Longer than any remote wait loop: an activity that is told to end lets its remote job go on and ends at once.
GRACE = timedelta(seconds=10)
# An activity learns of its cancellation with a heartbeat; by default these are held back for most of the timeout.
HEARTBEAT_THROTTLE = timedelta(seconds=2)


def make_worker(
    client: Client, activities: Activities, task_queue: str = TASK_QUEUE, *, sandboxed: bool = True
) -> Worker:
    """Return a worker for all workflows and activities of this project.

    The sandbox refuses what is not deterministic in workflow code. Tests keep it; it takes a fifth of the CPU time of a
    step, and what has been tested in it needs it no more.
    """
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        workflow_runner=SandboxedWorkflowRunner() if sandboxed else UnsandboxedWorkflowRunner(),
        activities=activities.all,
        graceful_shutdown_timeout=GRACE,
        max_concurrent_activities=100,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
    )


def collect_seldom() -> None:
    """Let the garbage collector look less often, and never again at what is there by now: modules and models.

    A whole collection looks at half a million objects that live as long as the worker, holds up everything for 0.2
    seconds, and came so often that it took a twelfth of the CPU time of an upgrade. What a run leaves behind is freed
    by its reference counts, and the rest is still collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def run_worker(settings: Settings | None = None) -> int:
    """Run a worker until SIGINT or SIGTERM; return the exit status."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = await connect(settings)
    activities = Activities()
    collect_seldom()
    try:
        async with make_worker(client, activities, sandboxed=False):
            await stop.wait()
    finally:
        await activities.close()
    return 0


def main() -> None:
    """Run as a process of its own."""
    try:
        sys.exit(asyncio.run(run_worker()))
    except Unreachable as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
