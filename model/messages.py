"""What the workflows of one run say to each other."""

from model.base import Record
from model.inventory import Inventory
from model.plan import Plan, Step
from model.spec import UpgradeRequest
from model.status import StepStatus
from model.work import Facts, Finding


class PlanRequest(Record):
    """The input of ``make_plan``: what is wanted of what was found."""

    request: UpgradeRequest
    facts: Facts


class PlanResult(Record):
    """What came of planning: all that speaks against the upgrade, and the plan unless something forbids it."""

    findings: tuple[Finding, ...]
    plan: Plan | None = None


class GroupRequest(Record):
    """The input of a child: the steps that it runs, what of them has passed already, and how often each was tried."""

    upgrade: str
    group: str
    steps: tuple[Step, ...]
    inventory: Inventory
    passed: tuple[str, ...] = ()
    tries: dict[str, int] = {}
    paused: bool = False


class GroupResult(Record):
    """What came of a child: the state of each of its steps, and how often each and its compensation was tried.

    ``failed`` names the step that failed, if any.
    """

    steps: tuple[StepStatus, ...]
    tries: dict[str, int] = {}
    failed: str | None = None
    stopped: bool = False


class GroupStatus(Record):
    """The answer of a child's ``status`` query."""

    paused: bool
    steps: tuple[StepStatus, ...]


class LockRequest(Record):
    """The input of the lock of a cloud: who holds it."""

    cloud: str
    upgrade: str
