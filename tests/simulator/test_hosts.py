"""Hosts by the activities' own eyes: readings, jobs, the balancer, over real SSH."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from activities import openstack
from activities.balancer import balancer_of
from activities.database import database_of
from activities.databases import revisions, wrong_records
from activities.errors import OutcomeUnknown, StepFailed, Unreachable
from activities.facts import read_facts
from activities.front import Front
from activities.jobs import JobResult, run_job
from activities.objects import known_objects, parse_rewritten, rewrite_script
from activities.packaging import packaging_of
from activities.running import read_units
from activities.ssh import Hosts
from activities.units import units_of
from model.inventory import Inventory
from model.messages import PlanRequest
from model.preflight import judge
from simulator.faults import Gone
from simulator.server import Simulation
from tests.chaos.user import User
from tests.simulator.conftest import faults_of, request_of, sim_cloud
from workers.planner import plan_upgrade


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulation]:
    async with sim_cloud(tmp_path / "sim", compute=2) as running:
        yield running


@pytest.fixture
def inventory(sim: Simulation) -> Inventory:
    return request_of(sim).inventory


async def job(hosts: Hosts, inventory: Inventory, script: str, key: str = "u/s/do/0/install") -> JobResult:
    return await run_job(hosts, inventory, "cmp1", key, script, timeout=60, grace=5, group="u/s")


def install(inventory: Inventory) -> str:
    return packaging_of(inventory).install("nova", "34.0.0", "2026.2")


async def test_a_new_cloud_is_ready(sim: Simulation, hosts: Hosts) -> None:
    request = request_of(sim)
    facts = await read_facts(hosts, request)
    assert (*facts.findings, *judge(facts, request)) == ()
    assert facts.hosts["cmp1"].running == {"nova-compute": "33.0.1"}
    assert facts.guests == (), "nothing has to be said of plain guests"
    assert {row.state for row in facts.services} == {"up"}
    assert facts.capacity["cmp1"].used["VCPU"] == 2


async def test_what_is_missing_is_found(sim: Simulation, hosts: Hosts) -> None:
    request = request_of(sim)
    cmp1 = sim.cloud.hosts["cmp1"]
    cmp1.free_bytes = 10
    cmp1.files.pop("/srv/openstack/2026.2/nova/requirements.txt")
    sim.cloud.add_guest("stuck", "cmp2", "ERROR")
    made = await plan_upgrade(PlanRequest(request=request, facts=await read_facts(hosts, request)))
    problems = " ".join(finding.problem for finding in made.findings)
    for words in ("requirements.txt is missing", "MB free", "stuck"):
        assert words in problems


async def test_a_job_is_done_once_and_found_again(sim: Simulation, hosts: Hosts, inventory: Inventory) -> None:
    first = await job(hosts, inventory, install(inventory))
    assert (first.status, first.output_tail.strip(), first.adopted) == (0, "installed", False)
    assert first.seconds >= 20
    again = await job(hosts, inventory, install(inventory))
    assert (again.name, again.adopted) == (first.name, True)
    assert sim.jobs.started("cmp1") == [first.name]
    assert (("nova", "34.0.0")) in sim.cloud.hosts["cmp1"].complete


async def test_switching_is_seen_by_who_reads_what_runs(sim: Simulation, hosts: Hosts, inventory: Inventory) -> None:
    await job(hosts, inventory, install(inventory))
    script = packaging_of(inventory).activate("nova", "34.0.0") + units_of().restart(("nova-compute",))
    (await job(hosts, inventory, script, "switch")).check("it failed")
    (state,) = await read_units(hosts, inventory, "cmp1", ("nova-compute",))
    assert state.version == "34.0.0"
    assert await wrong_records(hosts, inventory, 72) == ["nova's record of nova-compute on cmp1 has version 74, not 72"]
    assert set(await revisions(hosts, inventory)) >= {"keystone", "nova", "nova_cell0", "nova_api"}


async def test_what_is_not_simulated_says_so(sim: Simulation, hosts: Hosts, inventory: Inventory) -> None:
    done = await job(hosts, inventory, "rm -rf /\n")
    assert (done.status, "not simulated" in done.output_tail) == (127, True)
    with pytest.raises(StepFailed, match="not simulated"):
        await hosts.run(inventory, "cmp1", "reboot --force")
    assert sim.shell.unknown == ["cmp1: reboot --force"]


@pytest.mark.parametrize(
    ("fault", "status", "output"),
    [
        ({"how": "exit", "status": 9, "output": "no route to the mirror"}, 9, "no route to the mirror"),
        ({"how": "disk-full"}, 2, "No space left on device"),
        ({"how": "hang"}, 124, ""),
        ({"how": "slow", "seconds": 30}, 0, "installed"),
        ({"how": "disconnect"}, 0, "installed"),
    ],
)
async def test_jobs_that_go_wrong(
    sim: Simulation, hosts: Hosts, inventory: Inventory, fault: dict[str, Any], status: int, output: str
) -> None:
    sim.cloud.faults.arm(*faults_of({"on": "cmp1", "at": "install", **fault}))
    done = await job(hosts, inventory, install(inventory))
    assert (done.status, output in done.output_tail) == (status, True)
    assert done.adopted == (fault["how"] == "disconnect")
    assert len(sim.jobs.started("cmp1")) == 1
    if fault["how"] == "slow":
        assert done.seconds >= 50


async def test_a_host_that_goes_takes_its_job_with_it(sim: Simulation, hosts: Hosts, inventory: Inventory) -> None:
    cmp1 = sim.cloud.hosts["cmp1"]
    boot = cmp1.boot_id
    fault = {"on": "cmp1", "at": "install", "how": "gone", "seconds": 50, "hostname": "other", "compute_id": "another"}
    sim.cloud.faults.arm(*faults_of(fault))
    with pytest.raises(OutcomeUnknown):
        await job(hosts, inventory, install(inventory))
    assert cmp1.boot_id != boot
    assert (await hosts.run(inventory, "cmp1", "hostname")).stdout == "other\n"
    assert (await hosts.run(inventory, "cmp1", "cat /var/lib/nova/compute_id")).stdout == "another"
    assert {guest.status for guest in sim.cloud.nova.guests_on("cmp1")} == {"SHUTOFF"}


async def test_a_script_that_restarts_services_by_itself(sim: Simulation, hosts: Hosts, inventory: Inventory) -> None:
    sim.cloud.faults.arm(*faults_of({"on": "cmp1", "at": "install:nova", "how": "restarts-services", "new": True}))
    await job(hosts, inventory, install(inventory))
    (state,) = await read_units(hosts, inventory, "cmp1", ("nova-compute",))
    assert state.version == "34.0.0"


async def test_the_balancer_drains_and_holds(sim: Simulation, hosts: Hosts, inventory: Inventory) -> None:
    front = Front(hosts, inventory)
    assert (await front.server("nova-api", "ctl1")).up
    await front.set_state("nova-api", "ctl1", "drain")
    assert (await front.server("nova-api", "ctl1")).status == "DRAIN"
    await sim.cloud.stop(sim.cloud.hosts["ctl2"], "nova-api")
    with pytest.raises(Unreachable, match="503"):
        await openstack.guests(inventory)
    await front.set_state("nova-api", "ctl1", "ready")
    assert len(await openstack.guests(inventory)) == 4
    with pytest.raises(StepFailed, match="refused"):
        await front.set_state("nova-api", "ctl9", "drain")
    await front.hold("nova-api", 30)
    assert sim.cloud.balancer.held_until["nova-api"] > 0
    assert balancer_of(inventory).parse_sessions("") == ()


async def test_apis_that_go_wrong(sim: Simulation, inventory: Inventory) -> None:
    sim.cloud.faults.arm(*faults_of({"on": "nova", "at": "GET /v2.1/servers/detail", "how": "http", "status": 500}))
    with pytest.raises(Unreachable, match="500: simulated failure"):
        await openstack.guests(inventory)
    assert len(await openstack.guests(inventory)) == 4
    guest = next(iter(sim.cloud.nova.guests))
    fault = {"on": "nova", "at": f"POST /v2.1/servers/{guest}/action", "how": "http", "status": 409}
    sim.cloud.faults.arm(*faults_of(fault))
    assert await openstack.live_migrate(inventory, guest) == "409: simulated failure"
    assert sim.cloud.nova.migrations == []


async def test_connections_to_apis_that_break_or_hang(sim: Simulation, inventory: Inventory) -> None:
    sim.cloud.faults.arm(*faults_of({"on": "ctl1", "at": "GET /v3", "how": "disconnect"}))
    url = f"http://{sim.cloud.hosts['ctl1'].address}:5000/v3"
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url)
        assert (await client.get(url)).status_code == 200
        sim.cloud.faults.arm(*faults_of({"on": "keystone", "at": "* /v3", "how": "hang"}))
        with pytest.raises(httpx.ReadTimeout):
            await client.get(url, timeout=0.1)
        await sim.cloud.stop(sim.cloud.hosts["ctl1"], "keystone")
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_a_dump_is_cut_short(sim: Simulation, hosts: Hosts, inventory: Inventory) -> None:
    sim.cloud.faults.arm(*faults_of({"on": "infra1", "at": "dump:keystone", "how": "truncated"}))
    script = database_of(inventory).dump(("keystone",), "/var/lib/stackroll/x.sql.gz")
    first = await run_job(hosts, inventory, "infra1", "dump/0", script, timeout=60, group="dump")
    assert (first.status, first.output_tail) == (74, "the dump is cut short\n")
    second = await run_job(hosts, inventory, "infra1", "dump/1", script, timeout=60, group="dump")
    assert database_of(inventory).parse_dump(second.output_tail).restored


async def test_many_hosts_are_read_at_once(tmp_path: Path, hosts: Hosts) -> None:
    async with sim_cloud(tmp_path / "big", control=3, compute=50, guests=500) as sim:
        request = request_of(sim)
        facts = await read_facts(hosts, request)
        assert (*facts.findings, *judge(facts, request)) == ()
        held = sum(room.used["VCPU"] for room in facts.capacity.values())
        assert (len(facts.hosts), held) == (54, 500)


async def _status_of(client: httpx.AsyncClient, url: str) -> int | None:
    """Return the status of an answer; None when nobody listens."""
    try:
        return (await client.get(url)).status_code
    except httpx.ConnectError:
        return None


async def test_a_host_that_answers_nothing_and_one_that_reboots(
    sim: Simulation, hosts: Hosts, inventory: Inventory
) -> None:
    other = Hosts(connect_timeout=5)
    cloud, ctl1 = sim.cloud, sim.cloud.hosts["ctl1"]
    url = f"http://{ctl1.address}:5000/v3"
    try:
        await other.run(inventory, "ctl1", "true")
        cloud.faults.arm(*faults_of({"on": "ctl1", "at": "hostname", "how": "gone", "seconds": None}))
        with pytest.raises(Unreachable, match="no result"):
            await other.run(inventory, "ctl1", "hostname", timeout=0.5)
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(url, timeout=0.5)
        fresh = Hosts(connect_timeout=0.5)
        with pytest.raises(Unreachable, match="no SSH connection"):
            await fresh.run(inventory, "ctl1", "true")
        await fresh.close()
        boot = ctl1.boot_id
        cloud.faults.mend()
        async with asyncio.timeout(60):
            while ctl1.boot_id == boot or not ctl1.up:
                await asyncio.sleep(0.05)
        assert (await hosts.run(inventory, "ctl1", "hostname")).stdout == "ctl1\n"
        assert ctl1.boot_id != boot
        assert (await hosts.run(inventory, "ctl1", "systemctl reboot")).status == 0
        boot = ctl1.boot_id
        async with asyncio.timeout(60):
            # The last of its units is up when all of them listen.
            while ctl1.boot_id == boot or not all(unit.running for unit in ctl1.units.values()):
                await asyncio.sleep(0.05)
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            # A unit runs a moment before it listens.
            while await _status_of(client, url) != 200:
                await asyncio.sleep(0.05)
    finally:
        await other.close()


async def test_without_the_database_host_no_api_works(sim: Simulation, inventory: Inventory) -> None:
    infra1, front = sim.cloud.hosts["infra1"], f"http://{sim.spec.vip}:5000/v3/projects"
    gone = faults_of({"on": "infra1", "at": "true", "how": "gone", "seconds": None, "connections": "refused"})[0]
    assert isinstance(gone, Gone)
    lost = asyncio.create_task(sim.cloud.lose(infra1, gone))
    async with httpx.AsyncClient() as client:
        async with asyncio.timeout(60):
            while infra1.up:
                await asyncio.sleep(0.01)
        with pytest.raises(httpx.ConnectError):
            await client.get(front)
        url = f"http://{sim.cloud.hosts['ctl1'].address}:5000/v3/projects"
        assert (await client.get(url)).status_code == 500
        sim.cloud.faults.mend()
        await lost
        assert (await client.get(front)).status_code == 401


async def test_what_the_new_release_stores_the_old_one_refuses_until_it_is_rewritten(
    sim: Simulation, hosts: Hosts, inventory: Inventory
) -> None:
    cloud, user = sim.cloud, User(sim)
    for host in ("ctl1", "ctl2"):
        cloud.hosts[host].put("nova", "34.0.0")
        cloud.hosts[host].units["nova-api"].version = "34.0.0"
    cloud.schemas.run("nova", "34.0.0", "nova-manage", "db sync")
    await user.act()
    (mine,) = user.guests
    async with asyncio.timeout(60):
        while cloud.nova.guests[mine].task_state is not None:
            await asyncio.sleep(0.02)
    for host in ("ctl1", "ctl2"):
        cloud.hosts[host].units["nova-api"].version = "33.0.1"
    refused = await user.migrate(mine)
    assert (refused.status_code, "IncompatibleObjectVersion" in refused.text) == (500, True)
    old = await known_objects(hosts, inventory, "nova", "33.0.1")
    script = rewrite_script(packaging_of(inventory), "nova", "34.0.0", old.versions)
    done = await run_job(hosts, inventory, "ctl1", "u/back/do/0/rewrite", script, timeout=60, group="u/back")
    rewritten = parse_rewritten(done.output_tail)
    assert rewritten is not None
    assert (rewritten.rewritten, rewritten.problems) == ({"nova_api.request_specs.spec": 1}, ())
    assert (await user.migrate(mine)).status_code == 202
