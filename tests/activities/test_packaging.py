import os
import subprocess
from pathlib import Path

import pytest

from activities.packaging import Installed, packaging_of
from activities.packaging.venv import Venv
from model.inventory import Packaging
from tests.activities.conftest import Site

# Makes what `uv venv` and `uv pip install` make, as far as the scripts look at it.
UV = """#!/bin/sh
for place; do :; done
case "$1" in
    venv) mkdir -p "$place/bin" && : >"$place/bin/python" ;;
    pip) [ -z "$FAIL" ] || { echo "no such package" >&2; exit 1; }
        echo "$*" >>"$LOG" ;;
esac
"""


class Machine:
    """A directory with a repository in it, and a shell."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root / "log"
        (root / "bin").mkdir()
        (root / "bin" / "uv").write_text(UV)
        (root / "bin" / "uv").chmod(0o755)
        source = root / "repository" / "2026.1" / "nova"
        (source / "files" / "etc").mkdir(parents=True)
        (source / "requirements.txt").write_text("nova==33.0.1\n")
        (source / "files" / "etc" / "release.conf").write_text("[DEFAULT]\n")
        self.adapter = Venv(Packaging(root=str(root / "opt"), repository=str(root / "repository")))

    def sh(self, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        path = f"{self.root}/bin:{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/sh", "-c", script],
            env={"PATH": path, "LOG": str(self.log), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installs(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_installs_beside_and_brings_its_files(machine: Machine) -> None:
    done = machine.sh(machine.adapter.install("nova", "33.0.1", "2026.1"))
    venv = machine.root / "opt/venvs/nova-33.0.1"
    assert (done.returncode, done.stdout) == (0, "installed\n")
    assert (venv / ".complete").exists()
    assert (venv / "etc/release.conf").read_text() == "[DEFAULT]\n"
    assert f"{machine.root}/repository/2026.1/nova/requirements.txt" in machine.log.read_text()


@pytest.mark.parametrize("own_files", [False, True])
def test_a_point_release_has_a_lock_of_its_own_and_files_at_least_of_the_release(
    machine: Machine, *, own_files: bool
) -> None:
    own = machine.root / "repository/2026.1/nova/33.0.2"
    (own / "files" / "etc" if own_files else own).mkdir(parents=True)
    (own / "requirements.txt").write_text("nova==33.0.2\n")
    if own_files:
        (own / "files" / "etc" / "release.conf").write_text("[own]\n")
    assert machine.sh(machine.adapter.install("nova", "33.0.2", "2026.1")).stdout == "installed\n"
    assert f"{own}/requirements.txt" in machine.log.read_text()
    found = (machine.root / "opt/venvs/nova-33.0.2/etc/release.conf").read_text()
    assert found == ("[own]\n" if own_files else "[DEFAULT]\n")


def test_a_complete_version_is_kept(machine: Machine) -> None:
    for said in ("installed\n", "already installed\n"):
        assert machine.sh(machine.adapter.install("nova", "33.0.1", "2026.1")).stdout == said
    assert machine.installs == 1


def test_a_torso_is_made_anew(machine: Machine) -> None:
    failed = machine.sh(machine.adapter.install("nova", "33.0.1", "2026.1"), FAIL="1")
    torso = machine.root / "opt/venvs/nova-33.0.1"
    assert (failed.returncode, failed.stderr) == (1, "no such package\n")
    assert torso.exists()
    (torso / "rubbish").touch()
    assert machine.sh(machine.adapter.install("nova", "33.0.1", "2026.1")).returncode == 0
    assert not (torso / "rubbish").exists()


def test_a_release_that_is_not_in_the_repository_is_named(machine: Machine) -> None:
    done = machine.sh(machine.adapter.install("nova", "34.0.0", "2026.2"))
    assert done.returncode == 66
    assert "2026.2/nova/requirements.txt" in done.stderr


def test_activating_moves_the_link(machine: Machine) -> None:
    source = machine.root / "repository"
    (source / "2026.2").symlink_to(source / "2026.1")
    for version, release in (("33.0.1", "2026.1"), ("34.0.0", "2026.2")):
        machine.sh(machine.adapter.install("nova", version, release))
        assert machine.sh(machine.adapter.activate("nova", version)).returncode == 0
        assert (machine.root / "opt/nova").readlink() == machine.root / f"opt/venvs/nova-{version}"
    assert not (machine.root / "opt/nova.new").exists()


def test_a_version_that_is_not_complete_is_never_activated(machine: Machine) -> None:
    machine.sh(machine.adapter.install("nova", "33.0.1", "2026.1"), FAIL="1")
    done = machine.sh(machine.adapter.activate("nova", "33.0.1"))
    assert done.returncode == 66
    assert not (machine.root / "opt/nova").exists()


def test_uninstalling(machine: Machine) -> None:
    remove = machine.adapter.uninstall("nova", "33.0.1")
    assert machine.sh(remove).stdout == "not there\n"
    machine.sh(machine.adapter.install("nova", "33.0.1", "2026.1"))
    machine.sh(machine.adapter.activate("nova", "33.0.1"))
    assert machine.sh(remove).stdout == "kept: it is the active version\n"
    assert (machine.root / "opt/venvs/nova-33.0.1/.complete").exists()
    (machine.root / "opt/nova").unlink()
    assert machine.sh(remove).stdout == "removed\n"
    assert not (machine.root / "opt/venvs/nova-33.0.1").exists()


def test_a_version_that_a_process_runs_from_is_kept(machine: Machine) -> None:
    machine.sh(machine.adapter.install("nova", "33.0.1", "2026.1"))
    tool = machine.root / "opt/venvs/nova-33.0.1/bin/tool"
    tool.write_bytes(Path("/bin/cat").read_bytes())
    tool.chmod(0o755)
    with subprocess.Popen([tool], stdin=subprocess.PIPE) as process:
        done = machine.sh(machine.adapter.uninstall("nova", "33.0.1"))
        assert done.stdout == f"kept: process {process.pid} (tool) runs from it\n"
        assert tool.exists()


def test_what_is_installed_is_read(machine: Machine) -> None:
    assert machine.adapter.parse_installed(machine.sh(machine.adapter.installed()).stdout) == ()
    machine.sh(machine.adapter.install("nova", "33.0.1", "2026.1"))
    machine.sh(machine.adapter.activate("nova", "33.0.1"))
    (machine.root / "opt/venvs/nova-34.0.0/bin").mkdir(parents=True)
    (machine.root / "opt/venvs/not-a-version").mkdir()
    done = machine.sh(machine.adapter.installed())
    assert done.returncode == 0
    assert machine.adapter.parse_installed(done.stdout) == (
        Installed(service="nova", version="33.0.1", whole=True, active=True),
        Installed(service="nova", version="34.0.0", whole=False, active=False),
    )


def test_the_inventory_names_the_adapter(site: Site) -> None:
    adapter = packaging_of(site.inventory)
    assert adapter.tool("nova", "34.0.0", "nova-manage") == f"{site.root}/openstack/venvs/nova-34.0.0/bin/nova-manage"
