"""The boundary of a rehearsal, faked: every activity by its name, recording what was asked of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from model.plan import Phase
from model.rehearsal import (
    Copied,
    Measured,
    RehearsalPlan,
    RehearsalReport,
    RehearsalRequest,
    RehearsalTask,
    RehearsedStep,
    Simulated,
)
from model.spec import UpgradeRequest
from model.work import StepResult
from tests.workflows.fake_cloud import request as upgrade_request
from workflows import names

REVISIONS = {"nova": ("abc",)}
STEPS = ("expand/keystone/db-sync-expand", "expand/nova/db-sync", "finish/nova/online-data-migrations")


def request(cloud: str | None = None, **asked: Any) -> RehearsalRequest:
    """A rehearsal of a small cloud's upgrade."""
    return RehearsalRequest(request=UpgradeRequest.model_validate(upgrade_request(cloud=cloud)), **asked)


@dataclass
class RehearsalCloud:
    """Answers a rehearsal's activities; fails or waits where a test says so.

    ``late`` are the calls that end as if nothing were when they are cancelled: they were about to.
    """

    calls: list[str] = field(default_factory=list)
    fail: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    revisions: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(REVISIONS))
    written: list[RehearsalReport] = field(default_factory=list)

    def activities(self) -> list[Callable[..., Any]]:
        return [
            self.plan, self.begin, self.copy, self.install, self.step,
            self.end, self.untouched, self.simulate, self.write,
        ]  # fmt: skip

    async def _come(self, call: str) -> None:
        self.calls.append(call)
        try:
            while call in self.hold and not self.hold[call].is_set():
                activity.heartbeat(call)
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            if call not in self.late:
                raise
        if call in self.fail:
            raise ApplicationError(f"{call}: it broke", type="StepFailed", non_retryable=True)

    @activity.defn(name=names.PLAN_REHEARSAL)
    async def plan(self, task: RehearsalTask) -> RehearsalPlan:
        await self._come("plan")
        steps = tuple(
            RehearsedStep(id=id_, title=id_, service=id_.split("/")[1], phase=Phase.EXPAND, params={}) for id_ in STEPS
        )
        services = task.asked.request.inventory.services
        versions = dict.fromkeys(services, "1.0.0")
        return RehearsalPlan(services=services, versions=versions, steps=steps, plan_hash="h", revisions=REVISIONS)

    @activity.defn(name=names.REHEARSAL_BEGIN)
    async def begin(self, task: RehearsalTask) -> StepResult:
        await self._come("begin")
        return StepResult(summary="10.11-MariaDB")

    @activity.defn(name=names.REHEARSAL_COPY)
    async def copy(self, task: RehearsalTask) -> Copied:
        await self._come(f"copy {task.service}")
        return Copied(service=task.service, bytes=1000, tables=40, dump_seconds=1.0, restore_seconds=2.0)

    @activity.defn(name=names.REHEARSAL_INSTALL)
    async def install(self, task: RehearsalTask) -> Measured:
        await self._come(f"install {task.service}")
        return Measured(id=f"install/{task.service}", title="install", service=task.service, ok=True, seconds=3.0)

    @activity.defn(name=names.REHEARSAL_STEP)
    async def step(self, task: RehearsalTask) -> Measured:
        assert task.step is not None
        await self._come(task.step.id)
        ok = f"status {task.step.id}" not in self.fail
        return Measured(
            id=task.step.id, title=task.step.title, service=task.step.service, ok=ok, seconds=4.0, status=0 if ok else 1
        )

    @activity.defn(name=names.REHEARSAL_END)
    async def end(self, task: RehearsalTask) -> StepResult:
        await self._come("end")
        return StepResult(summary="removed")

    @activity.defn(name=names.REHEARSAL_UNTOUCHED)
    async def untouched(self, task: RehearsalTask) -> bool:
        await self._come("untouched")
        return task.revisions == self.revisions

    @activity.defn(name=names.SIMULATE_UPGRADE)
    async def simulate(self, task: RehearsalTask) -> Simulated:
        await self._come("simulate")
        return Simulated(state="completed", message="", steps=98)

    @activity.defn(name=names.WRITE_REHEARSAL)
    async def write(self, report: RehearsalReport) -> str:
        await self._come("write")
        self.written.append(report)
        return "/nowhere/report.json"
