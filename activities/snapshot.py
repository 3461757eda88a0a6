"""Activities that keep what a restore would need, and put it back: dumps on the database host."""

from activities.baselines import BASELINES, upgrade_slug
from activities.context import Toolbox, progress, remaining, step_activity
from activities.database import FoundDump, Schemas, database_of
from activities.errors import StackrollError, StepFailed
from activities.ssh import Hosts
from activities.work import Hand
from model.actions import DumpParams, LossParams, RestoreParams
from model.plan import Action
from model.words import count, duration
from model.work import StepResult, Work

DUMPS = "/var/lib/stackroll"
MOST_NAMES_IN_DETAILS = 50
# What the restore says of guests, in words.
_GUESTS = {
    "moved": "moved since the dump; their rows name the hosts where they are",
    "changed": "resized or rescued since: their rows are those of the dump, the guests themselves are not",
    "lost": "made since: no longer in the database; if they still run, their hosts are named",
    "back": "deleted since: in the database again, without a guest",
    "unheld": "on a host that the dump does not know: no allocations could be carried over",
}


class SnapshotActivities:
    """Dumps."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.DUMP_DATABASES)
    async def dump_databases(self, work: Work, params: DumpParams) -> StepResult:
        """Dump a service's databases on the database host: one consistent point, checked, readable by root alone."""
        database, host = database_of(work.inventory), work.inventory.database.host
        hand = Hand(self._tools, work)
        job = await hand.job("dump", database.dump(params.databases, dump_path(work, params.service)), host=host)
        job.check(
            f"dumping {', '.join(params.databases)} failed",
            remedy="mend what its output names (space, rights of root on the server), then retry the step",
        )
        dump = database.parse_dump(job.output_tail)
        tested = "restored as a test" if dump.restored else "too big for a test restore"
        summary = f"{dump.tables} tables, {dump.bytes / 1e6:.1f} MB on {host}, {tested}"
        forgotten = [] if params.keep is None else await self._forget(hand, params.keep)
        if forgotten and params.keep is not None:
            age = f"older than {duration(params.keep)}"
            summary += (
                f"; deleted the dumps of {count(len(forgotten), 'earlier upgrade')}, {age}: {', '.join(forgotten)}"
            )
        return StepResult(summary=summary, details={"host": host, **dump.model_dump(), "forgotten": forgotten})

    @step_activity(Action.COUNT_LOSSES)
    async def count_losses(self, work: Work, params: LossParams) -> StepResult:
        """Count what was made since the dumps, and would be lost by restoring them. Nothing is changed."""
        database, host = database_of(work.inventory), work.inventory.database.host
        progress(f"comparing {host} with the dumps")
        script = database.losses(dumps_folder(work), params.databases)
        done = await self._tools.hosts.run(work.inventory, host, script, check=False, timeout=remaining(work))
        if done.status != 0:
            raise StepFailed(
                "comparing the databases with the dumps failed",
                host=host,
                status=done.status,
                tail=done.stdout + done.stderr,
                remedy=f"see that the dumps in {dumps_folder(work)} are whole, then retry the step",
            )
        losses = database.parse_losses(done.stdout)
        return StepResult(summary=losses.summary, details=losses.model_dump(mode="json"))

    @step_activity(Action.RESTORE_DATABASES)
    async def restore_databases(self, work: Work, params: RestoreParams) -> StepResult:
        """Put the upgrade's dumps in the place of what is there, once; every guest stays where it is."""
        database, host = database_of(work.inventory), work.inventory.database.host
        script = database.restore(dumps_folder(work), params.databases, upgrade_slug(work.upgrade))
        job = await Hand(self._tools, work).job("restore", script, host=host)
        job.check(
            f"restoring {', '.join(params.databases)} failed",
            remedy=(
                "mend what its output names, then retry the step: it begins anew from the dumps, "
                f"and what was there before lies in {dumps_folder(work)}/before-restore-*"
            ),
        )
        done = database.parse_restored(job.output_tail)
        lists = await self._tools.hosts.run(work.inventory, host, f"cat {done.lists}")
        guests: dict[str, list[str]] = {}
        for line in lists.stdout.splitlines():
            what, uuid, name, before, now = (*line.split("\t"), "", "", "")[:5]
            guests.setdefault(what, []).append(f"{name} ({uuid}) {before} {now}".rstrip())
        said = [f"{count(done.counts[what], 'guest')} {text}" for what, text in _GUESTS.items() if done.counts[what]]
        summary = "; ".join([f"restored {', '.join(done.dumps)} as dumped", *said, f"before: {done.before}"])
        shown = {what: names[:MOST_NAMES_IN_DETAILS] for what, names in guests.items()}
        return StepResult(
            summary=summary, details={**done.model_dump(mode="json"), "guests": shown, "seconds": job.seconds}
        )

    async def _forget(self, hand: Hand, keep: float) -> list[str]:
        """Delete the dumps of earlier upgrades that are older than so many seconds; say whose."""
        work = hand.work
        script = database_of(work.inventory).forget(DUMPS, BASELINES, upgrade_slug(work.upgrade), keep)
        job = await hand.job("forget", script, host=work.inventory.database.host)
        job.check("deleting old dumps failed", remedy="mend what its output names, then retry the step")
        return list(database_of(work.inventory).parse_forgotten(job.output_tail))


async def find_dumps(hosts: Hosts, work: Work, services: Schemas) -> dict[str, FoundDump]:
    """Look for this upgrade's dump of each service on the database host, and prove its checksum."""
    database, host = database_of(work.inventory), work.inventory.database.host
    done = await hosts.run(work.inventory, host, database.find(dumps_folder(work), services), timeout=remaining(work))
    return database.parse_found(done.stdout)


async def missing_dumps(hosts: Hosts, work: Work, services: Schemas) -> list[str]:
    """Describe every service of which there is no whole dump."""
    host, folder = work.inventory.database.host, dumps_folder(work)
    try:
        found = await find_dumps(hosts, work, services)
    except (StackrollError, TimeoutError) as error:
        return [f"{host}: the dumps in {folder} cannot be checked: {error}"]
    problems = []
    for service in services:
        dump = found.get(service, FoundDump())
        if dump.dump is None:
            why = f"damaged: {', '.join(dump.damaged)}" if dump.damaged else f"none in {folder}"
            problems.append(f"{host}: no whole dump of {service} ({why})")
    return problems


def dumps_folder(work: Work) -> str:
    """Return where an upgrade's dumps lie on the database host."""
    return f"{DUMPS}/{upgrade_slug(work.upgrade)}/dumps"


def dump_path(work: Work, service: str) -> str:
    """Return where a service's dump lies; a try that the operator ordered does not overwrite an earlier one."""
    again = f"-{work.generation}" if work.generation else ""
    return f"{dumps_folder(work)}/{service}{again}.sql.gz"
