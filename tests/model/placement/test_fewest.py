"""The order with the fewest moves, on fleets that can be counted by hand."""

from itertools import pairwise

import pytest

from model.fleet import FleetHost, GroupPolicy, GuestClass
from model.placement import Cause, Durations, schedule, simulate
from model.rolling import Canary, Rolling
from tests.model.placement.fleets import anti, fleet, guest, host, live

NO_CANARY = Rolling(max_unavailable=10, canary=Canary(count=0))


def test_with_a_spare_host_every_guest_moves_once_and_waves_grow() -> None:
    hosts = [host("spare"), *(host(f"h{i}") for i in range(6))]
    guests = [guest(f"g{i}-{j}", f"h{i}", 2) for i in range(6) for j in range(2)]
    cloud = fleet(hosts, guests)
    plan = schedule(cloud, live(cloud), NO_CANARY, hosts=[f"h{i}" for i in range(6)])
    assert plan.shortfalls == ()
    assert plan.cost.moves == plan.movers == 12
    assert plan.cost.most == 1
    assert [len(wave.hosts) for wave in plan.waves] == [2, 4]


def test_without_one_only_the_first_hosts_guests_move_twice() -> None:
    hosts = [host(f"h{i}") for i in range(4)]
    guests = [guest(f"g{i}-{j}", f"h{i}", 2) for i in range(4) for j in range(2 if i else 1)]
    cloud = fleet(hosts, guests)
    plan = schedule(cloud, live(cloud), NO_CANARY, hosts=cloud.hosts)
    assert plan.waves[0].hosts == ("h0",)
    assert plan.cost.moves == plan.movers + 1
    assert plan.excess == {Cause.SEED: 1}
    assert plan.cost.most == 2


def test_the_canary_goes_alone_and_all_others_wait_for_it() -> None:
    hosts = [host("spare"), *(host(f"h{i}") for i in range(4))]
    cloud = fleet(hosts, [guest(f"g{i}", f"h{i}") for i in range(4)])
    plan = schedule(cloud, live(cloud), Rolling(max_unavailable=10, canary=Canary(hosts=("h3",))), hosts=cloud.hosts)
    assert plan.waves[0].hosts == ("h3",)
    assert plan.waves[0].canary
    assert not any(wave.canary for wave in plan.waves[1:])
    assert all("h3" in plan.needs[name] for name in plan.needs if name != "h3")


def test_stopped_guests_stay_and_left_ones_expose_their_host() -> None:
    cloud = fleet([host("spare"), host("a"), host("b"), host("c")], [guest("stay", "a"), guest("leave", "b")])
    classes = live(cloud, stay=GuestClass.STOP, leave=GuestClass.LEAVE)
    plan = schedule(cloud, classes, NO_CANARY, hosts=["a", "b", "c", "gone"])
    assert plan.assignments == ()
    assert sorted(name for wave in plan.waves for name in wave.hosts) == ["a", "c"]
    assert [(s.host, s.exposed) for s in plan.skipped] == [("b", True), ("gone", False)]


@pytest.mark.parametrize(
    ("target", "traits", "resource"),
    [
        (host("t", zone="b"), (), "zone"),
        (host("t", zone="a"), ("HW_GPU",), "traits"),
        (host("t", zone="a", hypervisor_version=1), (), "version"),
        (host("t", zone="a", hypervisor="xen"), (), "hypervisor"),
        (host("t", size=1, zone="a"), (), "VCPU"),
    ],
)
def test_a_guest_that_no_host_may_take_refuses_the_schedule(
    target: FleetHost, traits: tuple[str, ...], resource: str
) -> None:
    source = host("s", zone="a", hypervisor="QEMU", hypervisor_version=2, traits=traits)
    cloud = fleet([source, target], [guest("g", "s", 2, zone="a", traits=traits)])
    plan = schedule(cloud, live(cloud), NO_CANARY, hosts=["s"])
    (shortfall,) = plan.shortfalls
    assert (shortfall.host, shortfall.zone) == ("s", "a")
    assert [skipped.host for skipped in plan.skipped] == ["s"]
    assert (shortfall.resource, shortfall.missing) == (resource, 1)
    assert shortfall.unit == ("vCPUs" if resource == "VCPU" else "hosts")


def test_a_group_with_a_member_on_every_host_is_named() -> None:
    cloud = fleet(
        [host("a"), host("b"), host("c")],
        [guest("g1", "a"), guest("g2", "b"), guest("g3", "c")],
        (anti("web", "g1", "g2", "g3"),),
    )
    plan = schedule(cloud, live(cloud), NO_CANARY, hosts=cloud.hosts)
    assert any("server group web" in shortfall.sentence for shortfall in plan.shortfalls)


@pytest.mark.parametrize("policy", [GroupPolicy.ANTI_AFFINITY, GroupPolicy.SOFT_ANTI_AFFINITY])
def test_hosts_of_one_group_are_never_out_together(policy: GroupPolicy) -> None:
    cloud = fleet(
        [host("s1"), host("s2"), host("a"), host("b")],
        [guest("g1", "a"), guest("g2", "b")],
        (anti("web", "g1", "g2", policy=policy),),
    )
    plan = schedule(cloud, live(cloud), NO_CANARY, hosts=["a", "b"])
    assert [len(wave.hosts) for wave in plan.waves] == [1, 1]
    assert len(set(plan.targets_of("a").values()) | set(plan.targets_of("b").values())) == 2


@pytest.mark.parametrize(("kind", "at_once"), [(GuestClass.LIVE, 2), (GuestClass.COLD, 1), (GuestClass.STOP, 1)])
def test_hosts_of_one_group_are_out_together_where_that_is_allowed_and_all_members_move_live(
    kind: GuestClass, at_once: int
) -> None:
    cloud = fleet(
        [host("s1"), host("s2"), host("s3"), host("a"), host("b"), host("c")],
        [guest("g1", "a"), guest("g2", "b"), guest("g3", "c")],
        (anti("web", "g1", "g2", "g3"),),
    )
    rules = NO_CANARY.model_copy(update={"max_per_group": 2})
    plan = schedule(cloud, live(cloud, g3=kind), rules, hosts=["a", "b", "c"])
    assert plan.shortfalls == ()
    run = simulate(plan, cloud, Durations(), rules.limits)
    assert max(sum(one.start <= other.start < one.done for one in run.hosts) for other in run.hosts) == at_once
    moves = sorted(run.moves, key=lambda move: move.start)
    assert all(one.end <= other.start for one, other in pairwise(moves)), "members of a group move one after another"


def test_affine_guests_move_together() -> None:
    cloud = fleet(
        [host("s1", 3), host("s2", 4), host("a")],
        [guest("g1", "a", 2), guest("g2", "a", 2)],
        (anti("pair", "g1", "g2", policy=GroupPolicy.AFFINITY),),
    )
    plan = schedule(cloud, live(cloud), NO_CANARY, hosts=["a"])
    assert plan.targets_of("a") == {"g1": "s2", "g2": "s2"}


def test_the_reserve_is_kept() -> None:
    cloud = fleet([host("spare"), host("a"), host("b")], [guest("g1", "a", 6), guest("g2", "b", 6)])
    assert schedule(cloud, live(cloud), NO_CANARY, hosts=["a", "b"]).shortfalls == ()
    plan = schedule(cloud, live(cloud), NO_CANARY.model_copy(update={"reserve_hosts": 1}), hosts=["a", "b"])
    assert {(s.resource, s.missing) for s in plan.shortfalls} == {("VCPU", 2)}


def test_an_empty_host_may_go_though_others_are_overfilled() -> None:
    cloud = fleet([host("full", 4), host("empty", 2)], [guest("g1", "full", 4), guest("g2", "full", 4)])
    plan = schedule(cloud, live(cloud), NO_CANARY, hosts=["empty"])
    assert plan.shortfalls == ()
    assert [wave.hosts for wave in plan.waves] == [("empty",)]


def test_hosts_whose_inventory_was_not_read_are_no_targets() -> None:
    cloud = fleet([host("h", 4), host("unread", 0)], [guest("g", "h")])
    plan = schedule(cloud, live(cloud), NO_CANARY, hosts=["h", "unread"])
    (shortfall,) = plan.shortfalls
    assert (shortfall.host, shortfall.resource) == ("h", "VCPU")
    assert [wave.hosts for wave in plan.waves] == [("unread",)]
