"""Processes of a benchmark, and what they cost: CPU seconds and peak memory, as Linux counts them in ``/proc``."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_END_LIMIT = 30.0


class ProcessError(Exception):
    """A process did not come up, or ended by itself; the message has its last words."""


class Process:
    """A process of its own, with its output in a file."""

    def __init__(self, name: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.name, self.log, self._process = name, log, process

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
    ) -> "Process":
        """Start it."""
        log = folder / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdout=output,
                stderr=output,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
            )
        return cls(name, log, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def said(self, text: str, limit: float) -> None:
        """Wait until its output contains a text.

        Raises:
            ProcessError: it ended, or the limit (seconds) is over.
        """
        until = time.monotonic() + limit
        while text not in self.log.read_text(errors="replace"):
            self.check()
            if time.monotonic() > until:
                raise ProcessError(f"{self.name} did not say {text!r} within {limit:g} s; {self._last_words()}")
            await asyncio.sleep(0.05)

    def check(self) -> None:
        """Raise ProcessError if it has ended."""
        if self._process.returncode is not None:
            raise ProcessError(f"{self.name} ended with status {self._process.returncode}; {self._last_words()}")

    def cpu(self) -> float:
        """Return the CPU seconds that it has used, in user and kernel mode, over all threads."""
        # The name may contain spaces; it ends with the last parenthesis.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def peak(self) -> float:
        """Return the most memory that was ever resident, in MB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        high = next(line for line in lines if line.startswith("VmHWM:"))
        return int(high.split()[1]) / 1024

    async def end(self) -> None:
        """End it, and wait for its end."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _END_LIMIT)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _last_words(self) -> str:
        return f"its log {self.log} ends with:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])


class Meter:
    """CPU seconds of several processes over time, so that a part of a run can be told from the rest."""

    def __init__(self, processes: Sequence[Process], every: float = 0.25) -> None:
        self._processes, self._every = processes, every
        self._seen: list[tuple[float, dict[str, float]]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure while the body runs; end it if a process ends."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            self.look()

    def look(self) -> None:
        """Note what has been used until now."""
        self._seen.append((time.time(), {process.name: process.cpu() for process in self._processes}))

    def used(self, name: str, begin: float, end: float) -> float:
        """Return the CPU seconds that a process used between two moments (seconds since 1970)."""
        return self._at(name, end) - self._at(name, begin)

    def _at(self, name: str, moment: float) -> float:
        before = self._seen[0]
        for now in self._seen:
            if now[0] >= moment:
                share = (moment - before[0]) / (now[0] - before[0]) if now[0] > before[0] else 1.0
                return before[1][name] + max(0.0, share) * (now[1][name] - before[1][name])
            before = now
        return before[1][name]

    async def _run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(self._every)


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return tuple(int(probe.getsockname()[1]) for probe in probes)


def free_network() -> str:
    """Return the first two numbers of loopback addresses that no simulated cloud uses."""
    for network in _networks():
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((f"{network}.0.5", 5000))
            return network
    raise ProcessError("every loopback network is in use")


def _networks() -> Iterator[str]:
    return (f"127.{20 + (os.getpid() + number) % 200}" for number in range(200))
