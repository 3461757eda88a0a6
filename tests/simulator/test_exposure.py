"""A cloud that is exposed, and one security run later is not: read from what runs, over real SSH and HTTP."""

from pathlib import Path

import pytest
from temporalio.client import Client

from activities.exposure import read_exposure
from activities.ssh import Hosts
from cli.advisories import load_advisories
from cli.load import load_inventory
from cli.patch import security_request
from model.advisories.exposure import Exposure, judge_exposure, products_of
from model.advisories.proof import compare
from model.advisories.reading import CloudReading
from model.advisories.remedy import Remedy, choose
from model.availability_spec import Availability
from model.spec import Approvals, UpgradeSpec
from simulator.server import Simulation
from tests.simulator.conftest import sim_cloud, upgrade

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(600)]

ADVISORIES = load_advisories([Path(__file__).parent.parent / "advisories"])
REPOSITORY = {"keystone": ("27.0.1", "27.0.2"), "glance": ("30.1.0", "30.2.0"), "nova": ("31.2.0", "31.3.0", "31.3.1")}
IDS = {"OSSA-2025-002", "OSSA-2026-002", "OSSA-2026-004", "OSSA-2026-005", "OSSA-2026-007"}


async def read(sim: Simulation, hosts: Hosts) -> tuple[CloudReading, Exposure]:
    inventory = load_inventory(sim.folder / "cloud.yaml")
    reading = await read_exposure(hosts, inventory, products_of(ADVISORIES))
    return reading, judge_exposure(inventory, ADVISORIES, reading, taken="2026-05-12T00:00:00Z")


def spec(sim: Simulation, remedy: Remedy) -> UpgradeSpec:
    wanted = security_request(load_inventory(sim.folder / "cloud.yaml"), remedy, by="test").spec
    quick = {"approvals": Approvals(plan="auto", commit="auto"), "availability": Availability(enabled=False)}
    return wanted.model_copy(update={"soak": 0.0, **quick})


async def test_one_run_later_nobody_is_exposed(temporal: Client, hosts: Hosts, tmp_path: Path) -> None:
    async with sim_cloud(tmp_path / "sim", release="2025.1", repository=REPOSITORY) as sim:
        reading, before = await read(sim, hosts)
        assert {one.advisory for one in before.exposed} == IDS
        remedy = choose(before, reading.repository)
        assert remedy.versions == {"keystone": "27.0.1", "glance": "30.2.0", "nova": "31.3.0"}
        assert not remedy.left
        guests = set(sim.cloud.nova.guests)
        async with upgrade(temporal, sim, **dict(spec(sim, remedy))) as run:
            result = await run.handle.result()
        assert result["state"] == "completed"
        assert "2025.1 with keystone 27.0.1" in result["message"]
        _, after = await read(sim, hosts)
        assert not after.exposed
        assert after.certain
        proof = compare(before, after)
        assert proof.whole
        assert {one.advisory for one in proof.gone} == IDS
        assert {guest.id for guest in sim.cloud.nova.guests.values() if guest.status == "ACTIVE"} == guests
        assert sim.shell.unknown == []


async def test_nothing_to_be_done_where_the_repository_has_no_fix(hosts: Hosts, tmp_path: Path) -> None:
    few = {"glance": ("30.2.0",)}
    async with sim_cloud(tmp_path / "sim", release="2025.1", repository=few) as sim:
        reading, found = await read(sim, hosts)
        remedy = choose(found, reading.repository)
        assert remedy.versions == {"glance": "30.2.0"}
        assert set(remedy.left) == {"keystone", "nova"}
        assert remedy.left["nova"] == {"OSSA-2026-002": "31.2.1 or later: not in the repository"}
