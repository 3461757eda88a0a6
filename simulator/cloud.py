"""The simulated cloud: all its state, and what starting, stopping and losing things does to it."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from model.components import COMPONENTS, COMPUTE_UNIT, find_distribution
from model.inventory import Role
from model.releases import RELEASES, find_release
from simulator.actions import Actions
from simulator.balancer import Balancer
from simulator.boots import COMPUTE_ID, Boots, matching, refusal
from simulator.catalog import FLAVORS
from simulator.clock import Clock
from simulator.dumps import Dumps
from simulator.faults import ComputeRestarted, Crowded, Exit, Fault, Faults, Gone, Hang, NeighbourGone, ReturnsAs
from simulator.fleet import furnish
from simulator.ground import Ground
from simulator.guests import Guest, Migration
from simulator.host import Host, Unit
from simulator.http import Request
from simulator.machines import Machines
from simulator.migrations import Mover
from simulator.nova import CONDUCTOR, Nova, RefusedStartError, image_meta
from simulator.rehearsals import Rehearsals
from simulator.scheduler import Scheduler
from simulator.schemas import Schemas, Sql
from simulator.settings import REPOSITORY, Durations, SimSpec
from simulator.tenants import Tenants
from simulator.truth import Truth

__all__ = ["COMPUTE_ID", "SimCloud"]


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
        self.rehearsals = Rehearsals(self.schemas)
        self.balancer = Balancer()
        self.machines = Machines()
        self.truth = Truth(self.nova, self.machines, self.clock)
        scheduler = Scheduler(self.nova, late_check=spec.late_group_check)
        self.ground = Ground(self.nova, self.machines, self.truth, scheduler, self.clock, self.durations, self.faults)
        self.mover = Mover(self.ground, at_once=spec.migrations_at_once)
        self.mover.halfway = self._halfway
        self.actions = Actions(self.ground)
        self.boots = Boots(self)
        # Whether it is an administrator's, by token.
        self.tokens: dict[str, bool] = {}
        # Told of every change: a unit that begins or ends to run, a host that goes or comes.
        self.on_unit: list[Callable[[Host, Unit], Awaitable[None]]] = []
        self.on_host: list[Callable[[Host], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._populate()

    def _populate(self) -> None:
        for host in self.hosts.values():
            for unit in host.units.values():
                unit.begin(host.links[unit.component.service], self.clock.now())
            for release in RELEASES.values():
                for service in host.links:
                    lock = _lock(service, release.versions[service])
                    host.files[f"{REPOSITORY}/{release.id}/{service}/requirements.txt"] = lock
            for service, versions in self.spec.repository.items():
                for version in versions if service in host.links else ():
                    place = f"{REPOSITORY}/{self.spec.release}/{service}/{version}/requirements.txt"
                    host.files[place] = _lock(service, version)
            if host.name in self.nova.providers:
                host.files[COMPUTE_ID] = self.nova.providers[host.name]
            if CONDUCTOR in host.units:
                self.nova.remember(host.name)
        furnish(self)

    def add_guest(self, name: str, host: str, status: str = "ACTIVE", **more: Any) -> Guest:
        """Put a guest onto a host, as if it had always been there; ``more`` are fields of a guest."""
        written = image_meta(find_release(self.spec.release).versions["nova"])
        created = "2026-01-01T00:00:00Z"
        guest = Guest(_uuid("guest", name), name, None, status, created=created, image_meta=written, **more)
        self.nova.guests[guest.id] = guest
        self.nova.place(guest, host)
        self.machines.add(guest.id, host, status, self.clock.now())
        return guest

    def delete_guest(self, guest: Guest) -> None:
        """Take a guest away."""
        host = guest.host
        self.nova.delete(guest)
        self.machines.remove(guest.id)
        self.truth.look(hosts=(host,) if host else ())

    def is_admin(self, request: Request) -> bool:
        """Tell whether a request is an administrator's."""
        return self.tokens.get(request.headers.get("x-auth-token", ""), False)

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

    def migrate(self, guest: Guest, wanted: str | None = None) -> Migration:
        """Begin a live migration, to the host that is wanted or to any."""
        subjects = (guest.host or "", guest.name, guest.id)
        fault = self.faults.take("migration", subjects, ("migration", "drain"))
        move = self.mover.accept(guest, wanted)
        if isinstance(fault, Gone):
            self.spawn(self.lose(self.hosts[move.source], fault))
        elif isinstance(fault, Crowded):
            self._crowd(fault)
        self.spawn(self.mover.migrate(guest, move, fault))
        return move

    def _halfway(self, move: Migration, fault: Fault) -> None:
        """Let happen what is to happen in the middle of a migration."""
        match fault:
            case ComputeRestarted():
                side = move.source if fault.side == "source" else move.target
                self.spawn(self._restart(self.hosts[side or move.source], COMPUTE_UNIT))
            case NeighbourGone():
                gone = Gone(at="migration", how="gone", seconds=fault.seconds)
                for host in matching(self.hosts, fault.hosts):
                    self.spawn(self.lose(host, gone))

    async def _restart(self, host: Host, unit: str) -> None:
        await self.stop(host, unit)
        await self.start(host, unit)

    def _crowd(self, fault: Crowded) -> None:
        """Fill the hosts that are in service: the biggest guests first."""
        flavors = sorted((f for f in FLAVORS.values() if not f.traits), key=lambda flavor: flavor.ram, reverse=True)
        for host in matching(self.hosts, fault.hosts):
            if host.name not in self.nova.providers or self.nova.record(COMPUTE_UNIT, host.name).disabled:
                continue
            for flavor in flavors:
                while self.nova.has_room(host.name, Guest("", "", None, flavor=flavor).resources):
                    name = f"crowd{len(self.nova.guests) + 1}-{host.name}"
                    self.add_guest(name, host.name, flavor=flavor)
            self.truth.look(hosts=(host.name,))

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
        if host.is_held(name):
            unit.log.append(f"{name}.service was skipped because of an unmet condition check.")
            return False
        fault = self.faults.take("command", (host.name,), ("start", f"start:{name}"), "unit")
        await self.clock.sleep(self.durations.start)
        if problem := self._refusal(host, unit, fault):
            unit.end("failed")
            unit.log.append(problem)
            await self.tell(host, unit)
            return False
        unit.begin(host.links[unit.component.service], self.clock.now())
        if name == CONDUCTOR:
            self.nova.remember(host.name)
        if name == COMPUTE_UNIT and self.spec.resume_guests:
            self.spawn(self.boots.resume_guests(host))
        await self.tell(host, unit)
        return True

    def _refusal(self, host: Host, unit: Unit, fault: Fault | None) -> str:
        service, version = unit.component.service, host.links.get(unit.component.service, "")
        if isinstance(fault, Exit):
            return fault.output
        if isinstance(fault, Hang):
            return "start operation timed out. Terminating."
        if (service, version) not in host.complete:
            return f"{unit.name}.service: Failed at step EXEC spawning: No such file or directory"
        return self._refusal_of_nova(host, unit, version) if service == "nova" else ""

    def _refusal_of_nova(self, host: Host, unit: Unit, version: str) -> str:
        if unit.name == COMPUTE_UNIT and host.strict and (problem := refusal(host, self.nova.providers[host.name])):
            return problem
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
            await self.tell(host, unit)

    def reload(self, host: Host, name: str) -> None:
        """Send SIGHUP."""
        if name == CONDUCTOR and host.units[name].running:
            self.nova.remember(host.name)

    def serving(self, host: Host, name: str) -> bool:
        """Tell whether a unit can answer requests."""
        return host.up and host.units[name].running

    # Hosts

    async def reboot(self, host: Host, fault: ReturnsAs | None = None) -> None:
        """Let a host go down in order, as ``systemctl reboot`` does, and come back."""
        await self.boots.reboot(host, fault)

    async def lose(self, host: Host, fault: Gone) -> None:
        """Let a host go like one without power, and come back booted after a while."""
        await self.boots.lose(host, fault)

    async def tell(self, host: Host, unit: Unit) -> None:
        """Tell everybody who wants to know that a unit has begun or ended to run."""
        for told in self.on_unit:
            await told(host, unit)


def _uuid(kind: str, name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"stackroll-sim:{kind}:{name}"))


def _lock(service: str, version: str) -> str:
    return f"{find_distribution(service)}=={version}\n"
