"""The machine that walks a DAG: given the nodes and what has happened, which may start, and is it finished.

Rule 1: everything that decides about order lives here. The machine is a state machine of plain data: it does no I/O,
knows no clock and no Temporal; a workflow executes what it returns and tells it what came of it.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class NodeState(StrEnum):
    """The state of a node."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Node:
    """A node: what it needs, and the limit that it counts against."""

    id: str
    needs: tuple[str, ...] = ()
    limit: str | None = None


class MachineError(RuntimeError):
    """An order or a report that does not fit the state; a defect of the caller, or a late order of an operator."""


# What may follow what. An order that is not in this table is refused.
_TRANSITIONS: dict[tuple[NodeState, NodeState], str] = {
    (NodeState.PENDING, NodeState.RUNNING): "start",
    (NodeState.RUNNING, NodeState.DONE): "succeed",
    (NodeState.RUNNING, NodeState.FAILED): "fail",
    (NodeState.FAILED, NodeState.PENDING): "retry",
    (NodeState.FAILED, NodeState.SKIPPED): "skip",
    (NodeState.PENDING, NodeState.SKIPPED): "skip",
}
_PASSED = (NodeState.DONE, NodeState.SKIPPED)


class Machine:
    """Walks a DAG.

    Nothing starts while the machine is paused, while it is stopping, or while a node is failed and nobody has said
    retry or skip; what runs is never taken back by the machine.

    What it is asked is kept at hand and not looked for: a fleet has a thousand nodes, and it is asked what may start
    after each event of a run, and again for each when the run is replayed.
    """

    def __init__(
        self, nodes: Iterable[Node], limits: Mapping[str, int] | None = None, passed: Collection[str] = ()
    ) -> None:
        """Take the nodes in an order in which each comes after its needs, and the ids that have passed already."""
        self._nodes = {node.id: node for node in nodes}
        self._limits = dict(limits or {})
        self.paused = False
        self.stopping = False
        self._check()
        self._places = {id_: place for place, id_ in enumerate(self._nodes)}
        self._ids = tuple(self._nodes)
        self._after: dict[str, list[str]] = {}
        self._missing: dict[str, int] = {}
        for node in self._nodes.values():
            self._missing[node.id] = len(set(node.needs))
            for need in set(node.needs):
                self._after.setdefault(need, []).append(node.id)
        self._states = dict.fromkeys(self._nodes, NodeState.PENDING)
        self._in: dict[NodeState, set[int]] = {state: set() for state in NodeState}
        self._in[NodeState.PENDING].update(self._places.values())
        self._running: Counter[str | None] = Counter()
        # Pending nodes whose needs have passed, by the limit that they count against.
        self._ready: dict[str | None, set[int]] = {limit: set() for limit in (None, *self._limits)}
        for id_ in self._nodes:
            self._sort_in(id_)
        for id_ in self._nodes:
            if id_ in passed:
                self._put(id_, NodeState.DONE)

    def _check(self) -> None:
        seen: set[str] = set()
        for node in self._nodes.values():
            for need in node.needs:
                if need not in seen:
                    raise MachineError(f"{node.id} needs {need}, which does not come before it")
            if node.limit is not None and self._limits.get(node.limit, 0) < 1:
                raise MachineError(f"{node.id} counts against {node.limit}, which allows nothing to run")
            seen.add(node.id)

    def __contains__(self, id_: str) -> bool:
        """Tell whether there is such a node."""
        return id_ in self._nodes

    def state(self, id_: str) -> NodeState:
        """Return the state of a node."""
        return self._states[id_]

    def in_state(self, *states: NodeState) -> tuple[str, ...]:
        """Return the ids of the nodes in any of these states, in the order given at the beginning."""
        return self._named(place for state in set(states) for place in self._in[state])

    def startable(self, fits: Callable[[str], bool] | None = None) -> tuple[str, ...]:
        """Return the nodes that may all start now, together, within the limits.

        Args:
            fits: whether something outside of the graph lets a node begin now; by default nothing keeps any from it.
        """
        if self.paused or self.stopping or self._in[NodeState.FAILED]:
            return ()
        chosen = list(self._fitting(None, fits))
        for limit, most in self._limits.items():
            if (room := most - self._running[limit]) > 0:
                chosen += heapq.nsmallest(room, self._fitting(limit, fits))
        return self._named(chosen)

    def _fitting(self, limit: str | None, fits: Callable[[str], bool] | None) -> Iterable[int]:
        ready = self._ready[limit]
        return ready if fits is None else (place for place in ready if fits(self._ids[place]))

    def start(self, id_: str) -> None:
        """Note that a node runs now."""
        if self._missing[id_]:
            raise MachineError(f"{id_} cannot start before its needs have passed")
        self._move(id_, NodeState.RUNNING)

    def succeed(self, id_: str) -> None:
        """Note that a running node has done its work."""
        self._move(id_, NodeState.DONE)

    def fail(self, id_: str) -> None:
        """Note that a running node has failed for good."""
        self._move(id_, NodeState.FAILED)

    def retry(self, id_: str) -> None:
        """Let a failed node run again."""
        self._move(id_, NodeState.PENDING)

    def skip(self, id_: str) -> None:
        """Let what needs this failed or pending node go on without it."""
        self._move(id_, NodeState.SKIPPED)

    def limit(self, name: str, most: int) -> None:
        """Change a limit; what runs already goes on even when it is more than the new limit.

        Raises:
            MachineError: for an unknown limit or one below 1.
        """
        if name not in self._limits or most < 1:
            raise MachineError(f"limit {name}={most}: known limits are {', '.join(self._limits)}, each at least 1")
        self._limits[name] = most

    @property
    def finished(self) -> bool:
        """Whether every node has passed."""
        return sum(len(self._in[state]) for state in _PASSED) == len(self._nodes)

    @property
    def idle(self) -> bool:
        """Whether nothing runs."""
        return not self._in[NodeState.RUNNING]

    @property
    def halted(self) -> bool:
        """Whether the walk has ended: finished, or stopping with nothing left that runs."""
        return self.finished or (self.stopping and self.idle)

    def _named(self, places: Iterable[int]) -> tuple[str, ...]:
        return tuple(self._ids[place] for place in sorted(places))

    def _move(self, id_: str, to: NodeState) -> None:
        now = self._states[id_]
        if (now, to) not in _TRANSITIONS:
            raise MachineError(f"{id_} is {now.value} and cannot become {to.value}")
        self._put(id_, to)

    def _put(self, id_: str, to: NodeState) -> None:
        before, place, limit = self._states[id_], self._places[id_], self._nodes[id_].limit
        self._in[before].discard(place)
        self._in[to].add(place)
        self._states[id_] = to
        self._running[limit] += (to is NodeState.RUNNING) - (before is NodeState.RUNNING)
        self._sort_in(id_)
        if to in _PASSED:
            # What has passed stays so: no transition leads away from it.
            for after in self._after.get(id_, ()):
                self._missing[after] -= 1
                self._sort_in(after)

    def _sort_in(self, id_: str) -> None:
        """Note whether a node only waits for room."""
        ready, place = self._ready[self._nodes[id_].limit], self._places[id_]
        if self._states[id_] is NodeState.PENDING and not self._missing[id_]:
            ready.add(place)
        else:
            ready.discard(place)


def compensation(nodes: Iterable[Node], happened: Collection[str]) -> tuple[Node, ...]:
    """Return the DAG that takes back what happened: the same nodes over the reversed edges, with the same limits.

    A need that did not happen itself is looked through: if ``c`` needs ``b`` needs ``a`` and only ``a`` and ``c``
    happened, then ``c`` is still taken back before ``a``.
    """
    by_id = {node.id: node for node in nodes}
    nearest: dict[str, set[str]] = {}
    for node in by_id.values():
        found: set[str] = set()
        for need in node.needs:
            found |= {need} if need in happened else nearest[need]
        nearest[node.id] = found
    dependants: dict[str, list[str]] = {id_: [] for id_ in by_id if id_ in happened}
    for id_ in dependants:
        for need in nearest[id_]:
            dependants[need].append(id_)
    return tuple(
        Node(id_, tuple(sorted(dependants[id_])), by_id[id_].limit) for id_ in reversed(by_id) if id_ in happened
    )
