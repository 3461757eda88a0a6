"""The plan as an activity: it is made once, and what was made stays in the run's history.

A worker with newer code that takes over a run goes on with the plan that was approved, not with one of its own.
"""

import asyncio

from temporalio import activity

from activities.context import errors_mapped
from activities.experience import read_experience
from activities.files import state_folder
from model.experience import Estimates, estimate_plan
from model.messages import PlanRequest, PlanResult
from model.plan import Plan
from model.preflight import judge
from model.spec import UpgradeRequest
from model.work import Facts
from workflows.names import MAKE_PLAN
from workflows.plan import make_plan


class Planner:
    """Calls what judges and plans; it decides nothing itself."""

    @activity.defn(name=MAKE_PLAN)
    async def make_plan(self, asked: PlanRequest) -> PlanResult:
        """Judge the facts, and make the plan unless something forbids the upgrade."""
        async with errors_mapped():
            findings = (*asked.facts.findings, *judge(asked.facts, asked.request))
            forbidden = any(finding.severity == "error" for finding in findings)
            if forbidden:
                return PlanResult(findings=findings)
            plan = make_plan(asked.request, asked.facts)
            estimates = await asyncio.to_thread(estimates_of, plan, asked.request, asked.facts)
            return PlanResult(findings=findings, plan=plan, estimates=estimates)


def estimates_of(plan: Plan, request: UpgradeRequest, facts: Facts) -> Estimates:
    """Return what the steps of a plan are expected to take, from what is kept on this machine of earlier runs."""
    known = read_experience(state_folder(), request.inventory.cloud)
    return estimate_plan(plan, known, facts.load, request.spec.migrations_per_host)
