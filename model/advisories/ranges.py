"""Version ranges as advisories write them: ``'<26.0.1, ==27.0.0'`` and its many spellings, and some prose.

A comma parts alternatives, a blank joins conditions. What is not understood is never taken for "not affected":
``read_ranges`` refuses it, and says what it did not understand.

Source: openstack/ossa ``ossa/*.yaml`` (``affected-products``), 2011 to 2026. Compared by PEP 440, but cautiously: a
build from before a fixed version (``31.2.1.dev5``, ``31.2.1rc1``) lacks the fix, and a vendor's ``+local`` part is left
out of the comparison.
"""

import re
from enum import StrEnum

from packaging.version import InvalidVersion, Version

from model.base import Record

_NUMBER = r"v?\d+(?:\.\d+)*(?:\.(?:\*|x))?(?:[.-]?(?:a|b|rc|dev|post)\.?\d+)*"
_VERSION = re.compile(rf"{_NUMBER}\Z")
_CONDITION = re.compile(rf"\s*(?P<sign>>=|=>|<=|=<|===?|=|<|>)?\s*(?P<version>{_NUMBER})(?![\w.])\s*")
_EVERYTHING = {"*", "all", "all versions", "all releases", "any", "any version", "every version"}
# Prose that stands for a sign, in the order in which it is looked for.
_PROSE = (
    (rf"\bbetween\s+({_NUMBER})\s+and\s+({_NUMBER})", r">=\1 <=\2"),
    (rf"\b({_NUMBER})\s+(?:to|through|until|-|\u2013)\s+({_NUMBER})", r">=\1 <=\2"),
    (rf"\b({_NUMBER})\s*(?:and|or)\s+(?:earlier|older|below|lower|before)\b", r"<=\1"),
    (rf"\b({_NUMBER})\s*(?:and|or)\s+(?:later|newer|above|higher|up)\b", r">=\1"),
    (r"\b(?:up\s+to\s+and\s+including|up\s+to|through|until|at\s+most)\s+(?=v?\d)", "<="),
    (r"\b(?:before|prior\s+to|earlier\s+than|older\s+than|lower\s+than|less\s+than|below)\s+(?=v?\d)", "<"),
    (r"\b(?:later\s+than|newer\s+than|after)\s+(?=v?\d)", ">"),
    (r"\b(?:since|starting\s+(?:with|from)|from|at\s+least)\s+(?=v?\d)", ">="),
)
_FILLERS = re.compile(r"\b(?:versions?|releases?)\b")


class UnreadableRangeError(ValueError):
    """A text that is no version range that is understood."""


class Place(StrEnum):
    """Where a version lies."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"


class Interval(Record):
    """Versions from ``low`` to ``high``; a bound that is missing is none. ``*_open``: the bound itself is outside."""

    low: str | None = None
    high: str | None = None
    low_open: bool = False
    high_open: bool = False

    @property
    def exact(self) -> bool:
        """Whether it is a single version."""
        return self.low is not None and self.low == self.high

    def holds(self, version: Version) -> bool:
        """Tell whether a version lies in it; a build from before a bound counts as it, a later one does not."""
        base = Version(version.base_version)
        if self.exact:
            return base == Version(self.low or "") and not version.is_devrelease
        if self.low is not None and (base < Version(self.low) or (self.low_open and base == Version(self.low))):
            return False
        if self.high is None:
            return True
        high = Version(self.high)
        return version < high if self.high_open else base <= high

    @property
    def text(self) -> str:
        """As advisories write it."""
        if self.exact:
            return f"=={self.low}"
        low = f">{'' if self.low_open else '='}{self.low}" if self.low is not None else ""
        high = f"<{'' if self.high_open else '='}{self.high}" if self.high is not None else ""
        return " ".join(part for part in (low, high) if part) or "all versions"


class Ranges(Record):
    """Which versions are affected: those in any of the intervals."""

    intervals: tuple[Interval, ...]

    def find(self, version: str) -> Interval | None:
        """Return the interval that holds a version; None when none does.

        Raises:
            InvalidVersion: the text is no version.
        """
        parsed = public(version)
        return next((interval for interval in self.intervals if interval.holds(parsed)), None)

    def place(self, version: str) -> Place:
        """Tell whether a version is affected.

        A build between two releases (``27.0.1.dev3``) may have been made before or after the fix, where an advisory
        names single releases only (``==27.0.0``): that is unknown.
        """
        try:
            parsed, found = public(version), self.find(version)
        except InvalidVersion:
            return Place.UNKNOWN
        if found is not None:
            return Place.INSIDE
        named = (Version(one.low or "") for one in self.intervals if one.exact)
        if parsed.is_devrelease and any(one < parsed and one.major == parsed.major for one in named):
            return Place.UNKNOWN
        return Place.OUTSIDE

    @property
    def text(self) -> str:
        """As advisories write it."""
        return ", ".join(interval.text for interval in self.intervals)


def public(version: str) -> Version:
    """Return a version without a vendor's local part.

    Raises:
        InvalidVersion: the text is no version.
    """
    return Version(Version(version).public)


def read_ranges(text: str) -> Ranges:
    """Return the ranges that a text of an advisory means.

    Raises:
        UnreadableRangeError: with what was not understood.
    """
    plain = " ".join(text.lower().split())
    if plain.strip(" .") in _EVERYTHING:
        return Ranges(intervals=(Interval(),))
    plain = re.sub(_FILLERS, " ", plain)
    for pattern, sign in _PROSE:
        plain = re.sub(pattern, sign, plain)
    found: list[Interval] = []
    for piece in re.split(r",|;|\|\||\band\b|\bor\b", plain):
        if piece.strip(" ."):
            for interval in _read_piece(piece, text):
                _append(found, interval)
    if not found:
        raise UnreadableRangeError(f"no version in {text!r}" if text.strip() else "it names no versions")
    return Ranges(intervals=tuple(found))


def _read_piece(piece: str, text: str) -> list[Interval]:
    """Read what stands between two commas: conditions that hold together."""
    found: list[Interval] = []
    place = 0
    while piece[place:].strip(" ."):
        match = _CONDITION.match(piece, place)
        if match is None:
            raise UnreadableRangeError(f"{piece[place:].strip()!r} in {text!r} is not understood")
        condition = _condition(match["sign"] or "==", match["version"].removeprefix("v"))
        joined = _join(found[-1], condition) if found else None
        if joined is not None:
            found[-1] = joined
        else:
            found.append(condition)
        place = match.end()
    return found


def _condition(sign: str, version: str) -> Interval:
    if version.endswith((".*", ".x")):
        return _series(sign, version[:-2])
    match sign:
        case ">=" | "=>":
            return Interval(low=version)
        case ">":
            return Interval(low=version, low_open=True)
        case "<=" | "=<":
            return Interval(high=version)
        case "<":
            return Interval(high=version, high_open=True)
        case _:
            return Interval(low=version, high=version)


def _series(sign: str, prefix: str) -> Interval:
    """``27.*``: every version that begins so."""
    *head, last = prefix.split(".")
    after = ".".join([*head, str(int(last) + 1)])
    match sign:
        case ">=" | "=>":
            return Interval(low=prefix)
        case ">":
            return Interval(low=after)
        case "<=" | "=<":
            return Interval(high=after, high_open=True)
        case "<":
            return Interval(high=prefix, high_open=True)
        case _:
            return Interval(low=prefix, high=after, high_open=True)


def _join(one: Interval, other: Interval) -> Interval | None:
    """Return both bounds as one interval; None where they are not the two ends of one."""
    halves = [half for half in (one, other) if (half.low is None) != (half.high is None)]
    if len(halves) != 2 or (one.low is None) == (other.low is None):
        return None
    low, high = (one, other) if one.low is not None else (other, one)
    if Version(low.low or "") >= Version(high.high or ""):
        return None
    return Interval(low=low.low, low_open=low.low_open, high=high.high, high_open=high.high_open)


def _append(found: list[Interval], interval: Interval) -> None:
    """Add an alternative; ``>=27.0.0, <29.0.1`` (a stray comma, as in OSSA-2025-001) is one, not all versions."""
    last = found[-1] if found else None
    opens = last is not None and last.high is None and last.low is not None
    joined = _join(last, interval) if last is not None and opens and interval.low is None else None
    if joined is not None:
        found[-1] = joined
    else:
        found.append(interval)
