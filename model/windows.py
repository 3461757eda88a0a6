"""Maintenance windows: when work may begin, and when it must be over.

A window is said in the wall-clock time of a zone, on days of the week, and never on a holiday. Whatever the zone's
clocks do in a night, at every moment of a window they show a time that was said: a time that they skip becomes the
moment after, and of a time that they show twice a window opens with the later and closes with the earlier one.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Annotated, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from model.base import Record
from model.durations import Seconds

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Days that are looked at for a window to open; whoever closes longer than that wants no window.
HORIZON = 400
# Of what was looked up at a time: enough for weeks of nights, little enough for a history.
MOST_FOUND = 60
_TIME = re.compile(r"^([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?$")
_DAY = timedelta(days=1)


def day_numbers(text: str) -> tuple[int, ...]:
    """Return the days of the week, 0 for Monday, that a text such as ``mon-fri``, ``sat,sun`` or ``daily`` names.

    Raises:
        ValueError: when it names none.
    """
    found: dict[int, None] = {}
    for part in str(text).lower().replace(" ", "").split(","):
        first, _, last = ("mon-sun" if part in {"daily", "all"} else part).partition("-")
        numbers = [DAYS.index(name[:3]) if _is_day(name) else -1 for name in (first, last or first)]
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


class Opening(Record):
    """When it is open: on these days of the week, from one time of day to another.

    Attributes:
        days: such as ``mon-fri``, ``sat,sun`` or ``daily``: the days on which it opens.
        from_: the time of day at which it opens, such as ``01:00`` (``from`` in the file).
        to: at which it closes; not later than ``from`` is on the next day.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    days: Days = "daily"
    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if seconds_of_day(self.from_) == seconds_of_day(self.to):
            raise ValueError('from and to are the same; a whole day is from: "00:00", to: "24:00"')
        return self


class Holidays(Record):
    """Days on which no window is open: dates, and the public holidays of a country or of a part of it.

    Attributes:
        dates: such as ``2026-12-24``.
        country: its code by ISO 3166-1, such as ``DE``.
        subdivision: of the country, by ISO 3166-2 without the country, such as ``BY``.
    """

    dates: tuple[date, ...] = ()
    country: str | None = None
    subdivision: str | None = None


def _as_holidays(value: object) -> object:
    """A list is a list of dates."""
    return {"dates": value} if isinstance(value, list | tuple) else value


class Windows(Record):
    """When a run may change something.

    Attributes:
        timezone: by its name in the IANA database, such as ``Europe/Berlin``.
        open: when it is open; outside of all of them it is closed.
        holidays: days on which it is not.
        host_takes: how long one host takes, where you know better than the forecast; no host begins that would not end
            before the window closes.
    """

    timezone: str = "UTC"
    open: tuple[Opening, ...] = Field(min_length=1)
    holidays: Annotated[Holidays, BeforeValidator(_as_holidays)] = Holidays()
    host_takes: Seconds | None = None


class Interval(Record):
    """A time during which it is open, in UTC, and what the zone's clocks show then.

    Attributes:
        opens: the first moment; ``closes``: the first one that is not open any more.
        opens_local: such as ``Tue 2026-11-24 01:00 CET``.
    """

    opens: datetime
    closes: datetime
    opens_local: str = ""
    closes_local: str = ""

    @property
    def seconds(self) -> float:
        """How long it is open."""
        return (self.closes - self.opens).total_seconds()


class OpeningsAsked(Record):
    """The input of ``find_openings``: which windows, from when on."""

    windows: Windows
    start: datetime


class OpeningsFound(Record):
    """The windows to come, the first one first."""

    found: tuple[Interval, ...]


class BadWindowsError(ValueError):
    """Windows that say something which does not exist; ``key`` is where, below ``windows``."""

    def __init__(self, key: tuple[str, ...], text: str) -> None:
        self.key = key
        super().__init__(text)


def check_windows(windows: Windows, now: datetime) -> None:
    """Refuse a zone or a country that does not exist, and windows that never open.

    Raises:
        BadWindowsError: for the first of them.
    """
    zone_of(windows.timezone)
    _check_country(windows.holidays)
    if not find_openings(windows, now, most=1):
        raise BadWindowsError(("open",), f"no window opens within {HORIZON} days: every one is on a holiday")


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its name.

    Raises:
        BadWindowsError: when there is none of this name.
    """
    if name not in _zones():
        raise BadWindowsError(
            ("timezone",), f"no time zone {name!r}{_near(name)}; names are those of the IANA database: Europe/Berlin"
        )
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    """Every name there is; to find them out, a whole folder is read."""
    return frozenset(available_timezones())


def _near(name: str) -> str:
    # Imported here: only who has made a mistake needs it.
    from difflib import get_close_matches  # noqa: PLC0415

    close = get_close_matches(name, sorted(_zones()), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def _check_country(wanted: Holidays) -> None:
    if wanted.country is None:
        if wanted.subdivision is not None:
            raise BadWindowsError(
                ("holidays", "subdivision"), "a subdivision needs its country: {country: DE, subdivision: BY}"
            )
        return
    from holidays import list_supported_countries  # noqa: PLC0415 - a large library that few runs need

    known = list_supported_countries()
    if wanted.country not in known:
        raise BadWindowsError(
            ("holidays", "country"), f"no holidays are known of {wanted.country!r}; write a code such as DE, FR or US"
        )
    if wanted.subdivision is not None and wanted.subdivision not in known[wanted.country]:
        names = ", ".join(known[wanted.country]) or "none"
        raise BadWindowsError(
            ("holidays", "subdivision"),
            f"{wanted.country} has no subdivision {wanted.subdivision!r}; known are: {names}",
        )


@lru_cache(maxsize=32)
def _public_holidays(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    from holidays import country_holidays  # noqa: PLC0415 - a large library that few runs need

    return frozenset(country_holidays(country, subdiv=subdivision, years=year))


def is_holiday(wanted: Holidays, day: date) -> bool:
    """Whether nothing is open on this day."""
    if day in wanted.dates:
        return True
    return wanted.country is not None and day in _public_holidays(wanted.country, wanted.subdivision, day.year)


def find_openings(windows: Windows, start: datetime, *, most: int = MOST_FOUND) -> tuple[Interval, ...]:
    """Return the windows that are not over at a moment, the first one first; windows that touch are one.

    Raises:
        BadWindowsError: for a zone that does not exist.
    """
    zone = zone_of(windows.timezone)
    found: list[tuple[datetime, datetime]] = []
    first = start.astimezone(zone).date() - _DAY
    for number in range(HORIZON + 1):
        day = first + number * _DAY
        for opens, closes in sorted(_on_day(windows, zone, day)):
            if found and opens <= found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], closes))
            elif closes > start:
                found.append((opens, closes))
        # What opens on the next day may still lengthen the last one.
        if len(found) > most:
            break
    return tuple(
        Interval(opens=o, closes=c, opens_local=local_text(o, zone), closes_local=local_text(c, zone))
        for o, c in found[:most]
    )


def _on_day(windows: Windows, zone: ZoneInfo, day: date) -> Iterable[tuple[datetime, datetime]]:
    if is_holiday(windows.holidays, day):
        return
    for opening in windows.open:
        if day.weekday() not in day_numbers(opening.days):
            continue
        midnight = datetime.combine(day, time())
        opens = midnight + timedelta(seconds=seconds_of_day(opening.from_))
        closes = midnight + timedelta(seconds=seconds_of_day(opening.to))
        if closes <= opens:
            # Over midnight: no further than to the midnight where a holiday begins.
            closes = midnight + _DAY if is_holiday(windows.holidays, day + _DAY) else closes + _DAY
        between = _moments(opens, closes, zone)
        if between[0] < between[1]:
            yield between


def _moments(opens: datetime, closes: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the moments at which a zone's clocks show these times."""
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


def is_open(windows: Windows, now: datetime) -> bool:
    """Whether a window is open at a moment."""
    return closes_at(windows, now) is not None


def closes_at(windows: Windows, now: datetime) -> datetime | None:
    """Return when the window closes that is open at a moment; None when none is."""
    first = find_openings(windows, now, most=1)
    return first[0].closes if first and first[0].opens <= now else None


def next_opening(windows: Windows, now: datetime) -> Interval | None:
    """Return the next window that opens after a moment; None when none does."""
    return next((one for one in find_openings(windows, now, most=2) if one.opens > now), None)


class WindowStatus(Record):
    """Whether a run may begin anything now.

    Attributes:
        open: whether it may.
        until: until when that holds, ISO 8601 in UTC; None when nothing is known to come.
        text: the same in words.
    """

    open: bool
    until: str | None = None
    text: str


class WindowClock:
    """What a run knows of its windows: those that were looked up, and how long an operator has opened it by hand."""

    def __init__(self, found: Sequence[Interval] = ()) -> None:
        """Take the windows to come."""
        self.found = tuple(found)
        self.by_hand: datetime | None = None

    @property
    def longest(self) -> float:
        """The seconds of the longest window."""
        return max((one.seconds for one in self.found), default=0.0)

    def closes(self, now: datetime) -> datetime | None:
        """Return when it closes; None when it is closed."""
        end = self.by_hand if self.by_hand is not None and self.by_hand > now else None
        for one in self.found:
            if one.opens <= (end or now) and one.closes > (end or now):
                end = one.closes
        return end

    def opening(self, now: datetime) -> Interval | None:
        """Return the next window; None when none is known."""
        return next((one for one in self.found if one.opens > now), None)

    def needs_more(self, now: datetime) -> bool:
        """Whether it is time to look up what comes afterwards."""
        return sum(one.closes > now for one in self.found) < 2

    def room(self, now: datetime) -> float:
        """Return the seconds until it closes; 0 when it is closed."""
        end = self.closes(now)
        return (end - now).total_seconds() if end is not None else 0.0

    def status(self, now: datetime) -> WindowStatus:
        """Say whether it is open, and until when that holds."""
        end = self.closes(now)
        if end is None:
            coming = self.opening(now)
            if coming is None:
                return WindowStatus(open=False, text="window closed, and none is known to open")
            text = f"window closed, opens at {coming.opens_local}"
            return WindowStatus(open=False, until=coming.opens.isoformat(timespec="milliseconds"), text=text)
        local = next((one.closes_local for one in self.found if one.closes == end), "")
        by_hand = "" if local else ", by hand"
        text = f"window open until {local or end.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S UTC')}{by_hand}"
        return WindowStatus(open=True, until=end.isoformat(timespec="milliseconds"), text=text)
