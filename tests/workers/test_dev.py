"""The embedded server and worker come back after ``kill -9``, with all that they had."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowFailureError

from tests.ports import free_port
from workers.connect import Unreachable, connect
from workers.dev import RETENTION_DAYS, DevError, run_dev
from workers.settings import Settings

# Server and worker start four times, as processes of their own.
pytestmark = [pytest.mark.temporal, pytest.mark.timeout(300)]


@dataclass
class Dev:
    settings: Settings
    process: asyncio.subprocess.Process

    def pid(self, name: str) -> int | None:
        path = self.settings.state_dir / f"{name}.pid"
        text = path.read_text() if path.exists() else ""
        return int(text) if text else None

    async def other_pid(self, name: str, before: int | None) -> int:
        """Wait until a process of this name runs that is not the one before."""
        while (pid := self.pid(name)) in (before, None):
            assert self.process.returncode is None
            await asyncio.sleep(0.1)
        assert pid is not None
        return pid

    async def client(self) -> Client:
        while True:
            try:
                return await connect(self.settings)
            except Unreachable:
                await asyncio.sleep(0.1)


@pytest_asyncio.fixture
async def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Dev]:
    monkeypatch.delenv("TEMPORAL_ADDRESS", raising=False)
    settings = Settings(state_dir=tmp_path, port=free_port(), ui_port=free_port())
    env = {
        **os.environ,
        "STACKROLL_STATE_DIR": str(tmp_path),
        "STACKROLL_DEV_PORT": str(settings.port),
        "STACKROLL_DEV_UI_PORT": str(settings.ui_port),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "cli.main", "dev", env=env)
    yield Dev(settings, process)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_kill_9_of_worker_and_server_loses_nothing(dev: Dev) -> None:
    worker = await dev.other_pid("worker", None)
    server = dev.pid("temporal")
    assert server is not None
    client = await dev.client()
    await _refused(client, "first")
    os.kill(worker, signal.SIGKILL)
    os.kill(server, signal.SIGKILL)
    await dev.other_pid("temporal", server)
    await dev.other_pid("worker", worker)
    client = await dev.client()
    description = await client.get_workflow_handle("first").describe()
    assert description.status is not None, "the server has forgotten the run"
    await _refused(client, "second")


async def test_ended_runs_are_kept_for_a_later_way_back(dev: Dev) -> None:
    await dev.other_pid("worker", None)
    client = await dev.client()
    asked = DescribeNamespaceRequest(namespace=client.namespace)
    namespace = await client.workflow_service.describe_namespace(asked)
    assert namespace.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=RETENTION_DAYS)


async def _refused(client: Client, id_: str) -> None:
    """A run that is refused shows that server and worker work together."""
    handle = await client.start_workflow("RollingUpgrade", {}, id=id_, task_queue="stackroll")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert "nothing was changed" in str(failure.value.cause)


async def test_a_server_that_is_not_there_is_named_with_the_remedy() -> None:
    with pytest.raises(Unreachable, match=r"(?s)does not answer at 127\.0\.0\.1:9.*stackroll dev"):
        await connect(Settings(port=9))


async def test_it_does_not_join_a_server_of_somebody_else(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(DevError, match=rf"Temporal's web UI cannot listen on 127\.0\.0\.1:{port}: Address already"):
            await run_dev(Settings(state_dir=tmp_path, port=free_port(), ui_port=port))
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - a listing is awaited no faster
