"""Root file systems as stacks of layers (overlayfs): read-only ones below, the host's own on top."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.lab.command import run
from deploy.lab.errors import SpecError

# mount(2) takes one page of options.
_MAX_OPTIONS = 4000
# Device name of all our mounts, by which they are found again.
_SOURCE = "srlab"


def options(chain: Sequence[Path], upper: Path, work: Path) -> str:
    """Return the mount options for a chain of layers, topmost first.

    Raises:
        SpecError: The chain is empty, too long, or has a path that overlayfs would misread.
    """
    if not chain:
        raise SpecError("an overlay needs at least one layer below")
    for path in (*chain, upper, work):
        if any(sign in str(path) for sign in ":,\\"):
            raise SpecError(f"overlayfs cannot take {path}: choose directories without ':', ',' and backslash")
    text = ",".join(
        [
            f"lowerdir={':'.join(str(path) for path in chain)}",
            f"upperdir={upper}",
            f"workdir={work}",
            # Saved layers are copies: what ties a layer to the inode it came from must not be enforced.
            "index=off",
            "metacopy=off",
        ]
    )
    if len(text) > _MAX_OPTIONS:
        raise SpecError(f"{len(chain)} layers are too many; `stackroll lab down`, `up`, and save from there")
    return text


def mounted(root: Path) -> bool:
    """Tell whether something is mounted there."""
    return root.is_mount()


def mount(directory: Path, chain: Sequence[Path]) -> Path:
    """Mount a chain with directory/upper on top at directory/root, and return that root."""
    root, upper, work = (directory / name for name in ("root", "upper", "work"))
    for path in (root, upper, work):
        path.mkdir(parents=True, exist_ok=True)
    if not mounted(root):
        run(["mount", "-t", "overlay", _SOURCE, "-o", options(chain, upper, work), str(root)])
    return root


def unmount(directory: Path) -> None:
    """Unmount directory/root if it is mounted."""
    root = directory / "root"
    if mounted(root):
        run(["umount", str(root)], remedy=f"see who uses it: fuser -vm {root}")


def ours(mounts: str) -> list[str]:
    """Pick the mount points of the lab's overlays from the text of /proc/mounts, last mounted first."""
    entries = [line.split() for line in mounts.splitlines()]
    return [entry[1] for entry in reversed(entries) if entry[0] == _SOURCE and entry[2] == "overlay"]


def unmount_all() -> None:
    """Unmount every root of the lab, wherever it is; a broken build may have left one."""
    for root in ours(Path("/proc/mounts").read_text()):
        run(["umount", root], remedy=f"see who uses it: fuser -vm {root}")


def discard(path: Path) -> None:
    """Delete a directory tree that may hold whiteouts and other people's files."""
    if path.exists():
        run(["rm", "-rf", "--one-file-system", str(path)])


def copy(source: Path, target: Path) -> None:
    """Copy a layer with everything overlayfs keeps in it: whiteouts, extended attributes, sparse files."""
    run(["cp", "-a", "--sparse=auto", "--reflink=auto", str(source), str(target)])


@contextmanager
def scratch(directory: Path, chain: Sequence[Path]) -> Iterator[Path]:
    """Mount a chain for as long as it is needed to build a layer."""
    root = mount(directory, chain)
    try:
        yield root
    finally:
        unmount(directory)
