"""The plan as an activity: it is made once, and what was made stays in the run's history.

A worker with newer code that takes over a run goes on with the plan that was approved, not with one of its own.
"""

from temporalio import activity

from activities.context import errors_mapped
from model.messages import PlanRequest, PlanResult
from model.preflight import judge
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
            plan = None if forbidden else make_plan(asked.request, asked.facts)
            return PlanResult(findings=findings, plan=plan)
