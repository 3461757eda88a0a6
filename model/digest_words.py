"""Differences of two digests as people read them: lines, and the parts of a sentence."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from model.digest import Difference, Digest, Kind, Section, as_object
from model.words import count, listed

# How things are called, by section and key.
Namer = Callable[[Section, str], str]


def namer(*digests: Digest) -> Namer:
    """Return how guests and images are called that one of these digests has: by name and id."""

    def name(section: Section, id_: str) -> str:
        for digest in digests:
            if section in {Section.GUESTS, Section.PLACES, Section.ALLOCATIONS} and id_ in digest.guests:
                return f"{digest.guests[id_].name} ({id_})"
            if section is Section.IMAGES and id_ in digest.images:
                return f"{digest.images[id_].get('name')} ({id_})"
        return id_

    return name


def describe(found: Iterable[Difference], name: Namer) -> list[str]:
    """Describe what must not differ in lines for people: what is alike on several hosts is told once."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for difference in found:
        subject, rest = _split(difference)
        subject = name(difference.section, subject)
        key = (difference.section.value, " ".join(rest), _change(difference))
        groups.setdefault(key, []).append(subject)
    return [
        " ".join(part for part in (section, listed([s for s in subjects if s]), rest) if part) + f": {change}"
        for (section, rest, change), subjects in groups.items()
    ]


def _split(difference: Difference) -> tuple[str, tuple[str, ...]]:
    """Return a difference's subject, which often several have in common, and the rest of its path."""
    path = difference.path
    place = {
        Section.SERVICES: 1,
        Section.BALANCER: 2,
        Section.ALLOCATIONS: 1,
        Section.IDENTITY: 1,
        Section.CATALOG: 1,
    }.get(difference.section, 0)
    if place >= len(path):
        return "", path
    return path[place], (*path[:place], *path[place + 1 :])


def _change(difference: Difference) -> str:
    match difference.kind:
        case Kind.ADDED:
            return f"should not be there ({brief(difference.after)})"
        case Kind.REMOVED:
            return f"is gone ({brief(difference.before)})"
    return f"{short(difference.after)}, should be {short(difference.before)}"


def place(difference: Difference, name: Namer) -> str:
    """Return where a difference is, within its section."""
    return " ".join(name(difference.section, key) for key in difference.path)


def brief(value: Any) -> str:
    """Write what was added or is gone: of what has a name or a state of its own, only that."""
    row = as_object(value)
    known = [str(row[key]) for key in ("name", "status", "type", "url") if row.get(key)]
    return " ".join(known) or short(value)


def short(value: Any) -> str:
    """Write a value of a digest in a few words."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {short(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return " and ".join(map(str, value)) or "nothing"
    return "nothing" if value is None else str(value)


def users_summary(found: Sequence[Difference]) -> list[str]:
    """Say what users have made, deleted and changed."""
    made = [d for d in found if d.kind is Kind.ADDED]
    gone = [d for d in found if d.kind is Kind.REMOVED]
    changed = {(d.section, d.path[:1] if d.section is not Section.IDENTITY else d.path[:2]) for d in found} - {
        (d.section, d.path[:1] if d.section is not Section.IDENTITY else d.path[:2]) for d in (*made, *gone)
    }
    parts = []
    if text := _counted(_noun(d.section, d.path) for d in made):
        parts.append(f"{text} made since {'is' if len(made) == 1 else 'are'} kept{_in_error(made)}")
    if text := _counted(_noun(d.section, d.path) for d in gone):
        parts.append(f"{text} deleted since")
    if text := _counted(_noun(section, path) for section, path in changed if section is not Section.ALLOCATIONS):
        parts.append(f"{text} changed by users")
    return parts


def _in_error(made: Iterable[Difference]) -> str:
    broken = [d for d in made if d.section is Section.GUESTS and as_object(d.after).get("status") == "ERROR"]
    return f" ({len(broken)} in ERROR)" if broken else ""


def tolerated_summary(found: Iterable[Difference]) -> list[str]:
    """Say what is different and may be so."""
    schemas = [d.path[0] for d in found if d.section is Section.SCHEMAS]
    moved = sum(d.section is Section.PLACES for d in found)
    parts = []
    if schemas:
        parts.append(f"schema{_s(schemas)} of {listed(schemas)} {'stay' if len(schemas) > 1 else 'stays'} expanded")
    if moved:
        parts.append(f"{count(moved, 'guest')} {'are on other hosts' if moved > 1 else 'is on another host'}")
    return parts


def _s(several: Sequence[object]) -> str:
    return "s" if len(several) > 1 else ""


def _noun(section: Section, path: Sequence[str]) -> str:
    if section is Section.IDENTITY:
        return {"members": "group membership"}.get(path[0], path[0].removesuffix("s"))
    if section is Section.ALLOCATIONS:
        return {"orphans": "orphan allocation", "migrations": "migration"}.get(path[0], "allocation")
    return {Section.GUESTS: "server", Section.IMAGES: "image"}.get(section, section.value)


def _counted(nouns: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for noun in nouns:
        counts[noun] = counts.get(noun, 0) + 1
    return ", ".join(count(number, noun) for noun, number in counts.items())
