"""What a worker carries out: every workflow, and every activity with its clients injected."""

from collections.abc import Callable
from typing import Any

from activities.context import Toolbox, activities_of
from workflows.availability import AvailabilityWatch
from workflows.group import HostUpgrade, ServiceUpgrade
from workflows.lock import CloudLock
from workflows.rolling_upgrade import RollingUpgrade

WORKFLOWS: list[type] = [RollingUpgrade, ServiceUpgrade, HostUpgrade, AvailabilityWatch, CloudLock]


class Activities:
    """All activities of a worker, and the connections that they share."""

    def __init__(self, toolbox: Toolbox | None = None):
        """Make the activities around one set of clients."""
        self._toolbox = toolbox or Toolbox()

    @property
    def all(self) -> list[Callable[..., Any]]:
        """The activities, for ``Worker(activities=...)``."""
        return activities_of()

    async def close(self) -> None:
        """Close every connection."""
        await self._toolbox.close()
