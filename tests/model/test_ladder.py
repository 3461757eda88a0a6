"""The rungs for one guest, as tables; and a nova that does what it likes, against which they must hold."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.classify import MOVED_BY, STOPPED_BY, classify
from model.drain import Decision, HostView, Memory, next_moves
from model.fleet import FleetGuest, GroupPolicy, GuestClass, ServerGroup
from model.ladder import CLEANUP, judge, limit_of
from model.moves import Act, Dossier, Move, Orders, Progress, Refusal, Verdict
from model.nova import Migration
from model.rolling import DrainPolicy

SINCE, BEFORE, AFTER = "2026-11-22T10:00:00Z", "2026-11-22T09:59:00Z", "2026-11-22T10:01:00Z"
ALL = DrainPolicy(allow=tuple(GuestClass), then_cold=True, then_stop=True, attempts=2)


def guest(status: str = "ACTIVE", **more: Any) -> FleetGuest:
    values: dict[str, Any] = {"id": "g1", "name": "web", "host": "cmp1", "status": status, "vm_state": "active", **more}
    return FleetGuest.model_validate(values)


def failed(number: int, kind: str = "live-migration", target: str | None = None, **more: Any) -> Migration:
    values: dict[str, Any] = {"id": number, "guest": "g1", "kind": kind, "status": "error", "source": "cmp1"}
    return Migration.model_validate({**values, "target": target, "created": AFTER, **more})


def rule(
    *moves: Migration,
    policy: DrainPolicy = ALL,
    targets: dict[str, str] | None = None,
    spares: tuple[str, ...] = (),
    on: FleetGuest | None = None,
    **more: Any,
) -> Verdict:
    one = on or guest()
    orders = Orders(host="cmp1", run="run-1", since=SINCE, policy=policy, targets=targets or {}, spares=spares)
    return judge(Dossier(guest=one, classified=classify(one, (), policy), migrations=moves, **more), orders)


def step(verdict: Verdict) -> tuple[str, str | None]:
    assert verdict.move is not None
    return verdict.move.act.value, verdict.move.target


def test_the_rungs_in_their_order() -> None:
    cold = [failed(n, "migration") for n in (3, 4)]
    assert step(rule()) == ("live-migrate", None)
    assert step(rule(failed(1))) == ("live-migrate", None)
    assert step(rule(failed(1), failed(2))) == ("cold-migrate", None)
    assert step(rule(failed(1), failed(2), cold[0])) == ("cold-migrate", None)
    assert step(rule(failed(1), failed(2), *cold)) == ("stop", None)
    careful = ALL.model_copy(update={"then_stop": False})
    given_up = rule(failed(1), failed(2), *cold, policy=careful).blocked
    assert given_up is not None
    assert given_up.problem == "2 live migrations failed (migration 1, 2); 2 cold migrations failed (migration 3, 4)"
    only_live = rule(failed(1), failed(2), policy=DrainPolicy(attempts=2)).blocked
    assert only_live is not None
    assert only_live.code == "failed"


@pytest.mark.parametrize(
    ("tried", "target"),
    [([], "cmp2"), (["cmp2"], "cmp3"), (["cmp2", "cmp3"], "cmp4"), (["cmp2", "cmp3", "cmp4"], None)],
)
def test_targets_in_their_order_and_the_scheduler_last(tried: list[str], target: str | None) -> None:
    moves = [failed(n, target=host) for n, host in enumerate(tried)]
    found = rule(
        *moves, policy=DrainPolicy(attempts=4), targets={"g1": "cmp2"}, spares=("cmp3", "cmp1", "cmp2", "cmp4", "cmp5")
    )
    assert step(found) == ("live-migrate", target)


def test_a_scheduler_that_still_remembers_a_member_of_the_group_is_given_time() -> None:
    """It refuses a host that another member has left until that host's nova-compute has told it so."""
    policy, unplaced = DrainPolicy(attempts=3), [failed(n) for n in range(6)]
    apart: dict[str, Any] = {"policy": policy, "targets": {"g1": "cmp2"}, "apart": True}
    for patience in range(5):
        assert step(rule(*unplaced[:patience], **apart)) == ("live-migrate", "cmp2")
    assert step(rule(*unplaced[:5], **apart)) == ("live-migrate", None)
    assert rule(*unplaced, **apart).blocked is not None
    assert rule(*unplaced[:3], policy=policy, targets={"g1": "cmp2"}).blocked is not None, "of no group"
    assert rule(*(failed(n, target=f"cmp{n}") for n in (2, 3, 4)), **apart).blocked is not None, "failed on their way"


def test_refusals_rule_out_a_target_too() -> None:
    refused = (Refusal(act=Act.LIVE, target="cmp2", text="400: no such host"),)
    policy = DrainPolicy(attempts=3)
    assert step(rule(policy=policy, targets={"g1": "cmp2"}, spares=("cmp3",), refusals=refused))[1] == "cmp3"


def test_nothing_is_begun_before_the_last_attempt_is_cleaned_up() -> None:
    left: dict[str, Any] = {"leftovers": ("placement holds room for it elsewhere",)}
    waits = rule(failed(1), **left)
    assert (waits.move, waits.blocked) == (None, None)
    assert "cleaned up" in waits.waiting
    late = rule(failed(1), **left, leftovers_for=CLEANUP).blocked
    assert late is not None
    assert late.code == "leftover"


def test_a_guest_that_failed_rests() -> None:
    assert "rests" in rule(failed(1), resting=True).waiting
    assert "rests" in rule(failed(1), failed(2), resting=True).waiting


@pytest.mark.parametrize(
    ("when_stuck", "progress", "act"),
    [
        ("abort", {"stalled": 149}, None),
        ("abort", {"stalled": 151}, Act.ABORT),
        ("abort", {"stalled": 1, "running": 239}, None),
        ("abort", {"stalled": 1, "running": 241}, Act.ABORT),
        ("abort", {"stalled": 151, "aborted": True}, None),
        ("wait", {"stalled": 9999, "running": 9999}, None),
        ("force-complete", {"stalled": 151}, Act.FORCE),
        ("force-complete", {"stalled": 151, "forced": 10}, None),
        ("force-complete", {"stalled": 400, "forced": 151}, Act.ABORT),
    ],
)
def test_what_does_not_converge(when_stuck: str, progress: dict[str, Any], act: Act | None) -> None:
    policy = DrainPolicy.model_validate({"when_stuck": when_stuck})
    running = failed(7, status="running")
    on = guest("MIGRATING", task_state="migrating", ram_mb=2048)
    verdict = rule(running, policy=policy, on=on, progress=Progress(migration=7, **progress))
    assert verdict.moving
    assert verdict.waiting
    assert (verdict.move.act if verdict.move else None) is act
    assert verdict.move is None or verdict.move.migration == 7


def test_a_paused_guest_is_not_completed_by_force() -> None:
    policy = DrainPolicy(when_stuck="force-complete")
    on = guest("MIGRATING", task_state="migrating", vm_state="paused")
    verdict = rule(failed(7, status="running"), policy=policy, on=on, progress=Progress(migration=7, stalled=200))
    assert step(verdict)[0] == "abort"


def test_large_guests_may_take_longer() -> None:
    assert limit_of(guest(ram_mb=512), DrainPolicy()) == 120
    assert limit_of(guest(ram_mb=65536), DrainPolicy()) == 64 * 120


@pytest.mark.parametrize(
    ("more", "confirmed"),
    [
        ({"created": AFTER}, True),
        ({"created": BEFORE}, False),
        ({"created": AFTER, "kind": "resize"}, False),
        ({"created": AFTER, "source": "cmp2", "target": "cmp1"}, False),
    ],
)
def test_only_own_cold_moves_are_confirmed(more: dict[str, Any], *, confirmed: bool) -> None:
    waiting = failed(5, "migration", "cmp2", status="finished").model_copy(update=more)
    on = guest("VERIFY_RESIZE", host="cmp2")
    verdict = rule(waiting, on=on)
    assert (verdict.move is not None and verdict.move.act is Act.CONFIRM) is confirmed
    assert (verdict.blocked is not None) is not confirmed
    marked = on.model_copy(update={"metadata": {MOVED_BY: "run-1"}})
    ours = more.get("kind") is None and more.get("source") is None
    assert (rule(waiting, on=marked).move is not None) is ours
    assert rule(waiting, on=on.model_copy(update={"task_state": "resize_confirming"})).move is None


def test_a_confirmation_that_nova_refuses_again_and_again_is_for_people() -> None:
    waiting = failed(5, "migration", "cmp2", status="finished")
    refusals = (Refusal(act=Act.CONFIRM, text="409: no"),) * 3
    blocked = rule(waiting, on=guest("VERIFY_RESIZE", host="cmp2"), refusals=refusals).blocked
    assert blocked is not None
    assert "409: no" in blocked.problem


def test_a_group_that_is_short_of_a_member_is_not_interrupted_by_a_later_rung() -> None:
    one = guest()
    group = ServerGroup(id="s1", policy=GroupPolicy.ANTI_AFFINITY, members=("g1", "g2"))
    orders = Orders(host="cmp1", since=SINCE, policy=ALL)
    classified = classify(one, (group,), ALL, off=frozenset({"g2"}))
    verdict = judge(Dossier(guest=one, classified=classified, migrations=(failed(1), failed(2))), orders)
    assert verdict.blocked is not None


class Nova:
    """A nova that ends, fails, refuses and loses as it likes, and checks what it is asked."""

    def __init__(self, data: st.DataObject, policy: DrainPolicy) -> None:
        self.draw = data.draw
        self.policy = policy
        states = st.sampled_from(["ACTIVE", "PAUSED", "SHUTOFF", "SUSPENDED", "ERROR"])
        tags = st.sampled_from([(), ("stackroll:drain=stop",), ("stackroll:drain=cold",)])
        self.guests = {
            f"g{n}": FleetGuest(id=f"g{n}", name=f"n{n}", host="cmp1", status=self.draw(states), tags=self.draw(tags))
            for n in range(self.draw(st.integers(0, 5)))
        }
        self.records: dict[int, Migration] = {}
        self.refusals: dict[str, tuple[Refusal, ...]] = {}
        self.attempts: dict[tuple[str, Act], int] = {}

    def view(self) -> HostView:
        here = {g.id: classify(g, (), self.policy) for g in self.guests.values() if g.host == "cmp1"}
        rows = tuple(self.records.values())
        return HostView(host="cmp1", guests=tuple(self.guests.values()), classes=here, migrations=rows, consumers=())

    def ask(self, move: Move) -> None:
        one = self.guests[move.guest]
        mine = [row for row in self.records.values() if row.guest == move.guest and row.unfinished]
        self.attempts[move.guest, move.act] = self.attempts.get((move.guest, move.act), 0) + 1
        if move.act is Act.CONFIRM:
            assert [row.status for row in mine] == ["finished"]
            self.records[mine[0].id] = mine[0].model_copy(update={"status": "confirmed"})
            self.guests[one.id] = one.model_copy(update={"status": "SHUTOFF"})
            return
        assert not mine, "a second migration was begun for a guest on its way"
        assert one.host == "cmp1"
        if self.draw(st.integers(0, 4)) == 0:
            refusal = Refusal(act=move.act, target=move.target, text="409: not now")
            self.refusals[one.id] = (*self.refusals.get(one.id, ()), refusal)
        elif move.act is Act.STOP:
            assert one.status == "ACTIVE"
            self.guests[one.id] = one.model_copy(update={"status": "SHUTOFF", "metadata": {STOPPED_BY: "r"}})
        else:
            assert one.status in ({"ACTIVE", "PAUSED"} if move.act is Act.LIVE else {"ACTIVE", "SHUTOFF"})
            kind, number = ("live-migration" if move.act is Act.LIVE else "migration"), len(self.records) + 1
            self.records[number] = failed(number, kind, move.target, guest=one.id, status="running")

    def go_on(self) -> None:
        """Let one running migration end somehow, if there is one."""
        running = [row for row in self.records.values() if row.status == "running"]
        if not running:
            return
        ended = self.draw(st.sampled_from(running))
        outcome = self.draw(st.sampled_from(["done", "done", "error", "failed", "deleted", "broken"]))
        one = self.guests[ended.guest]
        status = {"done": "completed" if ended.kind == "live-migration" else "finished"}.get(outcome, "error")
        self.records[ended.id] = ended.model_copy(update={"status": status})
        if outcome == "done":
            after = one.status if ended.kind == "live-migration" else "VERIFY_RESIZE"
            self.guests[one.id] = one.model_copy(update={"host": "cmp2", "status": after})
        elif outcome == "deleted":
            del self.guests[one.id]
        elif outcome == "broken":
            self.guests[one.id] = one.model_copy(update={"status": "ERROR"})


@settings(deadline=None, max_examples=300)
@given(st.data(), st.booleans(), st.booleans(), st.integers(1, 3), st.integers(1, 3))
def test_whatever_nova_does_no_guest_is_moved_twice_at_once_and_the_drain_ends(
    data: st.DataObject, cold: bool, stop: bool, attempts: int, parallel: int
) -> None:
    policy = DrainPolicy(then_cold=cold, then_stop=stop, attempts=attempts)
    nova = Nova(data, policy)
    orders = Orders(host="cmp1", run="r", since=SINCE, policy=policy, targets={"g1": "cmp2"}, spares=("cmp3",))
    decision = Decision()
    for _ in range(300):
        # Nothing is remembered from one look to the next but refusals: each may be that of another worker.
        decision = next_moves(nova.view(), orders, parallel=parallel, memory=Memory(refusals=nova.refusals))
        if decision.done or decision.stuck:
            break
        stops = [move for move in decision.moves if move.act is Act.STOP]
        assert len(stops) <= 1
        assert not stops or not [row for row in nova.records.values() if row.unfinished]
        for move in decision.moves:
            nova.ask(move)
        assert sum(row.status == "running" for row in nova.records.values()) <= parallel
        nova.go_on()
    assert decision.done or decision.stuck
    left = [one for one in nova.guests.values() if one.host == "cmp1" and one.id not in decision.stays]
    assert decision.done == (not left)
    assert all(nova.guests[one].status in {"SHUTOFF", "SUSPENDED"} for one in decision.stays)
    for (_, act), number in nova.attempts.items():
        assert number <= {Act.LIVE: attempts, Act.COLD: max(2, attempts)}.get(act, 4)
