"""What must be true of a schedule of any fleet: nothing is lost or overfilled, no rule is broken at any moment."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.fleet import Fleet, FleetGuest, FleetHost, GroupPolicy, GuestClass, ServerGroup
from model.placement import Durations, Run, Schedule, bound, makespan_bound, schedule, simulate
from model.placement.catalog import ANTI
from model.rolling import Canary, Limits, Order, Rolling
from tests.model.placement.fleets import fleet, guest, host

CLASSES = [GuestClass.LIVE] * 12 + [GuestClass.COLD, GuestClass.STOP, GuestClass.LEAVE]


@st.composite
def clouds(draw: st.DrawFn) -> tuple[Fleet, dict[str, GuestClass], list[str], Rolling]:
    """A cloud with up to 12 hosts, its guests' classes, the hosts to be done, and the rules."""
    hosts: list[FleetHost] = []
    guests: list[FleetGuest] = []
    for index in range(draw(st.integers(3, 12))):
        size = draw(st.sampled_from([8, 16]))
        name = f"h{index:02}"
        zone = draw(st.sampled_from(["a", "a", "b"]))
        version = draw(st.sampled_from([2] * 9 + [1]))
        aggregates = draw(st.sampled_from([(), ("rack",)]))
        traits = draw(st.sampled_from([(), (), (), ("T",)]))
        state = draw(st.sampled_from(["up"] * 14 + ["down"]))
        status = draw(st.sampled_from(["enabled"] * 14 + ["disabled"]))
        hosts.append(
            host(
                name,
                size,
                zone=zone,
                hypervisor_version=version,
                aggregates=aggregates,
                traits=traits,
                state=state,
                status=status,
            )
        )
        left = size * draw(st.sampled_from([0.1, 0.5, 0.6, 0.75]))
        while (need := draw(st.sampled_from([1, 2, 4]))) <= left:
            left -= need
            bound_to = zone if draw(st.sampled_from([True, False, False])) else None
            asked = traits if traits and draw(st.sampled_from([True, False, False, False])) else ()
            guests.append(guest(f"g{len(guests):03}", name, need, zone=bound_to, traits=asked))
    cloud = fleet(hosts, guests, draw(grouped(guests)))
    classes = {g.id: draw(st.sampled_from(CLASSES)) for g in guests}
    dirty = [h.name for h in hosts if draw(st.sampled_from([True, True, True, False]))]
    rolling = Rolling(
        max_unavailable=draw(st.sampled_from([1, 2, 4, "50%"])),
        max_per_zone=draw(st.sampled_from([None, 1, "50%"])),
        max_per_group=draw(st.sampled_from([1, 1, 2])),
        order=draw(st.sampled_from(Order)),
        canary=Canary(count=draw(st.integers(0, 2)), healthy_for=30),
        reserve_hosts=draw(st.sampled_from([0, 0, 0, 1])),
        limits=Limits(
            per_source=draw(st.integers(1, 3)),
            per_target=draw(st.integers(1, 3)),
            per_zone=draw(st.integers(1, 6)),
            total=draw(st.integers(1, 6)),
        ),
    )
    return cloud, classes, dirty, rolling


@st.composite
def grouped(draw: st.DrawFn, guests: list[FleetGuest]) -> tuple[ServerGroup, ...]:
    """Server groups whose rules are kept as it is: members of hard ones on different hosts, affine ones on one."""
    groups: list[ServerGroup] = []
    free = list(guests)
    for index in range(draw(st.integers(0, 4))):
        policy = draw(st.sampled_from(GroupPolicy))
        affine = policy in {GroupPolicy.AFFINITY, GroupPolicy.SOFT_AFFINITY}
        members: list[FleetGuest] = []
        for each in free:
            same = bool(members) and all((each.host == other.host) is affine for other in members)
            if len(members) < 3 and (same or not members) and draw(st.booleans()):
                members.append(each)
        free = [each for each in free if each not in members]
        if len(members) > 1:
            groups.append(ServerGroup(id=f"group{index}", policy=policy, members=tuple(m.id for m in members)))
    return tuple(groups)


class Watcher:
    """Goes through a run event by event and checks the cloud at each of them."""

    def __init__(
        self, cloud: Fleet, plan: Schedule, run: Run, rolling: Rolling, classes: Mapping[str, GuestClass]
    ) -> None:
        self.cloud, self.plan, self.run, self.rolling = cloud, plan, run, rolling
        planned = {name for wave in plan.waves for name in wave.hosts}
        self.not_live = {g.id for g in cloud.guests if g.host in planned and classes[g.id] is not GuestClass.LIVE}
        self.guests = {g.id: g for g in cloud.guests}
        self.on = {g.id: {g.host} for g in cloud.guests}
        self.done: set[str] = set()
        self.out: set[str] = set()
        self.active: list[tuple[str, str]] = []

    def watch(self) -> None:
        # At one moment, what ends comes before what begins.
        events = [(move.end, 0, move.guest, move) for move in self.run.moves]
        events += [(move.start, 3, move.guest, move) for move in self.run.moves]
        for when, order, _, move in sorted(events, key=lambda event: event[:3]):
            self._hosts(when)
            if order == 0:
                self.on[move.guest].remove(move.source)
                self.active.remove((move.source, move.target))
            else:
                assert self.on[move.guest] == {move.source}
                assert move.source in self.out
                assert move.target not in self.out
                assert self.cloud.hosts[move.target].state == "up"
                assert self.cloud.hosts[move.target].status == "enabled"
                self.on[move.guest].add(move.target)
                self.active.append((move.source, move.target))
                self._limits()
                self._rules(move.guest, move.source, move.target)
        self._hosts(float("inf"))

    def _hosts(self, now: float) -> None:
        self.done = {h.host for h in self.run.hosts if h.done <= now}
        self.out = {h.host for h in self.run.hosts if h.start <= now < h.done}
        slots = self.plan.slots
        assert len(self.out) <= slots.total
        for zone, count in Counter(self.cloud.hosts[name].zone for name in self.out).items():
            assert count <= slots.zones[zone]
        for aggregate, count in Counter(a for h in self.out for a in self.cloud.hosts[h].aggregates).items():
            assert count <= slots.aggregates[aggregate]
        for group in self.cloud.groups:
            if group.policy in ANTI:
                most = 1 if self.not_live & set(group.members) else self.rolling.max_per_group
                assert len({name for g in group.members for name in self.on[g] if name in self.out}) <= most
                assert sum(len(self.on[g]) > 1 for g in group.members) <= 1

    def _limits(self) -> None:
        limits, hosts = self.rolling.limits, self.cloud.hosts
        assert len(self.active) <= limits.total
        assert max(Counter(source for source, _ in self.active).values()) <= limits.per_source
        assert max(Counter(target for _, target in self.active).values()) <= limits.per_target
        zones = Counter(zone for pair in self.active for zone in {hosts[name].zone for name in pair})
        assert max(zones.values()) <= limits.per_zone

    def _rules(self, moved: str, source: str, target: str) -> None:
        each, old, new = self.guests[moved], self.cloud.hosts[source], self.cloud.hosts[target]
        assert each.zone in {None, new.zone}
        assert set(each.traits) <= set(new.traits)
        assert new.hypervisor_version >= old.hypervisor_version
        held = sum(self.guests[g].resources["VCPU"] for g, places in self.on.items() if target in places)
        assert held <= new.capacity.total["VCPU"]
        for group in self.cloud.groups:
            if moved in group.members and group.policy is GroupPolicy.ANTI_AFFINITY:
                assert sum(target in self.on[g] for g in group.members) <= group.max_per_host


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clouds())
def test_no_rule_is_broken_at_any_moment(case: tuple[Fleet, dict[str, GuestClass], list[str], Rolling]) -> None:
    cloud, classes, dirty, rolling = case
    durations = Durations(reboot=60, seconds_per_gib=7, per_move=1)
    plan = schedule(cloud, classes, rolling, hosts=dirty, durations=durations)
    planned = [name for wave in plan.waves for name in wave.hosts]
    assert sorted([*planned, *(skipped.host for skipped in plan.skipped)]) == sorted(dirty)
    assert all(skipped.reason for skipped in plan.skipped)

    run = simulate(plan, cloud, durations, rolling.limits, healthy_for=rolling.canary.healthy_for)
    watcher = Watcher(cloud, plan, run, rolling, classes)
    watcher.watch()
    assert watcher.done == set(planned)
    assert abs(run.makespan - plan.cost.makespan) < 0.1

    movers = {g.id for g in cloud.guests if g.host in planned and classes[g.id] in {GuestClass.LIVE, GuestClass.COLD}}
    moves = Counter(move.guest for move in run.moves)
    assert set(moves) == movers
    assert max(moves.values(), default=0) <= 2
    assert all(len(places) == 1 for places in watcher.on.values())
    assert not any(watcher.on[moved] & (set(dirty) - set(planned)) for moved in movers if moves[moved] == 2)
    for group in cloud.groups:
        together = {g for g in group.members if g in movers}
        if group.policy is GroupPolicy.AFFINITY and together:
            assert len({frozenset(watcher.on[g]) for g in group.members}) == 1

    if not plan.shortfalls:
        least = bound(cloud, classes, rolling, hosts=dirty)
        assert plan.bound == least.moves <= plan.cost.moves == len(run.moves)
        shortest = makespan_bound(cloud, classes, rolling, hosts=dirty, durations=durations)
        assert shortest.seconds <= run.makespan + 0.1


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(clouds(), st.randoms(use_true_random=False))
def test_nothing_is_overfilled_when_everything_takes_another_time(
    case: tuple[Fleet, dict[str, GuestClass], list[str], Rolling], random: object
) -> None:
    cloud, classes, dirty, rolling = case
    plan = schedule(cloud, classes, rolling, hosts=dirty)
    other = Durations(
        guests={g.id: 1.0 + random.random() * 500 for g in cloud.guests},  # type: ignore[attr-defined]
        hosts={name: random.random() * 500 for name in cloud.hosts},  # type: ignore[attr-defined]
    )
    run = simulate(plan, cloud, other, rolling.limits)
    watcher = Watcher(cloud, plan, run, rolling, classes)
    watcher.watch()
    assert watcher.done == {name for wave in plan.waves for name in wave.hosts}
