"""Keep one host running: what stands between `lab up` and systemd-nspawn.

Started as a program of its own in a private mount namespace, with the host's name and the nspawn command line as
arguments; uses the standard library alone, so that any Python can run it.
"""

import os
import subprocess
import sys
from pathlib import Path

# systemd-nspawn with --keep-unit ends with this status when the system inside asked for a reboot.
_REBOOT = 133


def _join_cgroups(groups: list[str]) -> None:
    for group in groups:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))


def _cover_nspawn_directory() -> None:
    # nspawn removes this directory's content before each boot and refuses if /run is on a disk file system.
    directory = Path("/run/systemd/nspawn")
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "srlab", str(directory)], check=True)


def main(arguments: list[str]) -> int:
    """Boot the host, again and again for as long as it asks for a reboot.

    Args:
        arguments: The host's cgroup directories, a "--", and the systemd-nspawn command line.
    """
    split = arguments.index("--")
    _join_cgroups(arguments[:split])
    _cover_nspawn_directory()
    status = _REBOOT
    while status == _REBOOT:
        status = subprocess.run(arguments[split + 1 :], stdin=subprocess.DEVNULL, check=False).returncode
        sys.stdout.write(f"systemd-nspawn ended with status {status}\n")
        sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
