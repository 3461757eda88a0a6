"""What a rollback judges of steps whose workflow was ended before they were."""

import pytest

from model.plan import Phase
from model.rollback import interrupted
from model.status import StepState, StepStatus

DONE, RUNNING, PENDING = StepState.DONE, StepState.RUNNING, StepState.PENDING


def steps(*states: StepState) -> list[StepStatus]:
    return [
        StepStatus(id=str(place), title="", phase=Phase.DATA, target="cmp1", state=state)
        for place, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "at"),
    [
        ((DONE, RUNNING, PENDING), ["1"]),
        ((DONE, StepState.UNDOING, PENDING), ["1"]),
        ((DONE, StepState.SKIPPED, PENDING, PENDING), ["2"]),
        ((PENDING, PENDING), ["0"]),
        ((DONE, DONE), []),
    ],
)
def test_a_group_that_was_ended_was_at_what_was_in_work_or_came_next(
    states: tuple[StepState, ...], at: list[str]
) -> None:
    assert [step.id for step in interrupted(steps(*states))] == at
