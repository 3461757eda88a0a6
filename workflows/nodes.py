"""How a plan becomes graphs for the machine: the root's, in which a group is one node, and each group's own."""

from collections.abc import Sequence

from model.plan import Plan, Step, in_order
from workflows.dag import Node


def root_nodes(plan: Plan) -> tuple[Node, ...]:
    """Return the root's graph: steps without a group, and each group as one node, in an order that respects needs.

    A group's node needs whatever any of its steps needs outside the group, and counts against its steps' limit.
    """
    owner = {step.id: step.group or step.id for step in plan.steps}
    needs: dict[str, dict[str, None]] = {}
    limit: dict[str, str | None] = {}
    for step in plan.steps:
        node = owner[step.id]
        mine = needs.setdefault(node, {})
        limit.setdefault(node, step.limit)
        mine.update({owner[need]: None for need in step.needs if owner[need] != node})
    return in_order(Node(id_, tuple(mine), limit[id_]) for id_, mine in needs.items())


def group_nodes(steps: Sequence[Step]) -> tuple[Node, ...]:
    """Return a group's own graph; needs outside the group have passed when the group starts."""
    inside = {step.id for step in steps}
    return tuple(Node(step.id, tuple(need for need in step.needs if need in inside)) for step in steps)
