"""What a worker remembers of a drain, by a clock that the test sets."""

from typing import Any

import pytest

from activities import drain_memory
from activities.drain_memory import Remembered
from model.base import JsonObject
from model.moves import Act, Move
from model.nova import Migration


class Clock:
    """A clock that stands still until it is set."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(drain_memory, "time", found)
    return found


def move(number: int, status: str) -> Migration:
    return Migration(id=number, guest="g1", kind="live-migration", status=status, source="cmp1")


def copy(left: int, total: int = 100) -> JsonObject:
    row: dict[str, Any] = {"id": 7, "memory_remaining_bytes": left, "memory_total_bytes": total}
    return {**row, "disk_remaining_bytes": None}


def test_a_guest_rests_longer_after_each_failure(clock: Clock) -> None:
    memory = Remembered(rest=5.0)
    memory.see([move(1, "error")])
    assert memory.memory().resting == frozenset(), "what failed before the first look rests no more"
    for number, seconds in ((2, 10.0), (3, 20.0)):
        memory.see([move(n, "error") for n in range(1, number + 1)])
        clock.now += seconds - 0.1
        assert memory.memory().resting == {"g1"}
        clock.now += 0.2
        assert memory.memory().resting == frozenset()


def test_a_copy_stalls_while_no_less_is_left_than_ever_before(clock: Clock) -> None:
    memory = Remembered(rest=5.0)
    memory.see([move(7, "running")])
    for at, row, stalled in (
        (0, copy(0, 0), 0),
        (10, copy(90), 0),
        (20, copy(50), 0),
        (30, copy(70), 10),
        (40, copy(49), 0),
    ):
        clock.now = 1000.0 + at
        memory.see_copy("g1", row)
        assert memory.memory().progress["g1"].stalled == stalled
    assert memory.memory().progress["g1"].running == 40
    memory.hurried(Move(act=Act.FORCE, guest="g1", migration=7))
    clock.now += 3
    progress = memory.memory().progress["g1"]
    assert (progress.forced, progress.aborted, progress.left) == (3, False, 49)
    memory.hurried(Move(act=Act.ABORT, guest="g1", migration=7))
    assert memory.memory().progress["g1"].aborted
    memory.see([move(7, "cancelled")])
    assert memory.memory().progress == {}


def test_leftovers_have_an_age(clock: Clock) -> None:
    memory = Remembered(rest=5.0)
    for at in (0, 30):
        clock.now = 1000.0 + at
        memory.see_leftovers("g1", ("room elsewhere",))
    assert memory.memory().leftovers == {"g1": (("room elsewhere",), 30.0)}
    memory.see_leftovers("g1", ())
    assert memory.memory().leftovers == {}


def test_a_refusal_is_remembered_with_its_target(clock: Clock) -> None:
    memory = Remembered(rest=5.0)
    memory.refuse(Move(act=Act.LIVE, guest="g1", target="cmp2"), "400: no")
    (refusal,) = memory.memory().refusals["g1"]
    assert (refusal.act, refusal.target, refusal.text) == (Act.LIVE, "cmp2", "400: no")
    assert memory.memory().resting == {"g1"}
