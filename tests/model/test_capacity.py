"""Whether a host's guests fit on the others, asked of small fleets that can be counted by hand, and of any fleet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.capacity import Room, free_of
from model.work import Capacity


def room_of(**hosts: tuple[float, float]) -> dict[str, Capacity]:
    """Return capacity of one resource: total and used."""
    return {name: Capacity(total={"VCPU": total}, used={"VCPU": used}) for name, (total, used) in hosts.items()}


FLEET = room_of(a=(10, 8), b=(10, 2), c=(10, 9), d=(10, 4))


@pytest.mark.parametrize(
    ("host", "targets", "also_out", "free"),
    [
        ("a", "bcd", 0, None),
        ("a", "abcd", 0, None),
        ("a", "abcd", 1, 7),  # b, which has the most room, is away
        ("a", "abcd", 2, 1),
        ("a", "abcd", 9, 0),
        ("b", "abcd", 1, None),  # d is away; a and c have 3 for 2
        ("b", "abcd", 2, 1),
        ("a", "c", 0, 1),
        ("a", "a", 0, 0),
        ("unknown", "abcd", 0, None),
        ("c", "ab", 0, None),
        ("c", "ab", 1, 2),
    ],
)
def test_what_the_others_have_free(host: str, targets: str, also_out: int, free: float | None) -> None:
    found = Room(FLEET, targets).shortages(host, also_out=also_out)
    assert [shortage.free for shortage in found] == ([] if free is None else [free])
    assert [s.missing for s in found] == [s.needed - s.free for s in found]


def test_a_host_that_is_filled_beyond_its_limit_has_no_room_to_lend() -> None:
    fleet = room_of(a=(10, 3), b=(10, 15), c=(10, 8))
    (shortage,) = Room(fleet, fleet).shortages("a")
    assert (shortage.needed, shortage.free, shortage.missing) == (3, 2, 1)


rooms = st.tuples(st.integers(0, 20), st.integers(0, 20))


@given(st.lists(rooms, min_size=1, max_size=8), st.sets(st.integers(0, 7)), st.integers(0, 9))
def test_the_answer_is_that_of_counting(fleet: list[tuple[int, int]], targets: set[int], also_out: int) -> None:
    capacity = room_of(**{f"h{n}": room for n, room in enumerate(fleet)})
    names = {f"h{n}" for n in targets if n < len(fleet)}
    room = Room(capacity, names)
    for host in capacity:
        others = sorted(free_of(capacity[name], "VCPU") for name in names - {host})
        free = sum(others[: max(0, len(others) - also_out)])
        needed = capacity[host].used["VCPU"]
        shortages = room.shortages(host, also_out=also_out)
        assert [(s.needed, s.free) for s in shortages] == ([(needed, free)] if needed > free else [])
