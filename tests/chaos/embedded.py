"""``stackroll dev`` as a process of its own, whose server and worker can be killed at any moment."""

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from temporalio.client import Client

from tests.ports import free_port
from workers.connect import Unreachable, connect
from workers.settings import Settings

WORKER, SERVER = "worker", "temporal"
KINDS = {"worker": (WORKER,), "server": (SERVER,), "both": (WORKER, SERVER)}


@dataclass
class Embedded:
    """The embedded Temporal and its worker."""

    settings: Settings
    process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, folder: Path) -> Self:
        """Start both."""
        settings = Settings(state_dir=folder, port=free_port(), ui_port=free_port())
        env = {
            **os.environ,
            "STACKROLL_STATE_DIR": str(folder),
            "STACKROLL_DEV_PORT": str(settings.port),
            "STACKROLL_DEV_UI_PORT": str(settings.ui_port),
        }
        env.pop("TEMPORAL_ADDRESS", None)
        log = await asyncio.to_thread((folder / "dev.log").open, "ab")
        with log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "cli.main", "dev", env=env, stdout=log, stderr=log
            )
        started = cls(settings, process)
        await started.back(WORKER, None)
        return started

    async def end(self) -> None:
        """End both."""
        self.process.send_signal(signal.SIGTERM)
        await self.process.wait()

    async def client(self) -> Client:
        """Return a connection, as soon as the server answers."""
        while True:
            try:
                return await connect(self.settings)
            except Unreachable:
                await asyncio.sleep(0.2)

    async def kill(self, kind: str) -> None:
        """``kill -9`` the worker, the server, or both; return when they are there again."""
        before = {name: self._pid(name) for name in KINDS[kind]}
        for pid in before.values():
            # One that has just ended by itself, as a worker does that finds no server, is started again as well.
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for name, pid in before.items():
            await self.back(name, pid)

    async def back(self, name: str, before: int | None) -> None:
        """Wait until a process of this name runs that is not the one before."""
        while self._pid(name) in (before, None):
            if self.process.returncode is not None:
                raise AssertionError(f"stackroll dev has ended: {(self.settings.state_dir / 'dev.log').read_text()}")
            await asyncio.sleep(0.1)

    def _pid(self, name: str) -> int | None:
        path = self.settings.state_dir / f"{name}.pid"
        text = path.read_text() if path.exists() else ""
        return int(text) if text else None
