"""A sample of the matrix, drawn anew each time; ``make chaos`` runs the whole of it.

STACKROLL_CHAOS_SEED draws the same sample again, STACKROLL_CHAOS_SAMPLE says how many cases it has.
"""

import re

import pytest

from tests.chaos.process import run_and_show, seed, setting

pytestmark = [pytest.mark.chaos, pytest.mark.temporal]
SAMPLE, JOBS, AT_ONCE, SHARE = 120, 2, 6, 4
# No case is begun after so many seconds.
ENOUGH = 180.0


@pytest.mark.timeout(1200)
def test_a_sample_of_every_step_and_every_fault(capfd: pytest.CaptureFixture[str]) -> None:
    sample = ("--sample", str(setting("SAMPLE", SAMPLE)), "--seed", str(seed()), "--enough", str(ENOUGH))
    ran = run_and_show(
        capfd, "tests.chaos.matrix", *sample, "--jobs", str(JOBS), "--at-once", str(AT_ONCE), "--share", str(SHARE)
    )
    failed = re.findall(r"FAIL .* s  ([0-9a-f]{8}) ", ran.output)
    assert ran.status == 0, f"{ran.failures}\nagain, one at a time: make chaos CASE={failed[0] if failed else '?'}"
    done = re.search(r"^(\d+) runs, 0 failed", ran.output, re.MULTILINE)
    assert done is not None
    assert int(done[1]) >= 8, "the machine is too slow for a sample that says something"
