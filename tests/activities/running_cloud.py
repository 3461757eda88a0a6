"""One host, two instances of an API, a balancer and a little nova, real down to the sockets and shells."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import openstack, work
from activities.context import Toolbox
from activities.running import UnitState
from activities.ssh import Hosts
from model.inventory import Inventory
from model.nova import Migration, ServiceRow
from model.plan import Action
from model.work import StepResult, Work
from tests.activities.conftest import Site

# A unit runs from what its service's link named when it was last started.
SYSTEMCTL_VERBS = """
    restart|start|stop)
        for unit in "$@"; do
            case $unit in *.service) ;; *) continue ;; esac
            name=${unit%.service}
            echo "$command $name" >>"$LAB/log"
            case $command in
                stop) rm -f "$LAB/running/$name" ;;
                *) [ ! -e "$LAB/broken-$name" ] || exit 1
                    basename "$(readlink "$LAB/openstack/nova")" >"$LAB/running/$name" ;;
            esac
        done ;;
    kill) echo "hup" >>"$LAB/log" ;;
    is-active) exit 0 ;;
"""
SOCAT = """#!/bin/sh
read -r verb what rest
echo "$verb $what $rest" >>"$LAB/balancer/log"
case "$verb $what" in
    "show stat")
        echo "# pxname,svname,qcur,scur,status,addr,"
        cat "$LAB"/balancer/servers/* ;;
    "show sess") cat "$LAB/balancer/sessions" ;;
    "set server")
        set -- $rest
        file=$LAB/balancer/servers/${1#*/}
        [ -e "$file" ] || { echo "No such server."; exit 0; }
        case $3 in ready) status=UP ;; *) status=$(echo "$3" | tr a-z A-Z) ;; esac
        sed "s/,[A-Z]*,\\([^,]*\\),$/,$status,\\1,/" "$file" >"$file.new" && mv "$file.new" "$LAB/balancer/tmp"
        mv "$LAB/balancer/tmp" "$file"
        echo ;;
    "set map") set -- $rest
        [ -e "$LAB/balancer/map-$2" ] || { echo "entry not found."; exit 0; }
        echo "$3" >"$LAB/balancer/map-$2"; echo ;;
    "add map") set -- $rest; echo "$3" >"$LAB/balancer/map-$2"; echo ;;
esac
"""
MARIADB = """#!/bin/sh
cat >>"$LAB/sql"
echo "before=$(cat "$LAB/lowest")"
echo "records=$(cat "$LAB/records")"
"""


class Api:
    """An instance of an API: HTTP on a loopback address."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.requests: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, address: str, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, address, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        status = self.answers.pop(0) if self.answers else 200
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi".encode())
        await writer.drain()
        writer.close()


@dataclass
class Nova:
    """What nova's API would say. Every look at the services is a report later, unless they are silent."""

    busy: list[str] = field(default_factory=list)
    moves: list[list[Migration]] = field(default_factory=list)
    silent: bool = False
    looks: int = 0
    asked: Callable[[], None] = lambda: None

    async def in_flight(self, inventory: Inventory) -> list[str]:
        self.asked()
        return list(self.busy)

    async def migrations(self, inventory: Inventory) -> tuple[Migration, ...]:
        return tuple(self.moves.pop(0)) if self.moves else ()

    async def service_records(self, inventory: Inventory) -> list[ServiceRow]:
        self.looks += 1
        reported = "0" if self.silent else str(self.looks)
        return [
            ServiceRow(id=b, binary=b, host=h, state=s, status="enabled", updated_at=reported)
            for b, h, s in (
                ("nova-conductor", "ctl1", "up"),
                ("nova-compute", "cmp1", "up"),
                ("nova-compute", "cmp2", "down"),
            )
        ]


@dataclass
class Cloud:
    """All of it, and how to run an activity on it."""

    site: Site
    hosts: Hosts
    nova: Nova
    mine: Api
    other: Api
    tools: Toolbox
    heartbeats: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.site.root

    @property
    def log(self) -> list[str]:
        """What systemd was told."""
        file = self.root / "log"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def versions(self) -> list[str]:
        """The versions of nova that are installed."""
        return sorted(v.name.removeprefix("nova-") for v in (self.root / "openstack" / "venvs").iterdir())

    def servers(self, mine: str = "UP", other: str = "UP", sessions: int = 0) -> None:
        """Arrange the balancer."""
        place = self.root / "balancer" / "servers"
        (place / "ctl1").write_text(f"nova-api,ctl1,0,{sessions},{mine},127.0.0.1:{self.mine.port},\n")
        (place / "ctl2").write_text(f"nova-api,ctl2,0,0,{other},127.0.0.2:{self.other.port},\n")

    def status(self, name: str) -> str:
        """What the balancer has an instance down as."""
        return (self.root / "balancer" / "servers" / name).read_text().split(",")[4]

    def installed(self, *versions: str) -> None:
        """Arrange installed versions of nova, the first of them active."""
        for version in versions:
            venv = self.root / "openstack" / "venvs" / f"nova-{version}"
            (venv / "bin").mkdir(parents=True)
            (venv / ".complete").touch()
        (self.root / "openstack" / "nova").symlink_to(self.root / "openstack" / "venvs" / f"nova-{versions[0]}")

    async def run(self, activity: Callable[[Work], Awaitable[StepResult]], action: Action, **params: Any) -> StepResult:
        """Run an activity as a worker does."""
        inventory = self.site.inventory
        balancer = inventory.load_balancer.model_copy(update={"hold_map": str(self.root / "hold.map")})
        environment = ActivityEnvironment()
        environment.info = dataclasses.replace(
            environment.info, started_time=datetime.now(tz=UTC), start_to_close_timeout=timedelta(seconds=30)
        )
        environment.on_heartbeat = self.heartbeats.append
        order = Work(
            upgrade="upgrade-1",
            step=f"{action}/ctl1",
            action=action,
            target="ctl1",
            params=params,
            inventory=inventory.model_copy(update={"load_balancer": balancer}),
            timeout=30,
        )
        result: StepResult = await environment.run(activity, order)
        return result

    async def fails(self, activity: Any, action: Action, **params: Any) -> ApplicationError:
        """Run an activity that fails, and return how."""
        with pytest.raises(ApplicationError) as caught:
            await self.run(activity, action, **params)
        return caught.value


async def make_cloud(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Bring it up."""
    for folder in ("running", "balancer/servers", "openstack/venvs"):
        (site.root / folder).mkdir(parents=True)
    systemctl = site.root / "bin" / "systemctl"
    systemctl.write_text(systemctl.read_text().replace("    *) exit 0 ;;", SYSTEMCTL_VERBS + "    *) exit 0 ;;"))
    for name, text in (("socat", SOCAT), ("mariadb", MARIADB), ("journalctl", "#!/bin/sh\necho log of $2\n")):
        (site.root / "bin" / name).write_text(text)
        (site.root / "bin" / name).chmod(0o755)
    (site.root / "balancer" / "sessions").touch()
    (site.root / "balancer" / "log").touch()
    nova, mine, other = Nova(), Api(), Api()
    await mine.start("127.0.0.1")
    await other.start("127.0.0.2")

    async def token(inventory: Inventory) -> str:
        return "a-token"

    async def read_units(
        hosts: Hosts, inventory: Inventory, host: str, units: tuple[str, ...]
    ) -> tuple[UnitState, ...]:
        found = []
        for unit in units:
            file = site.root / "running" / unit
            version = file.read_text().strip().removeprefix("nova-") if file.exists() else None
            found.append(UnitState(unit, "active" if version else "inactive", (version,) if version else (), ""))
        return tuple(found)

    monkeypatch.setattr(openstack, "token", token)
    monkeypatch.setattr(openstack, "in_flight", nova.in_flight)
    monkeypatch.setattr(openstack, "migrations", nova.migrations)
    monkeypatch.setattr(openstack, "service_records", nova.service_records)
    monkeypatch.setattr(work, "read_units", read_units)
    cloud = Cloud(site, hosts, nova, mine, other, Toolbox(hosts=hosts))
    cloud.servers()
    return cloud
