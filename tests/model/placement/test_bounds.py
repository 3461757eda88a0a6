"""The bounds and the simulation, on fleets that can be counted by hand."""

import pytest

from model.fleet import Fleet
from model.placement import Durations, StuckError, bound, makespan_bound, schedule, simulate
from model.rolling import Canary, Limits, Order, Rolling
from tests.model.placement.fleets import fleet, guest, host, live

MINUTE = Durations(reboot=60, per_move=10, seconds_per_gib=0)


def cloud_of(guests: int, hosts: int = 4, *, spare: bool = False) -> Fleet:
    """Hosts with room for ten, each with so many guests of size 1."""
    names = [f"h{index}" for index in range(hosts)]
    extra = [host("spare")] if spare else []
    return fleet([*extra, *(host(n) for n in names)], [guest(f"{n}-{i}", n) for n in names for i in range(guests)])


def rules(**others: object) -> Rolling:
    return Rolling.model_validate({"max_unavailable": 2, "canary": {"count": 0}, **others})


@pytest.mark.parametrize(("spare", "again"), [(False, 3), (True, 0)])
def test_the_first_hosts_guests_move_twice_when_nothing_is_clean(spare: bool, again: int) -> None:
    cloud = cloud_of(3, spare=spare)
    least = bound(cloud, live(cloud), rules(), hosts=[f"h{i}" for i in range(4)])
    assert (least.movers, least.again, least.moves) == (12, again, 12 + again)


def test_each_zone_has_a_first_host_for_guests_that_asked_for_it() -> None:
    hosts = [host(f"{zone}{i}", zone=zone) for zone in "ab" for i in range(3)]
    bound_to_zones = fleet(hosts, [guest(f"g{h.name}", h.name, zone=h.zone) for h in hosts])
    anywhere = fleet(hosts, [guest(f"g{h.name}", h.name) for h in hosts])
    assert bound(bound_to_zones, live(bound_to_zones), rules(), hosts=bound_to_zones.hosts).again == 2
    assert bound(anywhere, live(anywhere), rules(), hosts=anywhere.hosts).again == 1


@pytest.mark.parametrize(
    ("update", "seconds", "binding"),
    [
        # Four hosts of 4 moves, two at a time from each: 20 s and 60 s of reboot; two hosts at a time.
        ({}, 160, "max_unavailable"),
        # 50 places hold 16 guests, so 34 may be missing: not all four hosts of ten at once.
        ({"max_unavailable": 4}, 4 * 80 * 10 / 34, "room"),
        # One move at a time: 160 s, and the last reboot.
        ({"max_unavailable": 4, "limits": {"total": 1}}, 220, "limits.total"),
        ({"limits": {"per_source": 1}}, 200, "max_unavailable"),
        ({"max_per_zone": 1}, 320, "max_per_zone"),
        # The canary alone, its time of health, then the other three.
        ({"canary": {"count": 1, "healthy_for": 30}}, 80 + 30 + 120, "max_unavailable"),
    ],
)
def test_the_tightest_limit_counts(update: dict[str, object], seconds: float, binding: str) -> None:
    cloud = cloud_of(4, spare=True)
    hosts = [f"h{i}" for i in range(4)]
    found = makespan_bound(cloud, live(cloud), rules(**update), hosts=hosts, durations=MINUTE)
    assert found.seconds == pytest.approx(seconds)
    assert found.binding == binding


def test_nothing_to_do_takes_no_time() -> None:
    cloud = cloud_of(1)
    assert makespan_bound(cloud, {}, rules(), hosts=[]).seconds == 0
    plan = schedule(cloud, {}, rules(), hosts=[])
    assert (plan.waves, plan.cost.moves, plan.cost.makespan, plan.shortfalls) == ((), 0, 0.0, ())


def test_a_run_can_be_followed_move_by_move() -> None:
    cloud = fleet([host("spare"), host("h")], [guest(f"g{i}", "h") for i in range(3)])
    plan = schedule(cloud, live(cloud), rules(), hosts=["h"], durations=MINUTE)
    run = simulate(plan, cloud, MINUTE, Limits(per_source=2))
    assert [(move.start, move.end) for move in run.moves] == [(0, 10), (0, 10), (10, 20)]
    assert [(h.start, h.drained, h.done) for h in run.hosts] == [(0, 20, 80)]
    assert run.peaks == {"hosts": 1, "source": 2, "target": 2, "zone": 2, "total": 2}
    assert run.makespan == plan.cost.makespan == 80


def test_the_others_wait_until_the_canary_has_been_healthy() -> None:
    cloud = cloud_of(1, spare=True)
    spec = rules(canary=Canary(count=1, healthy_for=100), max_unavailable=4)
    plan = schedule(cloud, live(cloud), spec, hosts=["h0", "h1", "h2"], durations=MINUTE)
    run = simulate(plan, cloud, MINUTE, spec.limits, healthy_for=100)
    assert [h.start for h in run.hosts] == [0, 170, 170]


def test_hosts_that_wait_for_each_other_are_no_endless_run() -> None:
    cloud = cloud_of(0, hosts=2)
    plan = schedule(cloud, {}, rules(), hosts=cloud.hosts)
    circle = plan.model_copy(update={"needs": {"h0": ("h1",), "h1": ("h0",)}})
    with pytest.raises(StuckError, match="h0, h1"):
        simulate(circle, cloud, MINUTE, Limits())


def test_the_fastest_order_begins_all_slots_at_once_and_says_what_it_costs() -> None:
    cloud = cloud_of(4, hosts=9)
    plan = schedule(cloud, live(cloud), rules(order=Order.FASTEST, max_unavailable=3), hosts=cloud.hosts)
    assert plan.other is not None
    assert (plan.cost.order, plan.other.order) == (Order.FASTEST, Order.FEWEST_MOVES)
    assert plan.cost.makespan < plan.other.makespan
    assert plan.cost.moves > plan.other.moves
    assert plan.cost.most <= 2
    assert plan.fastest_possible <= plan.cost.makespan
