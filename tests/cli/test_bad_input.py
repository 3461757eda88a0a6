"""Bad input in the files: one clear error each, before anything is read of the cloud or sent to Temporal."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from socket import create_server, socket

import pytest

from cli.errors import Exit
from model.spec import UpgradeRequest
from tests.cli.cloud import CLOUD, UPGRADE, write_files
from tests.cli.conftest import run_main

# What is changed in the two files, and the one line that it gives.
CASES: dict[str, tuple[tuple[str, str], tuple[str, str], str]] = {
    "unknown key": (
        ("", ""),
        ("max_unavailable", "max_unavailabel"),
        "upgrade.yaml:3: max_unavailabel: unknown key; did you mean max_unavailable?",
    ),
    "unknown host": (
        ("load_balancer:\n  host: infra", "load_balancer:\n  host: infar"),
        ("", ""),
        "cloud.yaml:30: load_balancer.host: unknown host 'infar'; did you mean infra?",
    ),
    "unknown release": (
        ("", ""),
        ("2026.1", "2031.1"),
        (
            "upgrade.yaml:2: to: unknown release '2031.1'; known releases: "
            "2024.1, 2024.2, 2025.1, 2025.2, 2026.1, 2026.2"
        ),
    ),
    "a step that is not supported": (
        ("2025.2", "2024.2"),
        ("2026.1", "2025.2"),
        (
            "upgrade.yaml:2: to: 2024.2 to 2025.2 skips 1 release(s), and a rolling upgrade runs both releases side by "
            "side, which is supported between neighbours only; go 2024.2 to 2025.1 to 2025.2, one upgrade each"
        ),
    ),
    "a step backwards": (
        ("", ""),
        ("2026.1", "2025.1"),
        "upgrade.yaml:2: to: 2025.2 to 2025.1 goes backwards; choose a later release as the target",
    ),
    "missing entry in clouds.yaml": (
        ("cloud: admin", "cloud: root"),
        ("", ""),
        "cloud.yaml:4: openstack.cloud: clouds.yaml has no entry 'root'; its entries: admin, demo",
    ),
    "not YAML": (
        ("", ""),
        ("soak: 30s", "soak: [30s"),
        "upgrade.yaml:5:1: not YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'",
    ),
    "a cloud that is not YAML": (
        ("hosts:\n", "hosts: }\n"),
        ("", ""),
        "cloud.yaml:10:8: not YAML: while parsing a block node expected the node content, but found '}'",
    ),
}


@pytest.fixture
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket]:
    """A Temporal that would see an attempt to reach it, and a cloud that must not be read."""

    async def read_facts(hosts: object, request: UpgradeRequest) -> None:
        raise AssertionError("the cloud was read")

    monkeypatch.setattr("activities.facts.read_facts", read_facts)
    with create_server(("127.0.0.1", 0)) as temporal:
        monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{temporal.getsockname()[1]}")
        temporal.setblocking(False)
        yield temporal


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("words", [("check",), ("plan",), ("render",), ("start", "--wait")], ids=lambda words: words[0])
def test_bad_input_is_one_line_and_nothing_is_asked(
    case: str, words: tuple[str, ...], nobody_is_asked: socket, tmp_path: Path
) -> None:
    cloud, upgrade, line = CASES[case]
    assert cloud[0] in CLOUD
    assert upgrade[0] in UPGRADE
    path = write_files(tmp_path, cloud=CLOUD.replace(*cloud, 1), upgrade=UPGRADE.replace(*upgrade, 1))
    ran = run_main(words[0], str(path), *words[1:])
    assert (ran.status, ran.out, ran.err.replace(f"{tmp_path}/", "")) == (Exit.BAD_INPUT, "", f"{line}\n")
    with pytest.raises(BlockingIOError):
        nobody_is_asked.accept()


def test_a_file_that_is_not_there_is_one_line(nobody_is_asked: socket, tmp_path: Path) -> None:
    path = tmp_path / "upgrade.yaml"
    assert run_main("start", str(path), "--wait") == (Exit.BAD_INPUT, "", f"{path}: no such file\n")


def test_a_temporal_that_is_silent_is_one_message(
    nobody_is_asked: socket, upgrade: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.connect._LIMIT", 0.5)
    ran = run_main("start", str(upgrade), "--wait")
    assert (ran.status, ran.out) == (Exit.ERROR, "")
    first, second = ran.err.splitlines()
    assert first == f"stackroll: Temporal does not answer at {os.environ['TEMPORAL_ADDRESS']}: no answer in time"
    assert "TEMPORAL_ADDRESS" in second


LOGS = """
import logging, sys, warnings
import cli.main

async def run_worker():
    logging.getLogger("temporalio").warning("a step failed")
    return 0

cli.main.route_logs()
if sys.argv[1] == "worker":
    import workers.worker
    workers.worker.run_worker = run_worker
    cli.main.run()
else:
    logging.getLogger("keystoneauth.identity").warning("a step failed")
    warnings.warn("a step failed", stacklevel=1)
"""


@pytest.mark.parametrize(("command", "debug", "shown"), [("check", "", 0), ("check", "1", 2), ("worker", "", 1)])
def test_logs_of_libraries_are_shown_by_a_worker_or_when_asked_for(command: str, debug: str, shown: int) -> None:
    environment = {**os.environ, "STACKROLL_DEBUG": debug}
    words = [sys.executable, "-c", LOGS, command]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.count(": a step failed") == shown, done.stderr
    assert shown or done.stderr == ""
