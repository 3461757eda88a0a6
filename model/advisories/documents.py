"""What advisories say: OpenStack's own (OSSA, YAML) and those of the OSV database (JSON), as one kind of record.

Sources: openstack/ossa ``ossa/*.yaml``; https://ossf.github.io/osv-schema/ (version 1.7).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from packaging.utils import canonicalize_name

from model.advisories.ranges import Interval, Ranges, UnreadableRangeError, read_ranges
from model.base import Record
from model.components import find_distribution

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\Z")
_SERIES = re.compile(r"\s*(?:,|/|\band\b|&)\s*")
_OSV_ORDERED = ("ECOSYSTEM", "SEMVER")


class AdvisoryError(ValueError):
    """A document that is no advisory; ``key`` is where, and the text says what would be right."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


class Affected(Record):
    """What an advisory says of one product.

    Attributes:
        product: the name of the distribution on the package index, in its canonical form; as the advisory has it,
            where that is no such name.
        text: the versions as the advisory writes them.
        ranges: what they mean; None when that is not understood.
        why: what is not understood.
    """

    product: str
    text: str = ""
    ranges: Ranges | None = None
    why: str = ""


class Advisory(Record):
    """A security advisory.

    Attributes:
        id: such as ``OSSA-2026-002``.
        cves: the numbers under which others know it.
        withdrawn: whether it was taken back.
        source: the file.
    """

    id: str
    title: str = ""
    date: str = ""
    cves: tuple[str, ...] = ()
    affected: tuple[Affected, ...] = ()
    withdrawn: bool = False
    source: str = ""


def read_advisory(document: Mapping[str, Any], source: str = "") -> Advisory:
    """Return the advisory that a document of either kind is.

    Raises:
        AdvisoryError: it is neither, or lacks what every advisory has.
    """
    id_ = document.get("id")
    if not isinstance(id_, str) or not id_.strip():
        raise AdvisoryError("id", "id: an advisory has one, such as OSSA-2026-002")
    if "affected-products" in document or "affects" in document or id_.startswith("OSSA-"):
        return _read_ossa(document, id_.strip(), source)
    if isinstance(document.get("affected"), list) or "schema_version" in document:
        return _read_osv(document, id_.strip(), source)
    raise AdvisoryError(
        "id", f"{id_}: neither an OSSA (it has `affected-products`) nor an OSV document (it has `affected`)"
    )


# OSSA


def _read_ossa(document: Mapping[str, Any], id_: str, source: str) -> Advisory:
    key = "affected-products" if "affected-products" in document else "affects"
    cves = [str(one.get("cve-id", "")) for one in _list(document.get("vulnerabilities")) if isinstance(one, Mapping)]
    return Advisory(
        id=id_,
        title=" ".join(str(document.get("title") or "").split()),
        date=str(document.get("date") or ""),
        cves=tuple(cve for cve in cves if cve),
        affected=tuple(_ossa_affected(document.get(key), key)),
        source=source,
    )


def _ossa_affected(content: object, key: str) -> Iterable[Affected]:
    if isinstance(content, Mapping):
        content = [{"product": product, "version": text} for product, text in content.items()]
    if not _list(content):
        yield Affected(product="", why=f"`{key}` names no product")
        return
    for entry in _list(content):
        if not isinstance(entry, Mapping) or not entry.get("product"):
            yield Affected(product="", text=str(entry), why=f"an entry of `{key}` has no `product`")
            continue
        yield from _ossa_entry(str(entry["product"]), _as_text(entry.get("version", entry.get("versions"))))


def _ossa_entry(product: str, text: str) -> Iterable[Affected]:
    names = [name for name in _SERIES.split(product.strip()) if name]
    if len(names) == 1:
        yield _affected(names[0], text)
        return
    # ``Cinder, Glance`` with ``Cinder <19.1.2, ==21.0.0; Glance <23.0.1``: each text names its product.
    told = {}
    for segment in text.split(";"):
        name, _, rest = segment.strip().partition(" ")
        told[name.lower()] = rest
    for name in names:
        own = told.get(name.lower())
        if own is None:
            yield Affected(product=canonical(name), text=text, why=f"{text!r} does not say which versions of {name}")
        else:
            yield _affected(name, own)


def _affected(product: str, text: str) -> Affected:
    name = canonical(product)
    try:
        return Affected(product=name, text=text, ranges=read_ranges(text))
    except UnreadableRangeError as error:
        return Affected(product=name, text=text, why=str(error))


def canonical(product: str) -> str:
    """Return the name that the package index has for a product: ``OpenStack Compute (nova)`` is nova."""
    plain = " ".join(product.lower().split())
    if found := re.search(r"\(([a-z0-9._-]+)\)\Z", plain):
        plain = found[1]
    plain = re.sub(r"\s*\(.*\)\Z", "", plain).removeprefix("openstack ")
    dashed = plain.replace(" ", "-")
    return find_distribution(str(canonicalize_name(dashed))) if _NAME.match(dashed) else product.strip()


def _as_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return "" if value is None else str(value)


# OSV


def _read_osv(document: Mapping[str, Any], id_: str, source: str) -> Advisory:
    aliases = [str(alias) for alias in _list(document.get("aliases"))]
    summary = document.get("summary") or str(document.get("details") or "").strip().partition("\n")[0]
    affected = [_osv_affected(one) for one in _list(document.get("affected")) if isinstance(one, Mapping)]
    return Advisory(
        id=id_,
        title=" ".join(str(summary).split()),
        date=str(document.get("published") or document.get("modified") or "")[:10],
        cves=tuple(alias for alias in aliases if alias.startswith("CVE-")),
        affected=tuple(affected) or (Affected(product="", why="`affected` names no package"),),
        withdrawn=bool(document.get("withdrawn")),
        source=source,
    )


def _osv_affected(entry: Mapping[str, Any]) -> Affected:
    package = entry.get("package")
    known = package if isinstance(package, Mapping) else {}
    name, ecosystem = str(known.get("name") or ""), str(known.get("ecosystem") or "")
    if not name:
        return Affected(product="", why="an entry of `affected` has no package with a name")
    if ecosystem and ecosystem.partition(":")[0] != "PyPI":
        return Affected(product=f"{name} ({ecosystem})", why=f"packages of {ecosystem} are not read on the hosts")
    intervals = [Interval(low=str(v), high=str(v)) for v in _list(entry.get("versions"))]
    unread = []
    for one in _list(entry.get("ranges")):
        if not isinstance(one, Mapping) or one.get("type") not in _OSV_ORDERED:
            unread.append(str(one.get("type") if isinstance(one, Mapping) else one))
            continue
        intervals += _osv_intervals(_list(one.get("events")))
    product = find_distribution(str(canonicalize_name(name)))
    if not intervals:
        kinds = f"only ranges of type {', '.join(unread)}" if unread else "neither ranges nor versions"
        return Affected(product=product, why=f"it has {kinds}")
    try:
        ranges = read_ranges(", ".join(interval.text for interval in intervals))
    except UnreadableRangeError as error:
        return Affected(product=product, why=str(error))
    return Affected(product=product, text=ranges.text, ranges=Ranges(intervals=tuple(dict.fromkeys(intervals))))


def _osv_intervals(events: list[Any]) -> Iterable[Interval]:
    """Events come in the order of versions: introduced, then fixed or last_affected, perhaps several times."""
    low: str | None = None
    begun = False
    for event in events:
        if not isinstance(event, Mapping):
            continue
        if "introduced" in event:
            begun, start = True, str(event["introduced"])
            low = None if start == "0" else start
        elif "fixed" in event or "limit" in event:
            yield Interval(low=low, high=str(event.get("fixed", event.get("limit"))), high_open=True)
            begun = False
        elif "last_affected" in event:
            yield Interval(low=low, high=str(event["last_affected"]))
            begun = False
    if begun:
        yield Interval(low=low)


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
