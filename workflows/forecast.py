"""When each compute host has its turn, in a run that walks groups as one node."""

from collections.abc import Set as AbstractSet

from model.forecast import walk
from model.plan import Plan
from workflows.nodes import root_nodes


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
    turns = walk(nodes, plan.limits, nodes.keys() - left.keys())
    return {turn.id.removeprefix("host/"): (turn.begin, turn.end) for turn in turns if turn.id.startswith("host/")}
