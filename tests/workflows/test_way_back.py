"""Which way back an ended upgrade has, by how far it came."""

from model.messages import RunRecord
from model.plan import Action
from model.status import StepState
from tests.workflows.test_rollback_plan import IDS, PLAN, REQUEST
from workflows.ledger import pending
from workflows.way_back import Known, find_way_back

UNDONE = {"state": StepState.UNDONE, "undone": True}


def known(last: str, **more: object) -> Known:
    """An upgrade that has come to this step, and ended."""
    passed = IDS[: IDS.index(last) + 1] if last else []
    steps = {
        step.id: pending(step).model_copy(update={"state": StepState.DONE} if step.id in passed else {})
        for step in PLAN.steps
    }
    return Known(RunRecord(upgrade="june", request=REQUEST, plan=PLAN), steps, **more)  # type: ignore[arg-type]


def test_before_the_commit_everything_that_happened_is_taken_back() -> None:
    past = find_way_back(known("gate/commit"))
    assert past.refusal == ""
    assert not past.restore
    assert past.back is not None
    assert Action.RESTORE_DATABASES not in {step.action for step in past.back.steps}


def test_from_the_first_step_behind_the_commit_on_only_the_dumps_go_back() -> None:
    first = IDS[IDS.index("gate/commit") + 1]
    past = find_way_back(known(first))
    assert past.restore
    assert past.back is not None
    assert Action.RESTORE_DATABASES in {step.action for step in past.back.steps}


def test_what_has_changed_nothing_leaves_nothing_to_take_back() -> None:
    assert find_way_back(known("snapshot/nova")).refusal == "june has left nothing to take back"
    without = Known(RunRecord(upgrade="june", request=REQUEST), {})
    assert "before it had a plan" in find_way_back(without).refusal


def test_only_the_last_upgrade_can_be_taken_back() -> None:
    assert "july came after june" in find_way_back(known("gate/commit", later="july")).refusal


def test_what_was_taken_back_is_only_proven_if_nobody_has() -> None:
    half = known("gate/commit")
    steps = {
        id_: status.model_copy(update=UNDONE) if PLAN.by_id[id_].undo is not None else status
        for id_, status in half.steps.items()
    }
    unproven = find_way_back(Known(half.record, steps))
    assert unproven.back is not None
    assert [step.id for step in unproven.back.steps] == ["back/check", "back/verify"]
    assert find_way_back(Known(half.record, steps, proven=True)).refusal == "june has left nothing to take back"
