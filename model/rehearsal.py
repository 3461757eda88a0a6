"""What is asked of a rehearsal and what it has measured: the database steps of an upgrade, on a copy."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from model.actions import ManageParams
from model.base import JsonObject, Record
from model.components import DATABASES
from model.inventory import HostName
from model.plan import Action, Phase, Plan
from model.spec import UpgradeRequest
from model.words import count, duration

MOST_STATEMENTS = 40
# What a statement may hold up before it counts as a lock that users notice.
NOTICED = 0.5
_DDL = re.compile(r"^\s*(ALTER|CREATE|DROP|RENAME|TRUNCATE)\b", re.IGNORECASE)
_TABLE = re.compile(
    r"\b(?:TABLE|ON|INTO|UPDATE|FROM)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?`?(?:\w+`?\.`?)?(\w+)", re.IGNORECASE
)


class RehearsalRequest(Record):
    """The one input of the ``Rehearsal`` workflow.

    Attributes:
        request: the upgrade that is rehearsed.
        host: where the scratch server runs; empty is the database host.
        simulate: whether the whole plan is run on a simulated cloud afterwards.
    """

    kind: Literal["Rehearsal"] = "Rehearsal"
    request: UpgradeRequest
    host: HostName | Literal[""] = ""
    simulate: bool = True

    @property
    def scratch_host(self) -> str:
        """The host of the scratch server."""
        return self.host or self.request.inventory.database.host


class RehearsedStep(Record):
    """A database step of the plan, as it is carried out on the copy."""

    id: str
    title: str
    service: str
    phase: Phase
    params: JsonObject


class RehearsalPlan(Record):
    """What is to be rehearsed: databases by service, versions of the target, and the steps in the order of the plan.

    ``guests`` are the guests of the cloud; ``revisions`` those of production's schemas, which must stay.
    """

    services: tuple[str, ...]
    versions: dict[str, str]
    steps: tuple[RehearsedStep, ...]
    plan_hash: str
    guests: int = 0
    revisions: dict[str, tuple[str, ...]] = {}


class RehearsalTask(Record):
    """The input of the rehearsal's activities: the rehearsal, its run, and what of it to do."""

    asked: RehearsalRequest
    run: str
    service: str = ""
    version: str = ""
    step: RehearsedStep | None = None
    revisions: dict[str, tuple[str, ...]] = {}
    guests: int = 0


class Copied(Record):
    """A service's databases on the scratch server: the dump's compressed size, and the seconds it all took."""

    service: str
    bytes: int
    tables: int
    dump_seconds: float
    restore_seconds: float


class Statement(Record):
    """A statement that a migration has sent.

    Attributes:
        rows: how many rows it has written; of an ALTER: how many it has copied, with writes to the table held up.
    """

    text: str
    table: str
    seconds: float
    rows: int = 0

    @property
    def alters(self) -> bool:
        """Whether it changes a schema."""
        return _DDL.match(self.text) is not None

    @property
    def copies(self) -> bool:
        """Whether it rebuilds a table by copying it: nobody writes to the table until it has ended."""
        return self.text.lstrip().upper().startswith("ALTER") and self.rows > 0


class Measured(Record):
    """What came of a step on the copy.

    Attributes:
        ok: whether it ended as the plan wants it to.
        statements: those that change a schema, and the longest of the others.
        written: rows written by others than those that change a schema; ``writes`` how many such statements there were.
    """

    id: str
    title: str
    service: str
    ok: bool
    seconds: float
    status: int = 0
    output: str = ""
    statements: tuple[Statement, ...] = ()
    writes: int = 0
    written: int = 0

    @property
    def locks(self) -> tuple[Statement, ...]:
        """The statements that keep a table from being written for so long that users notice."""
        return tuple(s for s in self.statements if s.alters and s.seconds >= NOTICED)

    @property
    def longest(self) -> float:
        """The longest time for which a table cannot be written, in seconds."""
        return max((s.seconds for s in self.statements if s.alters), default=0.0)


class Simulated(Record):
    """What came of the whole plan on a simulated cloud with the inventory's hosts."""

    state: str
    message: str
    steps: int = 0
    seconds: float = 0.0
    failed_requests: int = 0
    violations: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it completed, and nothing happened that must not."""
        return self.state == "completed" and not self.violations


class RehearsalReport(Record):
    """The account of a rehearsal.

    Attributes:
        host: where the scratch server ran; ``server`` its version.
        untouched: whether production's schemas are at the revisions that they had; None when it was not found out.
        removed: whether the scratch server and everything beside it are gone.
        problems: what kept it from coming to its end, in words.
    """

    run: str
    cloud: str
    source: str
    target: str
    host: str
    plan_hash: str = ""
    server: str = ""
    started: str
    ended: str = ""
    copies: tuple[Copied, ...] = ()
    installs: dict[str, float] = {}
    steps: tuple[Measured, ...] = ()
    simulated: Simulated | None = None
    untouched: bool | None = None
    removed: bool = False
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found that speaks against the upgrade."""
        steps = all(step.ok for step in self.steps)
        return steps and not self.problems and self.untouched is not False and (self.simulated or _WELL).ok

    @property
    def durations(self) -> dict[str, float]:
        """The seconds that each step took, by the step's id in the plan; a run's dumps are restored as a test, too."""
        return {step.id: step.seconds for step in self.steps if step.ok} | {
            f"snapshot/{copied.service}": copied.dump_seconds + copied.restore_seconds for copied in self.copies
        }


_WELL = Simulated(state="completed", message="")


def database_steps(plan: Plan) -> tuple[RehearsedStep, ...]:
    """Return the steps of a plan that run a service's tools on its databases, in the order of the plan."""
    return tuple(
        RehearsedStep(id=step.id, title=step.title, service=step.service or "", phase=step.phase, params=step.params)
        for step in plan.steps
        if step.action is Action.RUN_MANAGE
    )


def leftover_steps(versions: dict[str, str]) -> tuple[RehearsedStep, ...]:
    """Return the data migrations of the release that runs: what they still find should have been done long ago."""
    return tuple(
        RehearsedStep(
            id=f"leftover/{service}",
            title=f"look for data that {service} {versions[service]} has not migrated",
            service=service,
            phase=Phase.PREFLIGHT,
            params=ManageParams(
                service=service,
                version=versions[service],
                command=(f"{service}-manage", "db", "online_data_migrations"),
                again=(1,),
            ).model_dump(mode="json"),
        )
        for service in ("placement", "nova")
        if service in versions
    )


def statements_of(rows: Iterable[Sequence[str]]) -> tuple[tuple[Statement, ...], int, int]:
    """Return the statements to show, and how many others wrote how many rows.

    Args:
        rows: of the server's log: seconds, rows affected, and the text.
    """
    found = [
        Statement(text=" ".join(text.split())[:300], table=_table(text), seconds=float(seconds), rows=int(affected))
        for seconds, affected, text in rows
    ]
    altering = [statement for statement in found if statement.alters]
    others = [statement for statement in found if not statement.alters]
    longest = sorted(others, key=lambda statement: -statement.seconds)[:3]
    shown = sorted(altering, key=lambda statement: -statement.seconds)[:MOST_STATEMENTS]
    return (*shown, *(one for one in longest if one.seconds >= NOTICED)), len(others), sum(o.rows for o in others)


def _table(text: str) -> str:
    found = _TABLE.search(text)
    return found.group(1) if found else ""


def describe(step: Measured) -> str:
    """Say what a step did to the databases, in one line."""
    if not step.ok:
        return f"failed with status {step.status}"
    altering = [statement for statement in step.statements if statement.alters]
    parts = [f"{count(len(altering), 'change')} of the schema"] if altering else []
    parts += [f"{count(step.written, 'row')} written"] if step.written else []
    locks = [
        f"{s.table} cannot be written for {duration(s.seconds)}" + (f", {s.rows} rows copied" if s.copies else "")
        for s in step.locks
    ]
    return "; ".join([*parts, *locks]) or "nothing to do"


def schemas_of(services: Iterable[str]) -> tuple[str, ...]:
    """Return the schemas of services."""
    return tuple(schema for service in services for schema in DATABASES[service])
