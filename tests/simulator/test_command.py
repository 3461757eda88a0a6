"""``stackroll sim`` as its users type it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.errors import Exit
from cli.load import load_request
from tests.cli.conftest import run_main
from tests.simulator.conftest import free_network

STACKROLL = (sys.executable, "-m", "cli.main")


def test_a_cloud_comes_up_and_goes_at_ctrl_c(tmp_path: Path) -> None:
    faults, state = tmp_path / "faults.yaml", tmp_path / "state"
    faults.write_text("faults:\n  - {on: cmp1, at: facts, how: exit}\n")
    settings = tmp_path / "fleet.yaml"
    settings.write_text("compute: 9\nguests: 4\nfleet: {zones: 2}\n")
    files = ("--state", str(state), "--faults", str(faults), "--settings", str(settings))
    size = ("--compute", "2", "--network", free_network(), *files)
    with subprocess.Popen(
        (*STACKROLL, "sim", "up", *size), stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}
    ) as process:
        assert process.stdout is not None
        assert "2 control and 2 compute hosts with 4 guests at 2026.1" in process.stdout.readline()
        assert "upgrade.yaml" in process.stdout.readline()
        assert len(load_request(state / "upgrade.yaml").inventory.hosts) == 5
        checked = subprocess.run(
            (*STACKROLL, "check", str(state / "upgrade.yaml")), capture_output=True, text=True, check=False
        )
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(20) == 0
    assert checked.returncode == Exit.FINDINGS, checked.stderr
    assert "happened: exit at facts on cmp1" in rest
    assert "violated" not in rest
    truth = json.loads((state / "truth.json").read_text())
    assert (truth["violations"], len(truth["guests"])) == ([], 4)
    assert {guest["restarts"] for guest in truth["guests"]} == {0}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--compute", "0"), "--compute: Input should be greater than or equal to 1"),
        (("--network", "10.97"), "--network:"),
        (("--release", "2031.1"), "unknown release '2031.1'"),
        (("--faults", "none.yaml"), "none.yaml: no such file"),
        (("--settings", "none.yaml"), "none.yaml: no such file"),
        (("--load", "lots"), "--load:"),
        (("--zones", "0"), "--zones: Input should be greater than or equal to 1"),
    ],
)
def test_bad_input_is_one_clear_message(tmp_path: Path, words: tuple[str, str], problem: str) -> None:
    ran = run_main("sim", "up", "--state", str(tmp_path / "state"), *words)
    assert ran.status == Exit.BAD_INPUT
    assert problem in ran.err.replace("\n", " ")
    assert not (tmp_path / "state").exists()
