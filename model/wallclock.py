"""Wall-clock time: days of the week and times of day as people write them, and what a zone's clocks show."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"^([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?$")


def day_numbers(text: str) -> tuple[int, ...]:
    """Return the days of the week, 0 for Monday, that a text such as ``mon-fri``, ``sat,sun`` or ``daily`` names.

    Raises:
        ValueError: when it names none.
    """
    found: dict[int, None] = {}
    for part in str(text).lower().replace(" ", "").split(","):
        first, dash, last = ("mon-sun" if part in {"daily", "all"} else part).partition("-")
        numbers = [DAYS.index(name[:3]) if _is_day(name) else -1 for name in (first, last if dash else first)]
        if -1 in numbers:
            raise ValueError(f"{part!r} is no day; write days as mon-fri, sat,sun or daily ({', '.join(DAYS)})")
        length = (numbers[1] - numbers[0]) % 7
        found.update(dict.fromkeys((numbers[0] + step) % 7 for step in range(length + 1)))
    return tuple(found)


def _is_day(name: str) -> bool:
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return len(name) >= 3 and any(day.startswith(name) for day in full)


def _as_days(value: object) -> object:
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    if not isinstance(value, str):
        raise ValueError("write days as mon-fri, sat,sun or daily")  # noqa: TRY004 - pydantic reports ValueErrors
    day_numbers(value)
    return value


def seconds_of_day(text: str) -> int:
    """Return the seconds from midnight to a time of day such as ``01:30``; ``24:00`` is the end of the day.

    Raises:
        ValueError: for any other text.
    """
    match = _TIME.match(text)
    seconds = (
        sum(int(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    )
    if match is None or seconds > 86400:
        raise ValueError(f'{text!r} is no time of day; write it as "01:30", up to "24:00"')
    return seconds


def _as_time(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is no time of day; write it in quotes, as "01:30"')  # noqa: TRY004
    seconds_of_day(value)
    return value


Days = Annotated[str, BeforeValidator(_as_days)]
TimeOfDay = Annotated[str, BeforeValidator(_as_time)]


def moments_of(opens: datetime, closes: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the moments at which a zone's clocks show these times, so that between them they show no other.

    A time that they skip becomes the moment after; of a time that they show twice the first of the two moments is the
    later one, and the second the earlier one.
    """
    first, last = _moment(opens, zone, later=True), _moment(closes, zone, later=False)
    if first >= last:  # both within the hour that is there twice
        first = _moment(opens, zone, later=False)
    return first, last


def _moment(local: datetime, zone: ZoneInfo, *, later: bool) -> datetime:
    """Return the moment at which a zone's clocks show a time: the later or the earlier of two, the next after none."""
    early, late = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early <= late:
        return late if later else early
    # The clocks skip this time, and fold 1 comes first: what they show next they show from the leap on.
    before, after = late, early
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < local:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def local_text(moment: datetime, zone: ZoneInfo) -> str:
    """Write a moment as a zone's clocks show it: ``Tue 2026-11-24 01:00 CET``; with seconds where it has some."""
    here = moment.astimezone(zone)
    clock = "%H:%M:%S" if here.second else "%H:%M"
    return f"{DAYS[here.weekday()].title()} {here:%Y-%m-%d {clock}} {here.tzname()}"
