"""A rolling reboot of real compute hosts, judged from outside: new boots, and guests that are what they were."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.lab.access import LAB, all_servers, sql, stackroll
from tests.lab.conftest import Dev, bring_up, is_fit
from tests.lab.tenants import Tenants, Witness, boot_ids


def _bring_up(compute: int, guests: int) -> None:
    if (LAB / "lab.json").exists():
        stackroll("lab", "down")
    done = stackroll("lab", "up", "--compute", str(compute), "--guests", str(guests), timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr


def _assert_nobody_else_has_servers() -> None:
    assert len(all_servers()) == 4


def _reboot(dev: Dev, folder: Path, *, shutoff: int, apart: int, **wanted: str) -> Any:
    """Reboot every host; return the run's report."""
    tenants, boots = Tenants(shutoff, apart), boot_ids()
    spec = {"approvals": "{plan: auto}", "drain": "{allow: [live, cold, stop, leave]}", **wanted}
    path = folder / "reboot.yaml"
    lines = [f"cloud: {LAB / 'cloud.yaml'}", *(f"{key}: {value}" for key, value in spec.items())]
    path.write_text("\n".join([*lines, ""]))
    planned = dev.stackroll("reboot", "plan", str(path))
    print(planned.stdout)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    witness = Witness()
    try:
        started = dev.stackroll("reboot", "start", str(path), "--id", "R")
        assert started.returncode == 0, started.stdout + started.stderr
        status = dev.until_ended("R")
    finally:
        witness.stop()
    print(dev.stackroll("report", "R").stdout)
    assert status["state"] == "completed", status["message"]
    after = boot_ids()
    assert all(after[host] != boots[host] for host in boots), "a host was not booted anew"
    tenants.assert_as_before()
    print(f"looked {witness.seen.looks} times")
    assert witness.seen.broken == []
    assert witness.seen.looks > 20
    assert sql("select host from nova.services where disabled or forced_down") == []
    print(dev.stackroll("why", "R", tenants.group[0]).stdout)
    return dev.query("R", "report")


def test_all_hosts_are_rebooted_and_every_guest_is_as_it_was(dev: Dev, tmp_path: Path) -> None:
    if not is_fit("2026.1", _assert_nobody_else_has_servers):
        bring_up("2026.1")
    _reboot(dev, tmp_path, shutoff=1, apart=2, canary="{healthy_for: 5s}")


@pytest.mark.slow
def test_five_hosts_with_twenty_guests_are_rebooted_and_every_guest_is_as_it_was(dev: Dev, tmp_path: Path) -> None:
    _bring_up(compute=5, guests=17)
    _reboot(dev, tmp_path, shutoff=3, apart=3, max_unavailable="2", canary="{healthy_for: 15s}")


@pytest.mark.slow
def test_a_reboot_stops_when_its_window_of_three_minutes_closes_and_goes_on_in_the_next(
    dev: Dev, tmp_path: Path
) -> None:
    _bring_up(compute=3, guests=4)
    length, apart, host_takes = timedelta(minutes=3), timedelta(minutes=4), timedelta(seconds=110)
    first = datetime.now(UTC).replace(microsecond=0)
    spans = [(first + count * apart, first + count * apart + length) for count in range(8)]
    openings = ", ".join(f'{{from: "{opens:%H:%M:%S}", to: "{closes:%H:%M:%S}"}}' for opens, closes in spans)
    windows = f"{{open: [{openings}], host_takes: {host_takes.seconds}s}}"
    report = _reboot(dev, tmp_path, shutoff=1, apart=2, windows=windows, canary="{count: 0}")
    begun = sorted(datetime.fromisoformat(step["started"]) for step in report["steps"] if step["id"].endswith("/drain"))
    print("hosts begun:", [f"{moment:%H:%M:%S}" for moment in begun], "windows:", openings)
    used = [next(n for n, span in enumerate(spans) if span[0] <= moment <= span[1] - host_takes) for moment in begun]
    assert len(used) == 3
    assert len(set(used)) > 1, "it never had to stop"
