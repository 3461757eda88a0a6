"""Commands that are no jobs, as a host's shell would answer them: readings, the balancer's socket, the SQL client."""

import asyncio
import json
import re
import shlex
import time
from collections.abc import Callable

from activities.drain_watch import DOMAINS
from activities.packaging.venv import Venv
from activities.readiness import QUEUES
from activities.standstill import pauses_command
from model.components import find_distribution
from model.inventory import Packaging, Role
from model.standstill import HEADER
from simulator import boot_commands, readiness
from simulator.cloud import SimCloud
from simulator.dumps import DumpError
from simulator.faults import Disconnect, Exit, Fault, Gone, Hang, ReturnsAs, Slow
from simulator.guests import instance_name
from simulator.host import Host, venv
from simulator.intents import BalancerCommands, Part, Readings
from simulator.jobs import BrokenConnectionError, Jobs
from simulator.objects import known_objects
from simulator.schemas import SqlError, UnknownCommandError, shipped
from simulator.settings import PACKAGES, REPOSITORY
from simulator.virsh import completed_job

Answer = tuple[int, str, str]
_UNITS = re.compile(r"^for unit in (?P<units>[^;\n]*); do\n  echo \"U ", re.MULTILINE)
_FILES = re.compile(r"^for file in (?P<files>[^;\n]*); do \[ -f", re.MULTILINE)
_TOOLS = re.compile(r"^missing (?P<tools>[^\n]+)$", re.MULTILINE)
_REPOSITORY = re.compile(r"^repository=(?P<place>\S+)\nfor lock in ", re.MULTILINE)
_WRITE = re.compile(r"cat > (?P<path>\S+)\.new (?:&& sync (?P=path)\.new )?&& mv (?P=path)\.new (?P=path)$")
_READ = re.compile(r"^cat (?P<path>\S+?)(?: 2>/dev/null)?$")
_READ_IF_THERE = re.compile(r"^\[ ! -e (?P<path>\S+) \] \|\| cat (?P=path)$")
_JOURNAL = re.compile(r"^journalctl -u (?P<unit>[\w.-]+) -n (?P<lines>\d+) --no-pager -o cat$")
_HEADS = re.compile(rf"{re.escape(PACKAGES)}/venvs/([a-z]+)-([^/]+)/bin/python$")
_DOMAINS = {DOMAINS, f"sh -c {shlex.quote(DOMAINS)}"}
_PAUSES = re.compile(rf"^{re.escape(pauses_command(['GUESTS'])).replace('GUESTS', '(?P<guests>[^;]*)')}$")
_REBOOTS = {"systemctl reboot", "reboot", "shutdown -r now"}
_TOOLS_OF = {Role.DATABASE: {"mariadb", "mysql", "mariadb-dump", "mysqldump"}, Role.LOAD_BALANCER: {"socat"}}


def _installed(host: Host) -> str:
    lines = [f"C {service}-{version}" for service, version in sorted(host.complete)]
    lines += [f"L {service}-{version}" for service, version in sorted(host.links.items())]
    return "".join(f"{line}\n" for line in lines)


def _made_of(host: Host) -> str:
    """The distributions of each environment: a service's own is all that there is."""
    names = sorted(host.complete)
    return "".join(f"D {s}-{v} {find_distribution(s).replace('-', '_')}-{v} 0\n" for s, v in names)


def _repository(host: Host, place: str) -> str:
    """What the locks of a release name."""
    lines = []
    for path, text in sorted(host.files.items()):
        if path.startswith(f"{place}/") and path.endswith("/requirements.txt"):
            name = path.removeprefix(f"{place}/").removesuffix("/requirements.txt")
            lines += [f"R {name} {line}" for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines)


_INSTALLED = Venv(Packaging(root=PACKAGES, repository=REPOSITORY)).installed()
_SMALL: dict[str, Callable[[Host], str]] = {
    "true": lambda _: "",
    "hostname": lambda host: f"{host.hostname}\n",
    "uname -r": lambda host: f"{host.kernel}\n",
    "ls /boot/vmlinuz-*": lambda host: "".join(f"/boot/vmlinuz-{kernel}\n" for kernel in sorted(host.kernels)),
    "systemctl list-jobs --no-pager --no-legend; systemd-inhibit --list --no-pager --no-legend": lambda _: "",
}


class Shell:
    """The shells of all hosts."""

    def __init__(self, cloud: SimCloud, jobs: Jobs) -> None:
        self._cloud, self._jobs = cloud, jobs
        self._balancer, self._readings = BalancerCommands(), Readings()
        self.unknown: list[str] = []

    async def run(self, host: Host, command: str, given: str) -> Answer:
        """Return status, output and errors of a command.

        Raises:
            BrokenConnectionError: the connection breaks instead.
        """
        if self._jobs.is_request(command):
            return await self._jobs.answer(host, command, given)
        if self._jobs.is_stop(command):
            self._jobs.stop(host, command)
            return 0, "", ""
        name, act = self._meaning(host, command, given)
        fault = self._cloud.faults.take("command", (host.name,), (name.partition(":")[0], name))
        if (early := await self._suffer(host, fault)) is not None:
            return early
        return act()

    async def _suffer(self, host: Host, fault: Fault | None) -> Answer | None:
        cloud = self._cloud
        match fault:
            case Exit():
                return fault.status, "", f"{fault.output}\n"
            case Hang():
                await asyncio.Event().wait()
            case Slow():
                await cloud.clock.sleep(fault.seconds)
            case Disconnect():
                raise BrokenConnectionError
            case ReturnsAs():
                cloud.spawn(cloud.reboot(host, fault))
                return 0, "", ""
            case Gone():
                cloud.spawn(cloud.lose(host, fault))
                await asyncio.sleep(0)
                raise BrokenConnectionError
        return None

    def _meaning(self, host: Host, command: str, given: str) -> tuple[str, Callable[[], Answer]]:
        """Return a command's canonical name, and what it does."""
        # First: parts of these scripts look like something else.
        if part := self._readings.parse(command):
            name = "boot" if part.intent == "boot" else f"{part.intent}:{part.values['service']}"
            if part.intent.startswith("scratch-"):
                return part.intent, lambda: self._scratch(host, part, given)
            return name, lambda: self._inspect(host, part)
        return self._other_meaning(host, command, given)

    def _other_meaning(self, host: Host, command: str, given: str) -> tuple[str, Callable[[], Answer]]:
        if "/proc/sys/kernel/random/boot_id" in command:
            return "facts", lambda: self._facts(host, command)
        if _UNITS.search(command):
            # The digest asks for what is installed with the same command.
            more = f"{_installed(host)}==\n" if command.startswith(_INSTALLED) else ""
            # And `stackroll exposure` for what the environments are made of.
            made = f"==\n{_made_of(host)}" if "dist-info" in command else ""
            return "units", lambda: (0, more + self._units(host, command) + made, "")

        if Role.LOAD_BALANCER in host.roles and (part := self._balancer.parse(command)):
            said = part.values.get("said", f"hold {part.values.get('frontend')}")
            return f"balancer:{said}", lambda: (0, self._tell_balancer(part.values), "")
        if Role.DATABASE in host.roles and "--batch --skip-column-names --execute" in command:
            return "sql", lambda: self._ask_sql(command)
        if "ScriptDirectory" in command:
            return "heads", lambda: _heads(host, command)
        found = self._readiness_meaning(host, command) or self._file_meaning(host, command, given)
        return found or self._plain_meaning(host, command)

    def _readiness_meaning(self, host: Host, command: str) -> tuple[str, Callable[[], Answer]] | None:
        if command == QUEUES:
            return "queues", lambda: (0, readiness.queues(self._cloud), "")
        if readiness.REPOSITORY_CHECK in command:
            return "repository", lambda: (0, host.unresolved, "")
        return None

    def _file_meaning(self, host: Host, command: str, given: str) -> tuple[str, Callable[[], Answer]] | None:
        if found := _WRITE.search(command):
            path = _plain(found["path"])
            return f"write:{path}", lambda: self._write(host, path, given)
        if found := _READ.search(command):
            path = _plain(found["path"])
            return f"read:{path}", lambda: _read(host, path)
        if found := _READ_IF_THERE.search(command):
            path = _plain(found["path"])
            return f"read:{path}", lambda: (0, host.files.get(path, ""), "")
        return None

    def _plain_meaning(self, host: Host, command: str) -> tuple[str, Callable[[], Answer]]:
        if found := _REPOSITORY.search(command):
            place = found["place"]
            return "repository", lambda: (0, _repository(host, place), "")
        if found := _JOURNAL.search(command):
            unit, lines = found["unit"], int(found["lines"])
            return "journal", lambda: _journal(host, unit, lines)
        if (asked := self._virsh_meaning(host, command)) is not None:
            return asked
        if command.strip() in _REBOOTS:
            return "reboot", lambda: self._reboot(host)
        if command.strip() in _SMALL:
            return command.strip(), lambda: (0, _SMALL[command.strip()](host), "")
        return "unknown", lambda: self._refuse(host, command)

    def _virsh_meaning(self, host: Host, command: str) -> tuple[str, Callable[[], Answer]] | None:
        if command in _DOMAINS:
            return "domains", lambda: self._domains(host)
        if found := _PAUSES.match(command):
            guests = found["guests"].split()
            return "pauses", lambda: self._pauses(host, guests)
        return None

    def _inspect(self, host: Host, part: Part) -> Answer:
        """Answer what only looks at an installed version, or at dumps."""
        if part.intent == "boot":
            return 0, boot_commands.read(host, part.values["record"]), ""
        if part.intent in {"find", "losses"}:
            look = self._cloud.dumps.find if part.intent == "find" else self._cloud.dumps.losses
            try:
                return 0, look(host, part.values["folder"], part.values["plan"]), ""
            except DumpError as error:
                return error.status, "", f"{error}\n"
        service, version = part.values["service"], part.values["version"]
        if part.intent == "manage":
            return self._ask_tool(host, service, version, part)
        if (service, version) not in host.complete:
            return 66, "", f"{venv(service, version)} is not installed, or only in part\n"
        return 0, f"{json.dumps(known_objects(version))}\n" if part.intent == "objects" else "", ""

    def _scratch(self, host: Host, part: Part, given: str) -> Answer:
        """Answer what a rehearsal asks beside its jobs."""
        rehearsals, values = self._cloud.rehearsals, part.values
        copy = rehearsals.copy
        match part.intent:
            case "scratch-settings":
                return 0, "sql_mode=STRICT_TRANS_TABLES\ncharacter-set-server=utf8mb4\n", ""
            case "scratch-lead":
                return self._write(host, values["path"], given)
            case "scratch-stop":
                return 0, f"{rehearsals.stop(host, values['place'])}\n", ""
            case "scratch-remove":
                return 0, f"{rehearsals.remove(host, values['place'])}\n", ""
        if copy is None or copy.host != host.name:
            return 1, "", "ERROR 2002 (HY000): Can't connect to local server through socket\n"
        heard = "".join(f"{line}\n" for line in copy.heard)
        copy.heard.clear()
        return 0, heard if part.intent == "scratch-heard" else "", ""

    def _ask_tool(self, host: Host, service: str, version: str, part: Part) -> Answer:
        """Run a tool that only looks."""
        tool = part.values["tool"]
        if (service, version) not in host.complete:
            return 127, "", f"no {venv(service, version)}/bin/{tool} on this host: the version is not installed\n"
        try:
            status, output = self._cloud.schemas.run(service, version, tool, part.values["arguments"])
        except UnknownCommandError as error:
            return 127, "", f"this command is not simulated: {error}\n"
        return status, f"{output}\n", ""

    def _domains(self, host: Host) -> Answer:
        """List the machines that run, as libvirt does."""
        if "libvirtd" not in host.others:
            return 127, "", ""
        if not host.others["libvirtd"]:
            return 1, "", "error: failed to connect to the hypervisor\n"
        running = [machine for machine in self._cloud.machines.on(host.name) if machine.runs]
        return 0, "".join(f"{machine.guest} {instance_name(machine.guest)}\n" for machine in running), ""

    def _pauses(self, host: Host, guests: list[str]) -> Answer:
        """Tell of the last migration of machines, as virsh does."""
        if "libvirtd" not in host.others:
            return 127, "", ""
        here = {machine.guest: machine for machine in self._cloud.machines.on(host.name)}
        up = host.others["libvirtd"]
        said = (f"{HEADER}{guest}\n{completed_job(here.get(guest), guest, up=up)}" for guest in guests)
        return 0, "".join(said), ""

    def _reboot(self, host: Host) -> Answer:
        self._cloud.spawn(self._cloud.reboot(host))
        return 0, "", ""

    def _refuse(self, host: Host, command: str) -> Answer:
        self.unknown.append(f"{host.name}: {command}")
        return 127, "", f"this command is not simulated: {command}\n"

    def _facts(self, host: Host, command: str) -> Answer:
        lines = [f"B {host.boot_id}", f"T {int(time.time())}", f"F {host.free_bytes}"]
        files = _FILES.search(command)
        wanted = shlex.split(files["files"]) if files else []
        lines += [f"R {path}" for path in wanted if path not in host.files]
        have = {"systemd-run", "uv"}.union(*(tools for role, tools in _TOOLS_OF.items() if role in host.roles))
        for found in _TOOLS.finditer(command):
            if not have & set(found["tools"].split()):
                lines.append(f"M {found['tools']}")
        lines += readiness.state(host, command)
        return 0, "\n".join(lines) + "\n" + self._units(host, command), ""

    def _units(self, host: Host, command: str) -> str:
        found = _UNITS.search(command)
        lines = []
        for name in shlex.split(found["units"]) if found else []:
            unit = host.units.get(name)
            if unit is None:
                lines.append(f"U {name} inactive 0 ")
                continue
            since = self._cloud.clock.systemd(unit.since) if unit.since else ""
            lines.append(f"U {name} {unit.active} 0 {since}")
            if unit.version is not None:
                place = venv(unit.component.service, unit.version)
                lines += [f"P {name} {unit.pid} {place}/bin/python", f"P {name} {unit.pid} {place}/lib"]
        return "".join(f"{line}\n" for line in lines)

    def _tell_balancer(self, values: dict[str, str]) -> str:
        balancer = self._cloud.balancer
        if "said" in values:
            return balancer.say(values["said"])
        return balancer.hold(values["frontend"], int(values["number"]))

    def _ask_sql(self, command: str) -> Answer:
        query = shlex.split(command)[-1]
        try:
            return 0, self._cloud.sql.ask(query), ""
        except SqlError as error:
            return 1, "", f"{error}\n"

    def _write(self, host: Host, path: str, content: str) -> Answer:
        if host.free_bytes <= 0:
            return 1, "", "cat: write error: No space left on device\n"
        host.files[path] = content
        return 0, "", ""


def _read(host: Host, path: str) -> Answer:
    if path in host.files:
        return 0, host.files[path], ""
    return 1, "", f"cat: {path}: No such file or directory\n"


def _journal(host: Host, unit: str, lines: int) -> Answer:
    found = host.units.get(unit.removesuffix(".service"))
    return 0, "\n".join([*found.log[-lines:], ""]) if found else "-- No entries --\n", ""


def _heads(host: Host, command: str) -> Answer:
    """What the migrations that a version ships end with: the interpreter of its environment is asked."""
    words = shlex.split(command)
    place, package, folder = _HEADS.match(words[0]), words[-2], words[-1]
    if place is None or place.groups() not in host.complete:
        return 127, "", f"sh: {words[0]}: not found\n"
    try:
        found = shipped(package, folder, place[2])
        return 0, f"{found[0]}\n{' '.join(found)}\n", ""
    except UnknownCommandError as error:
        return 1, "", f"{error}\n"


def _plain(path: str) -> str:
    return "".join(shlex.split(path))
