"""What a run knows of its windows."""

from datetime import timedelta

from model.window_clock import WindowClock
from model.windows import find_openings
from tests.model.test_windows import NIGHT, utc


def test_an_operator_opens_it_by_hand_until_the_next_one_or_beyond() -> None:
    now = utc("2026-11-24 12:00")
    clock = WindowClock(find_openings(NIGHT, now))
    assert clock.status(now).text == "window closed, opens at Wed 2026-11-25 01:00 CET"
    clock.by_hand = now + timedelta(hours=1)
    assert clock.status(now).text == "window open until 2026-11-24 13:00:00 UTC, by hand"
    clock.by_hand = utc("2026-11-25 01:00")
    assert clock.status(now).text == "window open until Wed 2026-11-25 05:00 CET"
    assert clock.room(now) == timedelta(hours=16).total_seconds()


def test_what_is_slow_needs_more_but_not_more_than_the_longest_window_gives() -> None:
    hours = 3600.0
    clock = WindowClock(find_openings(NIGHT, utc("2026-11-24 12:00")))
    assert clock.needed(1 * hours, 2.0) == 2 * hours
    assert clock.needed(1 * hours, 0.5) == 0.5 * hours
    assert clock.needed(3 * hours, 2.0) == 0.9 * 4 * hours
    assert clock.needed(5 * hours, 2.0) == 5 * hours
