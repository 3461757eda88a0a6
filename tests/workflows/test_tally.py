"""Counts that are kept as steps change are those that counting anew would give."""

from hypothesis import given
from hypothesis import strategies as st

from model.plan import Phase
from model.status import StepState, StepStatus
from workflows.tally import ACTIVE, PASSED, Tally

TARGETS = ("cloud", "ctl1", "cmp1", "cmp2")
PHASES = (Phase.DATA, Phase.CONTROL, Phase.FINISH)


def step(number: int, state: StepState = StepState.PENDING) -> StepStatus:
    """Return a step whose phase and target follow from its number."""
    phase, target = PHASES[number % 3], TARGETS[number % 4]
    return StepStatus(id=f"s{number:02}", title=f"step {number}", phase=phase, target=target, state=state)


changes = st.lists(st.tuples(st.integers(0, 11), st.sampled_from(StepState)), max_size=30)


@given(changes)
def test_the_counts_are_those_of_counting_anew(changes: list[tuple[int, StepState]]) -> None:
    tally, now = Tally(), {number: step(number) for number in range(12)}
    for status in now.values():
        tally.put(status)
    tally.show_hosts(now.values())
    for number, state in changes:
        now[number] = step(number, state)
        tally.put(now[number])
    steps = list(now.values())
    assert list(tally.steps.values()) == steps
    assert tally.in_state(*ACTIVE) == tuple(one for one in steps if one.state in ACTIVE)
    assert [phase.phase for phase in tally.phases] == [Phase.CONTROL, Phase.DATA, Phase.FINISH]
    for phase in tally.phases:
        mine = [one for one in steps if one.phase is phase.phase]
        counted = (len(mine), *(sum(one.state in states for one in mine) for states in (PASSED, ACTIVE)))
        assert (phase.total, phase.done, phase.running) == counted
        assert phase.failed == sum(one.state is StepState.FAILED for one in mine)
    assert [host.host for host in tally.hosts] == ["ctl1", "cmp1", "cmp2"]
    for host in tally.hosts:
        mine = [one for one in steps if one.target == host.host]
        assert (host.total, host.done) == (len(mine), sum(one.state in PASSED for one in mine))
        active = [one.title for one in mine if one.state in ACTIVE]
        assert host.doing == (active[0] if active else "")
        if StepState.FAILED in {one.state for one in mine}:
            assert host.state is StepState.FAILED


def test_a_way_back_shows_the_hosts_by_its_own_steps() -> None:
    tally = Tally()
    forth, back = [step(2, StepState.DONE), step(6, StepState.FAILED)], [step(10)]
    for status in (*forth, *back):
        tally.put(status)
    tally.show_hosts(back)
    (host,) = tally.hosts
    assert (host.host, host.total, host.done, host.state) == ("cmp1", 1, 0, StepState.PENDING)
    assert [one.id for one in tally.in_state(StepState.FAILED)] == ["s06"]
