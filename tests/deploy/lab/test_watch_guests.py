"""`stackroll lab watch-guests` on a directory that looks like a lab: what it prints and how it ends."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import lab
from deploy.lab import libvirt
from deploy.lab.record import Record
from deploy.lab.settings import LabSpec, Paths, Secrets

SERVER = "0d0f3f7e-4d2c-4b6e-9d56-2b1f7a1c9b11"


class Nova:
    """Knows the name of the one guest."""

    def __init__(self, _: str) -> None:
        pass

    def servers(self) -> list[dict[str, str]]:
        return [{"id": SERVER, "name": "guest0"}]


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The console of the guest on cmp1."""
    monkeypatch.setenv("STACKROLL_LAB_DIR", str(tmp_path))
    monkeypatch.setattr(lab, "Api", Nova)
    path = tmp_path / "hosts" / "cmp1" / "root" / libvirt.INSTANCES.lstrip("/") / SERVER / "console.log"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def record(hypervisor: str) -> None:
    Record(LabSpec(hypervisor=hypervisor), Secrets(), {}).save(Paths.from_environment())


@pytest.fixture
def printed(console: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which counts the guest prints while somebody listens, instead of the time that passes."""

    def arrange(*counts: int) -> None:
        lines = [f"TICK 0123abcd {number} {number / 10:.2f}" for number in counts]
        text = "\n".join(["", *lines, "DISK 0123abcd now m1", ""])
        monkeypatch.setattr(lab, "_listen", lambda _: console.write_text(text))

    return arrange


def test_a_guest_that_counted_is_well(printed: Callable[..., None]) -> None:
    record("qemu")
    printed(*range(7, 30))
    done = CliRunner().invoke(lab.app, ["watch-guests"])
    assert done.exit_code == 0, done.output
    assert "guest0" in done.output
    assert "counted on" in done.output


def test_a_hole_in_the_count_is_an_exit_status(printed: Callable[..., None]) -> None:
    record("qemu")
    printed(7, 8, 10)
    done = CliRunner().invoke(lab.app, ["watch-guests"])
    assert done.exit_code == 1, done.output
    assert "missing" in done.output


def test_ctrl_c_ends_the_listening(console: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float | None) -> None:
        raise KeyboardInterrupt

    record("qemu")
    monkeypatch.setattr(lab, "_listen", interrupt)
    done = CliRunner().invoke(lab.app, ["watch-guests"])
    assert done.exit_code == 1, done.output
    assert "heard" in done.output


@pytest.mark.usefixtures("console")
def test_a_lab_without_real_guests_has_nothing_to_hear() -> None:
    record("fake")
    done = CliRunner().invoke(lab.app, ["watch-guests"])
    assert done.exit_code == 1
    assert "has no real guests" in done.output
