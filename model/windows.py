"""Maintenance windows: when work may begin, and when it must be over.

A window is said in the wall-clock time of a zone, on days of the week, and never on a holiday. Whatever the zone's
clocks do in a night, at every moment of a window they show a time that was said.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Annotated, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from model.base import Record
from model.durations import Seconds
from model.wallclock import Days, TimeOfDay, day_numbers, local_text, moments_of, seconds_of_day

# Days that are looked at for a window to open; whoever closes longer than that wants no window.
HORIZON = 400
# Of what was looked up at a time: enough for weeks of nights, little enough for a history.
MOST_FOUND = 60
_DAY = timedelta(days=1)


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
        between = moments_of(opens, closes, zone)
        if between[0] < between[1]:
            yield between


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
