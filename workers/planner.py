"""The plan as an activity: it is made once, and what was made stays in the run's history.

A worker with newer code that takes over a run goes on with the plan that was approved, not with one of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from temporalio import activity

from activities.context import errors_mapped, heartbeats
from activities.errors import StackrollError
from activities.experience import read_experience
from activities.files import state_folder
from activities.fleet import read_fleet
from model.classify import classify_all
from model.drain_preflight import as_soon_as_settled, judge_drains
from model.experience import Estimates, estimate_plan
from model.fleet import Fleet
from model.inventory import Inventory
from model.messages import PlanRequest, PlanResult
from model.outlook import Outlook, look_out
from model.placement import Schedule, schedule
from model.plan import Plan
from model.preflight import judge
from model.spec import UpgradeRequest
from model.work import Facts, Finding
from workflows.names import MAKE_PLAN
from workflows.plan import DURATIONS, hosts_to_empty, make_plan

ReadFleet = Callable[[Inventory], Awaitable[Fleet]]


class Planner:
    """The activity that plans an upgrade. ``read`` reads hosts and guests; by default from the cloud."""

    def __init__(self, read: ReadFleet | None = None) -> None:
        self._read = read

    @activity.defn(name=MAKE_PLAN)
    async def make_plan(self, asked: PlanRequest) -> PlanResult:
        """Judge facts and fleet, and make the plan unless something forbids the upgrade."""
        async with errors_mapped(), heartbeats("reading the fleet"):
            made = await plan_upgrade(asked, self._read)
            forbidden = any(finding.severity == "error" for finding in made.findings)
            return made.model_copy(update={"plan": None}) if forbidden else made


class _Prospect(NamedTuple):
    """What is known of hosts and guests before they are touched."""

    fleet: Fleet
    schedule: Schedule
    outlook: Outlook


async def plan_upgrade(asked: PlanRequest, read: ReadFleet | None = None) -> PlanResult:
    """Judge facts and fleet, and make the plan, even of what would be refused; nothing is changed.

    Raises:
        StackrollError: hosts and guests cannot be read, though the facts could.
    """
    request, facts = asked.request, asked.facts
    findings = [*facts.findings, *judge(facts, request)]
    prospect = await _look_ahead(asked, read or read_fleet, findings)
    fleet, made = (prospect.fleet, prospect.schedule) if prospect else (None, None)
    findings.sort(key=lambda finding: finding.severity != "error")
    plan = make_plan(request, facts, fleet, made)
    return PlanResult(
        findings=tuple(findings),
        outlook=prospect.outlook if prospect else Outlook(),
        plan=plan,
        estimates=await asyncio.to_thread(_estimates, plan, request, facts),
    )


def _estimates(plan: Plan, request: UpgradeRequest, facts: Facts) -> Estimates:
    """Return what the steps of a plan are expected to take, from what is kept on this machine of earlier runs."""
    known = read_experience(state_folder(), request.inventory.cloud)
    return estimate_plan(plan, known, facts.load, request.spec.limits.per_source)


async def _look_ahead(asked: PlanRequest, read: ReadFleet, findings: list[Finding]) -> _Prospect | None:
    """Read hosts and guests, and put them in order."""
    request = asked.request
    if not (wanted := hosts_to_empty(request, asked.facts)):
        return None
    try:
        fleet = await read(request.inventory)
    except StackrollError:
        # What has kept the facts from being read keeps the fleet from it, and is told already.
        if not any(finding.severity == "error" for finding in findings):
            raise
        return None
    hosts = [host for host in wanted if host in fleet.hosts]
    classified = as_soon_as_settled(classify_all(fleet, request.spec.drain))
    classes = {one.guest: one.kind for one in classified}
    # Of many hosts it takes seconds, in which the worker has other things to do as well.
    made = await asyncio.to_thread(schedule, fleet, classes, request.spec, hosts=hosts, durations=DURATIONS)
    findings += judge_drains(fleet, hosts, classified, made, findings)
    return _Prospect(fleet, made, look_out(fleet, classified, made, {}))
