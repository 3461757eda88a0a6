"""What a worker carries out: every workflow, and every activity with its clients injected."""

from collections.abc import Callable
from typing import Any

from activities.alerts import AlertActivities
from activities.api import ApiActivities
from activities.availability import AvailabilityActivities
from activities.compute import ComputeActivities
from activities.context import Toolbox, activities_of
from activities.contract import ContractActivities
from activities.facts import FactsActivities
from activities.homecoming import HomecomingActivities
from activities.hooks import HookActivities
from activities.hosts import HostActivities
from activities.notify import NotifyActivities
from activities.objects import ObjectActivities
from activities.quiesce import QuiesceActivities
from activities.reboot import RebootActivities
from activities.rehearsal import RehearsalActivities
from activities.report import Reports
from activities.rollback import RollbackActivities
from activities.schedule import ScheduleActivities
from activities.settle import SettleActivities
from activities.snapshot import SnapshotActivities
from activities.verify import VerifyActivities
from activities.verify_rollback import VerifyRollbackActivities
from activities.windows import WindowActivities
from workers.planner import Planner
from workers.reboot_planner import RebootPlanner
from workers.rehearsal import RehearsalPlanner
from workers.rollback_planner import RollbackPlanner
from workflows.availability import AvailabilityWatch
from workflows.batch import HostBatch
from workflows.group import GROUPS
from workflows.lock import CloudLock
from workflows.rehearsal import Rehearsal
from workflows.rollback import Rollback
from workflows.rolling_reboot import RollingReboot
from workflows.rolling_upgrade import RollingUpgrade

WORKFLOWS: list[type] = [
    RollingUpgrade,
    RollingReboot,
    Rollback,
    Rehearsal,
    *GROUPS,
    HostBatch,
    AvailabilityWatch,
    CloudLock,
]


class Activities:
    """All activities of a worker, and the connections that they share."""

    def __init__(self, toolbox: Toolbox | None = None) -> None:
        """Make the activities around one set of clients."""
        self._toolbox = toolbox or Toolbox()

    @property
    def all(self) -> list[Callable[..., Any]]:
        """The activities, for ``Worker(activities=...)``."""
        tools = self._toolbox
        return activities_of(
            FactsActivities(tools),
            Planner(),
            RebootPlanner(tools),
            RollbackPlanner(),
            RehearsalPlanner(tools),
            RehearsalActivities(tools),
            SettleActivities(tools),
            SnapshotActivities(tools),
            HostActivities(tools),
            ApiActivities(tools),
            QuiesceActivities(tools),
            ComputeActivities(tools),
            RebootActivities(tools),
            HookActivities(tools),
            HomecomingActivities(),
            VerifyActivities(tools),
            ContractActivities(tools),
            ObjectActivities(tools),
            RollbackActivities(tools),
            VerifyRollbackActivities(tools),
            AvailabilityActivities(),
            NotifyActivities(),
            Reports(),
            WindowActivities(),
            ScheduleActivities(),
            AlertActivities(),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._toolbox.close()
