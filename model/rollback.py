"""What a rollback has to take back, and whether it still may: judgements over a plan and what came of its steps."""

from collections.abc import Iterable, Mapping

from model.plan import Plan, Reversibility
from model.status import StepState, StepStatus

_NOTHING = (StepState.PENDING, StepState.UNDONE)
# From the first step of these classes on, the old release cannot simply come back.
_COMMITTING = (Reversibility.R3, Reversibility.R4)


def took_effect(status: StepStatus) -> bool:
    """Tell whether a step has happened, or may have, and has not been taken back since.

    A step whose end nobody has seen (its run was terminated) may have happened; compensations bear being run for
    nothing.
    """
    return status.state not in _NOTHING and not status.undone


def effective(steps: Iterable[StepStatus]) -> tuple[str, ...]:
    """Return the ids of the steps that have happened, or may have, and have not been taken back since."""
    return tuple(status.id for status in steps if took_effect(status))


def unsettled(steps: Iterable[StepStatus]) -> tuple[str, ...]:
    """Return the ids of the steps that have begun and are not known to have ended well, or to have been taken back."""
    settled = (StepState.DONE, StepState.SKIPPED)
    return tuple(status.id for status in steps if took_effect(status) and status.state not in settled)


def committed(plan: Plan, steps: Mapping[str, StepStatus]) -> tuple[str, ...]:
    """Return the steps behind the commit point that have begun; empty while rollback loses nothing.

    The approval alone commits nothing: the point is passed by the first step that has no way back.
    """
    behind = (step.id for step in plan.steps if step.reversibility in _COMMITTING)
    return tuple(id_ for id_ in behind if id_ in steps and steps[id_].state is not StepState.PENDING)


def changed_anything(plan: Plan, steps: Iterable[StepStatus]) -> bool:
    """Tell whether a step that changes something has begun, whatever has come of it since."""
    begun = [status.id for status in steps if status.state is not StepState.PENDING]
    return any(plan.by_id[id_].reversibility is not Reversibility.R0 for id_ in begun if id_ in plan.by_id)


def newest_states(root: Iterable[StepStatus], told: Iterable[StepStatus]) -> dict[str, StepStatus]:
    """Return each step's state by the run and its children together.

    A child is nearer to its steps than the run that it reports to; only what an operator has skipped is decided in
    the run itself.
    """
    states = {status.id: status for status in root}
    for status in told:
        known = states.get(status.id)
        if known is not None and known.state is not StepState.SKIPPED and status.state is not StepState.PENDING:
            states[status.id] = status
    return states


def interrupted(steps: Iterable[StepStatus]) -> tuple[StepStatus, ...]:
    """Return what a group was at when its workflow was ended: the steps in work, else the first that has not passed."""
    states = tuple(steps)
    at = tuple(one for one in states if one.state in (StepState.RUNNING, StepState.UNDOING))
    return at or tuple(one for one in states if one.state not in (StepState.DONE, StepState.SKIPPED))[:1]


def mark_undone(states: Mapping[str, StepStatus], undone: Iterable[str]) -> dict[str, StepStatus]:
    """Return the states, with these steps marked as taken back."""
    marks = {"state": StepState.UNDONE, "undone": True}
    gone = set(undone)
    return {id_: status.model_copy(update=marks) if id_ in gone else status for id_, status in states.items()}
