"""The main job on real OpenStack, judged from outside."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lab.access import LAB, addresses, job_starts
from tests.lab.conftest import Dev, bring_up
from tests.lab.judge import assert_guests_are_well, assert_wholly_at, guests
from tests.lab.observers import Prober, Uploader, User


@pytest.fixture
def lab_2026() -> None:
    bring_up("2026.1")


@pytest.fixture
def lab_2025() -> None:
    bring_up("2025.1")


def _assert_nobody_noticed(prober: Prober, user: User) -> None:
    prober.stop()
    user.stop()
    for service, seen in prober.seen.items():
        print(f"{service}: {seen}")
    print(f"servers created and deleted: {user.done}, longest to ACTIVE {user.longest:.1f} s")
    assert {service: seen.failures for service, seen in prober.seen.items()} == {s: [] for s in prober.seen}
    assert all(len(seen.times) > 100 for seen in prober.seen.values())
    assert user.trouble == []
    assert user.done > 10


def _assert_no_command_ran_twice() -> None:
    count = 0
    for address in {**addresses("control"), **addresses("compute"), **addresses("database")}.values():
        starts = job_starts(address)
        assert len(starts) == len(set(starts)), sorted(starts)
        count += len(starts)
    print(f"jobs in the hosts' journals: {count}, each started once")
    assert count > 30


def _start(dev: Dev, run: str) -> None:
    done = dev.stackroll("start", str(LAB / "upgrade.yaml"), "--id", run)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("lab_2026")
def test_a_cloud_rolls_from_2026_1_to_2026_2_and_nobody_notices(
    dev: Dev, prober: Prober, user: User, tmp_path: Path
) -> None:
    """Started by Temporal's own command, paused and resumed by it; a second upgrade is refused meanwhile."""
    before = guests()
    assert len(before) == 4
    assert_wholly_at("2026.1")
    request = tmp_path / "upgrade.json"
    rendered = dev.stackroll("render", str(LAB / "upgrade.yaml"))
    assert rendered.returncode == 0, rendered.stderr
    request.write_text(rendered.stdout)
    words = ("workflow", "start", "--type", "RollingUpgrade", "--task-queue", "stackroll")
    started = dev.temporal(*words, "--workflow-id", "U", "--input-file", str(request))
    assert started.returncode == 0, started.stderr
    dev.until_running("U", "placement/ctl1/switch")
    uploads = [Uploader(40), Uploader(40)]
    _pause_and_resume(dev)
    _second_upgrade_is_refused(dev, request)
    status = dev.until_ended("U")
    assert status["state"] == "completed", status["message"]
    _assert_nobody_noticed(prober, user)
    for upload in uploads:
        upload.stop()
        assert upload.outcome == ["HTTP 204, active, 8388608 bytes"]
    assert_wholly_at("2026.2")
    assert_guests_are_well(before)
    _assert_no_command_ran_twice()
    _report_is_whole(dev)


def _pause_and_resume(dev: Dev) -> None:
    """Within five seconds of the signal nothing new starts; what ran has ended; resume goes on."""
    signal = ("workflow", "signal", "-w", "U", "--input", '{"by":"me","reason":"lunch"}', "--name")
    assert dev.temporal(*signal, "pause").returncode == 0
    sent = time.time()
    status = dev.until("U", lambda s: s["paused"] and not s["running"], 120)
    begun = [s for s in _steps(dev) if s["started"] and _seconds(s["started"]) > sent + 5]
    assert begun == []
    done = [phase["done"] for phase in status["phases"]]
    assert dev.temporal(*signal, "resume").returncode == 0
    dev.until("U", lambda s: [phase["done"] for phase in s["phases"]] != done, 60)


def _second_upgrade_is_refused(dev: Dev, request: Path) -> None:
    words = ("workflow", "execute", "--type", "RollingUpgrade", "--task-queue", "stackroll")
    second = dev.temporal(*words, "--workflow-id", "V", "--input-file", str(request))
    assert second.returncode != 0
    assert "another run of cloud 'lab' is going on" in second.stdout + second.stderr
    third = dev.stackroll("start", str(LAB / "upgrade.yaml"), "--wait")
    assert third.returncode == 5, third.stdout + third.stderr


def _report_is_whole(dev: Dev) -> None:
    report = dev.stackroll("report", "U")
    assert report.returncode == 0
    assert "34.0.0" in report.stdout
    pages = list((dev.state / "reports").glob("U*.html"))
    assert len(pages) == 1
    assert "nova-compute" in pages[0].read_text()


def _steps(dev: Dev) -> list[Any]:
    steps: list[Any] = dev.query("U", "report")["steps"]
    return steps


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@pytest.mark.slow
@pytest.mark.usefixtures("lab_2025")
def test_a_cloud_rolls_from_2025_1_to_2025_2_and_nobody_notices(dev: Dev, prober: Prober, user: User) -> None:
    before = guests()
    _start(dev, "U")
    assert dev.until_ended("U")["state"] == "completed"
    _assert_nobody_noticed(prober, user)
    assert_wholly_at("2025.2")
    assert_guests_are_well(before)
    _assert_no_command_ran_twice()


@pytest.mark.slow
@pytest.mark.usefixtures("lab_2026")
@pytest.mark.parametrize(
    ("victim", "step"),
    [
        ("worker", "cmp1/drain"),
        ("worker", "cmp1/install"),
        ("worker", "expand/nova/db-sync"),
        ("temporal", "keystone/ctl2/switch"),
    ],
)
def test_an_upgrade_survives_kill_9(dev: Dev, prober: Prober, victim: str, step: str) -> None:
    """The process is killed in the middle of a step and started again: the run ends as if nothing had happened."""
    before = guests()
    _start(dev, "U")
    dev.until_running("U", step)
    dev.kill(victim)
    assert dev.until_ended("U")["state"] == "completed"
    prober.stop()
    assert {service: seen.failures for service, seen in prober.seen.items()} == {s: [] for s in prober.seen}
    assert_wholly_at("2026.2")
    assert_guests_are_well(before)
    _assert_no_command_ran_twice()
    tries = {status["id"]: status["tries"] for status in _steps(dev)}
    assert set(tries.values()) == {1}, tries
