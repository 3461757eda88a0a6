"""Timetables: which days their words mean, and words that mean none."""

import calendar
import re
from datetime import date, timedelta

import pytest

from model.timetable import TimetableError, days_of, fits, make_timetable, next_days


@pytest.mark.parametrize(
    ("on", "after", "days"),
    [
        ("second tue", "2026-11-23", ["2026-12-08", "2027-01-12", "2027-02-09"]),
        ("first sunday", "2026-11-01", ["2026-12-06", "2027-01-03", "2027-02-07"]),
        ("last fri", "2028-01-31", ["2028-02-25", "2028-03-31", "2028-04-28"]),
        ("last tue", "2028-02-01", ["2028-02-29", "2028-03-28", "2028-04-25"]),
        ("last", "2027-01-31", ["2027-02-28", "2027-03-31", "2027-04-30"]),
        ("15", "2026-11-23", ["2026-12-15", "2027-01-15", "2027-02-15"]),
        ("sat,sun", "2026-11-23", ["2026-11-28", "2026-11-29", "2026-12-05"]),
        ("daily", "2026-12-30", ["2026-12-31", "2027-01-01", "2027-01-02"]),
    ],
)
def test_days_in_words(on: str, after: str, days: list[str]) -> None:
    assert [day.isoformat() for day in next_days(on, date.fromisoformat(after))] == days


@pytest.mark.parametrize("on", ["last mon", "last sun", "first wed", "fourth sat", "last", "28"])
def test_what_is_monthly_comes_once_in_each_month(on: str) -> None:
    patterns = days_of(on)
    found = [
        day
        for day in (date(2026, 1, 1) + timedelta(days=n) for n in range(1461))
        if any(fits(p, day) for p in patterns)
    ]
    assert len({(day.year, day.month) for day in found}) == len(found) == 48


def test_the_last_weekday_is_within_the_last_seven_days() -> None:
    for day in next_days("last thu", date(2026, 1, 1), 60):
        assert day.day > calendar.monthrange(day.year, day.month)[1] - 7
        assert day.weekday() == calendar.THURSDAY


def test_a_timetable_in_words() -> None:
    assert make_timetable(on="Second  Tue", at="22:00", zone="Europe/Berlin").text == (
        "second tue of the month, 22:00 Europe/Berlin"
    )
    assert make_timetable(on="15", at="1:30").text == "day 15 of the month, 1:30 UTC"
    assert make_timetable(on="last", at="01:30").text == "last day of the month, 01:30 UTC"
    assert make_timetable(cron="30 22 8-14 */2 TUE").text == "cron 30 22 8-14 */2 tue, UTC"


@pytest.mark.parametrize(
    ("asked", "what", "problem"),
    [
        ({"on": "second", "at": "22:00"}, "on", "'second' is no day; write second tue"),
        ({"on": "fifth mon", "at": "22:00"}, "on", "'fifth mon' is no day"),
        ({"on": "tewsday", "at": "22:00"}, "on", "'tewsday' is no day"),
        ({"on": "31", "at": "22:00"}, "on", "not every month has a day 31; write 1 to 28, or last"),
        ({"on": "0", "at": "22:00"}, "on", "not every month has a day 0"),
        ({"on": "15", "at": "25:00"}, "at", "'25:00' is no time of day"),
        ({"on": "15", "at": "24:00"}, "at", '"24:00" is the next one'),
        ({"on": "15", "at": "22:00", "zone": "Europe/Berlni"}, "zone", "did you mean Europe/Berlin?"),
        ({"cron": "0 22 * *"}, "cron", "has 4 fields; write five"),
        ({"cron": "@monthly"}, "cron", "has 1 fields"),
        ({"cron": "0 24 1 * *"}, "cron", "'24' is no hour; it is 0 to 23"),
        ({"cron": "0 22 1 * fryday"}, "cron", "'fryday' is no day of week"),
        ({"cron": "0 22 5-1 * *"}, "cron", "'5-1' is no day of month"),
        ({"cron": "*/0 22 1 * *"}, "cron", "'*/0' is no minute"),
        ({"cron": "0 22 1 * *", "on": "15"}, "cron", "leave out the day"),
    ],
)
def test_what_means_nothing_says_which_part(asked: dict[str, str], what: str, problem: str) -> None:
    with pytest.raises(TimetableError, match=re.escape(problem)) as caught:
        make_timetable(**asked)
    assert caught.value.what == what
