"""One process of the matrix: its own Temporal server, its own worker, and several simulated clouds at a time.

It reads the cases from its input, as one line of JSON, and prints a line for each that has ended.
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
        ) as environment,
        placing_worker(environment.client) as (queue, placing, hosts),
    ):
        yield Bench(environment.client, queue, placing, hosts)


async def gather_cases() -> list[Case]:
    """Return all cases, from undisturbed runs forth and back."""
    async with bench() as ready:
        found = await asyncio.gather(_cases(ready, back=False), _cases(ready, back=True))
    return [case for cases in found for case in cases]


async def _cases(ready: Bench, *, back: bool) -> list[Case]:
    async with small_cloud(SPEED, DURATIONS) as sim:
        return make_cases(await record_run(ready, sim, back=back), sim.cloud, back=back)


async def run_cases(cases: list[Case], at_once: int, until: float = math.inf) -> None:
    """Run the cases, some at a time; none is begun after the moment ``until``."""
    room = asyncio.Semaphore(at_once)
    async with bench() as ready:
        await asyncio.gather(*(_one(ready, case, room, until) for case in cases))


async def _one(ready: Bench, case: Case, room: asyncio.Semaphore, until: float) -> None:
    async with room:
        if time.monotonic() > until:
            return
        try:
            async with small_cloud(SPEED, DURATIONS) as sim:
                outcome = await Trial(ready, sim, case).run()
        except Exception:  # noqa: BLE001 - one case that breaks must not hide the others
            outcome = Outcome("broken", happened=True, seconds=0.0, problems=[traceback.format_exc()])
        print(json.dumps({"id": case.id, **vars(outcome)}), flush=True)


def main() -> None:
    """Run the cases that come in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, required=True)
    parser.add_argument("--until", type=float, default=math.inf)
    arguments = parser.parse_args()
    cases = [Case.load(content) for content in json.loads(sys.stdin.readline())]
    run_until_told(run_cases(cases, arguments.at_once, arguments.until))


if __name__ == "__main__":
    main()
