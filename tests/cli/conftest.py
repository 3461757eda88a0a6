"""The command line in this process, talking to a Temporal of its own and a worker whose activities are a fake cloud."""

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.worker import Worker

from cli.main import run
from tests.cli.cloud import CLOUD, UPGRADE, write_files
from tests.workflows.conftest import short_backoff, temporal  # noqa: F401 - fixtures
from tests.workflows.fake_cloud import FakeCloud
from workers.registry import WORKFLOWS
from workflows.names import TASK_QUEUE


class Ran(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


Stackroll = Callable[..., Coroutine[None, None, Ran]]


def run_main(*words: str) -> Ran:
    """Run the command line as a process would."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["stackroll", *words])
        patch.setenv("COLUMNS", "120")
        status = run()
    return Ran(status, out.getvalue(), err.getvalue())


@pytest_asyncio.fixture(loop_scope="session")
async def fake_cloud(temporal: Client) -> AsyncIterator[FakeCloud]:  # noqa: F811
    """A worker on the queue that the command line uses."""
    cloud = FakeCloud()
    async with Worker(temporal, task_queue=TASK_QUEUE, workflows=WORKFLOWS, activities=cloud.activities()):
        yield cloud


@pytest_asyncio.fixture(loop_scope="session")
async def stackroll(temporal: Client, monkeypatch: pytest.MonkeyPatch) -> Stackroll:  # noqa: F811
    """The command line, pointed at the test's Temporal, and with more patience than an operator has."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.service_client.config.target_host)
    for name in ("_QUERY_TIME", "_ORDER_TIME"):
        monkeypatch.setattr(f"cli.client.{name}", timedelta(seconds=60))

    async def run(*words: str) -> Ran:
        return await asyncio.to_thread(run_main, *words)

    return run


@pytest.fixture
def stackroll_beside(stackroll: Stackroll) -> Stackroll:
    """The command line in a process of its own, for what goes on while other commands are given."""

    async def run(*words: str) -> Ran:
        # Its own copy of the environment: commands in threads change ours, and a program must not start amid that.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", *words),
            env=dict(os.environ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return Ran(process.returncode or 0, out.decode(), err.decode())

    return run


@pytest.fixture
def upgrade(tmp_path: Path) -> Path:
    """The files of a cloud of its own, at the release that the fake cloud runs."""
    cloud = (
        CLOUD.replace("cloud: lab", f"cloud: c{uuid4().hex[:8]}").replace("2025.2", "2026.1") + "services: [keystone]\n"
    )
    wanted = UPGRADE.replace("2026.1", "2026.2").replace("30s", "0.1s") + "availability: {enabled: false}\n"
    return write_files(tmp_path, cloud=cloud, upgrade=wanted)
