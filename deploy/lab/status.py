"""How the lab is, read independently: what processes run, not what was ordered."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from deploy.lab import guests as real
from deploy.lab import machines
from deploy.lab import record as records
from deploy.lab.api import Api, balancer, parse_stat
from deploy.lab.command import in_parallel, ssh
from deploy.lab.counting import Account
from deploy.lab.errors import LabError
from deploy.lab.packages import release_of
from deploy.lab.record import Record
from deploy.lab.settings import Host, Paths

_VENV = re.compile(r"/opt/openstack/venvs/([a-z]+)-([^/\s]+)/")


@dataclass
class UnitStatus:
    """One unit on one host."""

    state: str
    service: str = ""
    version: str = ""

    @property
    def release(self) -> str:
        """The release its main process runs, with the exact version."""
        if not self.version:
            return ""
        return f"{release_of(self.service, self.version) or 'unknown'} ({self.version})"


@dataclass
class HostStatus:
    """One host."""

    host: Host
    ssh: str = ""
    units: dict[str, UnitStatus] = field(default_factory=dict)


@dataclass
class Report:
    """The whole lab.

    Attributes:
        record: What it should be.
        hosts: How each host is.
        guests: What nova says of the guests.
        servers: The load balancer's servers and their states.
        problem: Why something could not be asked.
        processes: Where each server has a QEMU process, by its id; None in a lab without real guests.
    """

    record: Record
    hosts: list[HostStatus]
    guests: list[dict[str, Any]]
    servers: dict[tuple[str, str], str]
    problem: str = ""
    processes: dict[str, list[str]] | None = None

    @property
    def well(self) -> bool:
        """Whether every host answers, every unit is active, every API is in service, every guest as it should be."""
        hosts = all(not host.ssh and all(unit.state == "active" for unit in host.units.values()) for host in self.hosts)
        servers = all(state == "UP" for state in self.servers.values())
        return hosts and servers and not self.problem and all(self._guest_well(guest) for guest in self.guests)

    def _guest_well(self, guest: dict[str, Any]) -> bool:
        ended = self.processes is not None and guest["status"] == "ACTIVE" and guest["id"] not in self.processes
        return guest["status"] != "ERROR" and not ended

    def runs(self, guest: dict[str, Any]) -> str:
        """Say whether and where a guest runs: by its process where it has one, else by what nova says."""
        if self.processes is None:
            return "yes" if guest["OS-EXT-STS:power_state"] == 1 else "no"
        return f"on {', '.join(self.processes[guest['id']])}" if guest["id"] in self.processes else "no"


def unit_script(units: tuple[str, ...]) -> str:
    """Return a script that prints, per unit, its name, its state and the virtual environment of its main process.

    Some of nova's processes rename themselves, so what counts is the code they have mapped, not their command line.
    """
    return "".join(
        f'p=$(systemctl show -P MainPID {unit}); printf "%s\\t%s\\t" {unit} "$(systemctl is-active {unit} || true)"; '
        f'{{ test "$p" = 0 || grep -o -m 1 "/opt/openstack/venvs/.*" /proc/$p/maps; }} 2>/dev/null || true; echo\n'
        for unit in units
    )


def parse_units(text: str) -> dict[str, UnitStatus]:
    """Read the answer to `unit_script`."""
    found = {}
    for line in filter(None, text.splitlines()):
        name, state, mapped = line.split("\t", 2)
        match = _VENV.search(mapped)
        found[name] = UnitStatus(state, *(match.groups() if match else ()))
    return found


def _host(paths: Paths, host: Host) -> HostStatus:
    if not machines.running(host):
        return HostStatus(host, "not running")
    try:
        return HostStatus(host, "", parse_units(ssh(paths, host, unit_script(host.units), timeout=30).stdout))
    except LabError as error:
        return HostStatus(host, str(error).splitlines()[0])


def gather(paths: Paths) -> Report:
    """Look at every host, at the load balancer and at the guests.

    Raises:
        LabError: There is no lab.
    """
    current = records.require(paths)
    hosts = in_parallel(lambda host: _host(paths, host), current.spec.hosts)
    report = Report(current, hosts, [], {})
    if current.spec.hypervisor == "qemu":
        report.processes = real.running(current.spec)
    try:
        report.servers = parse_stat(balancer(paths, current.spec, "show stat"))
        report.guests = Api(current.secrets.admin).servers()
    except LabError as error:
        report.problem = str(error).splitlines()[0]
    return report


def tables(report: Report) -> list[RenderableType]:
    """Return what `stackroll lab status` prints."""
    parts: list[RenderableType] = [_host_table(report)]
    if report.guests:
        parts.append(_guest_table(report))
    if report.problem:
        parts.append(f"[red]{report.problem}[/red]")
    return parts


def _host_table(report: Report) -> Table:
    spec = report.record.spec
    origin = f", restored from {report.record.origin}" if report.record.origin else ""
    table = Table(title=f"lab: {spec.describe()}{origin}", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("host", "address", "ssh", "unit", "state", "runs", "balancer"):
        table.add_column(column, no_wrap=True)
    for entry in report.hosts:
        first = (entry.host.name, entry.host.address, f"[red]{entry.ssh}[/red]" if entry.ssh else "[green]ok[/green]")
        for name, unit in entry.units.items():
            colour = "green" if unit.state == "active" else "red"
            balanced = report.servers.get((name, entry.host.name), "")
            table.add_row(*first, name, f"[{colour}]{unit.state}[/{colour}]", unit.release, balanced)
            first = ("", "", "")
        if not entry.units:
            table.add_row(*first)
        table.add_section()
    return table


def _guest_table(report: Report) -> Table:
    table = Table(title="guests", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("name", "host", "status", "running"):
        table.add_column(column)
    for guest in sorted(report.guests, key=lambda item: str(item["name"])):
        table.add_row(guest["name"], str(guest["OS-EXT-SRV-ATTR:host"]), guest["status"], report.runs(guest))
    return table


def counting_table(
    accounts: Iterable[Account], names: Mapping[str, str], longest_gap: float, restarted: Collection[str] = ()
) -> Table:
    """Return what `stackroll lab watch-guests` prints.

    Args:
        accounts: What the consoles said.
        names: The guests' names by id.
        longest_gap: Seconds of silence that are allowed.
        restarted: Ids of guests that were to be started again, once.
    """
    table = Table(title="guests", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("name", "ran on", "counted", "started again", "longest silence", "disk", "verdict"):
        table.add_column(column)
    for account in accounts:
        wanted = account.server in restarted
        trouble = account.trouble(longest_gap=longest_gap, restarts=int(wanted))
        verdict = f"[red]{escape('; '.join(trouble))}[/red]" if trouble else "[green]counted on[/green]"
        name, gap = names.get(account.server, account.server), f"{account.longest_gap:.2f} s"
        disk = "same" if account.disk_intact else ", ".join(account.marks) or "not read"
        counted = ", ".join(f"{life.first:,} to {life.last:,}" for life in account.lives)
        again = f"{account.restarts}{', as ordered' if wanted and not trouble else ''}"
        table.add_row(name, " → ".join(account.hosts), counted, again, gap, disk, verdict)
    return table
