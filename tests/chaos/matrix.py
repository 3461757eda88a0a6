"""The matrix: each step of a whole upgrade, forth and back, with each fault that can hit it.

    python -m tests.chaos.matrix [--sample N] [--seed S] [--case ID] [--jobs 2] [--at-once 6] [--share 5] [--list]
                                 [--done FILE]

It records undisturbed runs, makes the cases from them, prints their number, and runs them in processes of their own,
each with a Temporal server and several simulated clouds. What failed is written to a folder, with the fault's file.
With ``--done`` it goes on where it was interrupted: what has passed is added to the file, and what is there left out.
"""

import argparse
import asyncio
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.cases import Case
from tests.chaos.series import share
from tests.chaos.shard import gather_cases
from tests.chaos.told import run_until_told

# A process runs so many cases, and is then replaced by a fresh one with a fresh server.
CHUNK = 48
# What has not happened in a run with others is tried with others so often again, before it gets a run of its own.
AGAIN_TOGETHER = 2


class Matrix:
    """Runs cases in several processes, and counts."""

    def __init__(
        self,
        jobs: int,
        at_once: int,
        folder: Path,
        *,
        share: int = 1,
        until: float = math.inf,
        done: Path | None = None,
    ) -> None:
        """Prepare.

        ``share``: so many cases to a run; ``until``: no run is begun after this moment of the monotonic clock;
        ``done``: where the ids of those are added that have passed.
        """
        self._jobs, self._at_once, self._folder, self._until = jobs, at_once, folder, until
        self._share, self._done = share, done
        self.results: list[dict[str, Any]] = []
        self._missed: list[Case] = []
        self._alone: list[Case] = []
        self._total = 0

    async def run(self, cases: Sequence[Case]) -> list[dict[str, Any]]:
        """Run the cases; return what came of each."""
        self._total = len(cases)
        await self._make(share(cases, self._share))
        for _ in range(AGAIN_TOGETHER):
            missed, self._missed = self._missed, []
            if missed:
                print(f"{len(missed)} cases whose fault did not happen are put into other runs", flush=True)
                await self._make(share(missed, self._share))
        alone = [*self._alone, *self._missed]
        if alone:
            print(f"{len(alone)} cases that say nothing yet get a run of their own", flush=True)
            await self._make([(case,) for case in alone])
        return self.results

    async def _make(self, runs: Sequence[tuple[Case, ...]]) -> None:
        chunks: asyncio.Queue[list[tuple[Case, ...]]] = asyncio.Queue()
        size = max(1, min(CHUNK, -(-len(runs) // self._jobs)))
        for alike in ([run for run in runs if run[0].in_batches is one] for one in (False, True)):
            for begin in range(0, len(alike), size):
                chunks.put_nowait(list(alike[begin : begin + size]))
        await asyncio.gather(*(self._serve(chunks) for _ in range(self._jobs)))

    async def _serve(self, chunks: asyncio.Queue[list[tuple[Case, ...]]]) -> None:
        while not chunks.empty() and time.monotonic() < self._until:
            await self._chunk(chunks.get_nowait())

    async def _chunk(self, runs: list[tuple[Case, ...]]) -> None:
        options = ["--at-once", str(self._at_once), "--until", str(self._until)]
        options += ["--batches"] if runs[0][0].in_batches else []
        words = (sys.executable, "-m", "tests.chaos.shard", *options)
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**20
        )
        try:
            await self._talk(process, runs)
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def _talk(self, process: asyncio.subprocess.Process, runs: list[tuple[Case, ...]]) -> None:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("no pipes to the process that runs cases")
        asked = json.dumps([[case.dump() for case in run] for run in runs])
        process.stdin.write(f"{asked}\n".encode())
        await process.stdin.drain()
        process.stdin.close()
        open_, begun = dict(enumerate(runs)), set[int]()
        async for line in process.stdout:
            if line.startswith(b"{"):
                result = json.loads(line)
                if (number := result.pop("begun", None)) is not None:
                    begun.add(number)
                else:
                    self._take(open_.pop(result.pop("run")), result)
        await process.wait()
        if time.monotonic() > self._until:
            # What it had no time for is nobody's failure, however the process ended.
            open_ = {number: run for number, run in open_.items() if number in begun}
        for run in open_.values():
            gone = {"state": "none", "happened": [], "seconds": 0.0, "notes": []}
            self._take(run, {**gone, "problems": [f"its process ended with status {process.returncode}"]})

    def _take(self, run: tuple[Case, ...], result: dict[str, Any]) -> None:
        """Note what came of a run; a case of which it says nothing is run again."""
        for case in run:
            happened = case.id in result["happened"]
            if len(run) > 1 and result["problems"]:
                self._alone.append(case)
            elif len(run) > 1 and not happened:
                self._missed.append(case)
            else:
                self._note(case, {**result, "id": case.id, "happened": happened}, len(run))
        if len(run) > 1 and result["problems"]:
            together = "\n".join(f"          {line}" for text in result["problems"] for line in text.splitlines())
            print(f"      together, {', '.join(case.id for case in run)}:\n{together}", flush=True)

    def _note(self, case: Case, result: dict[str, Any], together: int) -> None:
        self.results.append({**result, "text": case.text, "step": case.place.text, "how": case.fault.how})
        sign = "ok  " if not result["problems"] else "FAIL"
        more = "" if result["happened"] else " (it did not happen)"
        more += f" (with {together - 1} others)" if together > 1 else ""
        head = f"{len(self.results):>5}/{self._total} {sign} {result['state']:<11} {result['seconds']:5.1f} s"
        print(f"{head}  {case.id} {case.text}{more}", flush=True)
        if result["problems"]:
            self._keep(case, result)
        elif self._done is not None:
            with self._done.open("a") as file:
                file.write(f"{case.id}\n")

    def _keep(self, case: Case, result: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = [f"# {case.text}", *(f"# {line}" for text in result["problems"] for line in text.splitlines())]
        lines += [*(f"# {line}" for text in result["notes"] for line in text.splitlines())]
        lines += [f"# again: make chaos CASE={case.id}", f"faults: [{case.fault.model_dump_json()}]"]
        (self._folder / f"{case.id}.yaml").write_text("\n".join([*lines, ""]))
        print("\n".join(f"          {line}" for line in lines[1:]), flush=True)


def summary(results: list[dict[str, Any]], seconds: float) -> str:
    """Return a table: by kind of fault, how many runs ended how."""
    lines = [f"{'fault':<20}{'runs':>6}{'completed':>11}{'rolled back':>13}{'refused':>9}{'failed':>8}{'missed':>8}"]
    for how in sorted({result["how"] for result in results}):
        mine = [result for result in results if result["how"] == how]
        ends = Counter(result["state"] for result in mine)
        bad, missed = sum(bool(r["problems"]) for r in mine), sum(not r["happened"] for r in mine)
        ended = f"{ends['completed']:>11}{ends['rolled_back']:>13}{ends['refused']:>9}"
        lines.append(f"{how:<20}{len(mine):>6}{ended}{bad:>8}{missed:>8}")
    bad = sum(bool(result["problems"]) for result in results)
    return "\n".join([*lines, f"{len(results)} runs, {bad} failed, {seconds:.0f} s"])


def chosen(cases: list[Case], arguments: argparse.Namespace) -> list[Case]:
    """Return the cases that were asked for."""
    if arguments.case:
        return [case for case in cases if case.id in arguments.case]
    if arguments.grep:
        cases = [case for case in cases if arguments.grep in case.text]
    drawn = draw(cases, arguments.seed)
    return drawn if arguments.sample is None else drawn[: arguments.sample]


def draw(cases: list[Case], seed: int) -> list[Case]:
    """Return the cases in an order that the seed decides."""
    return random.Random(seed).sample(cases, len(cases))


def main() -> int:
    """Run the matrix; the exit status tells whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="so many cases, drawn by the seed; without it all")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--case", action="append", help="only the case with this id")
    parser.add_argument("--grep", help="only cases whose line contains this")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--at-once", type=int, default=6, help="clouds in each process")
    parser.add_argument("--share", type=int, default=1, help="cases to a run, of faults that it gets over")
    parser.add_argument("--enough", type=float, default=math.inf, help="after so many seconds begin no other case")
    parser.add_argument("--list", action="store_true", help="only print the cases")
    parser.add_argument("--done", type=Path, help="a file: cases in it are left out, those that pass are added")
    parser.add_argument("--failures", type=Path, default=Path("chaos-failures"))
    arguments = parser.parse_args()
    begun = time.monotonic()
    cases = run_until_told(gather_cases())
    steps = len({case.place for case in cases})
    print(f"{len(cases)} cases at {steps} steps and compensations; seed {arguments.seed}", flush=True)
    wanted = chosen(cases, arguments)
    if arguments.done is not None and arguments.done.exists():
        passed = set(arguments.done.read_text().split())
        wanted, every = [case for case in wanted if case.id not in passed], len(wanted)
        print(f"{every - len(wanted)} of them have passed before and are left out", flush=True)
    if arguments.list:
        print("\n".join(f"{case.id} {case.text}" for case in wanted))
        return 0
    until = begun + arguments.enough
    matrix = Matrix(
        arguments.jobs,
        arguments.at_once,
        arguments.failures,
        share=arguments.share,
        until=until,
        done=arguments.done,
    )
    results = run_until_told(matrix.run(wanted))
    print(summary(results, time.monotonic() - begun))
    return 1 if any(result["problems"] for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
