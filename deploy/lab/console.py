"""Listen to the consoles of real guests from outside, on whichever host they are, while something is done to the cloud.

A console is a file that QEMU writes on the compute host, instances/UUID/console.log. The file does not follow a guest
that is moved, and is emptied when one is started again; so the files of all hosts are read all the time, through the
hosts' root directories on this machine, and every line is kept with the time at which it was seen.
"""

import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.lab import libvirt
from deploy.lab.counting import Account, Line, Transcript, judge

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The precision of all times, and half of a guest's own beat.
_INTERVAL = 0.05


@dataclass
class _File:
    """A console file that is being read."""

    transcript: Transcript
    descriptor: int
    inode: int
    offset: int
    # Whether what was there before the recording ends in the middle of a line, which is nobody's business.
    skipping: bool


class Recorder:
    """Reads all consoles from the begin to the end of a with block, in a thread of its own.

    Needs root, like the lab. It holds the files open, so end it before the lab is taken down.
    """

    def __init__(self, hosts: Path) -> None:
        """Make a recorder that listens from the begin of its with block.

        Args:
            hosts: Directory of the hosts' directories, `Paths.state / "hosts"`.
        """
        self._hosts = hosts
        self._files: dict[tuple[str, str], _File] = {}
        self._transcripts: list[Transcript] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="consoles", daemon=True)
        self._failure: Exception | None = None
        self._began = self._ended = 0.0
        self._present: frozenset[str] = frozenset()

    def __enter__(self) -> Self:
        self._began = time.time()
        self._read_all(beginning=True)
        self._present = frozenset(file.transcript.server for file in self._files.values())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        self._ended = time.time()
        for file in self._files.values():
            os.close(file.descriptor)
        self._files.clear()
        if self._failure is not None and error is None:
            raise self._failure

    def accounts(self) -> list[Account]:
        """Return what is to be said of each guest; after the end of the recording, or up to now."""
        return judge(self._transcripts, self._began, self._ended or time.time(), self._present)

    def _loop(self) -> None:
        try:
            while not self._stopped.wait(_INTERVAL):
                self._read_all()
            self._read_all()
        except Exception as error:  # noqa: BLE001 - raised again where the recording ends
            self._failure = error

    def _read_all(self, *, beginning: bool = False) -> None:
        seen = set()
        for host, server, path in self._consoles():
            seen.add((host, server))
            self._open((host, server), path, beginning=beginning)
        for key, file in list(self._files.items()):
            _read(file)
            if key not in seen:
                self._close(key)

    def _consoles(self) -> Iterator[tuple[str, str, Path]]:
        for host in _names(self._hosts):
            instances = self._hosts / host / "root" / libvirt.INSTANCES.lstrip("/")
            for server in _names(instances):
                if _UUID.fullmatch(server):
                    yield host, server, instances / server / "console.log"

    def _open(self, key: tuple[str, str], path: Path, *, beginning: bool) -> None:
        """Open a file that is new, or that has taken the place of the one that is open."""
        try:
            inode = path.stat().st_ino
            if key in self._files:
                if self._files[key].inode == inode:
                    return
                _read(self._files[key])
                self._close(key)
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return
        host, server = key
        transcript = Transcript(server, host)
        self._transcripts.append(transcript)
        # What was printed before the recording has no time, so it begins at the end.
        offset = os.fstat(descriptor).st_size if beginning else 0
        self._files[key] = _File(transcript, descriptor, inode, offset, skipping=beginning)

    def _close(self, key: tuple[str, str]) -> None:
        os.close(self._files.pop(key).descriptor)


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(file: _File) -> None:
    """Take what has been written since the last time."""
    if os.fstat(file.descriptor).st_size < file.offset:
        # Emptied: the guest was started again. What it had not ended in its old life has no end.
        file.offset, file.transcript.rest, file.skipping = 0, "", False
    now = time.time()
    while data := os.pread(file.descriptor, 1 << 16, file.offset):
        file.offset += len(data)
        # A console has no encoding; what is not ASCII is not of the guest's own making.
        text = file.transcript.rest + data.decode("latin-1")
        *lines, file.transcript.rest = text.split("\n")
        if file.skipping and lines:
            lines, file.skipping = lines[1:], False
        file.transcript.lines += [Line(now, line.rstrip("\r")) for line in lines]
