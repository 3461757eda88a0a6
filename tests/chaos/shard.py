"""One process of the matrix: its own Temporal server, its own worker, and several simulated clouds at a time.

It reads from its input, as one line of JSON, the runs that it is to make, each with its cases, and prints a line for
each that has ended.
"""

from tests.chaos import haste  # noqa: F401, I001 - first: it shortens waits before others read them

import argparse
import asyncio
import contextlib
import json
import math
import sys
import time
import traceback
from collections.abc import AsyncIterator
from datetime import timedelta

from temporalio.testing import WorkflowEnvironment

from tests.chaos.cases import Case, make_cases
from tests.chaos.clouds import small_cloud
from tests.chaos.haste import DURATIONS, SPEED
from tests.chaos.place import placing_worker
from tests.chaos.recorder import record_run
from tests.chaos.told import run_until_told
from tests.chaos.trial import Bench, Outcome, Trial
from workers.codec import data_converter
from workers.dev import SEARCH_ATTRIBUTES, temporal_binary
from workers.worker import collect_seldom
from workflows import names


@contextlib.asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Run a Temporal server in memory and a worker."""
    extra = [word for name in SEARCH_ATTRIBUTES for word in ("--search-attribute", f"{name}=Keyword")]
    extra += ["--log-level", "error"]
    async with (
        await WorkflowEnvironment.start_local(
            data_converter=data_converter,
            dev_server_existing_path=temporal_binary(),
            dev_server_extra_args=extra,
            # Several start at the same time; by itself it is given five seconds.
            dev_server_startup_timeout=timedelta(minutes=1),
        ) as environment,
        placing_worker(environment.client) as (queue, placing, hosts),
    ):
        collect_seldom()
        yield Bench(environment.client, queue, placing, hosts)


async def gather_cases() -> list[Case]:
    """Return all cases, from undisturbed runs forth and back."""
    async with bench() as ready:
        found = await asyncio.gather(_cases(ready, back=False), _cases(ready, back=True))
    return [case for cases in found for case in cases]


async def _cases(ready: Bench, *, back: bool) -> list[Case]:
    async with small_cloud(SPEED, DURATIONS) as sim:
        return make_cases(await record_run(ready, sim, back=back), sim.cloud, back=back)


async def run_cases(runs: list[list[Case]], at_once: int, until: float = math.inf) -> None:
    """Make the runs, some at a time; none is begun after the moment ``until``."""
    room = asyncio.Semaphore(at_once)
    async with bench() as ready:
        await asyncio.gather(*(_one(ready, number, cases, room, until) for number, cases in enumerate(runs)))


async def _one(ready: Bench, number: int, cases: list[Case], room: asyncio.Semaphore, until: float) -> None:
    async with room:
        if time.monotonic() > until:
            return
        print(json.dumps({"begun": number}), flush=True)
        try:
            async with small_cloud(SPEED, DURATIONS) as sim:
                outcome = await Trial(ready, sim, cases).run()
        except Exception:  # noqa: BLE001 - one run that breaks must not hide the others
            outcome = Outcome("broken", [case.id for case in cases], 0.0, [traceback.format_exc()])
        print(json.dumps({"run": number, **vars(outcome)}), flush=True)


def main() -> None:
    """Make the runs that come in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, required=True)
    parser.add_argument("--until", type=float, default=math.inf)
    parser.add_argument("--batches", action="store_true", help="compute hosts are carried out in batches, of one each")
    arguments = parser.parse_args()
    if arguments.batches:
        names.MOST_DIRECT, names.HOSTS_PER_BATCH = 0, 1
    runs = [[Case.load(content) for content in run] for run in json.loads(sys.stdin.readline())]
    run_until_told(run_cases(runs, arguments.at_once, arguments.until))


if __name__ == "__main__":
    main()
