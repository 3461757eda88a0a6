"""A simulated cloud, a worker with the real activities, and Temporal's own server."""

import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from activities.ssh import Hosts
from cli.load import load_reboot, load_request
from model.reboot_spec import RebootRequest
from model.spec import UpgradeRequest
from simulator.faults import Fault, FaultFile
from simulator.server import Simulation, simulation
from simulator.settings import Durations, SimSpec
from tests.workflows.conftest import short_backoff, temporal
from tests.workflows.fake_cloud import Run
from workers.registry import Activities
from workers.worker import make_worker

__all__ = ["short_backoff", "temporal"]


def free_network() -> str:
    """Return a network that no other simulated cloud on this machine uses."""
    for number in range(200):
        network = f"127.{20 + (os.getpid() + number) % 200}"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((f"{network}.0.5", 5000))
                return network
    raise AssertionError("every loopback network is in use")


def faults_of(*faults: dict[str, Any]) -> tuple[Fault, ...]:
    return FaultFile.model_validate({"faults": faults}).faults


@contextlib.asynccontextmanager
async def sim_cloud(
    folder: Path, *faults: dict[str, Any], durations: Durations | None = None, **size: Any
) -> AsyncIterator[Simulation]:
    """Run a simulated cloud; its files are in the folder."""
    spec = SimSpec(**{"speed": 100, "network": free_network(), **size})
    async with simulation(spec, folder, faults_of(*faults), durations) as running:
        yield running


def request_of(sim: Simulation, **spec: Any) -> UpgradeRequest:
    """Return the request of the cloud's own upgrade.yaml, of a cloud with a name of its own."""
    request = load_request(sim.folder / "upgrade.yaml", by="test")
    inventory = request.inventory.model_copy(update={"cloud": f"sim-{uuid.uuid4().hex[:8]}"})
    changed = request.spec.model_copy(update={"soak": 0.0, **spec})
    return request.model_copy(update={"inventory": inventory, "spec": changed})


@contextlib.asynccontextmanager
async def upgrade(client: Client, sim: Simulation, **spec: Any) -> AsyncIterator[Run]:
    """Start an upgrade of a simulated cloud with a worker that has the real activities."""
    activities, queue = Activities(), f"q-{uuid.uuid4().hex[:8]}"
    request = request_of(sim, **spec).model_dump(mode="json", exclude_none=True)
    try:
        async with make_worker(client, activities, queue):
            id_ = f"sim-{uuid.uuid4().hex[:8]}"
            yield Run(await client.start_workflow("RollingUpgrade", request, id=id_, task_queue=queue))
    finally:
        await activities.close()


@contextlib.asynccontextmanager
async def rolling_reboot(client: Client, sim: Simulation, **spec: Any) -> AsyncIterator[Run]:
    """Start a reboot of a simulated cloud's hosts with a worker that has the real activities."""
    activities, queue = Activities(), f"q-{uuid.uuid4().hex[:8]}"
    request = load_reboot(sim.folder / "reboot.yaml", by="test")
    inventory = request.inventory.model_copy(update={"cloud": f"sim-{uuid.uuid4().hex[:8]}"})
    content = {**request.spec.model_dump(mode="json"), "availability": {"enabled": False}, **spec}
    asked = RebootRequest.model_validate({"spec": content, "inventory": inventory, "by": "test"})
    try:
        async with make_worker(client, activities, queue):
            content = asked.model_dump(mode="json", exclude_none=True)
            id_ = f"sim-{uuid.uuid4().hex[:8]}"
            yield Run(await client.start_workflow("RollingReboot", content, id=id_, task_queue=queue))
    finally:
        await activities.close()


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the activities write goes into the test's own folder."""
    monkeypatch.setenv("STACKROLL_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
async def hosts() -> AsyncIterator[Hosts]:
    connections = Hosts(connect_timeout=5)
    yield connections
    await connections.close()
