"""A few upgrades whose worker and server die; ``make death`` runs 200."""

import asyncio
import os
import time

import pytest

from tests.chaos.death import die, summary

pytestmark = [pytest.mark.chaos, pytest.mark.temporal]
RUNS = 4


@pytest.mark.timeout(900)
def test_runs_end_as_undisturbed_ones_do(capfd: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("STACKROLL_CHAOS_SEED") or time.time()) % 1_000_000
    begun = time.monotonic()
    done = asyncio.run(die(RUNS, RUNS, seed, most=2))
    with capfd.disabled():
        print(f"\nseed {seed}: {summary(done, time.monotonic() - begun)}", flush=True)
    assert {run.id: run.problems for run in done if run.problems} == {}
    assert any(run.hits for run in done)
