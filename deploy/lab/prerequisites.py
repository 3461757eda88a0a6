"""What the lab needs on this machine, and how it gets there."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.lab.command import run
from deploy.lab.errors import LabError

# Program that must be there -> Debian package that brings it.
_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "mount": "mount",
    "chroot": "coreutils",
}
POLICY = Path("/usr/sbin/policy-rc.d")


def missing() -> list[str]:
    """Return the Debian packages that this machine lacks."""
    return sorted({package for program, package in _PROGRAMS.items() if shutil.which(program) is None})


@contextmanager
def no_autostart(root: Path = Path("/")) -> Iterator[None]:
    """Keep package installation below root from starting services, and leave the policy as it was found."""
    policy = root / POLICY.relative_to("/")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(policy.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def ensure() -> None:
    """Check that this machine can carry a lab, and install the packages that are missing.

    Raises:
        LabError: Not root, or not a Debian whose packages can be installed.
    """
    if os.geteuid() != 0:
        raise LabError("the lab makes namespaces, mounts and machines, so it needs root; next: run it with sudo")
    packages = missing()
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise LabError(f"this machine lacks {', '.join(packages)} and has no apt-get; next: install them by hand")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    with no_autostart():
        run(["apt-get", "update", "-qq"], env=env)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=env)
