"""``stackroll patch``: what it would install, whom it asks to give way, and the proof when its run has ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.errors import Exit
from model.advisories.reading import CloudReading
from model.control import GiveWay
from model.inventory import Inventory
from model.spec import Purpose, UpgradeRequest
from tests.cli.cloud import CLOUD, UPGRADE, write_files
from tests.cli.conftest import Ran, run_main
from tests.cli.test_exposure import NEW, OLD, running

ADVISORIES = Path(__file__).parent.parent / "advisories"


class FakeRuns:
    """Temporal, as far as the command asks it."""

    def __init__(self, holder: str | None = None) -> None:
        self._holder = holder
        self.orders: list[tuple[str, Any]] = []

    async def holder(self, cloud: str) -> str | None:
        assert cloud == "lab"
        return self._holder

    async def update(self, run: str, name: str, order: GiveWay) -> str:
        self.orders.append((f"{name} {run}", order))
        return f"{run} gives way"

    async def start(self, request: UpgradeRequest, run: str, *, gives_way: str | None) -> None:
        assert gives_way == self._holder
        self.orders.append((f"start {run}", request))


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What runs in any cloud that is read."""
    state = dict(OLD)

    async def read(hosts: object, inventory: Inventory, *_: Any) -> CloudReading:
        return running(inventory, state)

    monkeypatch.setattr("activities.exposure.read_exposure", read)
    return state


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    """The path of a cloud.yaml."""
    return write_files(tmp_path, cloud=CLOUD.replace("2025.2", "2025.1")).parent / "cloud.yaml"


def patch(cloud: Path, *words: str) -> Ran:
    return run_main("patch", str(cloud), "-a", str(ADVISORIES), *words)


@pytest.mark.usefixtures("versions")
def test_a_dry_run_says_what_would_be_installed(cloud: Path) -> None:
    ran = patch(cloud, "--dry-run")
    assert ran.status == Exit.OK, ran
    assert [line.split()[:2] for line in ran.out.splitlines()[1:]] == [
        ["keystone", "27.0.1"],
        ["nova", "31.3.0"],
        ["glance", "30.2.0"],
    ]
    assert ["nova", "31.3.1"] in [
        line.split()[:2] for line in patch(cloud, "--dry-run", "--pick", "newest").out.splitlines()
    ]


def test_nothing_to_do(cloud: Path, versions: dict[str, str]) -> None:
    versions.update(NEW)
    ran = patch(cloud)
    assert ran.status == Exit.OK
    assert ran.out == "lab is not exposed to any of 7 advisories\n"


def test_a_repository_without_a_fix(cloud: Path, versions: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(hosts: object, inventory: Inventory, *_: Any) -> CloudReading:
        return running(inventory, versions).model_copy(update={"repository": ()})

    monkeypatch.setattr("activities.exposure.read_exposure", read)
    ran = patch(cloud)
    assert ran.status == Exit.FINDINGS
    assert "stays exposed  nova: OSSA-2026-002 (31.2.1 or later: not in the repository)" in ran.out
    assert "put lock files into /srv/openstack/2025.1/SERVICE/VERSION/requirements.txt" in " ".join(ran.err.split())


@pytest.mark.parametrize(("mended", "status"), [(NEW, Exit.OK), ({**NEW, "nova": "31.0.0"}, Exit.FINDINGS)])
def test_the_run_in_the_way_is_asked_first_and_the_end_is_proven(
    cloud: Path, versions: dict[str, str], monkeypatch: pytest.MonkeyPatch, mended: dict[str, str], status: Exit
) -> None:
    runs = FakeRuns("reboot-1")

    @asynccontextmanager
    async def open_runs() -> AsyncIterator[FakeRuns]:
        yield runs

    async def follow(*_: Any, lines: bool) -> None:
        assert lines
        versions.update(mended)

    monkeypatch.setattr("cli.patch.open_runs", open_runs)
    monkeypatch.setattr("cli.runs.how_to_follow", lambda *_: ())
    monkeypatch.setattr("cli.patch.follow", follow)
    ran = patch(cloud, "--wait", "--by", "anna", "--id", "P")
    assert ran.status == status, ran
    (asked, order), (started, request) = runs.orders
    assert (asked, started) == ("give_way reboot-1", "start P")
    assert (order.by, order.to) == ("anna", "P")
    assert order.reason == "P: OSSA-2025-002, OSSA-2026-002, OSSA-2026-004, OSSA-2026-005, OSSA-2026-007"
    assert request.spec.purpose is Purpose.SECURITY
    assert request.spec.versions == {"keystone": "27.0.1", "nova": "31.3.0", "glance": "30.2.0"}
    assert "exposed before, not any more" in ran.out
    assert ("lab is still exposed" in ran.out) == (status is Exit.FINDINGS)
    assert ("lab is no longer exposed: 5 advisories, by what runs" in ran.out) == (status is Exit.OK)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('to: "2025.2"', "to: the cloud is at 2025.2 already"),
        ('to: "2025.2"\nversions: {nova: 31.3.1}', "versions.nova: nova 31.3.1 is of 2025.1, and 2025.2 is wanted"),
        ('to: "2025.2"\nversions: {nova: 99.0.0}', "versions.nova: nova 99.0.0 is of no known release"),
        ('to: "2025.2"\nversions: {heat: 25.0.0}', "heat"),
        ('to: "2025.2"\nversions: {nova: newest}', "versions.nova"),
    ],
)
def test_versions_that_cannot_be(tmp_path: Path, lines: str, said: str) -> None:
    path = write_files(tmp_path, upgrade=UPGRADE.replace('to: "2026.1"', lines))
    ran = run_main("render", str(path))
    assert ran.status == Exit.BAD_INPUT
    assert said in ran.err
    assert "upgrade.yaml:" in ran.err
