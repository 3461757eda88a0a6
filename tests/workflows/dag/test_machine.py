"""Properties of the DAG machine over random DAGs and random histories."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.dag import Machine, MachineError, Node, NodeState, compensation

LIMITS = {"wide": 3, "narrow": 1}


@st.composite
def dags(draw: st.DrawFn) -> list[Node]:
    """A DAG of up to 12 nodes; some count against a limit."""
    nodes: list[Node] = []
    for index in range(draw(st.integers(1, 12))):
        needs = draw(st.lists(st.sampled_from([n.id for n in nodes]), unique=True, max_size=3)) if nodes else []
        limit = draw(st.sampled_from([None, "wide", "narrow"]))
        nodes.append(Node(f"n{index}", tuple(needs), limit))
    return nodes


@dataclass
class Walk:
    """A random walk: which nodes started in which order, and what was seen on the way."""

    machine: Machine
    nodes: dict[str, Node]
    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def start_all(self) -> None:
        for id_ in self.machine.startable():
            for need in self.nodes[id_].needs:
                assert self.machine.state(need) in (NodeState.DONE, NodeState.SKIPPED)
            self.machine.start(id_)
            self.started.append(id_)
        for name, most in LIMITS.items():
            running = [i for i in self.machine.in_state(NodeState.RUNNING) if self.nodes[i].limit == name]
            assert len(running) <= most


def _walk(nodes: list[Node]) -> Walk:
    return Walk(Machine(nodes, LIMITS), {n.id: n for n in nodes})


@given(dags(), st.data())
def test_every_node_runs_once_after_its_needs_within_the_limits(nodes: list[Node], data: st.DataObject) -> None:
    walk = _walk(nodes)
    while not walk.machine.finished:
        walk.start_all()
        running = walk.machine.in_state(NodeState.RUNNING)
        assert running, "the machine stands still though nothing is paused, failed or stopping"
        one = data.draw(st.sampled_from(running))
        walk.machine.succeed(one)
        walk.ended.append(one)
    assert sorted(walk.started) == sorted(walk.nodes)
    for node in nodes:
        for need in node.needs:
            assert walk.ended.index(need) < walk.ended.index(node.id)


@given(dags(), st.data())
def test_nothing_starts_after_a_failure_until_someone_says_retry_or_skip(
    nodes: list[Node], data: st.DataObject
) -> None:
    walk = _walk(nodes)
    while not walk.machine.finished:
        walk.start_all()
        one = data.draw(st.sampled_from(walk.machine.in_state(NodeState.RUNNING)))
        if data.draw(st.booleans()):
            walk.machine.succeed(one)
            continue
        walk.machine.fail(one)
        assert walk.machine.startable() == ()
        if data.draw(st.booleans()):
            walk.machine.retry(one)
            assert walk.machine.state(one) is NodeState.PENDING
        else:
            walk.machine.skip(one)
    assert set(walk.machine.in_state(NodeState.DONE, NodeState.SKIPPED)) == set(walk.nodes)


@given(dags(), st.data())
def test_pause_starts_nothing_and_resume_goes_on(nodes: list[Node], data: st.DataObject) -> None:
    walk = _walk(nodes)
    while not walk.machine.finished:
        walk.machine.paused = data.draw(st.booleans())
        if walk.machine.paused:
            assert walk.machine.startable() == ()
            walk.machine.paused = False
        walk.start_all()
        walk.machine.succeed(walk.machine.in_state(NodeState.RUNNING)[0])


@given(dags(), st.data())
def test_a_stopping_machine_halts_when_what_runs_has_ended(nodes: list[Node], data: st.DataObject) -> None:
    walk = _walk(nodes)
    walk.start_all()
    walk.machine.stopping = True
    for id_ in walk.machine.in_state(NodeState.RUNNING):
        assert not walk.machine.halted
        walk.machine.succeed(id_)
        assert walk.machine.startable() == ()
    assert walk.machine.halted


@given(dags(), st.data())
def test_compensation_is_the_exact_reverse_of_what_happened(nodes: list[Node], data: st.DataObject) -> None:
    walk = _walk(nodes)
    for _ in range(data.draw(st.integers(0, len(nodes)))):
        walk.start_all()
        if not (running := walk.machine.in_state(NodeState.RUNNING)):
            break
        one = data.draw(st.sampled_from(running))
        if data.draw(st.booleans()):
            walk.machine.succeed(one)
            walk.ended.append(one)
        else:
            walk.machine.fail(one)
            walk.machine.skip(one)
    back = compensation(nodes, walk.ended)
    assert {node.id for node in back} == set(walk.ended)
    undone: list[str] = []
    machine = Machine(back, LIMITS)
    while not machine.finished:
        for id_ in machine.startable():
            machine.start(id_)
        one = data.draw(st.sampled_from(machine.in_state(NodeState.RUNNING)))
        machine.succeed(one)
        undone.append(one)
    for first, then in _ancestors(nodes):
        if first in undone and then in undone:
            assert undone.index(then) < undone.index(first)


def _ancestors(nodes: list[Node]) -> list[tuple[str, str]]:
    above: dict[str, set[str]] = {}
    for node in nodes:
        above[node.id] = set(node.needs).union(*(above[need] for need in node.needs))
    return [(first, then) for then, firsts in above.items() for first in firsts]


def test_orders_that_do_not_fit_the_state_are_refused() -> None:
    machine = Machine([Node("a"), Node("b", ("a",))])
    with pytest.raises(MachineError, match="b cannot start before its needs have passed"):
        machine.start("b")
    machine.start("a")
    with pytest.raises(MachineError, match="a is running and cannot become running"):
        machine.start("a")
    machine.succeed("a")
    with pytest.raises(MachineError, match="a is done and cannot become pending"):
        machine.retry("a")


def test_passed_nodes_do_not_run_again() -> None:
    machine = Machine([Node("a"), Node("b", ("a",))], passed={"a"})
    assert machine.startable() == ("b",)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([Node("a", ("b",)), Node("b")], "a needs b"),
        ([Node("a", limit="none")], "a counts against none"),
    ],
)
def test_a_graph_that_cannot_be_walked_is_refused(nodes: list[Node], message: str) -> None:
    with pytest.raises(MachineError, match=message):
        Machine(nodes)


def test_limits_change_while_it_runs() -> None:
    machine = Machine([Node(f"n{i}", limit="hosts") for i in range(3)], {"hosts": 1})
    assert machine.startable() == ("n0",)
    machine.limit("hosts", 2)
    assert machine.startable() == ("n0", "n1")
    with pytest.raises(MachineError, match="hosts=0"):
        machine.limit("hosts", 0)
