"""What jobs do to a host: the intents of a script, one after the other, with the time that they take."""

import asyncio
import json
import shlex
from collections.abc import Callable

from model.components import DATABASES
from simulator import boot_commands, hooks
from simulator.cloud import SimCloud
from simulator.dumps import DumpError
from simulator.faults import DiskFull, Exit, Fault, Gone, Hang, Restarts, Slow, Truncated
from simulator.host import Host, venv
from simulator.intents import Part, Scripts, names_of
from simulator.objects import rewrite
from simulator.schemas import SqlError, UnknownCommandError
from simulator.settings import REPOSITORY

Say = Callable[[str], None]
_NO_SPACE = "error: failed to write: No space left on device (os error 28)"


class Ended(Exception):  # noqa: N818 - a script's end is no error of ours
    """The script ends here."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Worker:
    """Runs scripts on the hosts of a cloud."""

    def __init__(self, cloud: SimCloud) -> None:
        self._cloud = cloud
        self._scripts = Scripts()

    def names(self, script: str) -> tuple[str, ...]:
        """Return the canonical names of a script; ``unknown`` for one that is not simulated."""
        parts = self._scripts.parse(script)
        return ("unknown",) if parts is None else names_of(parts)

    async def run(self, host: Host, script: str, say: Say, fault: Fault | None = None) -> int:
        """Run a script, with this fault in it; return its exit status."""
        parts = self._scripts.parse(script)
        if parts is None:
            say(f"this script is not simulated:\n{script}")
            return 127
        try:
            await self._suffer(host, fault, say)
            for part in parts:
                await self._do(host, part, fault, say)
        except Ended as end:
            return end.status
        return 0

    async def _suffer(self, host: Host, fault: Fault | None, say: Say) -> None:
        cloud = self._cloud
        match fault:
            case Exit():
                await cloud.clock.sleep(1.0)
                say(fault.output)
                raise Ended(fault.status)
            case Hang():
                await asyncio.Event().wait()
            case Slow():
                await cloud.clock.sleep(fault.seconds)
            case DiskFull():
                host.free_bytes = 0
            case Gone():
                # The host takes this job with it.
                cloud.spawn(cloud.lose(host, fault))
                await asyncio.Event().wait()

    async def _do(self, host: Host, part: Part, fault: Fault | None, say: Say) -> None:
        match part.intent:
            case "install":
                await self._install(host, part, fault, say)
            case "uninstall":
                say(host.remove(part.values["service"], part.values["version"]))
            case "check" | "activate":
                self._activate(host, part, say)
            case "manage":
                await self._manage(host, part, say)
            case "reload":
                for unit in part.units:
                    self._cloud.reload(host, unit)
            case "reboot" | "release" | "hook":
                await self._boots(host, part, fault, say)
            case "install-beside" | "manage-copy" | "scratch-start" | "scratch-restore":
                await self._rehearse(host, part, say)
            case "dump" | "restore" | "forget" | "sql" | "rewrite":
                await self._databases(host, part, fault, say)
            case _:
                await self._units(host, part, say)

    async def _databases(self, host: Host, part: Part, fault: Fault | None, say: Say) -> None:
        match part.intent:
            case "rewrite":
                await self._rewrite(host, part, say)
            case "dump":
                await self._dump(host, part, fault, say)
            case "restore":
                await self._restore(host, part, say)
            case "sql":
                self._sql(part, say)
            # To forget dumps of other upgrades is to do nothing: none is ever old enough here.

    async def _rehearse(self, host: Host, part: Part, say: Say) -> None:
        cloud, values = self._cloud, part.values
        rehearsals, durations = cloud.rehearsals, cloud.durations
        match part.intent:
            case "install-beside":
                await cloud.clock.sleep(durations.install)
                rehearsals.beside.add((values["service"], values["version"]))
                say("installed")
            case "scratch-start":
                await cloud.clock.sleep(durations.start)
                say(rehearsals.start(host, values["place"]))
            case "scratch-restore":
                await cloud.clock.sleep(durations.dump)
                service = next(name for name, schemas in DATABASES.items() if " ".join(schemas) == values["databases"])
                self._end(rehearsals.restore(host, service, values["path"]), say)
            case "manage-copy":
                await cloud.clock.sleep(durations.manage)
                service, version = values["service"], values["version"]
                again = values["number"].split()
                while True:
                    done = rehearsals.run(host, service, version, values["tool"], values["arguments"])
                    if str(done[0]) not in again:
                        break
                self._end(done, say)

    def _end(self, done: tuple[int, str], say: Say) -> None:
        say(done[1])
        if done[0]:
            raise Ended(done[0])

    async def _boots(self, host: Host, part: Part, fault: Fault | None, say: Say) -> None:
        match part.intent:
            case "reboot":
                boot_commands.order(self._cloud, host, part.values, fault, say)
            case "release":
                boot_commands.release(host)
            case "hook":
                await self._hook(host, part, say)

    async def _hook(self, host: Host, part: Part, say: Say) -> None:
        named = {"STACKROLL_RUN": "run", "STACKROLL_HOST": "host", "STACKROLL_WAVE": "number"}
        values = {name: "".join(shlex.split(part.values[slot])) for name, slot in named.items()}
        if status := await hooks.run(host, self._cloud.clock, part.values["command"], values, say):
            raise Ended(status)

    def _sql(self, part: Part, say: Say) -> None:
        try:
            say(self._cloud.sql.ask(part.values["sql"]).rstrip("\n"))
        except SqlError as error:
            say(str(error))
            raise Ended(1) from None

    async def _install(self, host: Host, part: Part, fault: Fault | None, say: Say) -> None:
        cloud, service, version = self._cloud, part.values["service"], part.values["version"]
        source = f"{REPOSITORY}/{part.values['release']}/{service}/requirements.txt"
        if (service, version) in host.complete:
            say("already installed")
            return
        if source not in host.files:
            say(f"no {source} on this host")
            raise Ended(66)
        await cloud.clock.sleep(cloud.durations.install)
        if host.free_bytes <= 0:
            say(_NO_SPACE)
            raise Ended(2)
        host.put(service, version)
        if isinstance(fault, Restarts):
            if fault.new:
                host.links[service] = version
            for unit in [unit for unit in host.units.values() if unit.component.service == service]:
                await cloud.stop(host, unit.name)
                await cloud.start(host, unit.name)
        say("installed")

    def _activate(self, host: Host, part: Part, say: Say) -> None:
        service, version = part.values["service"], part.values["version"]
        if (service, version) not in host.complete:
            say(f"{venv(service, version)} is not installed, or only in part")
            raise Ended(66)
        if part.intent == "activate":
            host.links[service] = version

    async def _units(self, host: Host, part: Part, say: Say) -> None:
        cloud, units = self._cloud, part.units
        if unknown := [unit for unit in units if unit not in host.units]:
            say(f"Failed to {part.intent} {unknown[0]}.service: Unit {unknown[0]}.service not found.")
            raise Ended(5)
        if part.intent in {"restart", "stop"}:
            await asyncio.gather(*(cloud.stop(host, unit) for unit in units))
        if part.intent == "stop":
            return
        started = await asyncio.gather(*(cloud.start(host, unit) for unit in units))
        failed = [unit for unit, runs in zip(units, started, strict=True) if not runs]
        for unit in failed:
            say("\n".join([f"--- {unit}.service", *host.units[unit].log[-12:]]))
        if failed:
            raise Ended(1)

    async def _manage(self, host: Host, part: Part, say: Say) -> None:
        cloud, values = self._cloud, part.values
        service, version = values["service"], values["version"]
        if (service, version) not in host.complete:
            say(f"no {venv(service, version)}/bin/{values['tool']} on this host: the version is not installed")
            raise Ended(127)
        again = {int(word) for word in values["number"].split()}
        while True:
            await cloud.clock.sleep(cloud.durations.manage)
            try:
                status, output = cloud.schemas.run(service, version, values["tool"], values["arguments"])
            except UnknownCommandError as error:
                say(f"this command is not simulated: {error}")
                raise Ended(127) from None
            say(output)
            if status not in again:
                break
            say(f"exit status {status}: once more")
        if status:
            raise Ended(status)

    async def _rewrite(self, host: Host, part: Part, say: Say) -> None:
        cloud, version = self._cloud, part.values["version"]
        if ("nova", version) not in host.complete:
            say(f"no {venv('nova', version)}/bin/python on this host: the version is not installed")
            raise Ended(127)
        await cloud.clock.sleep(cloud.durations.manage)
        status, line = rewrite(cloud.nova, version, json.loads(part.values["manifest"]))
        say(line)
        if status:
            raise Ended(status)

    async def _dump(self, host: Host, part: Part, fault: Fault | None, say: Say) -> None:
        cloud, path, names = self._cloud, part.values["path"], part.values["databases"].split()
        if host.free_bytes <= 0:
            say("4194304 bytes to dump, and only 0 kB free for it")
            raise Ended(28)
        await cloud.clock.sleep(cloud.durations.dump)
        if isinstance(fault, Truncated):
            say("the dump is cut short")
            raise Ended(74)
        say(cloud.dumps.write(host, path, names, f"{cloud.clock.iso(cloud.clock.now())[:19]}Z"))

    async def _restore(self, host: Host, part: Part, say: Say) -> None:
        cloud = self._cloud
        await cloud.clock.sleep(cloud.durations.dump)
        moment = f"{cloud.clock.iso(cloud.clock.now())[:19]}Z".replace("-", "").replace(":", "")
        try:
            say(cloud.dumps.restore(cloud.hosts, host, part.values["folder"], part.values["plan"], moment))
        except DumpError as error:
            say(str(error))
            raise Ended(error.status) from None
