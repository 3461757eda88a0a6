"""What nova has serialised in its databases: which versions its code knows, and rewriting them for an older release.

The programs of ``activities.scripts`` do the work on a control host, with nova's own code and configuration.
"""

import json

from pydantic import Field, ValidationError

from activities.baselines import baseline_path, load_baseline
from activities.context import Toolbox, step_activity
from activities.errors import StepFailed
from activities.manage import program_script, program_text
from activities.packaging import Packaging, packaging_of
from activities.ssh import Hosts
from activities.work import Hand
from model.actions import RewriteParams
from model.base import Record
from model.inventory import Inventory, Role
from model.nova_objects import API_COLUMNS, CELL_COLUMNS, columns_argument, roots
from model.plan import Action
from model.words import count
from model.work import StepResult, Work

# The services whose databases hold serialised objects.
WITH_OBJECTS = ("nova",)
_RESULT = "result="


class KnownObjects(Record):
    """What a version's code knows: by kind its version, and the kinds that stored ones may contain."""

    versions: dict[str, str]
    reachable: tuple[str, ...] = ()


class Rewritten(Record):
    """What the rewriting program has done.

    Attributes:
        rewritten: rows, by ``schema.table.column``.
        rows: how many it has read.
        passes: how often it went over everything; the last pass found nothing.
        kinds: the kinds that could be newer, with the version that they may have at most.
        problems: the first rows that could not be rewritten, and why.
        problem_count: how many there are.
    """

    rewritten: dict[str, int] = Field(default_factory=dict)
    rows: int = 0
    passes: int = 0
    kinds: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    problem_count: int = 0


class ObjectActivities:
    """Stored objects."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.REWRITE_OBJECTS)
    async def rewrite_objects(self, work: Work, params: RewriteParams) -> StepResult:
        """Rewrite what the new code stored in newer object versions to those of the baseline, and prove it.

        It may run at any time, beside services of either release, and again.
        """
        baseline = await load_baseline(self._tools.hosts, work)
        manifest = baseline.objects.get(params.service) if baseline else None
        if not manifest:
            raise StepFailed(
                f"the baseline has no object versions of {params.service}: nobody knows what the old release reads",
                host=work.inventory.database.host,
                remedy=f"see {baseline_path(work.upgrade)} there; without it, only restoring the dumps goes back",
            )
        script = rewrite_script(packaging_of(work.inventory), params.service, params.version, manifest)
        job = await Hand(self._tools, work).job("rewrite", script)
        done = parse_rewritten(job.output_tail)
        if done is None or job.status != 0:
            job.check(
                f"rewriting objects of {params.service} for the old release failed{_problems(done)}",
                remedy="mend or delete the rows that its output names, then retry the step",
            )
        if done is None:
            raise StepFailed("the rewriting program ended without a result", host=work.target, tail=job.output_tail)
        return StepResult(summary=_summary(done), details={**done.model_dump(mode="json"), "seconds": job.seconds})


async def known_objects(hosts: Hosts, inventory: Inventory, service: str, version: str) -> KnownObjects:
    """Read which objects a version's code knows, on the first control host. It reads no database.

    Raises:
        StepFailed: the version is not installed there, or its code cannot be loaded.
    """
    host = inventory.with_role(Role.CONTROL)[0]
    script = versions_script(packaging_of(inventory), service, version)
    done = await hosts.run(inventory, host, script, timeout=180.0)
    try:
        return KnownObjects.model_validate_json(done.stdout.strip().rpartition("\n")[2])
    except ValidationError:
        raise StepFailed(
            f"{service} {version} did not say which objects it knows", host=host, tail=done.stdout + done.stderr
        ) from None


def versions_script(packaging: Packaging, service: str, version: str) -> str:
    """Return the script that prints the objects that a version's code knows; it changes nothing."""
    return program_script(packaging, service, version, program_text("object_versions"), roots())


def rewrite_script(packaging: Packaging, service: str, version: str, manifest: dict[str, str]) -> str:
    """Return the script that rewrites stored objects newer than the manifest, with a version's code."""
    task = {"manifest": manifest, "api": columns_argument(API_COLUMNS), "cell": columns_argument(CELL_COLUMNS)}
    program = program_text("rewrite_objects")
    return program_script(packaging, service, version, program, [json.dumps(task, sort_keys=True)])


def parse_rewritten(output: str) -> Rewritten | None:
    """Return what the rewriting program has printed last; None if it came to no result."""
    lines = [line for line in output.splitlines() if line.startswith(_RESULT)]
    try:
        return Rewritten.model_validate_json(lines[-1].removeprefix(_RESULT)) if lines else None
    except ValidationError:
        return None


def _summary(done: Rewritten) -> str:
    rows = sum(done.rewritten.values())
    if not rows:
        return f"nothing to rewrite in {count(done.rows, 'stored object')}"
    places = ", ".join(f"{number} in {place}" for place, number in sorted(done.rewritten.items()))
    return f"{count(rows, 'stored object')} rewritten for the old release ({places}); nothing newer is left"


def _problems(done: Rewritten | None) -> str:
    if done is None or not done.problems:
        return ""
    return f": {count(done.problem_count, 'row')} left, such as {done.problems[0]}"
