"""Hosts that are booted anew, ordered and looked at by the activities' own scripts over real SSH."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from activities.boot import parse_boot, reboot_script, release_script
from activities.drain_watch import DOMAINS
from activities.hooks import hook_script
from activities.jobs import JobResult, run_job
from activities.reboot import read_boot
from activities.ssh import Hosts
from activities.standstill import read_pauses
from model.actions import HookParams
from model.drained import parse_domains
from model.inventory import Inventory
from model.reboot import HostBoot
from simulator.host import KERNEL
from simulator.server import Simulation
from tests.simulator.conftest import faults_of, request_of, sim_cloud

RECORD = "/var/lib/stackroll/reboots/0123"
NEW_KERNEL = "6.1.0-42-amd64"
OTHER = "00000000-0000-4000-8000-000000000000"


class Host:
    """A compute host without guests, as the activities see it."""

    def __init__(self, sim: Simulation, hosts: Hosts) -> None:
        self.sim, self._hosts, self._inventory = sim, hosts, request_of(sim).inventory
        self.truth = sim.cloud.hosts["cmp1"]
        for guest in sim.cloud.nova.guests_on("cmp1"):
            sim.cloud.delete_guest(guest)

    @property
    def inventory(self) -> Inventory:
        return self._inventory

    async def read(self) -> HostBoot:
        return await read_boot(self._hosts, self._inventory, "cmp1", RECORD)

    async def job(self, script: str, key: str) -> JobResult:
        return await run_job(self._hosts, self._inventory, "cmp1", key, script, timeout=60, grace=5)

    async def reboot(self) -> JobResult:
        script = reboot_script(RECORD, (await self.read()).boot_id)
        return await self.job(script, "u/reboot/cmp1/do/0/reboot")

    async def back(self, boot_id: str) -> HostBoot:
        await until(lambda: self.truth.boot_id != boot_id and self.truth.up and not self.truth.booting)
        return await self.read()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
async def host(tmp_path: Path, hosts: Hosts) -> AsyncIterator[Host]:
    async with sim_cloud(tmp_path / "sim", compute=2) as sim:
        yield Host(sim, hosts)
        assert sim.shell.unknown == []


async def test_what_a_host_says_of_its_boot(host: Host) -> None:
    boot = await host.read()
    assert (boot.boot_id, boot.hostname, boot.kernel) == (host.truth.boot_id, "cmp1", KERNEL)
    assert (boot.kernels, boot.packages, boot.stale, boot.state) == ((KERNEL,), (), (), "running")
    assert boot.compute_id == host.sim.cloud.nova.providers["cmp1"]
    assert (boot.ordered, boot.held) == (None, False)


async def test_an_updated_host_asks_for_a_reboot(host: Host) -> None:
    host.truth.update(NEW_KERNEL, "sshd", "libvirtd")
    boot = await host.read()
    assert (boot.kernel, boot.kernels) == (KERNEL, (KERNEL, NEW_KERNEL))
    assert boot.packages == (f"linux-image-{NEW_KERNEL}",)
    assert boot.stale == ("libvirtd", "sshd")


async def test_a_reboot_that_is_ordered_happens_once_and_holds_nova_back(host: Host) -> None:
    host.truth.update(NEW_KERNEL, "sshd")
    first = await host.read()
    ordered = await host.reboot()
    assert (ordered.status, "reboots in a second" in ordered.output_tail) == (0, True)
    boot = await host.back(first.boot_id)
    assert (boot.ordered, boot.before, boot.rebooted) == (first.boot_id, "cmp1", True)
    assert (boot.kernel, boot.packages, boot.stale, boot.down) == (NEW_KERNEL, (), (), ())
    assert (boot.held, host.truth.units["nova-compute"].running) == (True, False)
    again = await host.job(reboot_script(RECORD, first.boot_id), "u/reboot/cmp1/do/1/reboot")
    assert "booted in the meantime" in again.output_tail
    assert host.truth.reboots == 1
    (await host.job(release_script(), "u/verify/cmp1/do/0/start")).check("it failed")
    assert host.truth.units["nova-compute"].running
    assert not (await host.read()).held
    assert host.sim.cloud.truth.audit() == []


@pytest.mark.parametrize(
    ("comes_back", "shown", "said"),
    [
        ({"kernel": "6.1.0-40-amd64"}, {"kernel": "6.1.0-40-amd64"}, ""),
        ({"hostname": "localhost"}, {"hostname": "localhost", "before": "cmp1"}, "Possible rename detected"),
        ({"compute_id": OTHER}, {"compute_id": OTHER}, "Duplicate compute node record found"),
        ({"compute_id": ""}, {"compute_id": ""}, "No local node identity found"),
    ],
)
async def test_a_host_that_returns_as_another_one_does_not_become_novas(
    host: Host, comes_back: dict[str, str], shown: dict[str, str], said: str
) -> None:
    host.sim.cloud.faults.arm(*faults_of({"on": "cmp1", "at": "reboot", "how": "returns-as", **comes_back}))
    first = await host.read()
    await host.reboot()
    boot = await host.back(first.boot_id)
    assert boot.model_dump(include=set(shown)) == shown
    started = await host.job(release_script(), "u/verify/cmp1/do/0/start")
    assert (started.status == 0, said in started.output_tail) == (not said, True)


async def test_a_host_stays_away_until_somebody_brings_it_back(host: Host) -> None:
    host.sim.cloud.faults.arm(*faults_of({"on": "cmp1", "at": "reboot", "how": "returns-as", "seconds": None}))
    first = await host.read()
    await host.reboot()
    await until(lambda: not host.truth.up)
    assert not host.sim.cloud.nova.runs("nova-compute", "cmp1")
    host.sim.cloud.faults.mend()
    assert (await host.back(first.boot_id)).rebooted


async def test_a_unit_that_does_not_come_back_is_named(host: Host) -> None:
    host.sim.cloud.faults.arm(*faults_of({"on": "cmp1", "at": "start:libvirtd", "how": "exit"}))
    first = await host.read()
    await host.reboot()
    boot = await host.back(first.boot_id)
    assert (boot.down, boot.state) == (("libvirtd.service",), "degraded")


@pytest.mark.parametrize(
    ("command", "status", "output"),
    [
        ("echo wave $STACKROLL_WAVE of ${STACKROLL_HOST}\ntouch /tmp/seen", 0, "wave 2 of cmp1\n"),
        ("touch /tmp/seen && exit 7\necho no", 7, ""),
        ("touch /tmp/seen; reboot", 127, ""),
    ],
)
async def test_hooks(host: Host, command: str, status: int, output: str) -> None:
    params = HookParams(name="before", command=command, host="cmp1", wave=2)
    done = await host.job(hook_script("the run", params), "u/hook/do/0/hook")
    assert done.status == status
    if status == 127:
        assert "not simulated" in done.output_tail
        return
    assert done.output_tail == output
    assert "/tmp/seen" in host.truth.files
    about = {"STACKROLL_RUN": "the run", "STACKROLL_HOST": "cmp1", "STACKROLL_WAVE": "2"}
    assert host.truth.hooks == [(command, about)]


def test_the_answer_is_what_the_activities_parse() -> None:
    with pytest.raises(Exception, match="makes no sense"):
        parse_boot("")


async def test_plain_commands(host: Host, hosts: Hosts) -> None:
    async def said(command: str) -> Any:
        return (await hosts.run(host.inventory, "cmp1", command)).stdout

    assert await said("uname -r") == f"{KERNEL}\n"
    assert await said("ls /boot/vmlinuz-*") == f"/boot/vmlinuz-{KERNEL}\n"


async def test_the_machines_that_run(host: Host, hosts: Hosts) -> None:
    running = host.sim.cloud.add_guest("on", "cmp1")
    paused = host.sim.cloud.add_guest("still", "cmp1", "PAUSED")
    host.sim.cloud.add_guest("off", "cmp1", "SHUTOFF")
    done = await hosts.run(host.inventory, "cmp1", DOMAINS)
    assert {domain.id for domain in parse_domains(done.stdout)} == {running.id, paused.id}
    host.truth.others["libvirtd"] = False
    assert (await hosts.run(host.inventory, "cmp1", DOMAINS, check=False)).status == 1


async def test_how_long_machines_stood_still_when_they_came(host: Host, hosts: Hosts) -> None:
    came, there = (host.sim.cloud.add_guest(name, "cmp1") for name in ("came", "there"))
    host.sim.cloud.machines[came.id].arrival = (1.021, 0.238)
    guests = (came.id, there.id, "00000000-0000-0000-0000-000000000000")
    assert await read_pauses(hosts, host.inventory, "cmp1", guests) == {came.id: 0.238}
    assert host.sim.shell.unknown == []
    host.truth.others["libvirtd"] = False
    assert await read_pauses(hosts, host.inventory, "cmp1", guests) == {}
