"""The order with the shortest time, and the list schedule behind both orders."""

from model.fleet import Fleet
from model.placement import Cause, Durations, schedule, schedules
from model.placement.board import Task
from model.placement.fastest import Way, fastest, frugal_ways, ways
from model.rolling import Canary, Order, Rolling
from tests.model.placement.fleets import anti, fleet, guest, host, live

RULES = Rolling(max_unavailable=2, canary=Canary(count=0))


def two_zones(hosts: int) -> Fleet:
    """Two zones whose guests may not leave them; all of one are a little larger, so that it costs less to begin."""
    names = [(zone, f"{index:02}{zone}") for index in range(hosts) for zone in "ab"]
    return fleet(
        [host(name, 10 + 2 * (zone == "a"), zone=zone) for zone, name in names],
        [guest(f"{name}-{i}", name, 2, zone=zone) for zone, name in names for i in range(3)],
    )


def test_where_few_moves_count_every_zone_is_begun() -> None:
    cloud = two_zones(8)
    task = Task(cloud, live(cloud), RULES, cloud.hosts)
    three = Task(cloud, live(cloud), RULES.model_copy(update={"max_unavailable": 3}), cloud.hosts)
    (way, *_) = frugal_ways(three, again=6)
    draft = fastest(task, Durations(), way)
    assert {cloud.hosts[name].zone for name in draft.hosts[:2]} == {"a", "b"}
    again = [move for move in draft.board.moves if not move.room.clean]
    assert {move.cause for move in again} == {Cause.SEED, Cause.HASTE}
    assert sorted(draft.hosts) == sorted(cloud.hosts)


def test_few_rounds_are_left_to_waves() -> None:
    cloud = two_zones(2)
    task = Task(cloud, live(cloud), RULES, cloud.hosts)
    assert list(frugal_ways(task, again=6)) == []
    assert list(ways(task))


def test_the_fewest_moves_are_few_whatever_time_it_would_save() -> None:
    cloud = two_zones(8)
    both = schedules(cloud, live(cloud), RULES, hosts=cloud.hosts)
    few, fast = both[Order.FEWEST_MOVES], both[Order.FASTEST]
    assert few.bound <= few.cost.moves <= few.bound + few.movers // 40
    assert fast.cost.makespan <= few.cost.makespan


def test_hosts_that_share_groups_with_many_are_begun_early() -> None:
    names = [f"h{index}" for index in range(9)]
    guests = [guest(f"g{name}", name) for name in names] + [guest(f"hub-{i}", "h8") for i in range(3)]
    groups = tuple(anti(f"with-{i}", f"hub-{i}", f"gh{i}") for i in range(3))
    cloud = fleet([*(host(name) for name in names), host("spare", 40)], guests, groups)
    draft = fastest(Task(cloud, live(cloud), RULES, names), Durations(), Way(hasty=0, crowd=0.2))
    assert draft.hosts[0] == "h8"
    plan = schedule(cloud, live(cloud), RULES.model_copy(update={"order": Order.FASTEST}), hosts=names)
    assert plan.cost.makespan <= draft.makespan
