"""What makes a run on the simulator short: the waits that are meant for people and for real hosts, cut down.

Import it before anything that reads these settings when it is loaded; ``hasten`` is called by importing.
"""

import functools
import ssl
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio.common import RetryPolicy

from workflows import names

names.BACKOFF_SECONDS = 0.05
names.STEP_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=0.3), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=2)
)

from activities import api, clouds, compute, facts, front, jobs, quiesce, work  # noqa: E402
from activities.compute import ComputeActivities  # noqa: E402
from activities.context import Toolbox, activities_of  # noqa: E402
from activities.ssh import Completed, Hosts  # noqa: E402
from activities.verify import VerifyActivities  # noqa: E402
from activities.verify_rollback import VerifyRollbackActivities  # noqa: E402
from model.inventory import Inventory  # noqa: E402
from simulator.settings import Durations  # noqa: E402
from workers.registry import Activities  # noqa: E402

# Seconds of this machine. The simulated hosts are quick, so who has not answered by then will not.
LIMITS: dict[Any, dict[str, float]] = {
    api: {"ANSWER_LIMIT": 5.0, "UP_LIMIT": 5.0},
    clouds: {"API_TIMEOUT": 6.0},
    compute: {"REPORT_LIMIT": 10.0, "START_LIMIT": 5.0},
    facts: {"SECOND_LOOK": 0.3},
    front: {"PROBE_TIMEOUT": 4.0},
    jobs: {"RECONNECT_EVERY": 0.2},
    quiesce: {"MIGRATIONS_LIMIT": 3.0, "QUIET_LIMIT": 1.0, "SETTLE_LIMIT": 4.0, "REST": 0.3, "REPORT_LIMIT": 10.0},
    work: {"UNITS_LIMIT": 5.0},
}
DRAIN_TIMEOUT = 8.0
COMMAND_LIMIT = 12.0
CONNECT_LIMIT = 3.0
# Long enough, at the speed of these clouds, that users and steps meet.
SPEED = 500.0
DURATIONS = Durations(build=60.0, migrate_per_gib=60.0)


def hasten() -> None:
    """Put the limits in place; and read the same certificates, and look for a missing module, only once."""
    ssl.create_default_context = functools.cache(ssl.create_default_context)  # type: ignore[assignment]
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
    for module, limits in LIMITS.items():
        for name, seconds in limits.items():
            if not hasattr(module, name):
                raise AttributeError(f"{module.__name__} has no {name} any more")
            setattr(module, name, seconds)


class HastyHosts(Hosts):
    """Connections with less patience."""

    def __init__(self) -> None:
        super().__init__(connect_timeout=CONNECT_LIMIT)

    async def run(
        self,
        inventory: Inventory,
        host: str,
        command: str,
        *,
        check: bool = True,
        timeout: float = 60.0,  # noqa: ASYNC109 - as in Hosts
        input: str | None = None,  # noqa: A002 - as in Hosts
    ) -> Completed:
        limit = min(timeout, COMMAND_LIMIT)
        return await super().run(inventory, host, command, check=check, timeout=limit, input=input)


class HastyActivities(Activities):
    """All activities of a worker, with those in place that can be told how often to look."""

    def __init__(self) -> None:
        self.tools = Toolbox(hosts=HastyHosts())
        super().__init__(self.tools)

    @property
    def all(self) -> list[Callable[..., Any]]:
        found = {_name(method): method for method in super().all}
        quick = activities_of(
            ComputeActivities(self.tools, poll=0.15, rest=0.3),
            VerifyActivities(self.tools, settle=8.0, every=0.4),
            VerifyRollbackActivities(self.tools, settle=8.0, every=0.4, patience=8.0),
        )
        return list((found | {_name(method): method for method in quick}).values())


def _name(method: Callable[..., Any]) -> str:
    return str(method.__temporal_activity_definition.name)  # type: ignore[attr-defined]


hasten()
