"""What an upgrade costs its controller: ``python -m benchmarks.upgrade [--hosts 50] [--out FILE] ...``.

A simulated cloud, Temporal's dev server with a database file, and one worker, each a process of its own on this
machine, carry out one whole ``RollingUpgrade`` with automatic approvals and no soak.

- **A host-step** is a step of the plan in the data phase: one action on one compute host.
- **The data phase** lasts from the start of its first host-step to the end of its last. CPU and wall time of the data
  phase are divided by its host-steps; those of the whole run, planning included, by all steps of the plan.
- **The controller** is the worker and the Temporal server. The simulator and this program are not counted, but they
  run on the same cores, which makes the wall time longer, and the CPU time a little.
- Wall time includes what the simulated hosts sleep; ``--speed`` makes it short: at 50, a host's install, migrations
  and restart sleep for about a second in all, and ``max_unavailable`` hosts sleep at the same time. What the
  activities themselves wait between two looks at nova or at a unit (0.5 to 1 s, several times a host) is not scaled.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from benchmarks import histories
from benchmarks.histories import Histories
from benchmarks.processes import Meter, Process, ProcessError, free_network, free_ports
from cli.load import load_request
from model.plan import Phase
from model.spec import Approval, Approvals, UpgradeRequest
from model.status import Report, RunState, UpgradeStatus
from workers.connect import connect
from workers.dev import server_command
from workers.settings import Settings
from workflows.names import STATE_KEY, TASK_QUEUE, task_time

QUERIES = ("status", "plan", "timeline", "report", "record")
# To aim at: milliseconds of a host-step, events of a workflow, bytes of a payload.
AIMS = {"CPU": 15.0, "wall": 25.0, "events": 10_000, "payload": 256 * 1024}
UPGRADE = "bench"
# More compute hosts than this are a fleet, of which nobody upgrades half at the same time.
SMALL = 200


@dataclass
class Part:
    """What a part of the run cost: seconds of wall time, CPU seconds by process, and the steps in it."""

    steps: int
    wall: float
    cpu: dict[str, float]

    @property
    def controller(self) -> float:
        """CPU seconds of worker and server."""
        return self.cpu["worker"] + self.cpu["temporal"]

    def per_step(self, seconds: float) -> float:
        """Return milliseconds per step."""
        return seconds / self.steps * 1000


@dataclass
class Result:
    """All that was measured."""

    hosts: int
    guests: int
    speed: float
    max_unavailable: int
    load_before: float
    load_after: float
    whole: Part
    data: Part
    planning: float
    peak_mb: dict[str, float]
    histories: dict[str, Histories]
    queries: dict[str, int]


class Bench:
    """One upgrade of one simulated cloud."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        ports = free_ports(2)
        self._settings = Settings(state_dir=folder, port=ports[0], ui_port=ports[1])
        self._processes: dict[str, Process] = {}

    async def run(self) -> Result:
        """Bring everything up, upgrade, and measure."""
        load_before = os.getloadavg()[0]
        async with self._cloud(), self._server() as client, self._worker():
            meter = Meter(list(self._processes.values()))
            request = self._request()
            async with meter.running():
                began = time.time()
                handle = await client.start_workflow(
                    "RollingUpgrade",
                    request,
                    id=UPGRADE,
                    task_queue=TASK_QUEUE,
                    task_timeout=task_time(len(request.inventory.hosts)),
                    result_type=dict,
                )
                await self._ended(handle)
                ended = time.time()
            return await self._result(client, handle, meter, (began, ended), load_before)

    async def _ended(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Wait for the run's end, unless a process ends before, or a step fails, which nobody will decide about."""
        result = asyncio.create_task(handle.result())
        while not (await asyncio.wait({result}, timeout=5.0))[0]:
            for process in self._processes.values():
                process.check()
            description = await handle.describe()
            if description.typed_search_attributes.get(STATE_KEY) == RunState.FAILING.value:
                status = await handle.query("status", result_type=UpgradeStatus)
                raise ProcessError(f"a step has failed: {status.failed[0].title}: {status.failed[0].error}")
        try:
            await result
        except WorkflowFailureError as error:
            raise ProcessError(f"the run did not complete: {error.cause}") from None

    async def _result(
        self,
        client: Client,
        handle: WorkflowHandle[Any, Any],
        meter: Meter,
        times: tuple[float, float],
        load_before: float,
    ) -> Result:
        options = self._options
        peak = {name: process.peak() for name, process in self._processes.items()}
        report = await handle.query("report", result_type=Report)
        data = [step for step in report.steps if step.phase is Phase.DATA and step.target != "cloud"]
        begin = min(_seconds(step.started) for step in data)
        end = max(_seconds(step.ended) for step in data)
        return Result(
            hosts=options.hosts,
            guests=options.guests,
            speed=options.speed,
            max_unavailable=options.max_unavailable,
            load_before=load_before,
            load_after=os.getloadavg()[0],
            whole=self._part(meter, len(report.steps), *times),
            data=self._part(meter, len(data), begin, end),
            planning=min(_seconds(step.started) for step in report.steps) - times[0],
            peak_mb=peak,
            histories=await histories.read(client),
            queries=await histories.query_sizes(client, UPGRADE, QUERIES),
        )

    def _part(self, meter: Meter, steps: int, begin: float, end: float) -> Part:
        return Part(steps, end - begin, {name: meter.used(name, begin, end) for name in self._processes})

    def _request(self) -> UpgradeRequest:
        request = load_request(self._folder / "sim" / "upgrade.yaml", by="bench")
        gates = dict.fromkeys(Approvals.model_fields, Approval.AUTO)
        update = {"soak": 0.0, "max_unavailable": self._options.max_unavailable, "approvals": Approvals(**gates)}
        return request.model_copy(update={"spec": request.spec.model_copy(update=update)})

    @contextlib.asynccontextmanager
    async def _cloud(self) -> AsyncIterator[None]:
        options = self._options
        command = [sys.executable, "-m", "cli.sim", "up", "--state", str(self._folder / "sim")]
        command += ["--control", str(options.control), "--compute", str(options.hosts)]
        command += ["--guests", str(options.guests), "--speed", str(options.speed), "--network", free_network()]
        async with self._process("simulator", command) as cloud:
            await cloud.said("try: stackroll check", 30 + options.hosts / 5)
            yield

    @contextlib.asynccontextmanager
    async def _server(self) -> AsyncIterator[Client]:
        os.environ["TEMPORAL_ADDRESS"] = self._settings.address
        async with self._process("temporal", server_command(self._settings)) as server:
            await server.said("Temporal Server:", 60)
            yield await connect(self._settings)

    @contextlib.asynccontextmanager
    async def _worker(self) -> AsyncIterator[None]:
        command = [*self._options.wrap.split(), sys.executable, "-m", "workers.worker"]
        async with self._process("worker", command) as worker:
            await self._polled(worker)
            yield

    async def _polled(self, worker: Process) -> None:
        """Wait until the worker asks for work: what it needs to start is no part of the run."""
        client = await connect(self._settings)
        queue = TaskQueue(name=TASK_QUEUE)
        kind = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        asked = DescribeTaskQueueRequest(namespace=client.namespace, task_queue=queue, task_queue_type=kind)
        while not (await client.workflow_service.describe_task_queue(asked)).pollers:
            worker.check()
            await asyncio.sleep(0.1)

    @contextlib.asynccontextmanager
    async def _process(self, name: str, command: list[str]) -> AsyncIterator[Process]:
        env = {"STACKROLL_STATE_DIR": str(self._folder), "PYTHONUNBUFFERED": "1"}
        process = self._processes[name] = await Process.start(name, command, self._folder, env)
        try:
            yield process
        finally:
            await process.end()


def _seconds(moment: str | None) -> float:
    if moment is None:
        raise ValueError("a step has no time: the run did not complete")
    return datetime.fromisoformat(moment).timestamp()


def show(result: Result) -> None:
    """Print the tables."""
    console = Console(width=110)
    console.print(
        f"[b]{result.hosts} compute hosts, {result.guests} guests[/b], max_unavailable {result.max_unavailable}, "
        f"speed {result.speed:g}; load average {result.load_before:.1f} before, {result.load_after:.1f} after, "
        f"{os.cpu_count()} cores; {result.planning:.1f} s until the first step"
    )
    _show_costs(console, result)
    _show_histories(console, result)
    console.print(f"to aim at: {'; '.join(aims(result))}")
    sizes = [f"{name} {size / 1024:,.0f} kB" for name, size in result.queries.items()]
    console.print(f"answers of queries on the wire: {', '.join(sizes)}")
    console.print(f"peak memory: {', '.join(f'{name} {mb:,.0f} MB' for name, mb in result.peak_mb.items())}")


def aims(result: Result) -> list[str]:
    """Return each aim with what was measured."""
    histories_ = result.histories.values()
    largest = max((mine.payloads[0][0] for mine in histories_ if mine.payloads), default=0)
    measured = {
        "CPU": (result.data.per_step(result.data.controller), "ms CPU per host-step"),
        "wall": (result.data.per_step(result.data.wall), "ms wall per host-step"),
        "events": (max(mine.most_events for mine in histories_), "events in a workflow"),
        "payload": (largest, "bytes in a payload"),
    }
    return [
        f"{'reached' if value <= AIMS[name] else 'NOT reached'}: {value:,.0f} {unit}, at most {AIMS[name]:,.0f}"
        for name, (value, unit) in measured.items()
    ]


def _show_costs(console: Console, result: Result) -> None:
    table = Table("ms per step", "steps", "CPU worker", "CPU server", "CPU controller", "wall", "total wall", "CPU sim")
    for name, part in (("data phase", result.data), ("whole run", result.whole)):
        costs = (part.cpu["worker"], part.cpu["temporal"], part.controller, part.wall)
        cells = [f"{part.per_step(seconds):.1f}" for seconds in costs]
        table.add_row(
            name, str(part.steps), *cells, f"{part.wall:.1f} s", f"{part.per_step(part.cpu['simulator']):.1f}"
        )
    console.print(table)


def _show_histories(console: Console, result: Result) -> None:
    table = Table("workflow", "runs", "events", "most", "kB", "most kB", "largest payload, kB")
    for name, mine in sorted(result.histories.items()):
        sizes = (f"{mine.bytes / 1024:,.0f}", f"{mine.most_bytes / 1024:,.0f}")
        payload = f"{mine.payloads[0][0] / 1024:,.0f} in {mine.payloads[0][1]}" if mine.payloads else ""
        table.add_row(name, str(mine.count), f"{mine.events:,}", f"{mine.most_events:,}", *sizes, payload)
    everything = result.histories.values()
    events, size = sum(h.events for h in everything), sum(h.bytes for h in everything)
    console.print(table)
    console.print(
        f"per host: {events / result.hosts:.0f} events, {size / result.hosts / 1024:.1f} kB of history in all"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=50, help="compute hosts (50)")
    parser.add_argument("--control", type=int, default=3, help="control hosts (3)")
    parser.add_argument("--guests", type=int, help="guests in all (4 a host)")
    parser.add_argument("--speed", type=float, help="seconds of simulated work in one second (50; of a fleet 20)")
    parser.add_argument("--max-unavailable", type=int, help="hosts at work at the same time (half; of a fleet 5 %%)")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds after which it is given up (3600)")
    parser.add_argument("--out", type=Path, help="file for all figures as JSON")
    parser.add_argument("--state", type=Path, help="folder for logs and the database, kept; by default one that is not")
    parser.add_argument("--wrap", default="", help="a profiler's command line, put before the worker's")
    options = parser.parse_args()
    options.guests = 4 * options.hosts if options.guests is None else options.guests
    fleet = options.hosts > SMALL
    options.max_unavailable = options.max_unavailable or max(1, options.hosts // (20 if fleet else 2))
    # Time limits of simulated jobs shrink with their work: on a busy machine a fleet's would come too early.
    options.speed = options.speed or (20.0 if fleet else 50.0)
    return options


async def _limited(bench: Bench, seconds: float) -> Result:
    """Run a benchmark; the processes end with it, however it ends."""
    task = asyncio.create_task(bench.run())
    loop = asyncio.get_running_loop()

    def end() -> None:
        # Once: a second signal must not keep it from ending its processes.
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    return await asyncio.wait_for(task, seconds)


def main() -> None:
    """Run one upgrade, and print and write what it cost."""
    options = _options()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    with contextlib.ExitStack() as stack:
        folder = options.state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stackroll-bench-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            result = asyncio.run(_limited(Bench(options, folder.absolute()), options.limit))
        except ProcessError as error:
            sys.exit(str(error))
    show(result)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(asdict(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
