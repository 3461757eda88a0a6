"""Bringing a step to a known end whose outcome nobody has seen."""

from activities.context import Toolbox, step_activity
from activities.packaging import packaging_of
from activities.work import Hand
from model.actions import SettleParams
from model.plan import Action
from model.work import StepResult, Work


class SettleActivities:
    """What a way back waits for before it begins."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.SETTLE)
    async def settle(self, work: Work, params: SettleParams) -> StepResult:
        """Wait until no try of a step runs any more: a migration must not go on while its code is taken away.

        Jobs of the same step exclude each other, so a job of its own begins only when the last try has ended.
        """
        script = packaging_of(work.inventory).check(params.service, params.version)
        job = await Hand(self._tools, work).job("settle", script)
        # The code may be gone by now; that nothing runs from it is all that was asked.
        whole = "" if job.status == 0 else f", and {params.service} {params.version} is not whole there"
        return StepResult(summary=f"no try of {work.step} runs on {work.target} any more{whole}")
