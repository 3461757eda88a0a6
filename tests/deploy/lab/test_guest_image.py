import gzip
from pathlib import Path

import pytest

from deploy.lab import guest_image
from deploy.lab.counting import Line, Transcript, judge
from deploy.lab.errors import LabError
from tests.deploy.lab.test_cpio import members

DRIVERS = "lib/modules/6.1.0-1-cloud-amd64/kernel/drivers"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    for name in ("boot/vmlinuz-6.1.0-1-cloud-amd64", "bin/busybox"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    for number, module in enumerate(guest_image.MODULES):
        file = tmp_path / DRIVERS / f"part{number}" / f"{module}.ko"
        file.parent.mkdir(parents=True)
        file.write_bytes(module.encode())
    return tmp_path


def test_the_initramfs_holds_what_the_init_script_uses(packages: Path) -> None:
    found = members(gzip.decompress(guest_image.ramdisk(packages)))
    assert {f"lib/{module}.ko" for module in guest_image.MODULES} <= set(found)
    assert found["bin/busybox"][0] & 0o111
    script = found["init"][2].decode()
    assert script.startswith("#!/bin/busybox sh\n")
    assert "for module in virtio_ring virtio virtio_pci_modern_dev " in script
    assert "@" not in script


def test_a_module_is_found_by_either_spelling(packages: Path) -> None:
    file = next(packages.rglob("virtio_blk.ko"))
    file.rename(file.with_name("virtio-blk.ko"))
    assert "lib/virtio_blk.ko" in members(gzip.decompress(guest_image.ramdisk(packages)))


def test_a_missing_module_is_named(packages: Path) -> None:
    next(packages.rglob("evdev.ko")).unlink()
    with pytest.raises(LabError, match=r"0 files match .*evdev\.ko"):
        guest_image.ramdisk(packages)


def test_two_kernels_are_refused(packages: Path) -> None:
    (packages / "boot/vmlinuz-6.1.0-2-cloud-amd64").write_bytes(b"")
    with pytest.raises(LabError, match="2 files match"):
        guest_image.write(packages, packages / "out")


def test_the_disk_says_that_it_has_no_mark_yet(packages: Path) -> None:
    guest_image.write(packages, packages / "out")
    disk = (packages / "out" / guest_image.DISK).read_bytes()
    assert disk.split(b"\n")[0] == b"MARK none"
    assert len(disk) == guest_image.DISK_BYTES


def test_the_judge_reads_what_the_guest_prints() -> None:
    """The formats of the echo lines in the script are those of the judge."""
    script = guest_image.init_script()
    printed = [line.strip().removeprefix("echo ").strip('"') for line in script.splitlines() if 'echo "' in line]
    values = {
        "$boot": "0123abcd",
        "$count": "0",
        "$uptime": "1.25",
        "$state": "new",
        "${mark:-lost}": "m",
        "$uuid": "u",
    }
    lines = []
    for line in printed:
        text = line
        for name, value in values.items():
            text = text.replace(name, value)
        lines.append(Line(1.0, text))
    (account,) = judge([Transcript("s", "cmp1", lines)], 1.0, 1.0, frozenset())
    assert account.contiguous
    assert account.marks == ("m",)
