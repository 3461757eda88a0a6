"""How long what remains will take: the plan is walked with each step's estimate, within the limits.

It starts what ``workflows.dag.Machine`` would start. That looks at every node for each that starts, which would take
minutes for a fleet; an operator asks every second.
"""

import heapq
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from model.plan import Plan
from model.status import Remaining

# A small cloud's steps vary by about this much either way once the pace of this run is known.
_SPREAD = 0.25


def remaining_seconds(
    plan: Plan, passed: AbstractSet[str], elapsed: Mapping[str, float] | None = None, pace: float = 1.0
) -> float:
    """Return the seconds until every step has passed if each takes ``pace`` times its estimate.

    Args:
        plan: the plan.
        passed: ids of the steps that have passed.
        elapsed: for the running steps, for how many seconds they have been running.
        pace: measured over estimated duration of the steps that have ended.
    """
    steps, elapsed = plan.by_id, elapsed or {}
    order = {id_: (id_ not in elapsed, place) for place, id_ in enumerate(steps)}
    missing = {id_: sum(need not in passed for need in step.needs) for id_, step in steps.items() if id_ not in passed}
    after: dict[str, list[str]] = {}
    for id_ in missing:
        for need in steps[id_].needs:
            after.setdefault(need, []).append(id_)
    room: dict[str | None, float] = {None: math.inf}
    room.update(plan.limits)
    ready: dict[str | None, list[tuple[tuple[bool, int], str]]] = {limit: [] for limit in room}
    for id_ in (id_ for id_, needs in missing.items() if not needs):
        heapq.heappush(ready[steps[id_].limit], (order[id_], id_))
    now, ends = 0.0, list[tuple[float, str]]()
    while True:
        for limit, waiting in ready.items():
            while waiting and room[limit] > 0:
                _, id_ = heapq.heappop(waiting)
                room[limit] -= 1
                left = max(0.0, steps[id_].estimate * pace - elapsed.get(id_, 0.0))
                heapq.heappush(ends, (now + left, id_))
        if not ends:
            return now
        now, ended = heapq.heappop(ends)
        room[steps[ended].limit] += 1
        for id_ in after.get(ended, ()):
            missing[id_] -= 1
            if not missing[id_]:
                heapq.heappush(ready[steps[id_].limit], (order[id_], id_))


def measured_pace(plan: Plan, durations: Mapping[str, float]) -> float:
    """Return measured over estimated duration of the steps that have ended; 1 before anything is known."""
    estimated = sum(plan.by_id[id_].estimate for id_ in durations)
    if estimated < 10:
        return 1.0
    return max(0.2, min(5.0, sum(durations.values()) / estimated))


def remaining(
    plan: Plan, passed: AbstractSet[str], elapsed: Mapping[str, float], durations: Mapping[str, float]
) -> Remaining:
    """Return the range in which the rest of the run will probably lie, in seconds."""
    middle = remaining_seconds(plan, passed, elapsed, measured_pace(plan, durations))
    return Remaining(low=round(middle * (1 - _SPREAD), 1), high=round(middle * (1 + _SPREAD), 1))
