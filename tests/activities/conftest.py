"""A host to run commands on: an SSH server in this process, and a local shell with a small stand-in for systemd."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from activities import jobs
from activities.ssh import Hosts
from model.inventory import Inventory

SYSTEMD_RUN = """#!/bin/sh
for argument; do
    case $argument in
        --unit=*) unit=${argument#--unit=} ;;
        --description=*) echo "Started ${argument#--description=}" >>"$LAB/journal" ;;
        --*) ;;
        *) break ;;
    esac
    shift
done
setsid "$@" </dev/null >/dev/null 2>&1 &
echo $! >"$LAB/units/$unit.service"
"""

SYSTEMCTL = """#!/bin/sh
active() {
    pid=$(cat "$LAB/units/$1" 2>/dev/null) || return 1
    grep -qs '^State:.[^ZX]' "/proc/$pid/status"
}
command=$1
for argument; do :; done
case $command in
    show) if active "$argument"; then echo active; else echo inactive; fi ;;
    list-units)
        for file in "$LAB"/units/$argument; do
            [ -e "$file" ] && active "${file##*/}" && echo "${file##*/} loaded active running"
        done
        exit 0 ;;
    *) exit 0 ;;
esac
"""


@dataclass
class FakeHost:
    """A machine that answers on a loopback port."""

    root: Path
    port: int = 0
    server: Any = None
    connections: list[Any] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    serving: dict[asyncio.Task[None], Any] = field(default_factory=dict)

    async def start(self, host_key: Any) -> None:
        """Listen, with this host key."""

        def connected(connection: Any) -> None:
            self.connections.append(connection)

        self.server = await asyncssh.create_server(
            asyncssh.SSHServer,
            "127.0.0.1",
            self.port,
            server_host_keys=[host_key],
            authorized_client_keys=str(self.root / "authorized_keys"),
            process_factory=self._serve,
            acceptor=connected,
            encoding=None,
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        self.drop()
        self.server.close()
        await self.server.wait_closed()

    async def end(self) -> None:
        """End what still runs, when the test is over."""
        await self.stop()
        for task, child in list(self.serving.items()):
            if child is not None and child.returncode is None:
                # It may end by itself in this very moment.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
            await asyncio.wait([task])

    def drop(self) -> None:
        """Cut every connection, as a firewall or a rebooting host would."""
        while self.connections:
            self.connections.pop().abort()

    def kill_units(self) -> None:
        """Kill every job at once, as a reboot does."""
        for unit in (self.root / "units").iterdir():
            os.killpg(int(unit.read_text()), signal.SIGKILL)

    @property
    def journal(self) -> list[str]:
        """What the stand-in for systemd has started."""
        file = self.root / "journal"
        return file.read_text().splitlines() if file.exists() else []

    async def _serve(self, process: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.commands.append(process.command)
        self.serving[task] = None
        with contextlib.suppress(asyncssh.Error, BrokenPipeError):
            await self._run(task, process)

    async def _run(self, task: asyncio.Task[None], process: Any) -> None:
        given = await process.stdin.read()
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": f"{self.root}/bin:{os.environ['PATH']}", "LAB": str(self.root), **self.environment},
            start_new_session=True,
        )
        self.serving[task] = child
        out, err = await child.communicate(given)
        # The connection may have been cut meanwhile; the command ran on, as it does on a real host.
        process.stdout.write(out)
        process.stderr.write(err)
        status = child.returncode or 0
        process.exit(status if status >= 0 else 128 - status)


@dataclass
class Site:
    """A fake host and the inventory by which it is reached."""

    host: FakeHost
    root: Path
    user: str = "root"

    @property
    def inventory(self) -> Inventory:
        """The inventory: every role on the one host."""
        return Inventory.model_validate(
            {
                "cloud": "test",
                "release": "2026.1",
                "openstack": {"cloud": "test"},
                "ssh": {
                    "user": self.user,
                    "key": str(self.root / "key"),
                    "known_hosts": str(self.root / "known_hosts"),
                    "port": self.host.port,
                },
                "hosts": {"ctl1": {"address": "127.0.0.1", "roles": ["control", "database", "load-balancer"]}},
                "packaging": {"root": str(self.root / "openstack"), "repository": str(self.root / "repository")},
                "database": {"host": "ctl1"},
                "load_balancer": {"host": "ctl1", "address": "127.0.0.1"},
            }
        )

    def trust(self, host_key: Any) -> None:
        """Write this host key as the known one."""
        public = host_key.export_public_key().decode().strip()
        (self.root / "known_hosts").write_text(f"[127.0.0.1]:{self.host.port} {public}\n")


@pytest.fixture(scope="session")
def keys() -> dict[str, Any]:
    """Key pairs, made once."""
    return {name: asyncssh.generate_private_key("ssh-ed25519") for name in ("host", "other-host", "user", "other-user")}


@pytest.fixture
async def site(tmp_path: Path, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A running fake host that knows the user's key, and is known itself."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "units").mkdir()
    for name, text in (("systemd-run", SYSTEMD_RUN), ("systemctl", SYSTEMCTL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    keys["user"].write_private_key(str(tmp_path / "key"))
    keys["user"].write_public_key(str(tmp_path / "authorized_keys"))
    monkeypatch.setattr(jobs, "STATE_DIR", str(tmp_path / "jobs"))
    monkeypatch.setattr(jobs, "RECONNECT_EVERY", 0.02)
    host = FakeHost(tmp_path)
    await host.start(keys["host"])
    found = Site(host, tmp_path)
    found.trust(keys["host"])
    yield found
    await host.end()


@pytest.fixture
async def hosts() -> AsyncIterator[Hosts]:
    """The connections of a worker."""
    connections = Hosts(connect_timeout=5)
    yield connections
    await connections.close()
