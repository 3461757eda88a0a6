"""One cgroup tree per host, in every hierarchy this kernel has.

Without it all hosts would share the root cgroup, and their systemds would meet in the same /system.slice. The tree
also names, exactly, the processes that belong to a host: it is what gets frozen for a snapshot and ended on removal.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from deploy.lab.errors import LabError

ROOT = Path("/sys/fs/cgroup")
_PREFIX = "srlab-"


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Return the mount points of all hierarchies: one on cgroup v2, one per controller on v1 and hybrid."""
    if (root / "cgroup.controllers").exists():
        return [root]
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())


def trees(host: str, root: Path = ROOT) -> list[Path]:
    """Return the directories that are, or will be, the host's cgroup in each hierarchy."""
    return [hierarchy / f"{_PREFIX}{host}" for hierarchy in hierarchies(root)]


def all_hosts(root: Path = ROOT) -> set[str]:
    """Return the names of all hosts that have a cgroup."""
    return {path.name.removeprefix(_PREFIX) for top in hierarchies(root) for path in top.glob(f"{_PREFIX}*")}


def create(host: str, root: Path = ROOT) -> None:
    """Make the host's cgroups."""
    for tree in trees(host, root):
        tree.mkdir(exist_ok=True)
        if (tree / "cpuset.mems").exists() and not (tree / "cgroup.controllers").exists():
            # A v1 cpuset takes no process before it has processors and memory nodes.
            for name in ("cpuset.cpus", "cpuset.mems"):
                (tree / name).write_text((tree.parent / name).read_text())


def processes(host: str, root: Path = ROOT) -> set[int]:
    """Return the ids of every process of the host, its launcher included."""
    found: set[int] = set()
    for tree in trees(host, root):
        for listing in tree.rglob("cgroup.procs"):
            with suppress(OSError):  # a group may vanish, or be one that only holds threads
                found.update(int(line) for line in listing.read_text().split())
    return found - {0}


def freeze(host: str, frozen: bool, root: Path = ROOT, timeout: float = 20) -> None:
    """Stop every process of the host between two instructions, or let them go on.

    Raises:
        LabError: The kernel did not bring all of them to a stop in time.
    """
    v1, v2 = root / "freezer" / f"{_PREFIX}{host}", root / f"{_PREFIX}{host}"
    if v1.exists():
        (v1 / "freezer.state").write_text("FROZEN" if frozen else "THAWED")
        state, wanted = v1 / "freezer.state", "FROZEN" if frozen else "THAWED"
    else:
        (v2 / "cgroup.freeze").write_text("1" if frozen else "0")
        state, wanted = v2 / "cgroup.events", f"frozen {int(frozen)}"
    end = time.monotonic() + timeout
    while wanted not in state.read_text():
        if time.monotonic() > end:
            raise LabError(f"{host}: its processes are not {wanted} after {timeout:.0f} s; next: run it again")
        time.sleep(0.02)


def kill(host: str, root: Path = ROOT, timeout: float = 20) -> None:
    """End every process of the host at once, as a power failure would.

    Raises:
        LabError: Some are still there after the timeout.
    """
    if not any(tree.exists() for tree in trees(host, root)):
        return
    with suppress(OSError):
        freeze(host, False, root)
    end = time.monotonic() + timeout
    while left := processes(host, root):
        if time.monotonic() > end:
            raise LabError(f"{host}: processes {sorted(left)} survive SIGKILL; next: look at /proc/PID/wchan of them")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def remove(host: str, root: Path = ROOT) -> None:
    """Remove the host's cgroups, which must hold no process any more."""
    for tree in trees(host, root):
        if not tree.exists():
            continue
        groups = sorted((path for path in tree.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
        for group in (*groups, tree):
            _remove_group(group)


def _remove_group(group: Path, timeout: float = 10) -> None:
    """Remove one cgroup; the kernel lets go of a dead process a moment after its end."""
    end = time.monotonic() + timeout
    while group.exists():
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as busy:
            if time.monotonic() > end:
                raise LabError(f"cannot remove cgroup {group}: {busy}; next: end what is in its cgroup.procs") from busy
            time.sleep(0.05)
