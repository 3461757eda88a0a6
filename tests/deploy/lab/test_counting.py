"""What is said of guests, from what they printed."""

import pytest

from deploy.lab.counting import Account, Line, Transcript, judge

BOOT, AGAIN = "0123abcd", "89abcdef"


def ticks(first: int, last: int, at: float, boot: str = BOOT) -> list[Line]:
    """Return counts from first to last, a tenth of a second apart, the first of them seen at a time."""
    return [
        Line(at + (count - first) / 10, f"TICK {boot} {count} {1 + count / 10:.2f}") for count in range(first, last + 1)
    ]


def disk(at: float, state: str = "now", mark: str = "m1", boot: str = BOOT) -> Line:
    return Line(at, f"DISK {boot} {state} {mark}")


def account(*transcripts: Transcript, ended: float, present: bool = False) -> Account:
    found = judge(transcripts, 0.0, ended, frozenset({"s"} if present else ()))
    assert [each.server for each in found] == ["s"]
    return found[0]


def test_a_guest_that_stayed() -> None:
    seen = account(Transcript("s", "cmp1", [*ticks(5, 25, 0.0), disk(1.0)]), ended=2.1, present=True)
    assert seen.trouble(longest_gap=0.2) == []
    assert seen.hosts == ("cmp1",)
    assert seen.restarts == 0
    assert seen.longest_gap == pytest.approx(0.1)


def test_a_guest_that_was_moved_goes_on_counting() -> None:
    there = Transcript("s", "cmp1", [disk(0.0), *ticks(0, 20, 0.0)])
    here = Transcript("s", "cmp2", [*ticks(21, 40, 2.4), disk(3.0)])
    seen = account(here, there, ended=4.35)
    assert seen.hosts == ("cmp1", "cmp2")
    assert seen.contiguous
    assert seen.longest_gap == pytest.approx(0.4)
    assert seen.trouble(longest_gap=0.5) == []
    assert seen.trouble(longest_gap=0.3) == ["was silent for 0.40 s, more than 0.3 s"]


def test_a_line_that_was_moved_in_its_middle_is_one_line() -> None:
    there = Transcript("s", "cmp1", [disk(0.0), *ticks(0, 20, 0.0)], rest=f"TICK {BOOT} 2")
    here = Transcript("s", "cmp2", [Line(2.2, "1 3.10"), *ticks(22, 30, 2.3)])
    assert account(there, here, ended=3.1).contiguous


def test_a_lost_count_is_named() -> None:
    seen = account(Transcript("s", "cmp1", [disk(0.0), *ticks(0, 3, 0.0), *ticks(6, 9, 0.6)]), ended=1.0)
    assert not seen.contiguous
    assert seen.trouble(longest_gap=1) == [f"counts 4, 5 of boot {BOOT} are missing"]


def test_many_lost_counts_are_not_all_named() -> None:
    seen = account(Transcript("s", "cmp1", [disk(0.0), *ticks(0, 3, 0.0), *ticks(40, 41, 0.6)]), ended=1.0)
    assert seen.trouble(longest_gap=1) == [f"counts 4, 5, 6, 7, 8 and 31 more of boot {BOOT} are missing"]


def test_a_guest_that_ran_twice_is_caught() -> None:
    """The source went on after the target had begun."""
    there = Transcript("s", "cmp1", [disk(0.0), *ticks(0, 22, 0.0)])
    here = Transcript("s", "cmp2", ticks(21, 40, 2.1))
    seen = account(there, here, ended=4.1)
    assert seen.trouble(longest_gap=1) == [f"counts 21, 22 of boot {BOOT} came twice: it ran twice"]


def test_a_restart_counts_anew_and_its_time_is_no_gap() -> None:
    lines = [disk(0.0), *ticks(7, 20, 0.0), disk(30.0, "kept", boot=AGAIN), *ticks(0, 9, 30.1, AGAIN)]
    seen = account(Transcript("s", "cmp1", lines), ended=31.0, present=True)
    assert seen.restarts == 1
    assert seen.contiguous
    assert seen.down == pytest.approx(28.8)
    assert seen.trouble(longest_gap=0.3, restarts=1) == []
    assert seen.trouble(longest_gap=0.3) == ["was started again 1 times, not 0"]


def test_a_restart_that_was_first_heard_late_has_lost_counts() -> None:
    lines = [disk(0.0), *ticks(7, 20, 0.0), *ticks(3, 9, 2.0, AGAIN)]
    seen = account(Transcript("s", "cmp1", lines), ended=2.7)
    assert f"boot {AGAIN} was first heard at 3, not 0" in seen.trouble(longest_gap=1, restarts=1)
    assert not seen.contiguous


def test_silence_at_the_end_is_a_gap() -> None:
    """A dead guest is no guest without gaps."""
    seen = account(Transcript("s", "cmp1", [disk(0.0), *ticks(0, 20, 0.0)]), ended=12.0)
    assert seen.longest_gap == pytest.approx(10.0)


def test_silence_at_the_begin_is_a_gap_for_those_who_were_there() -> None:
    lines = [disk(5.0), *ticks(0, 20, 5.0)]
    assert account(Transcript("s", "cmp1", lines), ended=7.1, present=True).longest_gap == pytest.approx(5.0)
    assert account(Transcript("s", "cmp1", lines), ended=7.1).longest_gap == pytest.approx(0.1)


@pytest.mark.parametrize("transcripts", [[], [Transcript("s", "cmp1", [Line(0.5, "SeaBIOS")])]])
def test_a_guest_that_says_nothing_is_in_trouble(transcripts: list[Transcript]) -> None:
    seen = account(*transcripts, ended=10.0, present=True)
    assert seen.trouble(longest_gap=99) == ["was never heard"]
    assert not seen.contiguous


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "never read"),
        ([disk(0.1), disk(0.2, mark="m2")], "m1, m2"),
        ([disk(0.1, mark="lost")], "lost"),
        ([disk(0.1), disk(0.2, "new")], "m1 (found empty)"),
        ([disk(0.5, "new", boot=AGAIN)], "m1 (found empty)"),
    ],
)
def test_a_disk_that_is_not_what_it_was(lines: list[Line], said: str) -> None:
    seen = account(Transcript("s", "cmp1", [*ticks(0, 3, 0.0), *lines, *ticks(0, 3, 0.6, AGAIN)]), ended=1.0)
    assert seen.trouble(longest_gap=1, restarts=1) == [f"disk: {said}"]


def test_a_new_guest_marks_its_disk() -> None:
    assert account(Transcript("s", "cmp1", [disk(0.0, "new"), *ticks(0, 3, 0.1), disk(0.4)]), ended=0.5).disk_intact


def test_what_others_print_is_no_count() -> None:
    lines = [Line(0.0, "TICK xyz 1 1.00"), Line(0.1, "[ 1.0] clocksource: tsc"), disk(0.1), *ticks(0, 3, 0.2)]
    assert account(Transcript("s", "cmp1", lines), ended=0.6).trouble(longest_gap=1) == []


def test_guests_are_told_apart() -> None:
    found = judge(
        [Transcript("b", "cmp1", [disk(0.0), *ticks(0, 3, 0.0)]), Transcript("a", "cmp1", ticks(0, 3, 0.0))],
        0.0,
        0.4,
        frozenset({"c"}),
    )
    assert [(each.server, bool(each.trouble(longest_gap=1))) for each in found] == [
        ("a", True),
        ("b", False),
        ("c", True),
    ]


def test_what_else_a_guest_said_is_told_where_it_was_started_again() -> None:
    panic, booted = (
        Line(0.4, "[ 9.1] Kernel panic - not syncing: Attempted to kill init!"),
        Line(1.5, "BOOT 89abcdef u"),
    )
    seen = account(
        Transcript("s", "cmp1", [*ticks(0, 3, 0.0), panic, booted, *ticks(0, 3, 1.6, AGAIN), disk(1.9)]), ended=2
    )
    (said,) = seen.trouble(longest_gap=2)
    assert said.startswith("was started again 1 times, not 0; what else it said: [ 9.1] Kernel panic")
    assert said.endswith("| BOOT 89abcdef u")
