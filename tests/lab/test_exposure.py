"""A real cloud that is exposed to published advisories, and one command later is not: judged by its processes."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.access import LAB, stackroll
from tests.lab.conftest import Dev, bring_up
from tests.lab.judge import assert_guests_are_well, assert_wholly_at, guests
from tests.lab.observers import Prober

ADVISORIES = Path(__file__).parent.parent / "advisories"
IDS = {"OSSA-2025-002", "OSSA-2026-002", "OSSA-2026-004", "OSSA-2026-005", "OSSA-2026-007"}
MENDED = {"keystone": "27.0.2", "placement": "13.0.0+1", "glance": "30.2.0", "nova": "31.3.1"}
LIMIT = 600.0


@pytest.fixture
def lab_2025() -> None:
    bring_up("2025.1")


def _exposure(status: int, *words: str) -> Any:
    done = stackroll("exposure", str(LAB / "cloud.yaml"), "-a", str(ADVISORIES), "--json", *words)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def _exposed(account: Any) -> set[str]:
    return {one["advisory"] for one in account["findings"] if one["verdict"] == "exposed"}


@pytest.mark.slow
@pytest.mark.usefixtures("lab_2025")
def test_one_command_mends_what_the_cloud_is_exposed_to(dev: Dev, prober: Prober, tmp_path: Path) -> None:
    assert_wholly_at("2025.1")
    living, before = guests(), tmp_path / "before.json"
    exposed = _exposed(_exposure(3))
    assert exposed >= IDS
    begun = time.monotonic()
    words = ("--before", str(before), "--approve", "--wait", "--id", "P", "--reason", "published advisories")
    done = dev.stackroll("patch", str(LAB / "cloud.yaml"), "-a", str(ADVISORIES), *words)
    took = time.monotonic() - begun
    print(done.stdout, f"{took:.0f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert took < LIMIT
    prober.stop()
    assert {service: seen.failures for service, seen in prober.seen.items()} == {s: [] for s in prober.seen}
    assert_wholly_at("2025.1", versions=MENDED)
    assert_guests_are_well(living)
    proof = _exposure(0, "--before", str(before))["proof"]
    assert {one["advisory"] for one in proof["gone"]} == exposed
    assert not proof["remaining"] + proof["unproven"] + proof["appeared"]
