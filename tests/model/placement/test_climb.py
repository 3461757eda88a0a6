"""Ways that are changed a little again and again, and the reckoning that they are judged by."""

from itertools import pairwise

from model.fleet import Fleet
from model.placement import Durations, simulate
from model.placement.board import Task
from model.placement.climb import climb, waited_for
from model.placement.draft import Draft
from model.placement.fastest import Way, fastest, ways
from model.placement.planner import schedules
from model.rolling import Canary, Limits, Order, Rolling
from tests.model.placement.fleets import anti, fleet, guest, host, live

RULES = Rolling(max_unavailable=3, canary=Canary(count=0), limits=Limits(per_source=1, per_target=1))
MINUTE = Durations(reboot=60, per_move=10, seconds_per_gib=0)


def ring(hosts: int = 12) -> Fleet:
    """Hosts of many lengths in a ring, each of which may not be out together with the next one."""
    names = [f"h{index:02}" for index in range(hosts)]
    guests = [guest(f"{name}-{i}", name) for index, name in enumerate(names) for i in range(1 + index % 5)]
    groups = tuple(
        anti(f"group{index}", f"{name}-a", f"{names[(index + 1) % hosts]}-b") for index, name in enumerate(names)
    )
    guests += [guest(f"{name}-{side}", name) for name in names for side in "ab"]
    return fleet([*(host(name) for name in names), host("spare", 40)], guests, groups)


def price(draft: Draft) -> tuple[float, ...]:
    return (draft.makespan, draft.moves)


def task() -> Task:
    cloud = ring()
    return Task(cloud, live(cloud), RULES, [name for name in cloud.hosts if name != "spare"])


def test_more_tries_are_never_worse_and_the_same_each_time() -> None:
    way = Way(hasty=0, crowd=0.0)
    first = climb(task(), MINUTE, [way], price, 0)
    best = climb(task(), MINUTE, [way], price, 20)
    again = climb(task(), MINUTE, [way], price, 20)
    assert first is not None
    assert best is not None
    assert again is not None
    assert price(first) == price(fastest(task(), MINUTE, way))
    assert price(best) < price(first)
    assert best.hosts == again.hosts
    assert sorted(best.hosts) == task().dirty
    assert climb(task(), MINUTE, [], price, 20) is None


def test_a_draft_is_reckoned_with_as_it_will_be_carried_out() -> None:
    cloud = ring()
    plan = schedules(cloud, live(cloud), RULES, hosts=task().dirty, durations=MINUTE)[Order.FASTEST]
    draft = climb(task(), MINUTE, list(ways(task())), price, 20)
    assert draft is not None
    run = simulate(plan, cloud, MINUTE, RULES.limits)
    assert run.makespan <= draft.makespan


def test_who_was_waited_for_is_found_from_the_end() -> None:
    draft = fastest(task(), MINUTE, Way(hasty=0, crowd=0.0))
    chain = waited_for(draft)
    assert draft.times[chain[0]].done == draft.makespan
    needs = draft.needs()
    for then, first in pairwise(chain):
        assert first in needs[then]
        assert draft.times[first].done == draft.times[then].start
