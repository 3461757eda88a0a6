"""The state digest: what a cloud is at one moment, as one canonical document, its hashes, and what differs in two.

Only what lasts is in it: no times, no ids of processes, nothing that changes by itself. So two digests of a cloud that
nobody has touched are the same, byte by byte. ``model.verdict`` judges the differences.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from pydantic import Field, ValidationError

from model.base import JsonObject, Record
from model.words import count

FORMAT = 1
_HASH_LENGTH = 16

Row = dict[str, str | int | bool | None]
Table = dict[str, Row]


class DigestError(ValueError):
    """What should be a digest is none, or is not what was written; or two digests cannot be compared."""


class Section(StrEnum):
    """The parts of a digest, each with a hash of its own."""

    PACKAGES = "packages"
    PROCESSES = "processes"
    SERVICES = "services"
    BALANCER = "balancer"
    APIS = "apis"
    CATALOG = "catalog"
    SCHEMAS = "schemas"
    GUESTS = "guests"
    PLACES = "places"
    ALLOCATIONS = "allocations"
    IMAGES = "images"
    IDENTITY = "identity"


# Whatever users do, these are the same before an upgrade and after its rollback.
SYSTEM = (
    Section.PACKAGES,
    Section.PROCESSES,
    Section.SERVICES,
    Section.BALANCER,
    Section.APIS,
    Section.CATALOG,
)
# The old release runs on the expanded schema, and guests move when hosts are drained.
TOLERATED = (Section.SCHEMAS, Section.PLACES)


class Package(Record):
    """A service on a host: the version that units start from, and every one that is there (``(in part)``: a torso)."""

    active: str | None = None
    installed: tuple[str, ...] = ()


class Process(Record):
    """A unit on a host: systemd's word for it, and the version whose files its processes really run from."""

    state: str
    version: str | None = None


class ServiceState(Record):
    """A record of nova's services. All but ``version`` are None for API services, which nova does not list."""

    version: int | None = None
    state: str | None = None
    status: str | None = None
    reason: str | None = None
    forced_down: bool | None = None


class Balancer(Record):
    """The load balancer: each instance of each backend (``up``, ``drain``, ``maint``, ``down``), and held frontends."""

    servers: dict[str, dict[str, str]] = {}
    holds: tuple[str, ...] = ()


class GuestState(Record):
    """A server: everything about it but where it is."""

    name: str = ""
    project: str = ""
    status: str = ""
    vm_state: str | None = None
    task_state: str | None = None
    power_state: int | None = None
    flavor: str = ""
    image: str | None = None

    @property
    def busy(self) -> bool:
        """Whether nova is working on it."""
        return self.task_state is not None or self.status in {"BUILD", "MIGRATING"}


class Allocation(Record):
    """What placement holds for a server, and whether all of it is on the server's own host."""

    resources: dict[str, int] = {}
    home: bool = True


class Allocations(Record):
    """What placement holds: for servers by id, and for nobody; and the migrations that nova counts as going on."""

    guests: dict[str, Allocation] = {}
    orphans: dict[str, dict[str, int]] = {}
    migrations: dict[str, str] = {}


class Digest(Record):
    """The state of a cloud.

    Attributes:
        packages: by host and service.
        processes: by host and unit.
        services: nova's service records by binary and host.
        apis: by API, each version that it offers with its microversions.
        catalog: keystone's ``regions``, ``services`` and ``endpoints``.
        schemas: the revisions of each database schema.
        guests: by id.
        places: the host of each guest by the guest's id.
        images: by id.
        identity: keystone's ``domains``, ``projects``, ``users``, ``groups``, ``members``, ``roles`` and
            ``assignments``; never a password.
        unread: what could not be read (a section, or ``section/host``), and why.
    """

    cloud: str
    packages: dict[str, dict[str, Package]] = {}
    processes: dict[str, dict[str, Process]] = {}
    services: dict[str, dict[str, ServiceState]] = {}
    balancer: Balancer = Balancer()
    apis: dict[str, dict[str, str]] = {}
    catalog: dict[str, Table] = {}
    schemas: dict[str, tuple[str, ...]] = {}
    guests: dict[str, GuestState] = {}
    places: dict[str, str | None] = {}
    allocations: Allocations = Allocations()
    images: Table = {}
    identity: dict[str, Table] = {}
    unread: dict[str, str] = Field(default_factory=dict)

    @cached_property
    def sections(self) -> dict[str, Any]:
        """Every section as plain data."""
        content = self.model_dump(mode="json")
        return {section: content[section] for section in Section}

    @cached_property
    def section_hashes(self) -> dict[str, str]:
        """The hash of each section; what could not be read counts, why it could not does not."""
        return {section: _hash([self.sections[section], self.unread_of(section)]) for section in Section}

    @property
    def hash(self) -> str:
        """The hash of everything."""
        return self._hash_of(*Section)

    @property
    def state_hash(self) -> str:
        """The hash of everything but what a rollback may leave different: schemas, and where the guests are."""
        return self._hash_of(*(section for section in Section if section not in TOLERATED))

    @property
    def system_hash(self) -> str:
        """The hash of what users have no part in."""
        return self._hash_of(*SYSTEM)

    @property
    def hashes(self) -> dict[str, str]:
        """All three."""
        return {"hash": self.hash, "state_hash": self.state_hash, "system_hash": self.system_hash}

    def unread_of(self, section: str) -> list[str]:
        """Return what could not be read of a section: the section's own name for all of it, or hosts."""
        return sorted(
            name.removeprefix(f"{section}/")
            for name in self.unread
            if name == section or name.startswith(f"{section}/")
        )

    def has(self, section: str, name: str) -> bool:
        """Tell whether an entry of a section could be read."""
        return section not in self.unread and f"{section}/{name}" not in self.unread

    def to_json(self) -> str:
        """Return the document as it is written to files: the same state is the same text."""
        document = {
            "stackroll_digest": FORMAT,
            "cloud": self.cloud,
            **self.hashes,
            "section_hashes": self.section_hashes,
            "unread": self.unread,
            "sections": self.sections,
        }
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a document back.

        Raises:
            DigestError: it is none, is of another format, or its content is not what its hash was made from.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise DigestError(f"no JSON: {error}") from None
        if not isinstance(document, dict) or "stackroll_digest" not in document:
            raise DigestError("JSON, but no digest: `stackroll digest FILE -o` writes one")
        if document["stackroll_digest"] != FORMAT:
            raise DigestError(f"a digest of format {document['stackroll_digest']!r}; this stackroll reads {FORMAT}")
        try:
            found = cls.model_validate(
                {**document["sections"], "cloud": document["cloud"], "unread": document["unread"]}
            )
        except (KeyError, TypeError, ValidationError) as error:
            raise DigestError(f"a digest that is damaged: {_brief(error)}") from None
        if found.hash != document.get("hash"):
            raise DigestError(f"a digest that was changed: its content has the hash {found.hash}")
        return found

    def counts(self) -> dict[str, str]:
        """Say for each section how much there is."""
        services = [state for hosts in self.services.values() for state in hosts.values()]
        servers = [state for names in self.balancer.servers.values() for state in names.values()]
        disabled = sum(state.status == "disabled" for state in services)
        kinds = ("project", "user", "assignment")
        return {
            Section.PACKAGES: _spread(self.packages, "service"),
            Section.PROCESSES: _spread(self.processes, "unit"),
            Section.SERVICES: count(len(services), "record") + (f", {disabled} disabled" if disabled else ""),
            Section.BALANCER: f"{sum(state == 'up' for state in servers)} of {count(len(servers), 'instance')} up",
            Section.APIS: count(len(self.apis), "API"),
            Section.CATALOG: count(len(self.catalog.get("endpoints", {})), "endpoint"),
            Section.SCHEMAS: count(len(self.schemas), "schema"),
            Section.GUESTS: count(len(self.guests), "guest"),
            Section.PLACES: f"on {count(len(set(self.places.values()) - {None}), 'host')}",
            Section.ALLOCATIONS: f"{count(len(self.allocations.guests), 'guest')}, "
            f"{count(len(self.allocations.orphans), 'orphan')}, "
            f"{count(len(self.allocations.migrations), 'migration')} going on",
            Section.IMAGES: count(len(self.images), "image"),
            Section.IDENTITY: ", ".join(count(len(self.identity.get(f"{kind}s", {})), kind) for kind in kinds),
        }

    def _hash_of(self, *sections: Section) -> str:
        return _hash({section: self.section_hashes[section] for section in sections})


class Kind(StrEnum):
    """How something differs."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Difference(Record):
    """One thing that is not the same in two digests: where it is, and what it is on either side."""

    section: Section
    path: tuple[str, ...]
    kind: Kind
    before: Any = None
    after: Any = None


def differences(before: Digest, after: Digest) -> tuple[Difference, ...]:
    """Return everything that differs, in the order of the sections; what either side could not read is left out.

    Raises:
        DigestError: these are digests of two clouds.
    """
    if before.cloud != after.cloud:
        raise DigestError(f"these are digests of two clouds, {before.cloud} and {after.cloud}")
    found: list[Difference] = []
    for section in Section:
        if before.section_hashes[section] == after.section_hashes[section]:
            continue
        for difference in _walk(section, (), before.sections[section], after.sections[section]):
            top = difference.path[0] if difference.path else ""
            if before.has(section, top) and after.has(section, top):
                found.append(difference)
    return tuple(found)


def _walk(section: Section, path: tuple[str, ...], before: Any, after: Any) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            here = (*path, key)
            if key not in before:
                yield Difference(section=section, path=here, kind=Kind.ADDED, after=after[key])
            elif key not in after:
                yield Difference(section=section, path=here, kind=Kind.REMOVED, before=before[key])
            else:
                yield from _walk(section, here, before[key], after[key])
    elif before != after:
        yield Difference(section=section, path=path, kind=Kind.CHANGED, before=before, after=after)


def _spread(table: Mapping[str, Mapping[str, Any]], noun: str) -> str:
    return f"{count(sum(map(len, table.values())), noun)} on {count(len(table), 'host')}"


def _hash(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_HASH_LENGTH]


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


def as_object(value: Any) -> JsonObject:
    """Return a value of a difference as an object, to look into; an empty one where it is none."""
    return value if isinstance(value, dict) else {}
