"""Rolling reboots from the command line, on a real Temporal server with a fake fleet."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.worker import Worker

from tests.cli.cloud import CLOUD
from tests.cli.conftest import Stackroll
from tests.cli.test_load_reboot import write_reboot
from tests.workflows.reboot_cloud import RebootCloud, fleet
from workers.registry import WORKFLOWS
from workflows.names import TASK_QUEUE

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
REBOOT = "cloud: cloud.yaml\nreboot: always\ncanary: {healthy_for: 0s}\navailability: {enabled: false}\n"


@pytest_asyncio.fixture(loop_scope="session")
async def fake_fleet(temporal: Client) -> AsyncIterator[RebootCloud]:
    """A worker on the queue that the command line uses."""
    cloud = RebootCloud(fleet=fleet(2))
    async with Worker(temporal, task_queue=TASK_QUEUE, workflows=WORKFLOWS, activities=cloud.activities()):
        yield cloud


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The file of a reboot of a cloud of its own, whose hosts the fake fleet has."""
    path = write_reboot(tmp_path, REBOOT)
    cloud = CLOUD.replace("cloud: lab", f"cloud: c{uuid4().hex[:8]}").replace("compute-", "cmp")
    (tmp_path / "cloud.yaml").write_text(cloud)
    return path


async def test_a_reboot_is_started_watched_explained_and_reported(
    stackroll: Stackroll, fake_fleet: RebootCloud, spec: Path
) -> None:
    id_ = f"r-{uuid4().hex[:8]}"
    ran = await stackroll("reboot", "start", str(spec), "--id", id_, "--approve", "--wait", "--by", "anna")
    assert ran.status == 0, ran.err + ran.out
    assert "2 of 2 hosts" in ran.out
    assert [call for call in fake_fleet.calls if call.endswith("/reboot")] == ["cmp1/reboot", "cmp2/reboot"]
    listed = await stackroll("list")
    assert id_ in listed.out
    host = await stackroll("why", id_, "cmp2")
    assert host.out.startswith("cmp2 is done in wave 2 of 2")
    unknown = await stackroll("why", id_, "cmp9")
    assert (unknown.status, "knows nothing of 'cmp9'" in unknown.err) == (2, True)
    late = await stackroll("limits", id_, "--max-unavailable", "2")
    assert (late.status, "has ended" in late.err) == (5, True)
