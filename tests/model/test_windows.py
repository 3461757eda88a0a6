"""Maintenance windows: zones, nights without an hour and with one twice, holidays."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from model.wallclock import seconds_of_day
from model.window_clock import WindowClock
from model.windows import (
    BadWindowsError,
    Windows,
    check_windows,
    closes_at,
    find_openings,
    is_holiday,
    is_open,
    next_opening,
)

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "UTC")


def made(first: str, last: str, days: str = "daily", zone: str = "Europe/Berlin", **more: Any) -> Windows:
    return Windows.model_validate({"timezone": zone, "open": [{"days": days, "from": first, "to": last}], **more})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHT = made("01:00", "05:00", "mon-fri")


def test_it_is_open_within_and_closed_outside() -> None:
    assert is_open(NIGHT, utc("2026-11-24 00:00"))
    assert closes_at(NIGHT, utc("2026-11-24 03:59:59")) == utc("2026-11-24 04:00")
    assert not is_open(NIGHT, utc("2026-11-24 04:00"))
    coming = next_opening(NIGHT, utc("2026-11-27 12:00"))
    assert coming is not None
    assert (coming.opens, coming.opens_local) == (utc("2026-11-30 00:00"), "Mon 2026-11-30 01:00 CET")


def test_a_night_of_summer_begins_an_hour_earlier_in_utc() -> None:
    coming = next_opening(NIGHT, utc("2026-07-01 12:00"))
    assert coming is not None
    assert (coming.opens, coming.opens_local) == (utc("2026-07-01 23:00"), "Thu 2026-07-02 01:00 CEST")


@pytest.mark.parametrize(
    ("night", "first", "last", "opens", "closes"),
    [
        # 02:00 to 03:00 is not there, and is there twice.
        ("2027-03-27 12:00", "01:00", "05:00", "2027-03-28 00:00", "2027-03-28 03:00"),
        ("2027-03-27 12:00", "02:30", "05:00", "2027-03-28 01:00", "2027-03-28 03:00"),
        ("2027-03-27 12:00", "01:00", "02:30", "2027-03-28 00:00", "2027-03-28 01:00"),
        ("2026-10-24 12:00", "01:00", "05:00", "2026-10-24 23:00", "2026-10-25 04:00"),
        ("2026-10-24 12:00", "02:30", "05:00", "2026-10-25 01:30", "2026-10-25 04:00"),
        ("2026-10-24 12:00", "01:00", "02:30", "2026-10-24 23:00", "2026-10-25 00:30"),
        ("2026-10-24 12:00", "02:10", "02:40", "2026-10-25 00:10", "2026-10-25 00:40"),
    ],
)
def test_nights_in_which_the_clocks_change(night: str, first: str, last: str, opens: str, closes: str) -> None:
    coming = next_opening(made(first, last), utc(night))
    assert coming is not None
    assert (coming.opens, coming.closes) == (utc(opens), utc(closes))


def test_a_window_within_an_hour_that_is_not_there_does_not_open() -> None:
    coming = next_opening(made("02:10", "02:40"), utc("2027-03-27 12:00"))
    assert coming is not None
    assert coming.opens == utc("2027-03-29 00:10")


def test_windows_of_three_minutes_with_pauses() -> None:
    spans = [{"from": f"13:{minute:02}", "to": f"13:{minute + 3:02}"} for minute in (0, 5, 10)]
    found = find_openings(Windows.model_validate({"open": spans}), utc("2026-11-23 13:01"), most=3)
    assert [(one.opens.minute, one.seconds) for one in found] == [(0, 180), (5, 180), (10, 180)]


def test_windows_that_touch_are_one() -> None:
    whole = made("00:00", "24:00", zone="UTC")
    assert find_openings(whole, utc("2026-11-23 12:00"), most=1)[0].seconds > 300 * 86400


def test_holidays_are_dates_and_those_of_a_country() -> None:
    christmas = made("01:00", "05:00", holidays={"dates": ["2026-12-24"], "country": "DE"})
    days = {one.opens_local[4:14] for one in find_openings(christmas, utc("2026-12-22 12:00"), most=5)}
    assert days == {"2026-12-23", "2026-12-27", "2026-12-28", "2026-12-29", "2026-12-30"}
    bavaria = Windows.model_validate({**christmas.model_dump(), "holidays": {"country": "DE", "subdivision": "BY"}})
    assert is_holiday(bavaria.holidays, date(2027, 1, 6))
    assert not is_holiday(christmas.holidays, date(2027, 1, 6))


def test_a_window_over_midnight_ends_where_a_holiday_begins() -> None:
    found = find_openings(made("22:00", "04:00", zone="UTC", holidays=["2026-12-24"]), utc("2026-12-22 12:00"), most=3)
    assert [(one.opens, one.closes) for one in found] == [
        (utc("2026-12-22 22:00"), utc("2026-12-23 04:00")),
        (utc("2026-12-23 22:00"), utc("2026-12-24 00:00")),
        (utc("2026-12-25 22:00"), utc("2026-12-26 04:00")),
    ]


TIMES = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.integers(0, 59))
STARTS = st.datetimes(datetime(2024, 1, 1), datetime(2035, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001


@settings(deadline=None)
@given(zone=st.sampled_from(ZONES), first=TIMES, last=TIMES, start=STARTS, days=st.sampled_from(("daily", "sat,sun")))
def test_at_every_moment_of_a_window_the_clocks_show_what_was_said(
    zone: str, first: str, last: str, start: datetime, days: str
) -> None:
    if first == last:
        return
    low, high = seconds_of_day(first), seconds_of_day(last)
    found = find_openings(made(first, last, days, zone), start, most=4)
    assert found
    before = None
    for one in found:
        assert one.opens < one.closes
        assert one.closes > start
        assert before is None or before < one.opens
        before = one.closes
        for part in range(20):
            here = (one.opens + (one.closes - one.opens) * part / 20).astimezone(ZoneInfo(zone))
            shown = here.hour * 3600 + here.minute * 60 + here.second + here.microsecond / 1e6
            assert low <= shown < high if low < high else not high <= shown < low


@settings(deadline=None)
@given(start=STARTS, seconds=st.integers(0, 30 * 86400))
def test_what_is_asked_of_a_moment_agrees_with_what_was_looked_up(start: datetime, seconds: int) -> None:
    now = start + timedelta(seconds=seconds)
    clock = WindowClock(find_openings(NIGHT, start))
    assert clock.closes(now) == closes_at(NIGHT, now)
    assert clock.opening(now) == next_opening(NIGHT, now)
    assert (clock.room(now) > 0) is is_open(NIGHT, now) is clock.status(now).open


@pytest.mark.parametrize(
    ("change", "key", "text"),
    [
        ({"timezone": "Europe/Berlim"}, ("timezone",), "no time zone 'Europe/Berlim'; did you mean Europe/Berlin?"),
        ({"holidays": {"country": "XX"}}, ("holidays", "country"), "no holidays are known of 'XX'"),
        (
            {"holidays": {"country": "DE", "subdivision": "ZZ"}},
            ("holidays", "subdivision"),
            "DE has no subdivision 'ZZ'",
        ),
        ({"holidays": {"subdivision": "BY"}}, ("holidays", "subdivision"), "a subdivision needs its country"),
    ],
)
def test_what_does_not_exist_is_refused(change: dict[str, Any], key: tuple[str, ...], text: str) -> None:
    with pytest.raises(BadWindowsError) as caught:
        check_windows(Windows.model_validate({**NIGHT.model_dump(), **change}), utc("2026-11-24 12:00"))
    assert caught.value.key == key
    assert str(caught.value).startswith(text)


def test_a_window_has_a_length() -> None:
    with pytest.raises(ValidationError, match="from and to are the same"):
        made("05:00", "05:00")


def test_it_is_read_again_as_it_was_written() -> None:
    assert Windows.model_validate(NIGHT.model_dump(mode="json")) == NIGHT
    assert Windows.model_validate_json(NIGHT.model_dump_json()) == NIGHT
