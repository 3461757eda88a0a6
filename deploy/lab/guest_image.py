"""The guest of a lab with QEMU: Debian's cloud kernel, an initramfs with busybox, and a disk of one megabyte.

The kernel and the initramfs are given to QEMU directly, so the disk needs no boot loader and carries data alone. What
the guest does is in templates/guest-init.sh.
"""

import re
from pathlib import Path

from deploy.lab.cpio import File, initramfs
from deploy.lab.errors import LabError

# A package that always depends on the current kernel for virtual machines.
KERNEL_PACKAGE = "linux-image-cloud-amd64"
KERNEL, RAMDISK, DISK = "vmlinuz", "initrd.gz", "disk.raw"
# In the order in which they are loaded: virtio does not load before virtio_ring. The last two are for the power button.
MODULES = (
    "virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk",
    "evdev", "button",
)  # fmt: skip
# A guest that was moved lives on another emulator's clock: it must rely neither on the time stamp counter's
# going on nor on deadlines set in it.
COMMAND_LINE = "console=ttyS0 quiet loglevel=0 panic=1 clocksource=acpi_pm lapic=notscdeadline"
# Below 80 MB this kernel never boots: it hangs without a word and takes a whole core.
MEMORY_MB = 128
DISK_BYTES = 1 << 20
_FIRST_LINE = b"MARK none\n"
_TEMPLATE = Path(__file__).parent / "templates" / "guest-init.sh"

# Run in a root with apt; leaves the unpacked packages in /guest.
DOWNLOAD = f"""
apt-get update -qq
kernel=$(apt-cache depends --important {KERNEL_PACKAGE} | grep -o -m 1 'linux-image-[0-9].*' || true)
test -n "$kernel" || {{ echo "{KERNEL_PACKAGE} depends on no kernel" >&2; exit 1; }}
mkdir -p /guest/packages && cd /guest/packages
apt-get -o APT::Sandbox::User=root download -qq busybox-static "$kernel"
for package in *.deb; do dpkg-deb --extract "$package" /guest/root; done
rm -rf /var/lib/apt/lists/*
"""


def init_script() -> str:
    """Return the guest's only program."""
    return _TEMPLATE.read_text().replace("@MODULES@", " ".join(MODULES))


def disk() -> bytes:
    """Return the disk as it is before the first boot."""
    return _FIRST_LINE.ljust(DISK_BYTES, b"\0")


def ramdisk(root: Path) -> bytes:
    """Return the initramfs made of what the unpacked packages hold.

    Raises:
        LabError: A kernel module is not among them.
    """
    files = {"init": File(init_script().encode(), 0o755), "bin/busybox": File(_only(root, "bin/busybox"), 0o755)}
    for module in MODULES:
        files[f"lib/{module}.ko"] = File(_only(root, f"lib/modules/*/kernel/**/{module}.ko"))
    return initramfs(files)


def write(root: Path, target: Path) -> None:
    """Write kernel, initramfs and disk into a directory.

    Args:
        root: Where busybox-static and the kernel's package are unpacked.
        target: Gets the three files.
    """
    target.mkdir(parents=True)
    (target / KERNEL).write_bytes(_only(root, "boot/vmlinuz-*"))
    (target / RAMDISK).write_bytes(ramdisk(root))
    (target / DISK).write_bytes(disk())


def _only(root: Path, pattern: str) -> bytes:
    """Return the content of the one file that matches; module files are named with '_' or '-' alike."""
    found = sorted({*root.glob(pattern), *root.glob(re.sub(r"_", "-", pattern))})
    if len(found) != 1:
        raise LabError(
            f"{len(found)} files match {pattern} in {root}, not one; next: see what changed in the packages "
            f"busybox-static and {KERNEL_PACKAGE}"
        )
    return found[0].read_bytes()
