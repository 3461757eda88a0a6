"""A few upgrades whose worker and server die; ``make death`` runs 200."""

import re

import pytest

from tests.chaos.process import run_and_show, seed, setting

pytestmark = [pytest.mark.chaos, pytest.mark.temporal]


@pytest.mark.timeout(900)
def test_runs_end_as_undisturbed_ones_do(capfd: pytest.CaptureFixture[str]) -> None:
    runs = str(setting("RUNS", 4))
    ran = run_and_show(capfd, "tests.chaos.death", "--runs", runs, "--at-once", runs, "--seed", str(seed()))
    assert ran.status == 0, ran.failures
    done = re.search(r"^(\d+) runs with a death .* 0 failed", ran.output, re.MULTILINE)
    assert done is not None, ran.output
    assert int(done[1]) >= int(runs), "a batch more is begun when not every run of the first has met a death"
