"""What the workflows of one run say to each other."""

from typing import Literal, Self

from model.base import JsonObject, Record
from model.control import Abort, Who
from model.experience import Estimates
from model.inventory import Inventory
from model.outlook import Outlook
from model.plan import Plan, Step
from model.spec import UpgradeRequest
from model.status import StepStatus
from model.work import Facts, Finding


class PlanRequest(Record):
    """The input of ``make_plan``: what is wanted of what was found."""

    request: UpgradeRequest
    facts: Facts


class PlanResult(Record):
    """What came of planning: all that speaks against the upgrade, and the plan unless something forbids it.

    ``outlook``: what will become of hosts and guests; empty where no fleet was read. ``estimates``: what its steps are
    expected to take, from what was measured before.
    """

    findings: tuple[Finding, ...]
    outlook: Outlook = Outlook()
    plan: Plan | None = None
    estimates: Estimates = Estimates()

    @property
    def made(self) -> Plan:
        """The plan, where one was made in any case."""
        if self.plan is None:
            raise AssertionError("the plan was refused")
        return self.plan


class GroupRequest(Record):
    """The input of a child: the steps that it runs, what of them has passed already, and how often each was tried.

    Attributes:
        root: the run that it belongs to, where that is not the upgrade itself (a ``Rollback`` afterwards).
        reports_to: the workflow to report to, where that is not the run (a ``HostBatch`` of it).
        report_every: the least seconds between two reports; the first one, and one of a failure, do not wait.
    """

    upgrade: str
    group: str
    steps: tuple[Step, ...]
    inventory: Inventory
    root: str = ""
    reports_to: str = ""
    passed: tuple[str, ...] = ()
    tries: dict[str, int] = {}
    paused: bool = False
    report_every: float = 1.0


class StepReports(Record):
    """What a child tells its run: new states of its steps, in the order in which they came about."""

    steps: tuple[StepStatus, ...]


class GroupResult(Record):
    """What came of a child: the state of each of its steps, and how often each and its compensation was tried.

    ``failed`` names the step that failed, if any; ``untold`` are the reports that were still to be sent; ``details``
    are what steps found that a report needs, by step.
    """

    steps: tuple[StepStatus, ...]
    tries: dict[str, int] = {}
    failed: str | None = None
    stopped: bool = False
    untold: tuple[StepStatus, ...] = ()
    details: dict[str, JsonObject] = {}


class BatchRequest(Record):
    """The input of a ``HostBatch``: whose compute hosts it carries, and for what.

    Attributes:
        root: the run that gives it its groups, and hears its news.
        what: what happens to the hosts, for people.
        hosts: how many hosts the run has in all; the more there are, the less often it hears of single steps.
        number: which batch of the run this is, from 1.
    """

    root: str
    what: str
    hosts: int
    number: int


class BatchGroups(Record):
    """What a run gives to a batch: groups to carry out now. ``last``: there will be no more."""

    groups: tuple[GroupRequest, ...] = ()
    last: bool = False


class BatchOrder(Record):
    """An order of an operator for all hosts of a batch. ``name`` is that of the signal, ``mode`` that of an abort."""

    number: int
    name: str
    by: str
    reason: str = ""
    mode: Literal["stop", "rollback"] | None = None

    @classmethod
    def of(cls, number: int, name: str, order: Who | Abort) -> Self:
        """Return an order as a batch is told it."""
        return cls(number=number, name=name, **order.model_dump())

    @property
    def order(self) -> Who | Abort:
        """The order as a host is told it."""
        if self.mode is None:
            return Who(by=self.by, reason=self.reason)
        return Abort(by=self.by, reason=self.reason, mode=self.mode)


class GroupEnd(Record):
    """That a group of a batch has ended: with a result, or by itself with a problem (terminated by hand, say)."""

    group: str
    result: GroupResult | None = None
    problem: str = ""


class BatchNews(Record):
    """What a batch tells its run: new states of steps in their order, groups that have ended, and the last order.

    ``told`` is the number of the newest order of which every child of the batch has heard.
    """

    batch: int
    steps: tuple[StepStatus, ...] = ()
    ended: tuple[GroupEnd, ...] = ()
    told: int = 0


class BatchResult(Record):
    """What came of a batch: how many groups it has carried to their end."""

    groups: int


class GroupAsked(Record):
    """The input of ``read_group``: the workflow id of a child that has ended by itself."""

    id: str


class GroupStatus(Record):
    """The answer of a child's ``status`` query, and of ``read_group``: without steps of one that never began."""

    paused: bool = False
    stopping: bool = False
    steps: tuple[StepStatus, ...] = ()
    tries: dict[str, int] = {}


class RollbackPlanRequest(Record):
    """The input of ``make_rollback_plan``: the upgrade's plan, and what has come of its steps."""

    plan: Plan
    inventory: Inventory
    steps: tuple[StepStatus, ...]


class RunRecord(Record):
    """The answer of a run's ``record`` query: all that a later rollback needs to know.

    Attributes:
        upgrade: the upgrade that it is, or that it rolls back.
        plan: the upgrade's plan; None before it was made.
        back: the way back that it has taken, if any.
        steps: what came of the steps of both.
        ended: whether it has come to an end by itself.
    """

    upgrade: str
    request: UpgradeRequest | None = None
    plan: Plan | None = None
    back: Plan | None = None
    steps: tuple[StepStatus, ...] = ()
    ended: bool = False


class PastUpgrade(Record):
    """What ``read_upgrade`` found of an upgrade that is to be rolled back.

    Attributes:
        request: what the upgrade was asked to do.
        plan: its plan.
        steps: what came of its steps, as far as anybody knows, less what was taken back since.
        back: the way back.
        restore: whether it is behind the commit point, so that the way back restores dumps.
        refusal: why it cannot be rolled back; empty if it can.
    """

    request: UpgradeRequest | None = None
    plan: Plan | None = None
    steps: tuple[StepStatus, ...] = ()
    back: Plan | None = None
    restore: bool = False
    refusal: str = ""


class LockRequest(Record):
    """The input of the lock of a cloud: who holds it."""

    cloud: str
    upgrade: str
