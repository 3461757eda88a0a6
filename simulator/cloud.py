"""The simulated cloud: all its state, and what starting, stopping and losing things does to it."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from model.components import COMPONENTS
from model.inventory import Role
from model.releases import RELEASES, find_release
from simulator.balancer import Balancer
from simulator.clock import Clock
from simulator.dumps import Dumps
from simulator.faults import Exit, Fault, Faults, Gone, Hang
from simulator.host import Host, Unit
from simulator.migrations import Mover
from simulator.nova import CONDUCTOR, Guest, Migration, Nova, RefusedStartError, image_meta
from simulator.schemas import Schemas, Sql
from simulator.settings import REPOSITORY, Durations, SimSpec
from simulator.tenants import Tenants

COMPUTE_ID = "/var/lib/nova/compute_id"


class SimCloud:
    """Hosts, services, databases, and the load balancer in front."""

    def __init__(self, spec: SimSpec, durations: Durations | None = None) -> None:
        self.spec = spec
        self.durations = durations or Durations()
        self.clock = Clock(spec.speed)
        self.faults = Faults()
        release = find_release(spec.release)
        self.hosts = {
            machine.name: Host(machine, tuple(c for c in COMPONENTS if c.role in machine.roles), release.versions)
            for machine in spec.machines
        }
        self.nova = Nova(self.hosts, self.clock, self.durations, release.nova_service_version)
        self.schemas = Schemas(spec.release)
        self.tenants = Tenants()
        self.sql = Sql(self.nova, self.schemas, self.tenants, spec.vip)
        self.dumps = Dumps(self.nova, self.tenants, self.schemas)
        self.balancer = Balancer()
        self.mover = Mover(self.nova, self.clock, self.durations, self.faults)
        # Told of every change: a unit that begins or ends to run, a host that goes or comes.
        self.tokens: set[str] = set()
        self.on_unit: list[Callable[[Host, Unit], Awaitable[None]]] = []
        self.on_host: list[Callable[[Host], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._populate()

    def _populate(self) -> None:
        for host in self.hosts.values():
            for unit in host.units.values():
                unit.begin(host.links[unit.component.service], self.clock.now())
            for release in RELEASES:
                for service in host.links:
                    host.files[f"{REPOSITORY}/{release}/{service}/requirements.txt"] = ""
            if host.name in self.nova.providers:
                host.files[COMPUTE_ID] = self.nova.providers[host.name]
            if CONDUCTOR in host.units:
                self.nova.remember(host.name)
        computes = list(self.nova.providers)
        for number in range(1, self.spec.guests + 1):
            self.add_guest(f"guest{number}", computes[(number - 1) % len(computes)])

    def add_guest(self, name: str, host: str, status: str = "ACTIVE") -> Guest:
        """Put a guest onto a host, as if it had always been there."""
        written = image_meta(find_release(self.spec.release).versions["nova"])
        guest = Guest(_uuid("guest", name), name, None, status, created="2026-01-01T00:00:00Z", image_meta=written)
        self.nova.guests[guest.id] = guest
        self.nova.place(guest, host)
        return guest

    # Work that goes on by itself

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let something go on beside everything else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def keep_reporting(self) -> None:
        """Let the services of nova report, for ever."""
        while True:
            if self.database_up:
                self.nova.report()
            await self.clock.sleep(self.durations.report_every)

    async def close(self) -> None:
        """End everything that goes on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def migrate(self, guest: Guest) -> Migration:
        """Begin a live migration."""
        subjects = (guest.host or "", guest.name, guest.id)
        fault = self.faults.take("migration", subjects, ("migration", "drain"))
        move = self.mover.accept(guest)
        if isinstance(fault, Gone):
            self.spawn(self.lose(self.hosts[move.source], fault))
        self.spawn(self.mover.migrate(guest, move, fault))
        return move

    @property
    def database_up(self) -> bool:
        """Whether the database server can be reached."""
        return all(host.up for host in self.hosts.values() if Role.DATABASE in host.roles)

    # Units

    async def start(self, host: Host, name: str) -> bool:
        """Start a unit from the active version; tell whether it runs. A failed one has said why in its log."""
        unit = host.units.get(name)
        if unit is None:
            return False
        fault = self.faults.take("command", (host.name,), ("start", f"start:{name}"), "unit")
        await self.clock.sleep(self.durations.start)
        if problem := self._refusal(host, unit, fault):
            unit.end("failed")
            unit.log.append(problem)
            await self._tell(host, unit)
            return False
        unit.begin(host.links[unit.component.service], self.clock.now())
        if name == CONDUCTOR:
            self.nova.remember(host.name)
        await self._tell(host, unit)
        return True

    def _refusal(self, host: Host, unit: Unit, fault: Fault | None) -> str:
        service, version = unit.component.service, host.links.get(unit.component.service, "")
        if isinstance(fault, Exit):
            return fault.output
        if isinstance(fault, Hang):
            return "start operation timed out. Terminating."
        if (service, version) not in host.complete:
            return f"{unit.name}.service: Failed at step EXEC spawning: No such file or directory"
        if service != "nova":
            return ""
        try:
            self.nova.admit(unit.name, host.name, version)
        except RefusedStartError as error:
            return str(error)
        return ""

    async def stop(self, host: Host, name: str) -> None:
        """Stop a unit."""
        unit = host.units.get(name)
        if unit is not None and unit.running:
            await self.clock.sleep(self.durations.stop)
            unit.end()
            unit.log.append(f"Stopped {name}.")
            await self._tell(host, unit)

    def reload(self, host: Host, name: str) -> None:
        """Send SIGHUP."""
        if name == CONDUCTOR and host.units[name].running:
            self.nova.remember(host.name)

    def serving(self, host: Host, name: str) -> bool:
        """Tell whether a unit can answer requests."""
        return host.up and host.units[name].running

    # Hosts

    async def reboot(self, host: Host) -> None:
        """Let a host go down in order, as ``systemctl reboot`` does, and come back."""
        await asyncio.gather(*(self.stop(host, name) for name in host.units))
        await self.lose(host, Gone(at="reboot", how="gone", seconds=self.durations.boot, connections="refused"))

    async def lose(self, host: Host, fault: Gone) -> None:
        """Let a host go like one without power, and come back booted after a while."""
        if not host.up:
            return
        host.up, host.silent = False, fault.connections == "time-out"
        for unit in host.units.values():
            unit.end()
            await self._tell(host, unit)
        for told in self.on_host:
            await told(host)
        if fault.seconds is None:
            await self.faults.mended.wait()
        else:
            await self.clock.sleep(fault.seconds)
        await self._boot(host, fault)

    async def _boot(self, host: Host, fault: Gone) -> None:
        host.boot_id = _uuid("boot", f"{host.name} {self.clock.now()}")
        host.kernel, host.hostname = fault.kernel or host.kernel, fault.hostname or host.hostname
        if fault.compute_id is not None:
            host.files[COMPUTE_ID] = fault.compute_id
        if Role.COMPUTE in host.roles:
            for guest in self.nova.guests_on(host.name):
                if guest.task_state is None:
                    guest.status = "SHUTOFF"
        host.up, host.silent = True, False
        for told in self.on_host:
            await told(host)
        for name in host.units:
            await self.start(host, name)

    async def _tell(self, host: Host, unit: Unit) -> None:
        for told in self.on_unit:
            await told(host, unit)


def _uuid(kind: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"stackroll-sim:{kind}:{name}"))
