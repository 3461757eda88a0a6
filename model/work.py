"""The one input and the one output of every step's activity, and the facts that a plan is made from."""

import re
from collections.abc import Iterable

from model.base import JsonObject, Record
from model.inventory import Inventory
from model.plan import Action


class Work(Record):
    """One try of one step (or of its compensation).

    Attributes:
        upgrade: the upgrade's id (the root's workflow id).
        step: the step's id.
        action: what to do; the activity's name.
        target: the host, or ``cloud``.
        params: the action's parameters (``model.actions``).
        undo: whether this is the step's compensation.
        by: the workflow that orders it, where that is not the upgrade itself (a ``Rollback`` afterwards).
        generation: counts tries that the operator or the retry policy ordered. A try that Temporal repeats because
            a worker died has the same generation, and finds the remote job of the first by its name.
        inventory: the part of the inventory that the step needs.
        timeout: the most seconds that the try may take.
    """

    upgrade: str
    step: str
    action: Action
    target: str
    params: JsonObject = {}
    undo: bool = False
    by: str = ""
    generation: int = 0
    inventory: Inventory
    timeout: float = 900.0

    @property
    def key(self) -> str:
        """The idempotency key of everything that this try changes."""
        by = f"{self.by}/" if self.by else ""
        return f"{self.upgrade}/{self.step}/{'undo' if self.undo else 'do'}/{by}{self.generation}"


class StepResult(Record):
    """What came of a step: one sentence for people, and details for the report."""

    summary: str
    details: JsonObject = {}


class HostFacts(Record):
    """What was read on a host.

    Attributes:
        running: for each OpenStack unit the version whose files its processes run from; None when it is down.
        free_bytes: free space below the packaging root.
    """

    running: dict[str, str | None]
    free_bytes: int
    boot_id: str


class GuestFacts(Record):
    """A server as nova has it."""

    id: str
    name: str
    host: str | None
    status: str
    task_state: str | None = None
    project: str = ""
    vcpus: int = 0
    ram_mb: int = 0
    disk_gb: int = 0


class ServiceRecord(Record):
    """A row of nova's service list."""

    binary: str
    host: str
    state: str
    status: str
    disabled_reason: str | None = None


class Capacity(Record):
    """Room on a compute host by placement: total minus reserved times ratio, and what is used, by resource class."""

    total: dict[str, float]
    used: dict[str, float]


class HostLoad(Record):
    """The guests on a compute host: how many, and the GiB of their memory."""

    guests: int
    gib: float = 0.0


class Finding(Record):
    """Something that preflight found.

    Attributes:
        severity: ``error`` refuses the upgrade; ``warning`` should be mended; ``note`` is to be known.
        subject: the host or the part of the cloud that it is about.
        problem: what is wrong.
        remedy: what mends it; commands in it are between backticks.
        check: which check has found it (``docs/check.md``).
    """

    severity: str
    subject: str
    problem: str
    remedy: str
    check: str = ""

    @property
    def word(self) -> str:
        """The severity as it is shown."""
        return "blocker" if self.severity == "error" else self.severity

    @property
    def sentence(self) -> str:
        """What is wrong, and what mends it."""
        return f"{self.problem} ({self.remedy})"

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that mend it."""
        return tuple(self.remedy.split("`")[1::2])

    def hosts_among(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of these hosts it is about."""
        words = set(re.split(r"[\s,]+", self.subject))
        return tuple(name for name in names if name in words)


class Facts(Record):
    """What was read of the cloud before planning.

    ``guests`` are those that something may have to be said of; a fleet has ten thousand plain ones. ``load``: all of
    them, by compute host.
    """

    hosts: dict[str, HostFacts]
    guests: tuple[GuestFacts, ...] = ()
    services: tuple[ServiceRecord, ...] = ()
    capacity: dict[str, Capacity] = {}
    load: dict[str, HostLoad] = {}
    findings: tuple[Finding, ...] = ()
