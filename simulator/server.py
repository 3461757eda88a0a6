"""A simulated cloud that is up: its SSH servers, its APIs on every control host, and the balancer in front."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import asyncssh

from model.components import Component
from model.inventory import Role
from simulator import outputs
from simulator.apis import Instance
from simulator.cloud import SimCloud
from simulator.faults import Fault
from simulator.host import Host, Unit
from simulator.http import Listener, Request, Response
from simulator.jobs import Jobs
from simulator.settings import Durations, SimSpec
from simulator.shell import Shell
from simulator.silence import Hole
from simulator.sshd import SshServers
from simulator.work import Worker


class Simulation:
    """A cloud and everything that it listens on; its files are in one folder."""

    def __init__(
        self, spec: SimSpec, folder: Path, faults: Iterable[Fault] = (), durations: Durations | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.spec, self.folder = spec, folder
        self.cloud = SimCloud(spec, durations)
        self.cloud.faults.arm(*faults)
        self.jobs = Jobs(self.cloud, Worker(self.cloud))
        self.shell = Shell(self.cloud, self.jobs)
        self._make_key()
        self._ssh = SshServers(self.cloud, self.shell, folder / "id_ed25519.pub")
        self._instances: dict[tuple[str, str], Listener | Hole] = {}
        self._front: list[Listener] = []
        self._dark: list[Hole] = []

    async def open(self) -> None:
        """Write the files and begin to listen."""
        outputs.write(self.folder, self.spec)
        (self.folder / "known_hosts").write_text(self._ssh.known_hosts())
        for component in _apis(self.cloud):
            self._front_of(component)
        self.cloud.on_unit.append(self._follow_unit)
        self.cloud.on_host += [self._follow_host, self._ssh.follow]
        for host in self.cloud.hosts.values():
            for unit in host.units.values():
                await self._follow_unit(host, unit)
        await asyncio.gather(*(listener.open() for listener in self._front))
        await self._ssh.open()
        self.cloud.spawn(self.cloud.keep_reporting())

    async def close(self) -> None:
        """End everything."""
        await self.cloud.close()
        for listener in (*self._front, *self._dark, *self._instances.values()):
            listener.close()
        await self._ssh.close()

    def _make_key(self) -> None:
        key, path = asyncssh.generate_private_key("ssh-ed25519"), self.folder / "id_ed25519"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key())
        key.write_public_key(str(path.with_suffix(".pub")))

    def _front_of(self, component: Component) -> None:
        """Put the balancer in front of an API."""
        for host in self.cloud.hosts.values():
            if component.unit in host.units:
                instance = Instance(self.cloud, host, component)
                self.cloud.balancer.add(
                    component.unit,
                    host.name,
                    f"{host.address}:{component.port}",
                    instance.answer,
                    _alive(self.cloud, host, component.unit),
                )
        listener = Listener(self.spec.vip, component.port or 0, self._through(component.unit))
        self._front.append(listener)

    def _through(self, frontend: str) -> Callable[[Request], Awaitable[Response | None]]:
        async def answer(request: Request) -> Response | None:
            return await self.cloud.balancer.answer(frontend, request)

        return answer

    async def _follow_unit(self, host: Host, unit: Unit) -> None:
        """Listen where an API runs, and nowhere else; on a host that is silent, leave every request unanswered."""
        if unit.component.port is None:
            return
        place = (host.name, unit.name)
        if old := self._instances.pop(place, None):
            old.close()
        if unit.running:
            instance = Instance(self.cloud, host, unit.component)
            self._instances[place] = listener = Listener(host.address, unit.component.port, instance.answer)
            await listener.open()
        elif host.silent:
            self._instances[place] = Hole(host.address, unit.component.port)

    async def _follow_host(self, host: Host) -> None:
        if not host.up:
            self.jobs.lose(host)
        else:
            for place in [place for place, found in self._instances.items() if isinstance(found, Hole)]:
                if place[0] == host.name:
                    self._instances.pop(place).close()
        if Role.LOAD_BALANCER in host.roles:
            await self._follow_balancer(host)

    async def _follow_balancer(self, host: Host) -> None:
        """The balancer's own addresses go and come with its host; it forgets what it was told at run time."""
        for hole in self._dark:
            hole.close()
        self._dark = []
        if host.up:
            self.cloud.balancer.forget()
            await asyncio.gather(*(listener.open() for listener in self._front))
            return
        for listener in self._front:
            listener.close()
        if host.silent:
            self._dark = [Hole(*listener.place) for listener in self._front]


@contextlib.asynccontextmanager
async def simulation(
    spec: SimSpec, folder: Path, faults: Iterable[Fault] = (), durations: Durations | None = None
) -> AsyncIterator[Simulation]:
    """Run a simulated cloud for as long as the block does."""
    running = Simulation(spec, folder, faults, durations)
    try:
        await running.open()
        yield running
    finally:
        await running.close()


def _apis(cloud: SimCloud) -> list[Component]:
    found = {unit.name: unit.component for host in cloud.hosts.values() for unit in host.units.values()}
    return [component for component in found.values() if component.is_api]


def _alive(cloud: SimCloud, host: Host, unit: str) -> Callable[[], bool]:
    return lambda: cloud.serving(host, unit)
