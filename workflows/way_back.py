"""Which way back an ended upgrade has, judged by what is known of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from model.messages import PastUpgrade, RunRecord
from model.rollback import changed_anything, committed, effective, unsettled
from model.status import StepStatus
from workflows.restore_plan import make_restore_plan
from workflows.rollback_plan import make_rollback_plan


@dataclass(frozen=True)
class Known:
    """What was read of an upgrade.

    Attributes:
        record: the upgrade's own.
        steps: the state of its steps by all who know, less what rollbacks have taken back since.
        later: a later upgrade of the cloud that has changed something.
        proven: whether a rollback has proven that the cloud is back.
    """

    record: RunRecord
    steps: Mapping[str, StepStatus]
    later: str | None = None
    proven: bool = False


def find_way_back(known: Known) -> PastUpgrade:
    """Return the way back, or why there is none."""
    upgrade, request, plan = known.record.upgrade, known.record.request, known.record.plan
    if request is None or plan is None:
        return PastUpgrade(refusal=f"{upgrade} has ended before it had a plan; it has changed nothing")
    if known.later is not None:
        only = "only the last upgrade of a cloud can be rolled back"
        return PastUpgrade(refusal=f"{only}, and {known.later} came after {upgrade}")
    mine = {id_: status for id_, status in known.steps.items() if id_ in plan.by_id}
    happened = effective(mine.values())
    past = PastUpgrade(request=request, plan=plan, steps=tuple(mine.values()))
    if committed(plan, mine):
        return past.model_copy(update={"back": make_restore_plan(plan, request.inventory), "restore": True})
    undoable = any(plan.by_id[id_].undo is not None for id_ in happened)
    if not changed_anything(plan, mine.values()) or (known.proven and not undoable):
        return past.model_copy(update={"refusal": f"{upgrade} has left nothing to take back"})
    back = make_rollback_plan(plan, request.inventory, happened, unsettled(mine.values()))
    return past.model_copy(update={"back": back})
