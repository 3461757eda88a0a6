"""Differences of contracts as people read them: what is the same at several microversions is told once."""

from collections.abc import Iterable

from model.base import Record
from model.contract_diff import Difference


class Told(Record):
    """A difference: where, what, and at which microversions."""

    place: str
    text: str
    at: str = ""


def told(differences: Iterable[Difference]) -> tuple[Told, ...]:
    """Return the differences in lines for people."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in differences:
        place, _, version = one.name.rpartition("@") if "@" in one.name else (one.name, "", "")
        found.setdefault((place, one.text), []).extend([version] if version else [])
    return tuple(Told(place=place, text=text, at=" ".join(versions)) for (place, text), versions in found.items())
