"""Write an initramfs: a cpio archive in the newc format, which the kernel unpacks into its first root file system.

The format is the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Written here because Debian 12
minimal has no cpio, and because the archive of the same files must be the same bytes.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_DIRECTORY = 0o040755
_REGULAR = 0o100000
_CHARACTER_DEVICE = 0o020600


@dataclass(frozen=True)
class File:
    """A regular file of the archive."""

    content: bytes
    mode: int = 0o644


def _entry(number: int, name: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """Return one member: header, name and content, the latter two padded to multiples of four bytes."""
    path = name.encode() + b"\0"
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
    head = _MAGIC + b"".join(b"%08X" % field for field in fields) + path
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % 4)


def archive(files: Mapping[str, File]) -> bytes:
    """Return the archive, uncompressed: the files, the directories above them, and the device /dev/console.

    Args:
        files: Content by path, relative to the root.
    """
    directories = {"dev"}
    for name in files:
        parts = name.split("/")[:-1]
        directories.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
    members = [(name, _DIRECTORY, b"", (0, 0)) for name in sorted(directories)]
    # Without it the first process has no standard output before it mounts devtmpfs.
    members.append(("dev/console", _CHARACTER_DEVICE, b"", (5, 1)))
    members += [(name, _REGULAR | file.mode, file.content, (0, 0)) for name, file in sorted(files.items())]
    members.append((_TRAILER, 0, b"", (0, 0)))
    return b"".join(_entry(number, *member) for number, member in enumerate(members, start=1))


def initramfs(files: Mapping[str, File]) -> bytes:
    """Return the archive as the kernel takes it, compressed; the same files give the same bytes."""
    return gzip.compress(archive(files), mtime=0)
