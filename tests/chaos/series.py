"""Which cases share a run: faults that pass by themselves, each at a step of its own.

An upgrade costs seconds of a core, and most faults that happen once are got over within their step: a run can meet
several on its way. What comes of each is still known: a case whose fault did not happen, because an earlier one had
ended the run, and every case of a run that ended badly, gets a run of its own.
"""

from collections.abc import Sequence

from simulator.faults import Restarts
from tests.chaos.cases import Case


def share(cases: Sequence[Case], size: int) -> list[tuple[Case, ...]]:
    """Put cases together, at most ``size`` to a run, in the order in which they come."""
    open_: list[list[Case]] = []
    runs: list[list[Case]] = []
    for case in cases:
        if case.lasting or _leaves_more(case) or size < 2:
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


def _leaves_more(case: Case) -> bool:
    """Tell whether a fault switches a service for good, so that a run stops that goes back before it comes there."""
    return isinstance(case.fault, Restarts)


def _fits(case: Case, run: list[Case]) -> bool:
    first = run[0]
    if (first.back, first.in_batches) != (case.back, case.in_batches):
        return False
    return all(other.place != case.place for other in run)
