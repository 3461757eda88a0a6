"""Hosts whose answers tests arrange: what would come back over SSH for each command that is known here."""

import json
from dataclasses import dataclass, field

from activities.errors import StackrollError
from activities.ssh import Completed
from model.components import components_on
from model.inventory import Inventory
from model.releases import find_release

STATISTICS = """\
# pxname,svname,qcur,scur,status,addr,
keystone,FRONTEND,0,0,OPEN,,
keystone,ctl1,0,0,{keystone},127.0.0.1:5000,
keystone,BACKEND,0,0,UP,,
placement,ctl1,0,0,UP,127.0.0.1:8778,
glance,ctl1,0,0,UP,127.0.0.1:9292,
nova-api,ctl1,0,0,UP,127.0.0.1:8774,
stats,other,0,0,DOWN,,
"""


@dataclass
class FakeHosts:
    """Stands in for ``activities.ssh.Hosts``.

    Attributes:
        running: the version of each unit on each host; None when it is down.
        tables: rows of the database, by a word of the query.
        unreachable: what is raised for a host.
        objects: what the program that asks nova's code for its objects prints.
        queues: what RabbitMQ's tools print; ``unresolved``: uv, of lock files; ``upgrade_check``: the services' tools.
    """

    inventory: Inventory
    running: dict[str, dict[str, str | None]] = field(default_factory=dict)
    balancer: str = "UP"
    tables: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    heads: str = "head1"
    unreachable: dict[str, StackrollError] = field(default_factory=dict)
    free: int = 10**11
    extra: str = ""
    objects: dict[str, object] = field(default_factory=dict)
    queues: str = ""
    unresolved: str = ""
    upgrade_check: tuple[int, str] = (0, "| Check: all |\n| Result: Success |\n")

    def __post_init__(self) -> None:
        self.run_release(self.inventory.release)

    def run_release(self, release: str) -> None:
        versions = find_release(release).versions
        for host in self.inventory.hosts:
            self.running[host] = {c.unit: versions[c.service] for c in components_on(self.inventory, host)}

    async def run(
        self,
        inventory: Inventory,
        host: str,
        command: str,
        *,
        check: bool = True,
        timeout: float = 60.0,  # noqa: ASYNC109 - as the real one
        input: str | None = None,  # noqa: A002 - as the real one
    ) -> Completed:
        if host in self.unreachable:
            raise self.unreachable[host]
        return self._answer(host, command, input)

    def _answer(self, host: str, command: str, text: str | None) -> Completed:
        if "boot_id" in command:
            lines = f"B boot-{host}\nT 1700000000\nF {self.free}\n{self.extra}"
            return Completed(0, lines + self._units(host), "")
        if "systemctl show" in command:
            more = f"{self._installed(host)}==\n" if "/venvs/*/" in command else ""
            return Completed(0, more + self._units(host), "")
        tools = {
            "rabbitmqctl": (0, self.queues),
            "--dry-run": (0, self.unresolved),
            "upgrade check": self.upgrade_check,
        }
        if asked := next((tool for tool in tools if tool in command), None):
            return Completed(*tools[asked], "")
        return self._answer_reading(command) or self._file(command, text)

    def _answer_reading(self, command: str) -> Completed | None:
        if "show stat" in command:
            return Completed(0, STATISTICS.format(keystone=self.balancer), "")
        if "--execute" in command:
            found = [rows for word, rows in self.tables.items() if word in command]
            return Completed(0, "".join(f"{row}\n" for rows in found for row in rows), "")
        if "alembic" in command or "END_OF_PROGRAM" in command:
            return Completed(0, f"{self.heads if 'alembic' in command else json.dumps(self.objects)}\n", "")
        return None

    def _file(self, command: str, text: str | None) -> Completed:
        if text is not None:
            self.files[command.rsplit(maxsplit=1)[-1]] = text
            return Completed(0, "", "")
        if "virsh" in command:
            return Completed(127, "", "")
        name = command.removesuffix(" 2>/dev/null").rsplit(maxsplit=1)[-1]
        return Completed(0, self.files[name], "") if name in self.files else Completed(1, "", "no such file")

    def _installed(self, host: str) -> str:
        found = {(c.service, self.running[host].get(c.unit)) for c in components_on(self.inventory, host)}
        return "".join(f"C {service}-{version}\nL {service}-{version}\n" for service, version in found if version)

    def _units(self, host: str) -> str:
        lines = []
        for component in components_on(self.inventory, host):
            version = self.running[host].get(component.unit)
            lines.append(f"U {component.unit} {'active' if version else 'failed'} 0 Mon 2026-11-23 00:06:39 UTC")
            if version:
                lines.append(f"P {component.unit} 7 /opt/openstack/venvs/{component.service}-{version}/bin/python")
        return "\n".join(lines)
