"""The boundary of the workflows, faked: every activity by its name, recording what was asked of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.alerts import AlertActivities
from activities.schedule import ScheduleActivities
from activities.windows import WindowActivities
from model.availability import AvailabilityResult, WatchRequest
from model.base import JsonObject
from model.components import components_on
from model.fleet import Fleet, FleetHost
from model.inventory import Inventory, Role
from model.messages import GroupStatus
from model.notify import Announcement, Told
from model.plan import Action
from model.spec import UpgradeRequest
from model.status import ApiAvailability, AvailabilityNews, Report, RunState, UpgradeStatus
from model.work import Facts, Finding, HostFacts, ServiceRecord, StepResult, Work
from workers.planner import Planner
from workers.registry import WORKFLOWS
from workers.rollback_planner import RollbackPlanner

# Seconds, of a busy machine; less than a test has, so that what it waited for is told.
PATIENCE = 100.0
WAITS = (Action.GATE, Action.SOAK, Action.ALERTS)
VERSIONS = {"keystone": "29.0.1", "placement": "15.0.0", "glance": "32.0.0", "nova": "33.0.1"}


def request(
    computes: int = 2, cloud: str | None = None, services: tuple[str, ...] = ("keystone", "nova"), **spec: Any
) -> JsonObject:
    """A request for a small cloud; approvals are given by the spec unless a test says otherwise."""
    wanted = {
        "to": "2026.2",
        "soak": 0.1,
        "approvals": {"plan": "auto", "commit": "auto"},
        "canary": {"count": 0},
        **spec,
    }
    hosts = {"infra1": {"address": "192.0.2.10", "roles": ["database", "load-balancer"]}}
    hosts |= {f"ctl{i}": {"address": f"192.0.2.1{i}", "roles": ["control"]} for i in (1, 2)}
    hosts |= {f"cmp{i}": {"address": f"192.0.2.2{i}", "roles": ["compute"]} for i in range(1, computes + 1)}
    inventory = {
        "cloud": cloud or f"c{uuid4().hex[:8]}",
        "release": "2026.1",
        "openstack": {"cloud": "test"},
        "ssh": {"key": "/nowhere/key", "known_hosts": "/nowhere/known_hosts"},
        "hosts": hosts,
        "services": list(services),
        "database": {"host": "infra1"},
        "load_balancer": {"host": "infra1", "address": "192.0.2.10", "hold_map": "/etc/haproxy/hold.map"},
    }
    return {"spec": wanted, "inventory": inventory, "by": "test"}


def empty_fleet(inventory: Inventory) -> Fleet:
    """The compute hosts of a cloud, without a guest."""
    return Fleet(hosts={name: FleetHost(name=name) for name in inventory.with_role(Role.COMPUTE)})


def call_name(work: Work) -> str:
    return f"undo {work.step}" if work.undo else work.step


class Boundary(Protocol):
    """What stands in for the activities."""

    def activities(self) -> list[Callable[..., Any]]:
        """Return them."""


@dataclass
class FakeCloud:
    """Answers activities; fails or blocks where a test says so."""

    calls: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    most_at_once: dict[Action, int] = field(default_factory=dict)
    fail: dict[str, int] = field(default_factory=dict)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    failure_type: str = "StepFailed"
    told: list[Announcement] = field(default_factory=list)
    watching: WatchRequest | None = None
    tells_baseline: bool = True
    loses_probe: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def activities(self) -> list[Callable[..., Any]]:
        steps = [self._step(action) for action in Action if action not in WAITS]
        planners: list[Callable[..., Any]] = [
            Planner(self.read_fleet).make_plan,
            RollbackPlanner().make_rollback_plan,
            RollbackPlanner().read_upgrade,
            RollbackPlanner().read_group,
        ]
        own: list[Callable[..., Any]] = [
            self.read_facts,
            self.watch,
            self.conclude,
            self.write_report,
            self.notify,
            WindowActivities().find_openings,
            ScheduleActivities().find_next_run,
            AlertActivities().watch_alerts,
        ]
        return [*steps, *planners, *own]

    def _step(self, action: Action) -> Callable[..., Any]:
        async def run(work: Work) -> StepResult:
            return await self._run(work)

        run.__name__ = f"run_{action.value}"
        return activity.defn(name=action.value)(run)

    async def _run(self, work: Work) -> StepResult:
        name = call_name(work)
        self.calls.append(name)
        self.keys.append(work.key)
        self.running.add(name)
        self._tick()
        try:
            if name in self.hold:
                await self.hold[name].wait()
            if self.fail.get(name, 0) > 0:
                self.fail[name] -= 1
                raise ApplicationError(f"{work.target}: it broke", type=self.failure_type, non_retryable=True)
        finally:
            self.running.discard(name)
            self._tick()
        return StepResult(summary="done", details={"step": work.step})

    @activity.defn(name="read_facts")
    async def read_facts(self, asked: UpgradeRequest) -> Facts:
        inventory = asked.inventory
        hosts = {
            name: HostFacts(
                running={c.unit: VERSIONS[c.service] for c in components_on(inventory, name)},
                free_bytes=10**12,
                boot_id=name,
            )
            for name in inventory.hosts
        }
        services = tuple(
            ServiceRecord(binary=c.unit, host=name, state="up", status="enabled")
            for name in inventory.hosts
            for c in components_on(inventory, name)
            if c.service == "nova" and not c.is_api
        )
        return Facts(hosts=hosts, services=services, findings=self.findings)

    async def read_fleet(self, inventory: Inventory) -> Fleet:
        """Return the hosts and guests that the plan is made for."""
        return empty_fleet(inventory)

    @activity.defn(name="watch_availability")
    async def watch(self, asked: WatchRequest) -> AvailabilityResult:
        run = activity.client().get_workflow_handle(asked.upgrade)
        if self.tells_baseline:
            await run.signal("availability", AvailabilityNews(at=1.0, baseline=True, watched=1))
        self.watching = asked
        self._tick()
        seen = ApiAvailability(service="keystone", requests=7, failed=0, median=0.01, p99=0.02, longest=0.03)
        try:
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            if self.loses_probe:
                raise
            return AvailabilityResult(apis=(seen,), path="")

    @activity.defn(name="conclude_availability")
    async def conclude(self, asked: WatchRequest) -> AvailabilityResult:
        del asked
        return AvailabilityResult(apis=(), path="", unobserved=8.0)

    @activity.defn(name="write_report")
    async def write_report(self, report: Report) -> dict[str, str]:
        return {"html": f"{report.status.upgrade}.html"}

    @activity.defn(name="notify")
    async def notify(self, news: Announcement) -> Told:
        self.told.append(news)
        self._tick()
        if "env:DEAF" in news.notify.operators:
            return Told(failed=("env:DEAF: not delivered",))
        return Told(sent=dict.fromkeys(news.notify.operators, 1))

    def _tick(self) -> None:
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the cloud has come to a state."""
        while not condition():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), PATIENCE)


@dataclass
class Run:
    """A started upgrade, with the questions that tests ask."""

    handle: WorkflowHandle[Any, Any]

    async def status(self) -> UpgradeStatus:
        status: UpgradeStatus = await self.handle.query("status", result_type=UpgradeStatus)
        return status

    async def until(self, *states: RunState) -> UpgradeStatus:
        """Wait until the run is in one of these states."""
        until = time.monotonic() + PATIENCE
        while (status := await self.status()).state not in states and time.monotonic() < until:
            await asyncio.sleep(0.05)
        if status.state in states:
            return status
        raise AssertionError(f"still {status.state} (wanted {states}): {status.message} {status.running}")

    async def told(self, client: Client, group: str, condition: Callable[[GroupStatus], bool]) -> None:
        """Wait until an order has reached a child, which the run's own state does not tell."""
        child = client.get_workflow_handle(f"{self.handle.id}/{group}")
        while not condition(await child.query("status", result_type=GroupStatus)):
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running_worker(client: Client, cloud: Boundary) -> AsyncIterator[str]:
    """Run a worker on a queue of its own; yields the queue's name."""
    queue = f"q-{uuid4().hex[:8]}"
    worker = Worker(
        client,
        task_queue=queue,
        workflows=WORKFLOWS,
        activities=cloud.activities(),
        max_heartbeat_throttle_interval=timedelta(milliseconds=100),
    )
    async with worker:
        yield queue


async def start(client: Client, queue: str, asked: JsonObject) -> Run:
    handle = await client.start_workflow("RollingUpgrade", asked, id=f"u-{uuid4().hex[:8]}", task_queue=queue)
    return Run(handle)
