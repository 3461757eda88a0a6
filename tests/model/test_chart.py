"""The chart of a report: what its colours mean is told where they are seen."""

import pytest

from model.chart import Bar, Chart, Lane
from model.status import StepState


@pytest.mark.parametrize(("state", "told"), [(StepState.DONE, False), (StepState.UNDONE, True)])
def test_what_was_taken_back_is_in_the_legend(state: StepState, told: bool) -> None:
    lane = Lane(label="cmp1", bars=(Bar(start=0, width=1, state=state, title="restart"),))
    assert Chart(hosts=(lane,)).undone is told
    assert Chart(phases=(lane,)).undone is told
