"""What hosts are asked for an exposure: the scripts in a real shell, and the reading of what they print."""

import subprocess
import time
from pathlib import Path

from activities.exposure import (
    STARTED,
    exposure_command,
    looked_for,
    parse_exposure,
    parse_repository,
    repository_command,
)
from model.inventory import Inventory
from tests.model.advisories.test_exposure import INVENTORY

OUTPUT = """\
C nova-31.0.0
C nova-31.3.1
L nova-31.3.1
==
U nova-compute active 0 Mon 2026-11-23 00:06:39 UTC
P nova-compute 21 /opt/openstack/venvs/nova-31.0.0/bin
P nova-compute 21 /opt/openstack/venvs/nova-31.0.0/lib
P nova-compute 22 /opt/openstack/venvs/nova-31.3.1/bin
==
D nova-31.0.0 os_brick-6.11.0 1700000000
D nova-31.0.0 nova-31.0.0 1700000000
S 21 1700000100.5
X 21 /opt/openstack/venvs/nova-31.0.0/lib/x.so (deleted)
Q 99 instance-0000000a 7.2.15
Q 98 -
H 7.2.22
"""


def at(folder: Path) -> Inventory:
    packaging = INVENTORY.packaging.model_copy(
        update={"root": str(folder / "openstack"), "repository": str(folder / "srv")}
    )
    return INVENTORY.model_copy(update={"packaging": packaging})


def test_what_a_host_printed() -> None:
    found = parse_exposure(OUTPUT, INVENTORY)
    old, new = found.environments["nova"]
    assert (old.version, old.active, new.version, new.active) == ("31.0.0", False, "31.3.1", True)
    assert (old.libraries["os-brick"].version, old.libraries["os-brick"].put) == ("6.11.0", 1700000000.0)
    first, second = found.units["nova-compute"].processes
    assert (first.pid, first.environments, first.started) == (21, ("31.0.0",), 1700000100.5)
    assert first.deleted == ("/opt/openstack/venvs/nova-31.0.0/lib/x.so",)
    assert (second.pid, second.environments, second.started) == (22, ("31.3.1",), None)
    assert [(guest.pid, guest.guest, guest.version) for guest in found.guests] == [
        (99, "instance-0000000a", "7.2.15"),
        (98, "", ""),
    ]
    assert found.hypervisor == "7.2.22"


def test_environments_are_read_by_a_real_shell(tmp_path: Path) -> None:
    packages = tmp_path / "openstack/venvs/nova-31.0.0/lib/python3.11/site-packages"
    for name in ("nova-31.0.0", "os_brick-6.11.0", "python_novaclient-18.0.0", "nova_powervm-1.0"):
        (packages / f"{name}.dist-info").mkdir(parents=True)
    (tmp_path / "openstack/venvs/nova-31.0.0/.complete").touch()
    (tmp_path / "openstack/nova").symlink_to("venvs/nova-31.0.0")
    systemctl = tmp_path / "bin/systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text("#!/bin/sh\ncase $3 in ActiveState) echo inactive ;; NRestarts) echo 0 ;; esac\n")
    systemctl.chmod(0o755)
    inventory = at(tmp_path)
    done = subprocess.run(
        ["sh", "-c", exposure_command(inventory, "cmp1", ("os-brick",))],
        env={"PATH": f"{systemctl.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    (environment,) = parse_exposure(done.stdout, inventory).environments["nova"]
    assert environment.active
    assert {name: one.version for name, one in environment.libraries.items()} == {
        "nova": "31.0.0",
        "os-brick": "6.11.0",
    }
    put = environment.libraries["nova"].put
    assert put is not None
    assert abs(put - (packages / "nova-31.0.0.dist-info").stat().st_mtime) <= 1


def test_only_names_are_looked_for() -> None:
    assert "os-brick" in looked_for(["os-brick", "a b; reboot", "$(x)"])
    assert not [name for name in looked_for(["a b; reboot", "$(x)"]) if " " in name or "$" in name]


def test_a_repository_is_read_by_a_real_shell(tmp_path: Path) -> None:
    release = tmp_path / "srv/2025.1"
    locks = {
        "nova": "alembic==1.15.2\nnova==31.0.0\nos-brick==6.11.0\n",
        "nova/31.3.1": "nova==31.3.1 \\\n    --hash=sha256:00\nos_brick==6.11.1 ; python_version > '3'\n",
        "placement": "openstack-placement==13.0.0\nos-brick-ext==1.0\n",
    }
    for place, text in locks.items():
        (release / place).mkdir(parents=True, exist_ok=True)
        (release / place / "requirements.txt").write_text(text)
    inventory = at(tmp_path)
    done = subprocess.run(
        ["sh", "-c", repository_command(inventory, ("os-brick",))], capture_output=True, text=True, check=True
    )
    found = {(one.service, one.version): one.pins for one in parse_repository(done.stdout)}
    assert found == {
        ("nova", "31.0.0"): {"nova": "31.0.0", "os-brick": "6.11.0"},
        ("nova", "31.3.1"): {"nova": "31.3.1", "os-brick": "6.11.1"},
        ("placement", "13.0.0"): {"openstack-placement": "13.0.0"},
    }


def test_the_start_of_a_process_is_told_to_the_second() -> None:
    """Judged by the clock: what was started now was started now, not an hour ago."""
    script = f"""
boot=$(awk '$1 == "btime" {{ print $2 }}' /proc/stat) ticks=$(getconf CLK_TCK) pid=$$
sed 's/.*) //' "/proc/$pid/stat" | {STARTED}
"""
    before = time.time()
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    _, _, started = done.stdout.split()
    assert before - 2 < float(started) < time.time() + 2
