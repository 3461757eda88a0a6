"""Upgrades whose worker, Temporal server, or both are killed at random moments, some of them on their way back.

    python -m tests.chaos.death [--runs 200] [--at-once 8] [--jobs 1] [--seed S] [--compute 2]

With more than a hundred compute hosts (and ``--at-once 1``) it is a fleet, whose hosts are carried out in batches.
``--jobs`` is how many Temporal servers there are, each with a worker and clouds of its own.

Server and worker are those of ``stackroll dev``, processes of their own with a database file; several simulated clouds
are upgraded at the same time in them. Every run must end as an undisturbed one does, and the journals of its hosts must
show every changing command once.
"""

import argparse
import asyncio
import contextlib
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from activities.digest import read_digest
from activities.ssh import Hosts
from cli.load import load_request
from model.availability_spec import Availability
from model.digest import Digest
from model.releases import find_release
from model.spec import Approval, Approvals, UpgradeRequest
from model.status import RunState, UpgradeStatus
from model.verdict import judge as judge_digests
from model.verdict import same_release
from simulator.server import Simulation
from tests.chaos import judge
from tests.chaos.clouds import small_cloud
from tests.chaos.embedded import KINDS, Embedded
from tests.chaos.told import run_until_told
from tests.chaos.user import User
from workflows.names import TASK_QUEUE, task_time

OLD, NEW = "2026.1", "2026.2"
# Slow enough that deaths fall into jobs, quick enough for many runs.
SPEED = 40.0
LONGEST, LONGEST_A_HOST = 600.0, 5.0
# Of a fleet, so many hosts are out of service at the same time.
FLEET, UNAVAILABLE = 100, "20%"
ASK_WITHIN = timedelta(seconds=12)
SETTLED_WITHIN = 20.0
# Of the runs, so many are aborted; at a moment when this part of the steps before the commit point has passed.
ABORTED = 0.35
# Seconds before a death: on somebody's way back, which is short, and otherwise.
HASTY, PAUSES = (0.2, 6.0), (4.0, 20.0)
ABORT_BETWEEN = (0.1, 0.85)
_KEY = re.compile(r"^Started stackroll (?P<what>.+/(?:do|undo)/(?:.+/)?)(?P<try>\d+)/(?P<part>[^/]+)$")


@dataclass
class Going:
    """A run, what it is meant to meet, and what it has met."""

    sim: Simulation
    request: UpgradeRequest
    before: Digest
    abort_at: float | None
    id: str = field(default_factory=lambda: f"death-{uuid4().hex[:8]}")
    state: RunState | None = None
    aborted: bool = False
    over: bool = False
    hits: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    handle: WorkflowHandle[Any, Any] | None = None

    @property
    def ended(self) -> bool:
        return self.state in {RunState.COMPLETED, RunState.ROLLED_BACK, RunState.STOPPED, RunState.REFUSED}

    @property
    def wants(self) -> bool:
        """Whether its death is due: that of an aborted one on its way back."""
        if self.abort_at is not None:
            return self.state is RunState.ROLLING_BACK and not any("rolling_back" in hit for hit in self.hits)
        return self.state is RunState.RUNNING and not self.hits


class Batch:
    """Some clouds that are upgraded at the same time, and who kills what upgrades them."""

    def __init__(self, embedded: Embedded, client: Client, hosts: Hosts, random_: random.Random) -> None:
        self._embedded, self._client, self._hosts, self._random = embedded, client, hosts, random_
        self.runs: list[Going] = []
        self.kills: list[str] = []

    async def run(self, clouds: int, compute: int) -> None:
        """Upgrade so many clouds, and kill until every run has met its death or has ended."""
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(clouds):
                cloud = small_cloud(SPEED, compute=compute, guests=compute + 1)
                sim = await stack.enter_async_context(cloud)
                request = _request(sim)
                before = await read_digest(self._hosts, request.inventory)
                aborted = self._random.random() < ABORTED
                self.runs.append(Going(sim, request, before, self._random.uniform(*ABORT_BETWEEN) if aborted else None))
            killer = asyncio.create_task(self._kill())
            await asyncio.gather(*(self._one(run, self._random.uniform(0, 8)) for run in self.runs))
            await killer

    async def _kill(self) -> None:
        """Kill at random moments, as long as a run goes on that has not met its death."""
        await self._until(lambda: any(run.state is not None for run in self.runs))
        while not all(run.over for run in self.runs):
            if not any(run.wants for run in self.runs):
                await asyncio.sleep(0.5)
                continue
            hasty = any(run.wants and run.state is RunState.ROLLING_BACK for run in self.runs)
            await asyncio.sleep(self._random.uniform(*(HASTY if hasty else PAUSES)))
            kind = self._random.choice(list(KINDS))
            self.kills.append(kind)
            for run in self.runs:
                if run.state is not None and not run.ended:
                    run.hits.append(f"{kind} while {run.state.value}")
            await self._embedded.kill(kind)

    async def _until(self, condition: Any) -> None:
        while not condition():
            await asyncio.sleep(0.2)

    async def _one(self, run: Going, delay: float) -> None:
        await asyncio.sleep(delay)
        begun, user, guests = time.monotonic(), User(run.sim), tuple(run.sim.cloud.nova.guests)
        try:
            async with asyncio.timeout(LONGEST + len(run.request.inventory.hosts) * LONGEST_A_HOST):
                run.handle = await self._start(run)
                worker = asyncio.create_task(self._work(user))
                await self._attend(run, run.handle)
                await worker
        except TimeoutError:
            run.problems.append(f"it is still {run.state} after {time.monotonic() - begun:.0f} s")
        run.over, run.seconds = True, time.monotonic() - begun
        run.problems += await self._judge(run, user, guests)

    async def _work(self, user: User) -> None:
        """A user works on, twice, at random moments."""
        for _ in range(2):
            await asyncio.sleep(self._random.uniform(1, 15))
            await user.act()

    async def _start(self, run: Going) -> WorkflowHandle[Any, Any]:
        content = run.request.model_dump(mode="json", exclude_none=True)
        while True:
            try:
                return await self._client.start_workflow(
                    "RollingUpgrade",
                    content,
                    id=run.id,
                    task_queue=TASK_QUEUE,
                    task_timeout=task_time(len(run.request.inventory.hosts)),
                    rpc_timeout=ASK_WITHIN,
                )
            except RPCError:
                await asyncio.sleep(0.5)

    async def _attend(self, run: Going, handle: WorkflowHandle[Any, Any]) -> None:
        """Follow a run to its end; abort it when its moment has come."""
        while not run.ended:
            await asyncio.sleep(0.7)
            try:
                status = await handle.query("status", result_type=UpgradeStatus, rpc_timeout=ASK_WITHIN)
                run.state = status.state
                if run.abort_at is not None and not run.aborted and _passed(status) >= run.abort_at:
                    order = {"by": "chaos", "reason": "to see the way back", "mode": "rollback"}
                    await handle.signal("abort", order, rpc_timeout=ASK_WITHIN)
                    run.aborted = True
            except RPCError:
                continue  # server or worker are dead just now
            if status.state is RunState.FAILING:
                run.problems += [f"{step.id} failed: {step.error}" for step in status.failed]
                return

    async def _judge(self, run: Going, user: User, guests: tuple[str, ...]) -> list[str]:
        wanted = RunState.ROLLED_BACK if run.aborted else RunState.COMPLETED
        if run.state is not wanted:
            return [f"it has ended {run.state}, and not {wanted}"]
        release = OLD if run.aborted else NEW
        await judge.at_rest(run.sim, SETTLED_WITHIN)
        problems = judge.wholly_at(run.sim, release) + judge.lost(run.sim, guests, user)
        problems += [f"not simulated: {text}" for text in run.sim.shell.unknown]
        problems += repeated(run.sim)
        until = time.monotonic() + SETTLED_WITHIN
        while True:
            after = await read_digest(self._hosts, run.request.inventory)
            verdict = (
                judge_digests(run.before, after, deleted=())
                if run.aborted
                else same_release(run.before, after, find_release(NEW), deleted=())
            )
            if verdict.whole or time.monotonic() > until:
                return problems + [f"digest: {problem}" for problem in verdict.problems]
            await asyncio.sleep(1.0)


def repeated(sim: Simulation) -> list[str]:
    """Return the changing commands that a journal shows more than once, as whichever try of their step."""
    problems = []
    for host in sim.cloud.hosts.values():
        found = [match for line in host.journal if (match := _KEY.match(line))]
        if len(found) != len(host.journal):
            problems.append(f"{host.name} has a journal of {len(host.journal)} lines, {len(found)} of them are jobs")
        for (what, part), count in Counter((match["what"], match["part"]) for match in found).items():
            if count > 1:
                problems.append(f"{host.name}: {what}*/{part} was started {count} times")
    return problems


def _passed(status: UpgradeStatus) -> float:
    """Return which part of the steps before the commit point has passed."""
    before = [phase for phase in status.phases if phase.phase.value not in {"commit", "finish"}]
    total = sum(phase.total for phase in before)
    return sum(phase.done for phase in before) / total if total else 0.0


def _request(sim: Simulation) -> UpgradeRequest:
    request = load_request(sim.folder / "upgrade.yaml", by="chaos")
    inventory = request.inventory.model_copy(update={"cloud": f"death-{uuid4().hex[:8]}"})
    changes = {
        "soak": 1.0,
        "availability": Availability(enabled=False),
        "approvals": Approvals(plan=Approval.AUTO, commit=Approval.AUTO),
    }
    if len(inventory.hosts) > FLEET:
        changes["max_unavailable"] = UNAVAILABLE
    spec = request.spec.model_copy(update=changes)
    return request.model_copy(update={"inventory": inventory, "spec": spec})


async def die(runs: int, at_once: int, seed: int, compute: int = 2, jobs: int = 1) -> list[Going]:
    """Run batches, so many at a time, until so many runs have met a death; return all runs."""
    done = list[Going]()
    await asyncio.gather(*(_lane(done, runs, at_once, compute, random.Random(seed + lane)) for lane in range(jobs)))
    return done


async def _lane(done: list[Going], runs: int, at_once: int, compute: int, random_: random.Random) -> None:
    """Run one batch after the other, until enough runs of all lanes have met a death."""
    for _ in range(runs):
        folder = Path(tempfile.mkdtemp(prefix="stackroll-dev-"))
        embedded, hosts = await Embedded.start(folder), Hosts(connect_timeout=5)
        try:
            batch = Batch(embedded, await embedded.client(), hosts, random_)
            await batch.run(min(at_once, runs), compute)
        finally:
            await hosts.close()
            await embedded.end()
            shutil.rmtree(folder, ignore_errors=True)
        done += batch.runs
        _tell(batch, done, runs)
        if sum(bool(run.hits) for run in done) >= runs:
            break


def _tell(batch: Batch, done: list[Going], runs: int) -> None:
    for run in batch.runs:
        sign, met = "FAIL" if run.problems else "ok  ", "; ".join(run.hits) or "no death"
        state = run.state.value if run.state else "?"
        print(f"{sign} {state:<11} {run.seconds:5.0f} s  {run.id} {met}", flush=True)
        print("".join(f"       {problem}\n" for problem in run.problems), end="", flush=True)
    hit = sum(bool(run.hits) for run in done)
    print(f"{hit} of {runs} runs with a death, kills in this batch: {', '.join(batch.kills)}", flush=True)


def summary(done: list[Going], seconds: float) -> str:
    """Return the figures."""
    hit = [run for run in done if run.hits]
    back = [run for run in hit if any("rolling_back" in one for one in run.hits)]
    kinds = Counter(one.split()[0] for run in hit for one in run.hits)
    ends = Counter(run.state.value if run.state else "?" for run in hit)
    bad = sum(bool(run.problems) for run in done)
    return (
        f"{len(hit)} runs with a death ({len(done) - len(hit)} more without one): "
        f"{', '.join(f'{count} {state}' for state, count in ends.items())}; {len(back)} died on their way back; "
        f"deaths by what was killed: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}; "
        f"{bad} failed; {seconds:.0f} s"
    )


def main() -> int:
    """Run them; the exit status tells whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--jobs", type=int, default=1, help="batches at the same time")
    parser.add_argument("--compute", type=int, default=2, help="compute hosts of each cloud")
    arguments = parser.parse_args()
    begun = time.monotonic()
    print(f"{arguments.runs} runs, seed {arguments.seed}", flush=True)
    done = run_until_told(die(arguments.runs, arguments.at_once, arguments.seed, arguments.compute, arguments.jobs))
    print(summary(done, time.monotonic() - begun))
    return 1 if any(run.problems for run in done) else 0


if __name__ == "__main__":
    sys.exit(main())
