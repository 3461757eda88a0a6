"""Days and times as people write them."""

import pytest

from model.wallclock import day_numbers, seconds_of_day


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("mon-fri", (0, 1, 2, 3, 4)),
        ("fri-mon", (4, 5, 6, 0)),
        ("sat,sun", (5, 6)),
        ("daily", (0, 1, 2, 3, 4, 5, 6)),
        ("Tuesday", (1,)),
    ],
)
def test_days(text: str, numbers: tuple[int, ...]) -> None:
    assert day_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "mo", "someday", "mon-", "mon-fri,x"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no day; write days as mon-fri"):
        day_numbers(text)


def test_times_of_day() -> None:
    assert [seconds_of_day(text) for text in ("00:00", "1:30", "23:59:59", "24:00")] == [0, 5400, 86399, 86400]


@pytest.mark.parametrize("text", ["", "25:00", "24:01", "1:5", "noon"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time of day"):
        seconds_of_day(text)
