"""Which hosts of a cloud run a version that an advisory says is affected: by what is installed, and by what runs.

A unit is exposed when one of its processes runs an affected version, whatever is installed by now; and also when what
it would start from is affected. What cannot be judged is said to be so: it is never counted as not affected.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

from model.advisories.documents import Advisory, Affected
from model.advisories.notes import Note, notes_of
from model.advisories.ranges import Place, public
from model.advisories.reading import Candidate, CloudReading, Environment, HostReading, ProcessReading, UnitReading
from model.base import Record
from model.components import Component, components_on, find_distribution
from model.inventory import Inventory


class Verdict(StrEnum):
    """What is said of a unit and an advisory."""

    EXPOSED = "exposed"
    UNKNOWN = "cannot judge"
    SAFE = "not affected"


class Finding(Record):
    """What is said of one unit on one host and one product of one advisory.

    Attributes:
        product: the distribution that the advisory is about: the service's own, or a library that it uses.
        installed: its version in the environment from which the unit starts; None when it is not known.
        running: its versions in the environments that the unit's processes run from.
        why: what is behind the verdict, where the versions do not say it.
        fixed_in: the version of the service that mends it, or what is known of one.
    """

    advisory: str
    product: str
    host: str
    service: str
    unit: str
    installed: str | None = None
    running: tuple[str, ...] = ()
    verdict: Verdict
    why: str = ""
    fixed_in: str = ""


class Exposure(Record):
    """The whole account.

    Attributes:
        taken: when the cloud was read, in ISO 8601, UTC.
        advisories: all that were asked about.
        findings: one for each advisory, product, host and unit that the advisory is about.
        elsewhere: ids of advisories about nothing that this cloud has.
        doubts: advisories that cannot be judged at all: the id, and why.
        notes: what else is old on the hosts: kernels, guests' QEMU.
        services: by service, the versions that start or run somewhere.
        unread: hosts that could not be read, and why.
    """

    cloud: str
    release: str
    taken: str
    advisories: tuple[Advisory, ...]
    findings: tuple[Finding, ...] = ()
    elsewhere: tuple[str, ...] = ()
    doubts: dict[str, str] = {}
    notes: tuple[Note, ...] = ()
    services: dict[str, tuple[str, ...]] = {}
    unread: dict[str, str] = {}

    def of(self, verdict: Verdict) -> tuple[Finding, ...]:
        """Return the findings with this verdict."""
        return tuple(finding for finding in self.findings if finding.verdict is verdict)

    @property
    def exposed(self) -> tuple[Finding, ...]:
        """What is exposed."""
        return self.of(Verdict.EXPOSED)

    @property
    def certain(self) -> bool:
        """Whether everything could be judged."""
        return not (self.of(Verdict.UNKNOWN) or self.doubts or self.unread)


def judge_exposure(
    inventory: Inventory, advisories: Sequence[Advisory], reading: CloudReading, *, taken: str
) -> Exposure:
    """Judge every unit of every host by every advisory."""
    current = [advisory for advisory in advisories if not advisory.withdrawn]
    judge = _Judge(inventory, reading)
    findings = tuple(finding for advisory in current for finding in judge.advisory(advisory))
    concerned = {finding.advisory for finding in findings}
    doubts = dict(_doubts(current, inventory))
    unread = {host: one.unread for host, one in reading.hosts.items() if one.unread} | reading.unread
    return Exposure(
        cloud=inventory.cloud,
        release=inventory.release,
        taken=taken,
        advisories=tuple(advisories),
        findings=findings,
        elsewhere=tuple(one.id for one in advisories if one.id not in concerned and one.id not in doubts),
        doubts=doubts,
        notes=tuple(note for host, one in reading.hosts.items() for note in notes_of(host, one)),
        services=_present(inventory, reading),
        unread=unread,
    )


def _present(inventory: Inventory, reading: CloudReading) -> dict[str, tuple[str, ...]]:
    """Return by service the versions from which units start or run."""
    found: dict[str, set[str]] = {}
    for host, one in reading.hosts.items():
        for component in components_on(inventory, host):
            here = found.setdefault(component.service, set())
            here |= {each.version for each in one.environments.get(component.service, ()) if each.active}
            unit = one.units.get(component.unit)
            here |= {version for process in unit.processes for version in process.environments} if unit else set()
    return {service: tuple(sorted(versions)) for service, versions in found.items()}


def products_of(advisories: Iterable[Advisory]) -> tuple[str, ...]:
    """Return the distributions that advisories are about: what has to be looked for on the hosts."""
    return tuple(sorted({one.product for advisory in advisories for one in advisory.affected if one.product}))


def _doubts(advisories: Iterable[Advisory], inventory: Inventory) -> Iterator[tuple[str, str]]:
    """Advisories that name no product, or one that is looked for nowhere because its name is none."""
    for advisory in advisories:
        why = [one.why for one in advisory.affected if one.why and (not one.product or " " in one.product)]
        if not advisory.affected:
            why = ["it names no product"]
        if why and inventory.services:
            yield advisory.id, "; ".join(why)


class _Look(NamedTuple):
    """A version of a product that was found, and where it lies by the advisory."""

    version: str | None
    place: Place
    why: str = ""


class _Judge:
    def __init__(self, inventory: Inventory, reading: CloudReading) -> None:
        self._inventory, self._reading = inventory, reading

    def advisory(self, advisory: Advisory) -> Iterator[Finding]:
        for affected in advisory.affected:
            for host, reading in self._reading.hosts.items():
                for component in components_on(self._inventory, host):
                    finding = self._unit(advisory, affected, host, reading, component)
                    if finding is not None:
                        yield finding

    def _unit(
        self, advisory: Advisory, affected: Affected, host: str, reading: HostReading, component: Component
    ) -> Finding | None:
        own = find_distribution(component.service) == affected.product

        def finding(verdict: Verdict, why: str, installed: _Look | None = None, *ran: _Look) -> Finding:
            version = installed.version if installed else None
            running = tuple(dict.fromkeys(look.version for look in ran if look.version))
            worst = next((look.version for look in (*ran, installed) if look and look.place is Place.INSIDE), None)
            return Finding(
                advisory=advisory.id,
                product=affected.product,
                host=host,
                service=component.service,
                unit=component.unit,
                installed=version,
                running=running,
                verdict=verdict,
                why=why,
                fixed_in=fixed_in(affected, component.service, worst, self._reading.repository) if worst else "",
            )

        if reading.unread:
            return finding(Verdict.UNKNOWN, f"the host could not be read: {reading.unread}") if own else None
        environments = reading.environments.get(component.service, ())
        if not own and not any(affected.product in one.libraries for one in environments):
            return None
        active = next((one for one in environments if one.active), None)
        unit = reading.units.get(component.unit, UnitReading(active="unknown"))
        installed = _installed(affected, active, own=own)
        ran = [_ran(affected, process, environments, own=own) for process in unit.processes]
        looks = [look for several in ran for look in several]
        return finding(*_weigh(component.unit, unit, installed, looks), installed, *looks)


def _installed(affected: Affected, active: Environment | None, *, own: bool) -> _Look:
    if active is None:
        return _Look(None, Place.UNKNOWN, "no environment is the active one")
    return _look(affected, active, own=own)


def _look(affected: Affected, environment: Environment, *, own: bool) -> _Look:
    found = environment.libraries.get(affected.product)
    version = found.version if found else environment.version if own else None
    if version is None:
        # It is in another environment of the service, and not in this one.
        return _Look(None, Place.OUTSIDE)
    if affected.ranges is None:
        return _Look(version, Place.UNKNOWN, affected.why)
    place = affected.ranges.place(version)
    return _Look(
        version, place, f"{version} cannot be compared with {affected.text!r}" if place is Place.UNKNOWN else ""
    )


def _ran(
    affected: Affected, process: ProcessReading, environments: tuple[Environment, ...], *, own: bool
) -> Iterator[_Look]:
    """Return the versions that a process runs. Its files may have been replaced, or be gone, since it was started."""
    known = {one.version: one for one in environments}
    for version in process.environments:
        environment = known.get(version)
        if environment is None:
            if own:
                yield _look(affected, Environment(version=version), own=True)
            else:
                why = f"process {process.pid} runs from an environment that is no longer there ({version})"
                yield _Look(None, Place.UNKNOWN, why)
            continue
        look = _look(affected, environment, own=own)
        found = environment.libraries.get(affected.product)
        replaced = found is not None and found.put is not None and process.started is not None
        if replaced and found is not None and (found.put or 0.0) > (process.started or 0.0) + _CLOCK:
            why = f"process {process.pid} was started before {affected.product} {found.version} was put there"
            yield _Look(None, Place.UNKNOWN, f"{why}: what it runs is not known until it is restarted")
        else:
            yield look


# Seconds by which the start of a process, which the kernel counts in ticks, may differ from a file's time.
_CLOCK = 2.0


def _weigh(name: str, unit: UnitReading, installed: _Look, ran: list[_Look]) -> tuple[Verdict, str]:
    """Return the verdict over what is installed and what runs, and what is behind it."""
    inside = [look for look in ran if look.place is Place.INSIDE]
    deleted = sum(len(process.deleted) for process in unit.processes)
    gone = f"; {deleted} of the files that it runs from are deleted" if deleted else ""
    if inside and installed.place is Place.INSIDE:
        return Verdict.EXPOSED, gone.removeprefix("; ")
    if inside:
        here = f"{installed.version} is installed" if installed.version else installed.why
        return Verdict.EXPOSED, f"{here}, but its processes still run {inside[0].version}: restart {name}{gone}"
    if installed.place is Place.INSIDE and unit.active != "active":
        return Verdict.EXPOSED, f"it is {unit.active}, and would start with {installed.version}"
    if installed.place is Place.INSIDE:
        runs = ", ".join(dict.fromkeys(look.version for look in ran if look.version)) or "something else"
        return Verdict.EXPOSED, f"its processes run {runs}, but it would start again with {installed.version}"
    if doubt := _doubt(unit, installed, ran):
        return Verdict.UNKNOWN, doubt + gone
    return Verdict.SAFE, "" if unit.active == "active" else f"it is {unit.active}"


def _doubt(unit: UnitReading, installed: _Look, ran: list[_Look]) -> str:
    """Return what keeps a unit that is not known to be exposed from being not affected; empty when nothing does."""
    unknown = [look.why for look in (*ran, installed) if look.place is Place.UNKNOWN]
    if unknown:
        return unknown[0]
    if unit.active == "active" and not ran:
        return "its processes run from no environment that is known"
    return "the host did not say whether it runs" if unit.active == "unknown" else ""


def fixed_in(affected: Affected, service: str, version: str, repository: Iterable[Candidate]) -> str:
    """Say which version mends it: the lowest of the repository that does, else what the advisory says."""
    if affected.ranges is None:
        return ""
    found = sorted((one for one in repository if mends(one, service, affected)), key=order)
    if found:
        pinned = found[0].pins.get(affected.product)
        library = affected.product != find_distribution(service)
        return f"{service} {found[0].version} ({affected.product} {pinned})" if library else found[0].version
    try:
        interval = affected.ranges.find(version)
    except InvalidVersion:
        return ""
    if interval is None or interval.high is None:
        return "none known"
    bound = f"{interval.high} or later" if interval.high_open else f"later than {interval.high}"
    other = Version(interval.high).major != public(version).major
    is_service = affected.product == find_distribution(service)
    return f"{bound}: not in this series" if other and is_service else f"{bound}: not in the repository"


def mends(candidate: Candidate, service: str, affected: Affected) -> bool:
    """Tell whether a version of the repository is surely not affected."""
    if candidate.service != service or affected.ranges is None:
        return False
    own = affected.product == find_distribution(service)
    pinned = candidate.pins.get(affected.product, candidate.version if own else None)
    # A lock that does not name a library does not install it.
    return pinned is None or affected.ranges.place(pinned) is Place.OUTSIDE


def order(candidate: Candidate) -> Version:
    """Order candidates by their versions; what is no version comes first."""
    try:
        return Version(candidate.version)
    except InvalidVersion:
        return Version("0")
