"""A sample of the matrix, drawn anew each time; ``make chaos`` runs the whole of it.

STACKROLL_CHAOS_SEED draws the same sample again, STACKROLL_CHAOS_SAMPLE says how many cases it has.
"""

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.chaos.matrix import Matrix, draw, summary
from tests.chaos.shard import gather_cases

pytestmark = [pytest.mark.chaos, pytest.mark.temporal]
SAMPLE, JOBS, AT_ONCE = 48, 2, 4
# No case of it is started after so many seconds.
ENOUGH = 360.0


@pytest.mark.timeout(900)
def test_a_sample_of_every_step_and_every_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("STACKROLL_CHAOS_SEED") or time.time()) % 1_000_000
    size = int(os.environ.get("STACKROLL_CHAOS_SAMPLE") or SAMPLE)
    cases = asyncio.run(gather_cases())
    steps = {case.place for case in cases}
    with capfd.disabled():
        print(f"\n{len(cases)} cases at {len(steps)} steps and compensations; {size} by seed {seed}", flush=True)
    begun = time.monotonic()
    matrix = Matrix(JOBS, AT_ONCE, tmp_path / "failures", until=begun + ENOUGH)
    results = asyncio.run(matrix.run(draw(cases, seed)[:size]))
    with capfd.disabled():
        print(summary(results, time.monotonic() - begun), flush=True)
    failed = {f"{result['id']} {result['text']}": result["problems"] for result in results if result["problems"]}
    assert not failed, f"seed {seed}: {failed}; again: make chaos CASE={next(iter(failed)).split()[0]}"
    assert len(results) >= min(size, 8), "the machine is too slow for a sample that says something"
    assert sum(result["happened"] for result in results) > 0.9 * len(results)
