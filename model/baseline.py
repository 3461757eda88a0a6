"""What must be the same after an upgrade, and what differs: pure comparisons of a cloud before and after."""

from collections.abc import Iterable, Mapping

from pydantic import Field

from model.base import JsonObject, Record
from model.components import components_on
from model.inventory import Inventory
from model.work import GuestFacts, ServiceRecord

Running = Mapping[str, Mapping[str, str | None]]


class Baseline(Record):
    """A cloud as it was at one moment.

    Attributes:
        taken: when, ISO 8601 in UTC.
        guests: every server of every tenant.
        services: nova's list of services.
        running: the version that each unit of each host ran from.
        started: when each unit was last started, in its host's words.
        apis: for each API its versions, with the least and greatest microversion.
        schemas: the revisions of each database schema.
        objects: by service, the version of each kind of object that its old code knows (``model.nova_objects``).
    """

    taken: str
    guests: tuple[GuestFacts, ...] = ()
    services: tuple[ServiceRecord, ...] = ()
    running: dict[str, dict[str, str | None]] = Field(default_factory=dict)
    started: dict[str, dict[str, str]] = Field(default_factory=dict)
    apis: dict[str, dict[str, str]] = Field(default_factory=dict)
    schemas: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    objects: dict[str, dict[str, str]] = Field(default_factory=dict)


def find_wrong_versions(running: Running, inventory: Inventory, versions: Mapping[str, str]) -> list[str]:
    """Describe every unit that does not run, or not from its service's version."""
    problems = []
    for host in inventory.hosts:
        for component in components_on(inventory, host):
            want, found = versions.get(component.service), running.get(host, {}).get(component.unit)
            if found is None:
                problems.append(f"{component.unit} on {host} is not running")
            elif want is not None and found != want:
                problems.append(f"{component.unit} on {host} runs from {found}, not from {want}")
    return problems


def find_down_services(services: Iterable[ServiceRecord]) -> list[str]:
    """Describe every service that nova counts as down."""
    return [f"nova counts {row.binary} on {row.host} as {row.state}" for row in services if row.state != "up"]


def find_newly_disabled(before: Iterable[ServiceRecord], after: Iterable[ServiceRecord]) -> list[str]:
    """Describe every service that is disabled now and was not before."""
    was = {(row.binary, row.host) for row in before if row.status == "disabled"}
    return [
        f"{row.binary} on {row.host} is disabled now ({row.disabled_reason or 'no reason given'})"
        for row in after
        if row.status == "disabled" and (row.binary, row.host) not in was
    ]


def find_missing(before: Iterable[GuestFacts], after: Iterable[GuestFacts]) -> tuple[GuestFacts, ...]:
    """Return the guests that were there before and are not now: deleted by their owner, or lost."""
    present = {guest.id for guest in after}
    return tuple(guest for guest in before if guest.id not in present)


def find_broken(before: Iterable[GuestFacts], after: Iterable[GuestFacts]) -> tuple[GuestFacts, ...]:
    """Return the guests that are in ERROR now and were not before; guests made since then are left out."""
    well = {guest.id for guest in before if guest.status != "ERROR"}
    return tuple(guest for guest in after if guest.status == "ERROR" and guest.id in well)


def summarise_versions(document: JsonObject) -> dict[str, str]:
    """Return what an API's version document promises: each version with its microversions, by its id.

    Keystone nests its list one level deeper than the others; glance gives no microversions, only the status.
    """
    versions = document.get("versions") or document.get("version") or []
    rows = versions.get("values", [versions]) if isinstance(versions, dict) else versions
    found = {}
    for row in rows:
        least, greatest = row.get("min_version") or "", row.get("max_version") or row.get("version") or ""
        found[str(row["id"])] = f"{least} to {greatest}" if greatest else str(row.get("status", ""))
    return found
