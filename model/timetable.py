"""When runs begin by themselves: on a day of the month or the week by a zone's clocks, or by the fields of cron."""

import calendar
import re
from datetime import date, timedelta
from typing import Literal

from model.base import Record
from model.wallclock import DAYS, day_numbers, seconds_of_day
from model.windows import zone_of

# What a schedule says of itself in its memo at Temporal.
MEMO_CLOUD = "stackroll_cloud"
MEMO_WHAT = "stackroll_what"
MEMO_WHEN = "stackroll_when"
_ORDINALS = ("first", "second", "third", "fourth")
_SURE_DAYS = 28
_DAY_SECONDS = 86_400
_WEEK = 7
_CRON_FIELDS = {
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day of month": (1, 31, ()),
    "month": (1, 12, tuple(name.lower() for name in calendar.month_abbr[1:])),
    "day of week": (0, 7, ("sun", *DAYS[:-1])),
}
_CRON_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


class TimetableError(ValueError):
    """A timetable that means nothing; ``what`` is which part of it: ``on``, ``at``, ``zone`` or ``cron``."""

    def __init__(self, what: Literal["on", "at", "zone", "cron"], text: str) -> None:
        """Say which part, and why."""
        self.what = what
        super().__init__(text)


class Days(Record):
    """Days that fit into one pattern; a pattern says nothing where it has nothing.

    Attributes:
        weekdays: 0 for Sunday to 6 for Saturday, as Temporal and cron count them.
        of_month: the first and the last day of the month.
        months: 1 to 12.
        leap: of leap years alone, or of all others alone; None of every year.
    """

    weekdays: tuple[int, ...] = ()
    of_month: tuple[int, int] | None = None
    months: tuple[int, ...] = ()
    leap: bool | None = None


class Timetable(Record):
    """When to begin.

    Attributes:
        on: the day, in words: ``second tue``, ``last sun``, ``15``, ``last`` (of each month), ``tue,thu`` or
            ``daily``.
        at: the time of day, such as ``22:00``.
        zone: whose clocks show it, by the IANA database.
        cron: minute, hour, day of month, month and day of week instead of ``on`` and ``at``; a day must fit both.
    """

    on: str = ""
    at: str = ""
    zone: str = "UTC"
    cron: str = ""

    @property
    def text(self) -> str:
        """The timetable in words, such as ``second tue of the month, 22:00 Europe/Berlin``."""
        if self.cron:
            return f"cron {self.cron}, {self.zone}"
        monthly = " of the month" if _is_monthly(self.on) else ""
        day = f"day {self.on}" if self.on.isdigit() else "last day" if self.on == "last" else self.on
        return f"{day}{monthly}, {self.at} {self.zone}"


def make_timetable(*, on: str = "", at: str = "", zone: str = "UTC", cron: str = "") -> Timetable:
    """Return a timetable that means something.

    Raises:
        TimetableError: for the first part of it that does not.
    """
    try:
        zone_of(zone)
    except ValueError as error:
        raise TimetableError("zone", str(error)) from None
    if cron:
        if on or at:
            raise TimetableError("cron", "it says day and time by itself; leave out the day and the time beside it")
        return Timetable(zone=zone, cron=_checked_cron(cron))
    on = " ".join(on.lower().split())
    days_of(on)
    try:
        seconds = seconds_of_day(at)
    except ValueError as error:
        raise TimetableError("at", str(error)) from None
    if seconds == _DAY_SECONDS:
        raise TimetableError("at", 'a day begins at "00:00"; "24:00" is the next one')
    return Timetable(on=on, at=at, zone=zone)


def days_of(on: str) -> tuple[Days, ...]:
    """Return the days that a text means: those that fit any of these.

    Raises:
        TimetableError: when it means none.
    """
    first, _, rest = on.partition(" ")
    if first in _ORDINALS:
        week = _ORDINALS.index(first)
        return (Days(weekdays=_weekdays(rest, on), of_month=(week * _WEEK + 1, (week + 1) * _WEEK)),)
    if first == "last":
        return _last(_weekdays(rest, on) if rest else ())
    if on.isdigit():
        if not 1 <= int(on) <= _SURE_DAYS:
            raise TimetableError("on", f"not every month has a day {on}; write 1 to {_SURE_DAYS}, or last")
        return (Days(of_month=(int(on), int(on))),)
    return (Days(weekdays=_weekdays(on, on)),)


def _is_monthly(on: str) -> bool:
    return on.isdigit() or on.split(" ", maxsplit=1)[0] in {*_ORDINALS, "last"}


def _weekdays(text: str, on: str) -> tuple[int, ...]:
    try:
        return tuple(sorted((number + 1) % _WEEK for number in day_numbers(text)))
    except ValueError:
        raise TimetableError(
            "on", f"{on!r} is no day; write second tue, last sun, 15 or last (of every month), or tue,thu or daily"
        ) from None


def _last(weekdays: tuple[int, ...]) -> tuple[Days, ...]:
    """Return the last days of each month: its last seven, of which one is each weekday, or its very last."""
    length = _WEEK if weekdays else 1
    by_end: dict[tuple[int, bool | None], list[int]] = {}
    for month in range(1, 13):
        for leap, year in ((True, 2028), (False, 2027)):
            end = calendar.monthrange(year, month)[1]
            by_end.setdefault((end, leap if month == 2 else None), []).append(month)
    return tuple(
        Days(weekdays=weekdays, of_month=(end - length + 1, end), months=tuple(dict.fromkeys(months)), leap=leap)
        for (end, leap), months in by_end.items()
    )


def fits(days: Days, day: date) -> bool:
    """Whether a day fits a pattern."""
    first, last = days.of_month or (1, 31)
    return (
        (not days.weekdays or day.isoweekday() % _WEEK in days.weekdays)
        and first <= day.day <= last
        and (not days.months or day.month in days.months)
        and days.leap in {None, calendar.isleap(day.year)}
    )


def next_days(on: str, after: date, most: int = 3) -> tuple[date, ...]:
    """Return the next days that a text means.

    Raises:
        TimetableError: when it means none.
    """
    patterns, found = days_of(on), list[date]()
    while len(found) < most:
        after += timedelta(days=1)
        if any(fits(days, after) for days in patterns):
            found.append(after)
    return tuple(found)


def _checked_cron(text: str) -> str:
    parts = text.lower().split()
    if len(parts) != len(_CRON_FIELDS):
        raise TimetableError(
            "cron", f"{text!r} has {len(parts)} fields; write five: minute, hour, day of month, month, day of week"
        )
    for name, field in zip(_CRON_FIELDS, parts, strict=True):
        for part in field.split(","):
            _check_part(text, name, part)
    return " ".join(parts)


def _check_part(text: str, name: str, part: str) -> None:
    least, most, words = _CRON_FIELDS[name]
    match = _CRON_PART.fullmatch(part)
    values = (
        [
            least + words.index(word) if word in words else int(word) if word.isdigit() else -1
            for word in (match["first"], match["last"])
            if word not in {None, "*"}
        ]
        if match
        else [-1]
    )
    star_range = match is not None and match["first"] == "*" and match["last"] is not None
    if (
        star_range
        or any(not least <= value <= most for value in values)
        or values != sorted(values)
        or (match is not None and match["step"] is not None and int(match["step"]) == 0)
    ):
        raise TimetableError("cron", f"{text!r}: {part!r} is no {name}; it is {least} to {most}, *, a-b or */n")


class NextRunAsked(Record):
    """The input of ``find_next_run``: of which cloud, and a schedule that is not to count: it will pause."""

    cloud: str
    without: str = ""


class NextRun(Record):
    """The output of ``find_next_run``: when the next run is due (ISO 8601, UTC), and by which schedule, if by any."""

    at: str = ""
    schedule: str = ""
