"""The lab in a known state, Temporal and a worker in processes that may be killed, and users who look on."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowQueryFailedError
from temporalio.service import RPCError

from tests.lab.access import LAB, all_job_starts, read_yaml, stackroll
from tests.lab.judge import assert_in_order, assert_wholly_at
from tests.lab.observers import Prober, User
from workers.connect import Unreachable, connect
from workers.settings import Settings

DEV_PORT = "17233"
_ORDER = ("test_bad_input.py", "test_rollback.py", "test_upgrade.py", "test_reboot.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below this folder needs the lab, and minutes rather than seconds."""
    for item in items:
        if "tests/lab" in str(item.path):
            item.add_marker(pytest.mark.lab)
            item.add_marker(pytest.mark.timeout(1500))
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Tests of the lab come last, and among them first those that can use the lab as another has left it."""
    if "tests/lab" not in str(item.path):
        return -1
    return _ORDER.index(item.path.name) if item.path.name in _ORDER else len(_ORDER)


def bring_up(release: str) -> None:
    """Bring the lab to the pristine state of a release: restored if it was made before, made if not."""
    record = LAB / "lab.json"
    if record.exists():
        stackroll("lab", "down")
    done = stackroll("lab", "up", "--release", release, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def lab_any() -> None:
    """The lab at 2026.1, as it was made: as it is if nothing has been done to it, else made anew.

    For tests that leave it as it was.
    """
    if not _is_as_made("2026.1"):
        bring_up("2026.1")


def is_usual(release: str) -> bool:
    """Whether there is a lab of the usual shape, with nova's fake driver, that was made at this release."""
    made = LAB / "lab.json"
    usual = {"release": release, "control": 2, "compute": 3, "guests": 4, "hypervisor": "fake"}
    return (
        made.exists() and json.loads(made.read_text())["spec"] == usual and stackroll("lab", "status").returncode == 0
    )


def is_fit(release: str, check: Callable[[], None]) -> bool:
    """Whether there is a lab of the usual shape, made at this release and in order, that passes the check as well."""
    if not is_usual(release):
        return False
    try:
        assert_in_order()
        check()
    except AssertionError:
        return False
    return True


def _is_as_made(release: str) -> bool:
    def check() -> None:
        assert read_yaml("cloud.yaml")["release"] == release
        assert_wholly_at(release)
        assert all_job_starts() == []

    return is_fit(release, check)


@dataclass
class Dev:
    """``stackroll dev`` in a process of its own."""

    state: Path
    process: subprocess.Popen[bytes]

    @property
    def env(self) -> dict[str, str]:
        return {"STACKROLL_STATE_DIR": str(self.state), "STACKROLL_DEV_PORT": DEV_PORT}

    def stackroll(self, *words: str, timeout: float = 900) -> subprocess.CompletedProcess[str]:
        return stackroll(*words, env=self.env, timeout=timeout)

    def temporal(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Temporal's own command line."""
        binary = Path(__file__).parents[2] / ".venv/bin/temporal"
        command = [str(binary), *words, "--address", f"127.0.0.1:{DEV_PORT}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def query(self, run: str, what: str) -> Any:
        """Ask a run, at little cost: it is done each second; None while nobody answers."""
        return asyncio.run(_ask(run, what))

    def status(self, run: str) -> Any:
        """Return the run's status; None while nobody answers."""
        return self.query(run, "status")

    def until(self, run: str, condition: Callable[[Any], bool], seconds: float = 900) -> Any:
        """Wait until the run's status fulfils a condition."""
        limit = time.monotonic() + seconds
        status = None
        while time.monotonic() < limit:
            status = self.status(run)
            if status is not None and condition(status):
                return status
            time.sleep(0.7)
        doing = {key: (status or {}).get(key) for key in ("state", "paused", "message", "running", "failed", "waiting")}
        raise AssertionError(f"not within {seconds:.0f} s; last status: {json.dumps(doing, indent=1)[:6000]}")

    def until_running(self, run: str, step: str) -> Any:
        """Wait until a step is being carried out."""

        def condition(status: Any) -> bool:
            assert status["ended"] is None, status["message"]
            return any(running["id"] == step for running in status["running"] or ())

        return self.until(run, condition)

    def until_ended(self, run: str, seconds: float = 1200) -> Any:
        """Wait until the run has ended; a failure that waits for a decision ends the waiting."""
        status = self.until(run, lambda s: bool(s["ended"]) or s["state"] == "failing", seconds)
        assert status["state"] != "failing", status["failed"]
        return status

    def kill(self, name: str) -> None:
        """``kill -9`` of the worker or of the Temporal server."""
        pid = int((self.state / f"{name}.pid").read_text())
        os.kill(pid, signal.SIGKILL)


async def _ask(run: str, what: str) -> Any:
    try:
        client = await connect(Settings(port=int(DEV_PORT)))
        return await client.get_workflow_handle(run).query(what, rpc_timeout=timedelta(seconds=30))
    except (Unreachable, RPCError, WorkflowQueryFailedError):
        return None


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    with running_dev(tmp_path / "state") as running:
        yield running


@pytest.fixture(scope="module")
def shared_dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """One for all tests of a file: for those that kill nothing."""
    with running_dev(tmp_path_factory.mktemp("dev") / "state") as running:
        yield running


@contextmanager
def running_dev(state: Path) -> Iterator[Dev]:
    """Temporal and a worker for as long as the block runs."""
    state.mkdir()
    binary = Path(__file__).parents[2] / ".venv/bin/stackroll"
    env = {
        **os.environ,
        "STACKROLL_STATE_DIR": str(state),
        "STACKROLL_DEV_PORT": DEV_PORT,
        "STACKROLL_DEV_UI_PORT": "18233",
    }
    with (state / "dev.log").open("wb") as log:
        process = subprocess.Popen([str(binary), "dev"], stdout=log, stderr=log, env=env)
    running = Dev(state, process)
    limit = time.monotonic() + 60
    while not (state / "worker.pid").exists():
        assert process.poll() is None, (state / "dev.log").read_text()
        assert time.monotonic() < limit, (state / "dev.log").read_text()
        time.sleep(0.1)
    yield running
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, (state / "dev.log").read_text()


@pytest.fixture
def prober() -> Iterator[Prober]:
    observer = Prober()
    yield observer
    observer.stop()


@pytest.fixture
def user() -> Iterator[User]:
    observer = User()
    yield observer
    observer.stop()
