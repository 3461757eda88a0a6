"""How long what remains will take: the plan is walked with each step's estimate, within the limits.

It starts what ``workflows.dag.Machine`` would start. That looks at every node for each that starts, which would take
minutes for a fleet; an operator asks every second.
"""

import heapq
import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from model.plan import Plan, Step
from model.status import Remaining
from workflows.nodes import root_nodes

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
    return max((end for _, _, end in _walk(plan.by_id, plan.limits, passed, elapsed, pace)), default=0.0)


def expected_turns(plan: Plan, passed: AbstractSet[str] = frozenset()) -> dict[str, tuple[float, float]]:
    """Return the turn of each compute host that is not done: its begin and end, in seconds from now.

    A group is one node, as in the run: the steps of a host follow each other, and hold its place all the time.
    """
    left = {step.group or step.id: 0.0 for step in plan.steps if step.id not in passed}
    for step in plan.steps:
        if step.id not in passed:
            left[step.group or step.id] += step.estimate
    first = {step.group or step.id: step for step in reversed(plan.steps)}
    nodes = {
        node.id: first[node.id].model_copy(
            update={"id": node.id, "needs": node.needs, "limit": node.limit, "estimate": left.get(node.id, 0.0)}
        )
        for node in root_nodes(plan)
    }
    turns = _walk(nodes, plan.limits, nodes.keys() - left.keys())
    return {id_.removeprefix("host/"): (begin, end) for id_, begin, end in turns if id_.startswith("host/")}


def _walk(
    steps: Mapping[str, Step],
    limits: Mapping[str, int],
    passed: AbstractSet[str],
    elapsed: Mapping[str, float] | None = None,
    pace: float = 1.0,
) -> Iterator[tuple[str, float, float]]:
    """Yield each step that has not passed with its begin and end in seconds from now, in the order of the ends."""
    elapsed = elapsed or {}
    order = {id_: (id_ not in elapsed, place) for place, id_ in enumerate(steps)}
    missing = {id_: sum(need not in passed for need in step.needs) for id_, step in steps.items() if id_ not in passed}
    after: dict[str, list[str]] = {}
    for id_ in missing:
        for need in steps[id_].needs:
            after.setdefault(need, []).append(id_)
    room: dict[str | None, float] = {None: math.inf}
    room.update(limits)
    ready: dict[str | None, list[tuple[tuple[bool, int], str]]] = {limit: [] for limit in room}
    for id_ in (id_ for id_, needs in missing.items() if not needs):
        heapq.heappush(ready[steps[id_].limit], (order[id_], id_))
    now, ends, begins = 0.0, list[tuple[float, str]](), dict[str, float]()
    while True:
        for limit, waiting in ready.items():
            while waiting and room[limit] > 0:
                _, id_ = heapq.heappop(waiting)
                room[limit] -= 1
                left = max(0.0, steps[id_].estimate * pace - elapsed.get(id_, 0.0))
                begins[id_] = now
                heapq.heappush(ends, (now + left, id_))
        if not ends:
            return
        now, ended = heapq.heappop(ends)
        yield ended, begins[ended], now
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
