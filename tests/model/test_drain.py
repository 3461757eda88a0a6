"""The judgement of a drain, as tables: what nova and placement say, and what is to be done."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.drain import Decision, HostView, next_moves
from model.nova import Guest, Migration

SINCE = "2026-11-22T10:00:00Z"
BEFORE = "2026-11-22T09:59:00Z"
AFTER = "2026-11-22T10:01:00Z"


def guest(name: str, status: str = "ACTIVE", *, host: str | None = "cmp1", task: str | None = None) -> Guest:
    return Guest(id=f"id-{name}", name=name, host=host, status=status, task_state=task, created=BEFORE)


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


def decide(
    *guests: Guest, moves: tuple[Migration, ...] = (), consumers: tuple[str, ...] = (), parallel: int = 2, **more: Any
) -> Decision:
    view = HostView(host="cmp1", guests=guests, migrations=moves, consumers=consumers)
    return next_moves(view, since=SINCE, parallel=parallel, **more)


def test_an_empty_host_is_drained() -> None:
    assert decide().done


def test_no_more_than_parallel_are_started() -> None:
    decision = decide(guest("a"), guest("b"), guest("c"))
    assert decision.start == ("id-a", "id-b")
    assert decision.left == 3
    assert not decision.done


def test_paused_guests_are_moved_live() -> None:
    assert decide(guest("a", "PAUSED")).start == ("id-a",)


@pytest.mark.parametrize("status", ["accepted", "queued", "preparing", "running", "post-migrating"])
def test_a_running_migration_is_adopted_not_started_again(status: str) -> None:
    decision = decide(guest("a"), moves=(move(7, "a", status),))
    assert decision.start == ()
    assert "live-migration 7" in decision.waiting[0]


def test_a_migration_that_has_no_record_yet_is_adopted_and_takes_a_slot() -> None:
    decision = decide(guest("a", "MIGRATING", task="migrating"), guest("b"), parallel=1)
    assert decision.start == ()
    assert len(decision.waiting) == 2


def test_running_migrations_take_slots() -> None:
    assert decide(guest("a"), guest("b"), guest("c"), moves=(move(1, "a", "running"),)).start == ("id-b",)


def test_an_incoming_migration_takes_no_slot_but_is_waited_for() -> None:
    decision = decide(guest("a"), moves=(move(1, "x", "running", source="cmp3", target="cmp1"),), parallel=1)
    assert decision.start == ("id-a",)
    assert len(decision.waiting) == 1


def test_a_source_is_not_drained_before_its_records_are_completed() -> None:
    gone = guest("a", host="cmp2")
    assert not decide(gone, moves=(move(1, "a", "running"),)).done
    assert decide(gone, moves=(move(1, "a", "completed"),)).done


def test_a_deleted_guest_whose_migration_failed_leaves_nothing_to_do() -> None:
    assert decide(moves=(move(1, "a", "error"),)).done


def test_a_guest_that_is_being_deleted_is_waited_for() -> None:
    decision = decide(guest("a", task="deleting"))
    assert decision.start == ()
    assert "deleting" in decision.waiting[0]


def test_a_failed_migration_is_tried_again_up_to_the_limit() -> None:
    failed = [move(n, "a", "error") for n in (1, 2, 3)]
    assert decide(guest("a"), moves=tuple(failed[:2])).start == ("id-a",)
    decision = decide(guest("a"), moves=tuple(failed))
    assert decision.stuck
    assert "3 live migrations failed (migration 1, 2, 3)" in decision.blocked[0].problem


def test_failures_from_before_this_try_do_not_count() -> None:
    old = tuple(move(n, "a", "error", created=BEFORE) for n in (1, 2, 3))
    assert decide(guest("a"), moves=old).start == ("id-a",)


def test_failures_on_another_host_do_not_count() -> None:
    elsewhere = tuple(move(n, "a", "error", source="cmp3", target="cmp1") for n in (1, 2, 3))
    assert decide(guest("a"), moves=elsewhere).start == ("id-a",)


def test_refusals_count_as_tries() -> None:
    decision = decide(guest("a"), refusals={"id-a": ("409: locked",) * 3})
    assert decision.stuck
    assert "409: locked" in decision.blocked[0].problem


def test_a_resting_guest_waits_and_its_neighbours_go_first() -> None:
    decision = decide(guest("a"), guest("b"), moves=(move(1, "a", "error"),), resting=frozenset({"id-a"}))
    assert decision.start == ("id-b",)
    assert not decision.stuck


def test_a_failing_guest_goes_to_the_back() -> None:
    assert decide(guest("a"), guest("b"), moves=(move(1, "a", "error"),), parallel=1).start == ("id-b",)


@pytest.mark.parametrize("status", ["SHUTOFF", "SUSPENDED", "ERROR", "RESCUE", "VERIFY_RESIZE", "NEVER_HEARD_OF"])
def test_a_guest_that_cannot_be_moved_blocks_with_a_remedy(status: str) -> None:
    decision = decide(guest("a", status))
    assert decision.stuck
    assert status in decision.blocked[0].problem
    assert "id-a" in decision.blocked[0].remedy


def test_a_blocked_guest_does_not_stop_its_neighbours() -> None:
    decision = decide(guest("a", "SHUTOFF"), guest("b"))
    assert decision.start == ("id-b",)
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


@given(st.data())
def test_any_order_of_events_drains_without_moving_a_guest_twice_at_once(data: st.DataObject) -> None:
    """A nova that finishes, fails or loses guests as it likes; the drain always ends, and never doubles a move."""
    parallel = data.draw(st.integers(1, 4))
    guests = {f"id-{n}": guest(str(n)) for n in range(data.draw(st.integers(0, 6)))}
    records: dict[int, Migration] = {}
    for _ in range(200):
        view = HostView(host="cmp1", guests=tuple(guests.values()), migrations=tuple(records.values()), consumers=())
        decision = next_moves(view, since=SINCE, parallel=parallel)
        if decision.done or decision.stuck:
            break
        for chosen in decision.start:
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
