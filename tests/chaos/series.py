"""Which cases share a run: faults that a run gets over, each at a step of its own.

An upgrade costs seconds of a core, and most faults are got over within their step: a run can meet several on its way.
What comes of each is still known: a case whose fault did not happen, because an earlier one had ended the run or had
been mended together with it, is put into another run, and every case of a run that ended badly gets one of its own.
"""

from collections.abc import Sequence

from simulator.faults import Restarts
from tests.chaos.cases import Case


def share(cases: Sequence[Case], size: int) -> list[tuple[Case, ...]]:
    """Put cases together, at most ``size`` to a run, in the order in which they come."""
    open_: list[list[Case]] = []
    runs: list[list[Case]] = []
    for case in cases:
        if _ends_its_run(case) or _leaves_more(case) or size < 2:
            runs.append([case])
            continue
        fitting = next((run for run in open_ if _fits(case, run)), None)
        if fitting is None:
            fitting = []
            open_.append(fitting)
            runs.append(fitting)
        fitting.append(case)
        if len(fitting) == size:
            open_.remove(fitting)
    return [tuple(run) for run in runs]


def _ends_its_run(case: Case) -> bool:
    """Tell whether a fault stays until the run has turned back: an API is asked again, and on the way back it waits."""
    return case.lasting and not case.back and case.fault.how != "http"


def _leaves_more(case: Case) -> bool:
    """Tell whether a fault switches a service for good, so that a run stops that goes back before it comes there."""
    return isinstance(case.fault, Restarts)


def _fits(case: Case, run: list[Case]) -> bool:
    first = run[0]
    if (first.back, first.in_batches) != (case.back, case.in_batches):
        return False
    return all(other.place != case.place for other in run)
