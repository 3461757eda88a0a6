"""Hosts that go and come back: rebooted in order, lost, or returned as what they were not before."""

import asyncio
import uuid
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from model.inventory import Role
from simulator.faults import Gone, ReturnsAs
from simulator.host import Host

if TYPE_CHECKING:
    from simulator.cloud import SimCloud

COMPUTE_ID = "/var/lib/nova/compute_id"
_INVALID = "nova.exception.InvalidConfiguration:"
_NO_IDENTITY = (
    "No local node identity found, but this is not our first startup on this host. Refusing to start after "
    "potentially having lost that state!"
)
# What is lost with its host; what is suspended lies on its disk.
_LOST = {"ACTIVE", "PAUSED", "RESCUE"}


class Boots:
    """Takes hosts away, and brings them back."""

    def __init__(self, cloud: "SimCloud") -> None:
        self._cloud = cloud
        # Guests that the last end of their host has switched off.
        self._stopped: dict[str, set[str]] = {}

    async def reboot(self, host: Host, fault: ReturnsAs | Gone | None = None) -> None:
        """Let a host go down in order, as ``systemctl reboot`` does, and come back."""
        cloud = self._cloud
        if not host.up:
            return
        cloud.truth.killed(host.name, [m.guest for m in cloud.machines.on(host.name) if m.runs])
        host.reboots += 1
        await asyncio.gather(*(cloud.stop(host, name) for name in host.units))
        if fault is None:
            fault = Gone(at="reboot", how="gone", seconds=cloud.durations.boot, connections="refused")
        await self.lose(host, fault)

    async def lose(self, host: Host, fault: Gone | ReturnsAs) -> None:
        """Let a host go, and come back booted after a while."""
        cloud = self._cloud
        if not host.up:
            return
        host.up, host.silent = False, isinstance(fault, Gone) and fault.connections == "time-out"
        for machine in cloud.machines.on(host.name):
            if machine.runs:
                machine.end(f"{host.name} went down")
        host.go_down()
        for unit in host.units.values():
            unit.end()
            await cloud.tell(host, unit)
        for told in cloud.on_host:
            await told(host)
        if fault.seconds is None:
            await cloud.faults.mended.wait()
        else:
            await cloud.clock.sleep(fault.seconds)
        await self._boot(host, fault)

    async def _boot(self, host: Host, fault: Gone | ReturnsAs) -> None:
        cloud = self._cloud
        host.booting = True
        host.boot(_uuid(f"{host.name} {cloud.clock.now()}"), fault.kernel)
        host.hostname = fault.hostname or host.hostname
        if fault.compute_id:
            host.files[COMPUTE_ID] = fault.compute_id
        elif fault.compute_id is not None:
            host.files.pop(COMPUTE_ID, None)
        host.strict = host.strict or isinstance(fault, ReturnsAs)
        if Role.COMPUTE in host.roles:
            self._note_lost_guests(host)
        host.up, host.silent = True, False
        for told in cloud.on_host:
            await told(host)
        await self._start_others(host)
        for name in host.units:
            await cloud.start(host, name)
        host.booting = False

    async def _start_others(self, host: Host) -> None:
        cloud = self._cloud
        for name in host.others:
            fault = cloud.faults.find("command", (host.name,), ("start", f"start:{name}"))
            await cloud.clock.sleep(cloud.durations.prepare)
            host.others[name] = fault is None

    def _note_lost_guests(self, host: Host) -> None:
        """Write down what nova finds when its service starts again: guests that do not run."""
        for guest in self._cloud.nova.guests_on(host.name):
            if guest.task_state is None and guest.status in _LOST:
                guest.rest("SHUTOFF")
                self._stopped.setdefault(host.name, set()).add(guest.id)

    async def resume_guests(self, host: Host) -> None:
        """Start what ran before, as nova-compute does by ``resume_guests_state_on_host_boot``."""
        cloud = self._cloud
        stopped = self._stopped.pop(host.name, set())
        for guest in [guest for guest in cloud.nova.guests_on(host.name) if guest.id in stopped]:
            if guest.status == "SHUTOFF" and guest.task_state is None:
                guest.work("powering-on")
                await cloud.clock.sleep(cloud.durations.guest_action)
                cloud.machines[guest.id].start(cloud.clock.now())
                guest.rest("ACTIVE")


def refusal(host: Host, provider: str | None) -> str:
    """Return why nova-compute does not start on a host that is not what it was.

    The messages are those of nova/compute/manager.py and resource_tracker.py, 2023.1 and later.
    """
    found = host.files.get(COMPUTE_ID, "").strip()
    if not found:
        return f"{_INVALID} {_NO_IDENTITY}"
    if found != provider:
        return f"{_INVALID} Duplicate compute node record found for host {host.name} node {host.hostname}"
    if host.hostname != host.name:
        return (
            f"{_INVALID} My compute node {provider} has hypervisor_hostname {host.name} but virt driver reports it "
            f"should be {host.hostname}. Possible rename detected, refusing to start!"
        )
    return ""


def matching(hosts: dict[str, Host], pattern: str) -> list[Host]:
    """Return the hosts whose names match a glob."""
    return [host for name, host in hosts.items() if fnmatchcase(name, pattern)]


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"stackroll-sim:boot:{name}"))
