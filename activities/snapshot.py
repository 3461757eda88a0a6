"""Activities that keep what a restore would need."""

import re

from activities.context import Toolbox, step_activity
from activities.database import database_of
from activities.work import Hand
from model.actions import DumpParams
from model.plan import Action
from model.work import StepResult, Work

DUMPS = "/var/lib/stackroll"


class SnapshotActivities:
    """Dumps."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.DUMP_DATABASES)
    async def dump_databases(self, work: Work, params: DumpParams) -> StepResult:
        """Dump a service's databases on the database host: one consistent point, checked, readable by root alone."""
        database, host = database_of(work.inventory), work.inventory.database.host
        script = database.dump(params.databases, dump_path(work, params.service))
        job = await Hand(self._tools, work).job("dump", script, host=host)
        job.check(
            f"dumping {', '.join(params.databases)} failed",
            remedy="mend what its output names (space, rights of root on the server), then retry the step",
        )
        dump = database.parse_dump(job.output_tail)
        tested = "restored as a test" if dump.restored else "too big for a test restore"
        summary = f"{dump.tables} tables, {dump.bytes / 1e6:.1f} MB on {host}, {tested}"
        return StepResult(summary=summary, details={"host": host, **dump.model_dump()})


def dump_path(work: Work, service: str) -> str:
    """Return where a service's dump lies; a try that the operator ordered does not overwrite an earlier one."""
    again = f"-{work.generation}" if work.generation else ""
    upgrade = re.sub(r"[^A-Za-z0-9._-]", "_", work.upgrade)
    return f"{DUMPS}/{upgrade}/dumps/{service}{again}.sql.gz"
