"""The job protocol of ``activities.jobs``, as a host speaks it: started once, found again by name, lost at a reboot."""

import asyncio
import hashlib
import re
import shlex
from dataclasses import dataclass, field

from simulator.cloud import SimCloud
from simulator.faults import Disconnect, Fault
from simulator.host import Host
from simulator.work import Worker

_ASSIGNMENT = re.compile(r"^(mode|base|name|group|description|limit|digest|rounds)=(.*)$", re.MULTILINE)
_STOP = re.compile(r"systemctl stop '(stackroll-[0-9a-f]{10}-)\*\.service'")
_TIMED_OUT = 124
_TAIL = 4000


class BrokenConnectionError(Exception):
    """The connection breaks before the answer."""


@dataclass
class _Job:
    name: str
    state: str = "running"
    status: int = 0
    seconds: float = 0.0
    output: str = ""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        if text:
            self.output += f"{text}\n"

    def end(self, state: str) -> None:
        self.state = state
        self.done.set()


class Jobs:
    """The jobs of all hosts."""

    def __init__(self, cloud: SimCloud, worker: Worker) -> None:
        self._cloud, self._worker = cloud, worker
        self._jobs: dict[str, dict[str, _Job]] = {name: {} for name in cloud.hosts}

    @staticmethod
    def is_request(command: str) -> bool:
        """Tell whether a command is the remote part of ``activities.jobs``."""
        return command.startswith("mode=") and "systemd-run" in command

    async def answer(self, host: Host, command: str, script: str) -> tuple[int, str, str]:
        """Return status, output and errors of a request."""
        values, jobs = _values(command), self._jobs[host.name]
        job, origin = jobs.get(values["name"]), "found"
        if job is None and values["mode"] == "start":
            if hashlib.sha256(script.encode()).hexdigest() != values["digest"]:
                return 74, "", "the script arrived incomplete\n"
            prefix = f"{values['group']}-"
            if busy := [j.name for j in jobs.values() if j.name.startswith(prefix) and j.state == "running"]:
                return 0, f"found busy 0 0\n{' '.join(busy)}\n", ""
            fault = self._cloud.faults.take("command", (host.name,), self._worker.names(script), "job")
            job, origin = self._start(host, values, script, fault), "started"
            if isinstance(fault, Disconnect):
                raise BrokenConnectionError
        if job is None:
            return 0, f"{origin} new 0 0\n", ""
        try:
            async with asyncio.timeout(int(values["rounds"]) / 10):
                await job.done.wait()
        except TimeoutError:
            pass
        head = f"{origin} {job.state} {job.status} {round(job.seconds)}"
        return 0, f"{head}\n{job.output[-_TAIL:]}", ""

    @staticmethod
    def is_stop(command: str) -> bool:
        """Tell whether a command ends the jobs of a group."""
        return _STOP.fullmatch(command) is not None

    def stop(self, host: Host, command: str) -> None:
        """End the running jobs that a command names."""
        if named := _STOP.fullmatch(command):
            self.lose(host, named[1])

    def lose(self, host: Host, prefix: str = "") -> None:
        """Lose what runs, as a reboot does; of names with a prefix, where one is given."""
        for job in self._jobs[host.name].values():
            if job.name.startswith(prefix) and job.state == "running" and job.task is not None:
                job.task.cancel()
                job.end("lost")

    def started(self, host: str) -> list[str]:
        """Return the names of all jobs that were started on a host, in order."""
        return list(self._jobs[host])

    def _start(self, host: Host, values: dict[str, str], script: str, fault: Fault | None) -> _Job:
        job = self._jobs[host.name][values["name"]] = _Job(values["name"])
        host.journal.append(f"Started {values['description']}")
        job.task = self._cloud.spawn(self._run(host, job, script, float(values["limit"]), fault))
        return job

    async def _run(self, host: Host, job: _Job, script: str, limit: float, fault: Fault | None) -> None:
        begun, speed = self._cloud.clock.now(), self._cloud.clock.speed
        try:
            async with asyncio.timeout(limit / speed):
                job.status = await self._worker.run(host, script, job.say, fault)
        except TimeoutError:
            job.status = _TIMED_OUT
        job.seconds = (self._cloud.clock.now() - begun) * speed
        job.end("finished")


def _values(command: str) -> dict[str, str]:
    return {name: "".join(shlex.split(value)) for name, value in _ASSIGNMENT.findall(command.partition("umask")[0])}
