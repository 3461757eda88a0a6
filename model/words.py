"""Numbers and times as people read them; one way for the terminal, the plan and the report."""

from collections.abc import Iterable
from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def duration(seconds: float) -> str:
    """Write seconds as ``0.4 s``, ``25 s``, ``3:20 min``, ``2:05 h`` or ``1 d 4 h``."""
    seconds = max(seconds, 0.0)
    if seconds < 9.95 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02} min"
    if whole < _DAY:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02} h"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def milliseconds(seconds: float) -> str:
    """Write a response time: milliseconds below a second, seconds above."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def count(number: int, noun: str, plural: str = "") -> str:
    """Write ``1 step``, ``5 steps``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(every: Iterable[str], most: int = 5) -> str:
    """Write names, a long list cut short: ``cmp1, cmp2, cmp3, cmp4, cmp5 and 7 more``."""
    names = list(every)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def moment(text: str | None) -> datetime | None:
    """Read an ISO 8601 time; without an offset it is UTC. None, where there is none or it cannot be read."""
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Return the seconds from one ISO 8601 time to another; None when either is missing."""
    first, last = moment(start), moment(end)
    return (last - first).total_seconds() if first and last else None


def elapsed(start: str | None, end: str | None) -> str:
    """Write the time between two ISO 8601 times; empty when either is missing."""
    seconds = seconds_between(start, end)
    return "" if seconds is None else duration(seconds)


def clock(text: str | None, *, date: bool = False) -> str:
    """Write an ISO 8601 time as ``09:12:07`` in UTC, with the date where asked."""
    parsed = moment(text)
    return parsed.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S") if parsed else ""
