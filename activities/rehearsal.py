"""A rehearsal: fresh dumps in a scratch server, and the target's code at work on them. Production is only read.

What is made lies in three places, and is removed at the end, also after a failure: the scratch server's folder, the
dumps beside it, and a folder below the packaging root of the first control host with the target's code and
configuration files that name the scratch server. Passwords stay on the hosts.
"""

import asyncio
import re
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

from activities.context import Toolbox, errors_mapped, heartbeats, progress
from activities.database import Database, Scratch, database_of
from activities.databases import revisions
from activities.errors import StepFailed, last_lines
from activities.experience import keep_times
from activities.files import state_folder, write_file
from activities.jobs import JobResult, run_job, stop_command
from activities.manage import USER, did_check, manage_script
from activities.packaging import Packaging, packaging_of
from activities.readiness import read_database
from model.actions import ManageParams
from model.components import DATABASES
from model.experience import times_of_rehearsal
from model.inventory import Inventory, Role
from model.plan import Phase
from model.rehearsal import (
    Copied,
    Measured,
    RehearsalReport,
    RehearsalRequest,
    RehearsalTask,
    statements_of,
)
from model.work import StepResult

BASE = "/var/lib/stackroll-rehearsal"
LIMIT = 6 * 3600.0
CHUNK = 4 * 1024 * 1024
_CHUNK_LIMIT = 300.0
# Restored tables and their indexes are bigger than what is counted of them.
_ROOM = 1.5


def scratch_of(asked: RehearsalRequest) -> Scratch:
    """Return the scratch server of a cloud; there is one at most."""
    cloud, host = asked.request.inventory.cloud, asked.scratch_host
    address = asked.request.inventory.hosts[host].address
    return Scratch(place=f"{BASE}/{cloud}", unit=f"stackroll-rehearsal-{cloud}", address=address)


def rehearsal_root(inventory: Inventory) -> str:
    """Return the folder of the target's code and configuration on the first control host."""
    return f"{inventory.packaging.root.rstrip('/')}/rehearsal"


def packaging_beside(inventory: Inventory) -> Packaging:
    """Return the packaging that installs into this folder."""
    settings = inventory.packaging.model_copy(update={"root": rehearsal_root(inventory)})
    return packaging_of(inventory.model_copy(update={"packaging": settings}))


def override_path(inventory: Inventory, service: str) -> str:
    """Return the configuration file that leads a service's tools to the scratch server."""
    return f"{rehearsal_root(inventory)}/{service}.conf"


def override_text(service: str, urls: dict[str, str]) -> str:
    """Return what it says: other databases, no messages, no cache. It comes last, so it counts."""
    lines = ["[DEFAULT]", "transport_url = fake:/", "[oslo_messaging_notifications]", "driver = noop"]
    lines += ["[cache]", "enabled = false"]
    sections = {"database": service, "api_database": "nova_api", "placement_database": "placement"}
    for section, schema in sections.items():
        if schema in urls:
            lines += [f"[{section}]", f"connection = {urls[schema]}", "slave_connection ="]
    return "\n".join([*lines, ""])


class RehearsalActivities:
    """The hands of a rehearsal."""

    def __init__(self, tools: Toolbox) -> None:
        self._hosts = tools.hosts

    @activity.defn(name="rehearsal_begin")
    async def begin(self, task: RehearsalTask) -> StepResult:
        """Start the scratch server, with the settings of the one in production."""
        async with self._doing("starting the scratch server"):
            asked, inventory = task.asked, task.asked.request.inventory
            database = database_of(inventory)
            size = sum((await read_database(self._hosts, inventory)).bytes.values())
            found = await self._hosts.run(inventory, inventory.database.host, database.settings())
            script = database.scratch_start(scratch_of(asked), found.stdout, int(size * _ROOM))
            job = await self._job(task, "begin", script, asked.scratch_host)
            job.check(
                "the scratch server could not be started",
                remedy="mend what its output names, or name another host with --host: it needs a MariaDB server's "
                "programs, and room for a copy of the databases",
            )
            return StepResult(summary=job.output_tail.strip().rpartition("server=")[2])

    @activity.defn(name="rehearsal_copy")
    async def copy(self, task: RehearsalTask) -> Copied:
        """Dump a service's databases afresh, and restore them into the scratch server."""
        async with self._doing(f"dumping {task.service}"):
            asked, inventory = task.asked, task.asked.request.inventory
            database, names = database_of(inventory), DATABASES[task.service]
            path = f"{scratch_of(asked).place}.dumps/{task.service}.sql.gz"
            source, target = inventory.database.host, asked.scratch_host
            job = await self._job(task, f"dump-{task.service}", database.dump(names, path, test=False), source)
            job.check(f"dumping {', '.join(names)} failed", remedy="mend what its output names")
            dump = database.parse_dump(job.output_tail)
            if source != target:
                await self._carry(inventory, path, source, target, dump.bytes)
            progress(f"restoring {task.service}")
            script = database.scratch_restore(scratch_of(asked), names, path)
            restored = await self._job(task, f"restore-{task.service}", script, target)
            restored.check(f"restoring {', '.join(names)} into the scratch server failed")
            return Copied(
                service=task.service,
                bytes=dump.bytes,
                tables=dump.tables,
                dump_seconds=job.seconds,
                restore_seconds=restored.seconds,
            )

    @activity.defn(name="rehearsal_install")
    async def install(self, task: RehearsalTask) -> Measured:
        """Install the target's code beside everything on the first control host, and lead it to the scratch server."""
        async with self._doing(f"installing {task.service} {task.version}"):
            inventory = task.asked.request.inventory
            release = task.asked.request.spec.to
            script = packaging_beside(inventory).install(task.service, task.version, release)
            job = await self._job(task, f"install-{task.service}", script, _control(inventory))
            job.check(f"installing {task.service} {task.version} failed", remedy="see `stackroll check`")
            await self._lead(task)
            title = f"install {task.service} {task.version}"
            return Measured(
                id=f"install/{task.service}", title=title, service=task.service, ok=True, seconds=job.seconds
            )

    @activity.defn(name="rehearsal_step")
    async def step(self, task: RehearsalTask) -> Measured:
        """Carry out a database step on the copy; measure it, and what it sends to the server."""
        step, inventory = task.step, task.asked.request.inventory
        if step is None:
            raise StepFailed("no step was named")
        async with self._doing(step.title):
            params = ManageParams.model_validate(step.params)
            # The old release's own tools are where they always are; they run on the copy, too.
            old = step.phase is Phase.PREFLIGHT
            packaging = packaging_of(inventory) if old else packaging_beside(inventory)
            script = manage_script(packaging, params, override_path(inventory, step.service))
            database, scratch = database_of(inventory), scratch_of(task.asked)
            await self._hosts.run(inventory, task.asked.scratch_host, database.scratch_listen(scratch))
            begun = time.monotonic()
            job = await self._job(task, step.id, script, _control(inventory))
            seconds = max(job.seconds, 0.0) if job.adopted else time.monotonic() - begun
            heard = await self._hosts.run(inventory, task.asked.scratch_host, database.scratch_heard(scratch))
            statements, writes, written = statements_of(database.parse_heard(heard.stdout))
            ok = job.status in {*params.ok, *params.warn} and did_check(params, job.output_tail)
            return Measured(
                id=step.id,
                title=step.title,
                service=step.service,
                ok=ok,
                seconds=round(seconds, 1),
                status=job.status,
                output=last_lines(job.output_tail),
                statements=statements,
                writes=writes,
                written=written,
            )

    @activity.defn(name="rehearsal_end")
    async def end(self, task: RehearsalTask) -> StepResult:
        """Remove the scratch server, the dumps and the code; done twice, it is harmless."""
        async with self._doing("removing the scratch server"):
            asked, inventory = task.asked, task.asked.request.inventory
            scratch, control = scratch_of(asked), _control(inventory)
            # One that was cancelled may be at it still, and would make anew what is removed.
            for host in dict.fromkeys((asked.scratch_host, inventory.database.host, control)):
                await self._hosts.run(inventory, host, stop_command(task.run), timeout=120)
            stop = database_of(inventory).scratch_stop(scratch)
            places = (
                (asked.scratch_host, stop),
                (asked.scratch_host, remove_script(f"{scratch.place}.dumps")),
                (inventory.database.host, remove_script(f"{scratch.place}.dumps")),
                (control, remove_script(rehearsal_root(inventory))),
            )
            for host, script in dict.fromkeys(places):
                done = await self._hosts.run(inventory, host, script, check=False, timeout=120)
                if done.status != 0:
                    raise StepFailed(
                        "what the rehearsal has made could not be removed",
                        host=host,
                        status=done.status,
                        tail=done.stdout + done.stderr,
                        remedy=f"stop {scratch.unit} and delete {scratch.place}* there by hand",
                    )
            return StepResult(summary="removed")

    @activity.defn(name="rehearsal_untouched")
    async def untouched(self, task: RehearsalTask) -> bool:
        """Read production's revisions again: they are what they were."""
        async with self._doing("reading the databases again"):
            return await revisions(self._hosts, task.asked.request.inventory) == task.revisions

    @activity.defn(name="write_rehearsal")
    async def write(self, report: RehearsalReport) -> str:
        """Keep the report where the forecast and `stackroll report` find it; return the file's path."""
        path = state_folder() / "rehearsals" / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', report.run)}.json"
        async with errors_mapped():
            await asyncio.to_thread(write_file, path, report.model_dump_json(indent=2))
            if times := times_of_rehearsal(report):
                await asyncio.to_thread(keep_times, state_folder(), report.cloud, times)
        return str(path)

    @asynccontextmanager
    async def _doing(self, text: str) -> AsyncIterator[None]:
        async with errors_mapped(), heartbeats(text):
            yield

    async def _job(self, task: RehearsalTask, part: str, script: str, host: str) -> JobResult:
        return await run_job(
            self._hosts, task.asked.request.inventory, host, f"{task.run}/{part}", script,
            timeout=LIMIT, heartbeat=progress, group=task.run,
        )  # fmt: skip

    async def _lead(self, task: RehearsalTask) -> None:
        """Write the configuration file that leads a service's tools to the scratch server."""
        inventory, database = task.asked.request.inventory, database_of(task.asked.request.inventory)
        scratch = scratch_of(task.asked)
        found = await self._hosts.run(inventory, task.asked.scratch_host, f"cat {scratch.password_file}")
        urls = _urls(database, scratch, found.stdout.strip(), task.service)
        path = override_path(inventory, task.service)
        command = override_command(path)
        await self._hosts.run(inventory, _control(inventory), command, input=override_text(task.service, urls))

    async def _carry(self, inventory: Inventory, path: str, source: str, target: str, size: int) -> None:
        """Carry a dump from one host to another, piece by piece; the pieces do not stay on this machine."""
        quoted = shlex.quote(path)
        await self._hosts.run(
            inventory, target, f"umask 077; mkdir -p {shlex.quote(path.rpartition('/')[0])}; : >{quoted}"
        )
        for number in range(-(-size // CHUNK)):
            progress(f"carrying {path} to {target}: {number * CHUNK * 100 // size} %")
            take = f"dd if={quoted} bs={CHUNK} skip={number} count=1 2>/dev/null | base64 -w 0"
            piece = (await self._hosts.run(inventory, source, take, timeout=_CHUNK_LIMIT)).stdout
            put = f"base64 -d | dd of={quoted} bs={CHUNK} seek={number} conv=notrunc iflag=fullblock 2>/dev/null"
            await self._hosts.run(inventory, target, put, input=piece, timeout=_CHUNK_LIMIT)
        sums = [await self._hosts.run(inventory, host, f"sha256sum <{quoted}") for host in (source, target)]
        if sums[0].stdout != sums[1].stdout:
            raise StepFailed("the dump arrived damaged", host=target, remedy="rehearse again")


def _urls(database: Database, scratch: Scratch, password: str, service: str) -> dict[str, str]:
    """Return by schema how it is reached; nova's own databases are three."""
    return {schema: database.scratch_url(scratch, password, schema) for schema in DATABASES[service]}


def override_command(path: str) -> str:
    """Return the command that writes its input as a file for the services' user alone."""
    return f"install -m 0400 -o {USER} /dev/stdin {shlex.quote(path)}"


def remove_script(place: str) -> str:
    """Return the script that removes a folder; one that is not there is no error."""
    return f"rm -rf {shlex.quote(place)} && [ ! -e {shlex.quote(place)} ] && echo removed=1"


def _control(inventory: Inventory) -> str:
    return inventory.with_role(Role.CONTROL)[0]
