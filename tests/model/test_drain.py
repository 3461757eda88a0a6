"""The judgement of a drain, as tables: what nova and placement say, and what is to be done."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.classify import STOPPED_BY, classify
from model.drain import Decision, HostView, Memory, next_moves
from model.drained import Domain, parse_domains, what_is_left
from model.fleet import FleetGuest, GuestClass
from model.moves import Act, Move, Orders, Refusal
from model.nova import Migration
from model.rolling import DrainPolicy

SINCE = "2026-11-22T10:00:00Z"
BEFORE = "2026-11-22T09:59:00Z"
AFTER = "2026-11-22T10:01:00Z"


LIVE_ONLY = DrainPolicy(allow=(GuestClass.LIVE,), owners=())


def guest(
    name: str, status: str = "ACTIVE", *, host: str | None = "cmp1", task: str | None = None, **more: Any
) -> FleetGuest:
    values: dict[str, Any] = {"id": f"id-{name}", "name": name, "host": host, "status": status, "created": BEFORE}
    return FleetGuest.model_validate({**values, "task_state": task, **more})


def move(
    number: int,
    name: str,
    status: str,
    *,
    source: str = "cmp1",
    target: str = "cmp2",
    kind: str = "live-migration",
    created: str = AFTER,
) -> Migration:
    return Migration(
        id=number, guest=f"id-{name}", kind=kind, status=status, source=source, target=target, created=created
    )


def view(*guests: FleetGuest, policy: DrainPolicy = LIVE_ONLY, **more: Any) -> HostView:
    classes = {g.id: classify(g, (), policy) for g in guests if g.host == "cmp1"}
    return HostView.model_validate({"host": "cmp1", "guests": guests, "classes": classes, **more})


def decide(
    *guests: FleetGuest,
    moves: tuple[Migration, ...] = (),
    consumers: tuple[str, ...] = (),
    domains: tuple[Domain, ...] | None = None,
    parallel: int = 2,
    policy: DrainPolicy = LIVE_ONLY,
    **memory: Any,
) -> Decision:
    seen = view(*guests, policy=policy, migrations=moves, consumers=consumers, domains=domains)
    orders = Orders(host="cmp1", run="run-1", since=SINCE, policy=policy)
    return next_moves(seen, orders, parallel=parallel, memory=Memory.model_validate(memory))


def started(decision: Decision) -> tuple[str, ...]:
    return tuple(move.guest for move in decision.moves)


def test_an_empty_host_is_drained() -> None:
    assert decide().done


def test_no_more_than_parallel_are_started() -> None:
    decision = decide(guest("a"), guest("b"), guest("c"))
    assert started(decision) == ("id-a", "id-b")
    assert decision.left == 3
    assert not decision.done


def test_paused_guests_are_moved_live() -> None:
    assert started(decide(guest("a", "PAUSED"))) == ("id-a",)


@pytest.mark.parametrize("status", ["accepted", "queued", "preparing", "running", "post-migrating"])
def test_a_running_migration_is_adopted_not_started_again(status: str) -> None:
    decision = decide(guest("a"), moves=(move(7, "a", status),))
    assert started(decision) == ()
    assert "live-migration 7" in decision.waiting[0]


def test_a_migration_that_has_no_record_yet_is_adopted_and_takes_a_slot() -> None:
    decision = decide(guest("a", "MIGRATING", task="migrating"), guest("b"), parallel=1)
    assert started(decision) == ()
    assert len(decision.waiting) == 2


def test_running_migrations_take_slots() -> None:
    assert started(decide(guest("a"), guest("b"), guest("c"), moves=(move(1, "a", "running"),))) == ("id-b",)


def test_an_incoming_migration_takes_no_slot_but_is_waited_for() -> None:
    decision = decide(guest("a"), moves=(move(1, "x", "running", source="cmp3", target="cmp1"),), parallel=1)
    assert started(decision) == ("id-a",)
    assert len(decision.waiting) == 1


def test_a_source_is_not_drained_before_its_records_are_completed() -> None:
    gone = guest("a", host="cmp2")
    assert not decide(gone, moves=(move(1, "a", "running"),)).done
    assert decide(gone, moves=(move(1, "a", "completed"),)).done


def test_a_deleted_guest_whose_migration_failed_leaves_nothing_to_do() -> None:
    assert decide(moves=(move(1, "a", "error"),)).done


def test_a_guest_that_is_being_deleted_is_waited_for() -> None:
    decision = decide(guest("a", task="deleting"))
    assert started(decision) == ()
    assert "deleting" in decision.waiting[0]


def test_a_failed_migration_is_tried_again_up_to_the_limit() -> None:
    failed = [move(n, "a", "error") for n in (1, 2, 3)]
    assert started(decide(guest("a"), moves=tuple(failed[:2]))) == ("id-a",)
    decision = decide(guest("a"), moves=tuple(failed))
    assert decision.stuck
    assert "3 live migrations failed (migration 1, 2, 3)" in decision.blocked[0].problem


def test_failures_from_before_this_try_do_not_count() -> None:
    old = tuple(move(n, "a", "error", created=BEFORE) for n in (1, 2, 3))
    assert started(decide(guest("a"), moves=old)) == ("id-a",)


def test_failures_on_another_host_do_not_count() -> None:
    elsewhere = tuple(move(n, "a", "error", source="cmp3", target="cmp1") for n in (1, 2, 3))
    assert started(decide(guest("a"), moves=elsewhere)) == ("id-a",)


def test_refusals_count_as_tries() -> None:
    decision = decide(guest("a"), refusals={"id-a": (Refusal(act=Act.LIVE, text="409: locked"),) * 3})
    assert decision.stuck
    assert "409: locked" in decision.blocked[0].problem


def test_a_resting_guest_waits_and_its_neighbours_go_first() -> None:
    decision = decide(guest("a"), guest("b"), moves=(move(1, "a", "error"),), resting=frozenset({"id-a"}))
    assert started(decision) == ("id-b",)
    assert not decision.stuck


def test_a_failing_guest_goes_to_the_back() -> None:
    assert started(decide(guest("a"), guest("b"), moves=(move(1, "a", "error"),), parallel=1)) == ("id-b",)


@pytest.mark.parametrize("status", ["SHUTOFF", "SUSPENDED", "ERROR", "RESCUE", "VERIFY_RESIZE", "NEVER_HEARD_OF"])
def test_a_guest_that_cannot_be_moved_blocks_with_a_remedy(status: str) -> None:
    decision = decide(guest("a", status))
    assert decision.stuck
    assert status in decision.blocked[0].problem
    assert "id-a" in decision.blocked[0].remedy


def test_a_blocked_guest_does_not_stop_its_neighbours() -> None:
    decision = decide(guest("a", "SHUTOFF"), guest("b"))
    assert started(decision) == ("id-b",)
    assert not decision.stuck


def test_an_unconfirmed_resize_away_from_the_host_blocks() -> None:
    resize = move(4, "a", "finished", kind="resize")
    decision = decide(guest("a", "VERIFY_RESIZE", host="cmp2"), moves=(resize,))
    assert decision.stuck
    assert "resize confirm id-a" in decision.blocked[0].remedy


def test_a_server_asked_for_before_may_still_come() -> None:
    early = guest("a", "BUILD", host=None)
    late = early.model_copy(update={"created": AFTER})
    assert not decide(early).done
    assert decide(late).done


def test_allocations_are_waited_for_last() -> None:
    assert decide(consumers=("id-x",)).waiting == ("placement still has an allocation of id-x",)
    assert len(decide(guest("a"), consumers=("id-a",)).waiting) == 0


def test_guests_that_stay_are_stopped_last_and_one_by_one() -> None:
    policy = DrainPolicy(allow=tuple(GuestClass))
    asked: dict[str, Any] = {"tags": ("stackroll:drain=stop",)}
    a, b, mover = guest("a", **asked), guest("b", **asked), guest("c")
    decision = decide(a, b, mover, policy=policy)
    assert started(decision) == ("id-c",)
    decision = decide(a, b, policy=policy)
    assert decision.moves == (Move(act=Act.STOP, guest="id-a", name="a"),)
    stopping = guest("a", task="powering-off", **asked)
    assert decide(stopping, b, policy=policy).moves == ()
    off = guest("a", "SHUTOFF", power_state=4, metadata={STOPPED_BY: "run-1"})
    assert started(decide(off, b, policy=policy)) == ("id-b",)
    both = (off, guest("b", "SHUTOFF", power_state=4, metadata={STOPPED_BY: "run-1"}))
    decision = decide(*both, policy=policy, consumers=("id-a", "id-b"))
    assert decision.done
    assert decision.stays == ("id-a", "id-b")
    assert decision.left == 0


def test_nobody_is_stopped_for_a_host_that_cannot_be_emptied() -> None:
    stays, bad = guest("a", tags=("stackroll:drain=stop",)), guest("b", "ERROR")
    decision = decide(stays, bad, policy=DrainPolicy())
    assert decision.moves == ()
    assert decision.stuck


def test_a_guest_to_be_left_alone_keeps_its_neighbours_where_they_are() -> None:
    policy = DrainPolicy(owners=(GuestClass.LEAVE,))
    alone = guest("a", tags=("stackroll:drain=leave",))
    decision = decide(alone, guest("b"), policy=policy)
    assert decision.moves == ()
    assert decision.stuck
    assert decision.blocked[0].code == "owner-says-leave"
    assert not decide(alone, guest("b"), moves=(move(1, "b", "running"),), policy=policy).stuck


def test_the_largest_goes_first() -> None:
    assert started(decide(guest("a", ram_mb=512), guest("b", ram_mb=4096), parallel=1)) == ("id-b",)


def test_what_runs_on_the_hypervisor_is_not_gone() -> None:
    (domain,) = parse_domains("\n 5e7c0d1e  instance-00000001 \n")
    decision = decide(domains=(domain,))
    assert decision.waiting == ("its hypervisor still runs instance-00000001 (5e7c0d1e)",)
    assert parse_domains("\n") == ()


def test_a_stopped_guest_that_runs_after_all_is_left() -> None:
    running = guest("a", "ACTIVE")
    left = what_is_left("cmp1", [running], [move(1, "x", "finished", kind="resize")], stays=["id-a"])
    assert left == (
        "guest a (id-a) is ACTIVE on it",
        "resize 1 of guest id-x, cmp1 to cmp2: finished, which waits for a confirmation",
    )
    assert what_is_left("cmp1", [guest("a", host="cmp10")], [], consumers=["id-a"], stays=["id-a"]) == ()


def test_people_see_what_the_guests_do() -> None:
    decision = decide(
        guest("a"), guest("b"), guest("c"), guest("d", "ERROR"), moves=(move(1, "a", "running"),), parallel=1
    )
    assert decision.counts == {"live": 1, "wait": 2, "blocked": 1}


@settings(deadline=None)
@given(st.data())
def test_any_order_of_events_drains_without_moving_a_guest_twice_at_once(data: st.DataObject) -> None:
    """A nova that finishes, fails or loses guests as it likes; the drain always ends, and never doubles a move."""
    parallel = data.draw(st.integers(1, 4))
    guests = {f"id-{n}": guest(str(n)) for n in range(data.draw(st.integers(0, 6)))}
    records: dict[int, Migration] = {}
    orders = Orders(host="cmp1", since=SINCE, policy=LIVE_ONLY)
    for _ in range(200):
        seen = view(*guests.values(), migrations=tuple(records.values()), consumers=())
        decision = next_moves(seen, orders, parallel=parallel)
        if decision.done or decision.stuck:
            break
        for chosen in started(decision):
            assert not any(r.guest == chosen and r.unfinished for r in records.values())
            number = len(records) + 1
            records[number] = move(number, chosen.removeprefix("id-"), "running")
        assert sum(r.unfinished for r in records.values()) <= parallel
        running = [r for r in records.values() if r.unfinished]
        ended = data.draw(st.sampled_from(running))
        outcome = data.draw(st.sampled_from(["completed", "error", "deleted"]))
        records[ended.id] = ended.model_copy(update={"status": "error" if outcome == "deleted" else outcome})
        if outcome == "completed":
            guests[ended.guest] = guests[ended.guest].model_copy(update={"host": "cmp2"})
        elif outcome == "deleted":
            del guests[ended.guest]
    assert decision.done or decision.stuck
    assert decision.done == (not any(g.host == "cmp1" for g in guests.values()))
