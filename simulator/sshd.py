"""Real SSH: one server per host on an address of its own, with a host key of its own."""

import asyncio
import contextlib
import shlex
from pathlib import Path
from typing import Any

import asyncssh

from simulator.cloud import SimCloud
from simulator.host import Host
from simulator.jobs import BrokenConnectionError
from simulator.shell import Shell
from simulator.silence import Hole


class SshServers:
    """The SSH servers of all hosts."""

    def __init__(self, cloud: SimCloud, shell: Shell, authorized: Path) -> None:
        self._cloud, self._shell, self._authorized = cloud, shell, authorized
        self.keys = {name: asyncssh.generate_private_key("ssh-ed25519") for name in cloud.hosts}
        self._listeners: dict[str, Any] = {}
        self._holes: dict[str, Hole] = {}
        self._connections: dict[str, set[Any]] = {name: set() for name in cloud.hosts}

    async def open(self) -> None:
        """Listen on every host."""
        for host in self._cloud.hosts.values():
            await self._listen(host)

    async def follow(self, host: Host) -> None:
        """Go with a host that goes, and come with it."""
        if host.up:
            self.shut(host.name)
            await self._listen(host)
        elif host.silent:
            self._fall_silent(host)
        else:
            self.shut(host.name)

    def shut(self, name: str) -> None:
        """Listen no more on a host, and break its connections."""
        for found in (self._listeners.pop(name, None), self._holes.pop(name, None)):
            if found is not None:
                found.close()
        while self._connections[name]:
            self._connections[name].pop().abort()

    def _fall_silent(self, host: Host) -> None:
        """Answer nobody any more, neither who is connected nor who tries to be."""
        if listener := self._listeners.pop(host.name, None):
            listener.close()
        for connection in self._connections[host.name]:
            if transport := connection._transport:  # noqa: SLF001 - the library cannot be told to stop reading
                transport.pause_reading()
        self._holes[host.name] = Hole(host.address, self._cloud.spec.ssh_port)

    async def close(self) -> None:
        """End all of them."""
        listeners = list(self._listeners.values())
        for name in list(self._listeners):
            self.shut(name)
        await asyncio.gather(*(listener.wait_closed() for listener in listeners))

    def known_hosts(self) -> str:
        """Return the lines of ``known_hosts``."""
        lines = []
        for name, key in self.keys.items():
            public = key.export_public_key().decode().strip()
            lines.append(f"[{self._cloud.hosts[name].address}]:{self._cloud.spec.ssh_port} {public}\n")
        return "".join(lines)

    async def _listen(self, host: Host) -> None:
        connections = self._connections[host.name]

        def connected(connection: Any) -> None:
            connections.difference_update([one for one in connections if one.is_closed()])
            connections.add(connection)

        async def serve(process: Any) -> None:
            # The connection may be cut while the command is on its way; nobody waits for the answer then.
            with contextlib.suppress(asyncssh.Error, OSError):
                await self._serve(host, process)

        self._listeners[host.name] = await asyncssh.listen(
            host.address,
            self._cloud.spec.ssh_port,
            server_host_keys=[self.keys[host.name]],
            authorized_client_keys=str(self._authorized),
            process_factory=serve,
            acceptor=connected,
            encoding="utf-8",
        )

    async def _serve(self, host: Host, process: Any) -> None:
        command, boot = unwrapped(process.command or ""), host.boot_id
        given = await process.stdin.read()
        try:
            status, out, errors = await self._shell.run(host, command, given)
        except BrokenConnectionError:
            if not host.silent:
                process.channel.get_connection().abort()
                return
        if not host.up or host.boot_id != boot:
            # What it would have said died with it.
            await process.channel.get_connection().wait_closed()
            return
        process.stdout.write(out)
        process.stderr.write(errors)
        process.exit(status)


def unwrapped(command: str) -> str:
    """Return what a login shell was told to run, without ``sudo`` and ``sh -c`` around it."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    if words[:3] == ["sudo", "-n", "--"]:
        words = words[3:]
    return words[2] if len(words) == 3 and words[:2] == ["sh", "-c"] else command
