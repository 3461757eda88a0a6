"""The forecast starts what the machine would start, and answers in a moment for a fleet."""

import heapq
import time

from hypothesis import given
from hypothesis import strategies as st

from model.forecast import remaining_seconds
from model.plan import Action, Phase, Plan, Reversibility, Step
from workflows.dag import Machine, Node


def walked(plan: Plan, passed: set[str]) -> float:
    """The same, by the machine itself."""
    machine = Machine([Node(step.id, step.needs, step.limit) for step in plan.steps], plan.limits, passed)
    now, ends = 0.0, list[tuple[float, str]]()
    while not machine.finished:
        for id_ in machine.startable():
            machine.start(id_)
            heapq.heappush(ends, (now + plan.by_id[id_].estimate, id_))
        now, ended = heapq.heappop(ends)
        machine.succeed(ended)
    return now


def step(number: int, needs: tuple[str, ...], limit: str | None, estimate: float) -> Step:
    return Step(
        id=f"s{number:03}",
        title="",
        phase=Phase.DATA,
        action=Action.INSTALL,
        target="cloud",
        needs=needs,
        reversibility=Reversibility.R1,
        limit=limit,
        estimate=estimate,
    )


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, set[str]]:
    """A plan, and steps of it that have passed: each with all that it needs."""
    steps: list[Step] = []
    for number in range(draw(st.integers(0, 12))):
        needs = draw(st.sets(st.sampled_from([s.id for s in steps]), max_size=3)) if steps else set()
        # Ends never fall together: then no order between them is right or wrong.
        estimate = draw(st.integers(0, 4)) + 2.0**-number / 100
        steps.append(step(number, tuple(sorted(needs)), draw(st.sampled_from([None, "a", "b"])), estimate))
    passed: set[str] = set()
    for one in steps:
        if set(one.needs) <= passed and draw(st.booleans()):
            passed.add(one.id)
    limits = {"a": draw(st.integers(1, 3)), "b": 1}
    return Plan(cloud="c", source="2026.1", target="2026.2", limits=limits, steps=tuple(steps)), passed


@given(plans())
def test_it_starts_what_the_machine_would_start(drawn: tuple[Plan, set[str]]) -> None:
    plan, passed = drawn
    assert remaining_seconds(plan, passed) == walked(plan, passed)


def test_what_runs_is_not_begun_again() -> None:
    plan = Plan(
        cloud="c",
        source="2026.1",
        target="2026.2",
        limits={"a": 1},
        steps=(step(0, (), "a", 10.0), step(1, (), "a", 10.0), step(2, ("s001",), None, 5.0)),
    )
    # The second runs and takes the only place; the first waits for its end.
    assert remaining_seconds(plan, set(), {"s001": 8.0}) == 2.0 + 10.0
    assert remaining_seconds(plan, set(), {"s001": 30.0}, pace=2.0) == 20.0


def test_a_fleet_is_answered_in_a_moment() -> None:
    chains = [step(n, (f"s{n - 1:03}",) if n % 6 else (), "a", 2.0) for n in range(6000)]
    plan = Plan(cloud="c", source="2026.1", target="2026.2", limits={"a": 100}, steps=tuple(chains))
    began = time.process_time()
    assert remaining_seconds(plan, set()) > 100
    # Temporal ends a workflow that computes for two seconds; this takes 30 ms.
    assert time.process_time() - began < 0.5
