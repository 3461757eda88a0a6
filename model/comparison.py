"""The cloud before a run and after it, side by side: versions, guests, and what the APIs offer.

Both sides come from an independent read of the cloud, as JSON; a side may be missing when the run ended early.
"""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from model.base import JsonObject, Record
from model.status import Report

Side = Mapping[str, Any]


class VersionRow(Record):
    """A unit on a host, before and after; ``after`` is None when nobody has read it since."""

    host: str
    unit: str
    before: str
    after: str | None

    @property
    def changed(self) -> bool:
        """Whether another version runs now."""
        return self.after not in (None, self.before)


class HostVersions(Record):
    """The units of a host, before and after."""

    host: str
    rows: tuple[VersionRow, ...]


class GuestRow(Record):
    """A guest, before and after; ``trouble`` says what is wrong with it, if anything is."""

    name: str
    id: str
    before: str
    after: str
    trouble: str = ""

    @property
    def moved(self) -> bool:
        """Whether it is on another host now."""
        return self.before != self.after


class ApiRow(Record):
    """A version of an API with its microversions, before and after; empty where it is not offered."""

    api: str
    version: str
    before: str
    after: str

    @property
    def lost(self) -> bool:
        """Whether users have lost it."""
        return bool(self.before) and not self.after


def version_rows(report: Report) -> tuple[VersionRow, ...]:
    """Return what ran where, before and after, in the order of the run's hosts."""
    before, after = _table(report.before, "running"), _table(report.after, "running")
    names = {(host, unit) for table in (before, after) for host in table for unit in table[host]}
    order = {host.host: place for place, host in enumerate(report.status.hosts)}
    return tuple(
        VersionRow(
            host=host,
            unit=unit,
            before=str(before.get(host, {}).get(unit) or "down"),
            after=str(after.get(host, {}).get(unit) or "down") if after else None,
        )
        for host, unit in sorted(names, key=lambda name: (order.get(name[0], len(order)), name))
    )


def by_host(rows: tuple[VersionRow, ...]) -> tuple[HostVersions, ...]:
    """Return the rows of each host together."""
    return tuple(HostVersions(host=host, rows=tuple(own)) for host, own in groupby(rows, key=lambda row: row.host))


def guest_counts(side: Side) -> int | None:
    """Return how many guests there were; None when nobody has counted."""
    counts = side.get("counts")
    if isinstance(counts, dict) and isinstance(counts.get("guests"), int):
        return int(counts["guests"])
    return len(_guests(side)) if "guests" in side else None


def guest_rows(report: Report) -> tuple[GuestRow, ...]:
    """Return what became of each guest that was there before; empty where a side does not list them all."""
    before, after = _guests(report.before), _guests(report.after)
    for side, listed in ((report.before, before), (report.after, after)):
        if guest_counts(side) != len(listed):
            return ()
    return tuple(_guest_row(id_, guest, after.get(id_)) for id_, guest in before.items())


def api_rows(report: Report) -> tuple[ApiRow, ...]:
    """Return what each API offers, before and after; empty before both sides have been read."""
    before, after = _table(report.before, "apis"), _table(report.after, "apis")
    if not before or not after:
        return ()
    names = dict.fromkeys((api, version) for table in (before, after) for api in table for version in table[api])
    return tuple(
        ApiRow(
            api=api,
            version=version,
            before=_offered(before, api, version),
            after=_offered(after, api, version),
        )
        for api, version in names
    )


def _offered(table: Mapping[str, JsonObject], api: str, version: str) -> str:
    """Name the microversions of a version; one that has none is just offered."""
    versions = table.get(api, {})
    return str(versions[version] or "offered") if version in versions else ""


def _table(side: Side, key: str) -> dict[str, JsonObject]:
    found = side.get(key)
    return {name: row for name, row in found.items() if isinstance(row, dict)} if isinstance(found, dict) else {}


def _guests(side: Side) -> dict[str, Side]:
    guests = side.get("guests")
    entries = guests if isinstance(guests, list) else []
    return {str(entry["id"]): entry for entry in entries if isinstance(entry, dict) and "id" in entry}


def _guest_row(id_: str, before: Side, after: Side | None) -> GuestRow:
    name, home = str(before.get("name") or id_), str(before.get("host") or "none")
    if after is None:
        return GuestRow(name=name, id=id_, before=home, after="gone", trouble="it is not there any more")
    trouble = ""
    if after.get("status") != before.get("status"):
        trouble = f"was {before.get('status')}, is {after.get('status')}"
    return GuestRow(name=name, id=id_, before=home, after=str(after.get("host") or "none"), trouble=trouble)
