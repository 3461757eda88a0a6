"""How long what remains will take: the machine itself is walked with each step's estimate, within the limits."""

import heapq
from collections.abc import Collection, Mapping

from model.plan import Plan
from model.status import Remaining
from workflows.dag import Machine, Node

# A small cloud's steps vary by about this much either way once the pace of this run is known.
_SPREAD = 0.25


def remaining_seconds(
    plan: Plan, passed: Collection[str], elapsed: Mapping[str, float] | None = None, pace: float = 1.0
) -> float:
    """Return the seconds until every step has passed if each takes ``pace`` times its estimate.

    Args:
        plan: the plan.
        passed: ids of the steps that have passed.
        elapsed: for the running steps, for how many seconds they have been running.
        pace: measured over estimated duration of the steps that have ended.
    """
    elapsed = elapsed or {}
    nodes = [Node(step.id, step.needs, step.limit) for step in plan.steps]
    machine = Machine(nodes, plan.limits, passed)
    now, ends = 0.0, list[tuple[float, str]]()
    while not machine.finished:
        for id_ in machine.startable():
            machine.start(id_)
            left = max(0.0, plan.by_id[id_].estimate * pace - elapsed.get(id_, 0.0))
            heapq.heappush(ends, (now + left, id_))
        now, ended = heapq.heappop(ends)
        machine.succeed(ended)
    return now


def measured_pace(plan: Plan, durations: Mapping[str, float]) -> float:
    """Return measured over estimated duration of the steps that have ended; 1 before anything is known."""
    estimated = sum(plan.by_id[id_].estimate for id_ in durations)
    if estimated < 10:
        return 1.0
    return max(0.2, min(5.0, sum(durations.values()) / estimated))


def remaining(
    plan: Plan, passed: Collection[str], elapsed: Mapping[str, float], durations: Mapping[str, float]
) -> Remaining:
    """Return the range in which the rest of the run will probably lie, in seconds."""
    middle = remaining_seconds(plan, passed, elapsed, measured_pace(plan, durations))
    return Remaining(low=round(middle * (1 - _SPREAD), 1), high=round(middle * (1 + _SPREAD), 1))
