"""What speaks against an upgrade: a pure judgement over the facts, with every reason at once.

An ``error`` refuses the upgrade; a ``warning`` is shown with the plan.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from model.components import COMPUTE_UNIT, components_on
from model.drain import find_obstacle
from model.inventory import Inventory, Role
from model.nova import AWAITS_CONFIRMATION, Migration, is_settled
from model.placement.limits import resolve
from model.releases import RELEASES, Release
from model.spec import UpgradeRequest
from model.words import listed
from model.work import Facts, Finding, GuestFacts, HostFacts, ServiceRecord

# Twice what one virtual environment of each service was measured to take (110, 66, 129 and 231 MB).
MEGABYTES = {"keystone": 220, "placement": 140, "glance": 260, "nova": 460}
OWN_REASON = "stackroll "
MOST_CLOCK_SKEW = 5.0


def judge(facts: Facts, request: UpgradeRequest) -> tuple[Finding, ...]:
    """Return everything that speaks against this upgrade, errors first, in a stable order."""
    findings = [
        *_named("versions", _versions(facts, request)),
        *_named("space", _disk(facts, request)),
        *_named("services", _services(facts, request)),
        *_named("guests", _guests(facts)),
        *_named("redundancy", _redundancy(request)),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def _named(check: str, findings: Iterable[Finding]) -> Iterable[Finding]:
    return (finding.model_copy(update={"check": check}) for finding in findings)


def _error(subject: str, problem: str, remedy: str) -> Finding:
    return Finding(severity="error", subject=subject, problem=problem, remedy=remedy)


def _warning(subject: str, problem: str, remedy: str) -> Finding:
    return Finding(severity="warning", subject=subject, problem=problem, remedy=remedy)


class _Unit(NamedTuple):
    """A unit on a host, as it was found."""

    name: str
    service: str
    host: str
    running: str | None


def running_release(request: UpgradeRequest, hosts: Mapping[str, HostFacts]) -> Release:
    """Return the release that every unit runs from; where they differ, the one that the inventory names."""
    units = _units(request.inventory, hosts)
    if not units:
        return request.source
    return next((one for one in RELEASES.values() if all(_runs(unit, one) for unit in units)), request.source)


def _units(inventory: Inventory, hosts: Mapping[str, HostFacts]) -> list[_Unit]:
    return [
        _Unit(component.unit, component.service, host, found.running.get(component.unit))
        for host, found in hosts.items()
        for component in components_on(inventory, host)
    ]


def _versions(facts: Facts, request: UpgradeRequest) -> Iterable[Finding]:
    """Every unit runs, and from the source release: a cloud that is mixed before is mixed after."""
    source, target = request.source, request.target
    units, whole = _units(request.inventory, facts.hosts), running_release(request, facts.hosts)
    if whole is not source:
        yield _error(
            "release",
            f"is {source.id} in the inventory, but the whole cloud already runs {whole.id}"
            + (", the target" if whole.id == target.id else ""),
            f"set release: {whole.id} in the inventory" + (", and a later target" if whole.id == target.id else ""),
        )
        return
    for (name, running), same in _alike(units):
        subject, service = f"{name} on {listed(unit.host for unit in same)}", same[0].service
        want = source.versions[service]
        if running is None:
            yield _error(subject, "is not running", f"start it: `systemctl start {name}`")
        elif running == target.versions[service] != want and not request.within_series:
            yield _error(
                subject,
                f"already runs {running}, the version of {target.id}",
                f"if an earlier upgrade was stopped half-way, finish it or bring this back to {want}",
            )
        elif not _runs(same[0], source):
            yield _error(
                subject,
                f"runs {running}, but {source.id} is {want}",
                f"correct release in the inventory, or bring this to {want}",
            )


def _runs(unit: _Unit, release: Release) -> bool:
    return unit.running is not None and unit.running.split(".")[0] == release.versions[unit.service].split(".")[0]


def _alike(units: list[_Unit]) -> Iterable[tuple[tuple[str, str | None], list[_Unit]]]:
    """What is the same on several hosts is told once."""
    groups: dict[tuple[str, str | None], list[_Unit]] = {}
    for unit in units:
        groups.setdefault((unit.name, unit.running), []).append(unit)
    return groups.items()


def _disk(facts: Facts, request: UpgradeRequest) -> Iterable[Finding]:
    for host, found in facts.hosts.items():
        services = {component.service for component in components_on(request.inventory, host)}
        need = sum(MEGABYTES[service] for service in services) * 1_000_000
        if found.free_bytes < need:
            yield _error(
                host,
                f"has {found.free_bytes // 1_000_000} MB free below {request.inventory.packaging.root}, and the new "
                f"release needs up to {need // 1_000_000} MB",
                "remove old versions there, or give the file system more room",
            )


def _services(facts: Facts, request: UpgradeRequest) -> Iterable[Finding]:
    """Every service that nova knows is up, and nova and the inventory know the same compute hosts."""
    if "nova" not in request.inventory.services or not facts.services:
        return
    computes = set(request.compute_hosts)
    for row in facts.services:
        yield from _service(row, computes)
    seen = {row.host for row in facts.services if row.binary == COMPUTE_UNIT}
    for host in request.compute_hosts:
        if host not in seen:
            yield _error(
                f"nova-compute on {host}",
                "is not in nova's list of services",
                f"use nova's own name of the host in the inventory (it knows: {listed(seen)}), or see its log",
            )


def _service(row: ServiceRecord, computes: set[str]) -> Iterable[Finding]:
    subject = f"{row.binary} on {row.host}"
    if row.binary == COMPUTE_UNIT and row.host not in computes:
        yield _error(
            subject,
            "is in nova's list of services, but not a compute host of the inventory: it would stay at the old release",
            "add the host to the inventory, or delete its record: `openstack compute service delete`",
        )
    if row.state != "up":
        yield _error(
            subject,
            f"is {row.state} by nova's list of services",
            "start it and wait until it has reported; if the host is gone, delete its record "
            "(`openstack compute service delete`), because it holds back the versions of all others",
        )
    if row.status == "disabled":
        reason = row.disabled_reason or "no reason given"
        ours = reason.startswith(OWN_REASON)
        yield _warning(
            subject,
            f"is disabled ({reason})",
            "an earlier upgrade left it so; enable it: `openstack compute service set --enable`"
            if ours
            else "it is upgraded like the others and stays disabled; enable it if that is not meant",
        )


def is_plain(guest: GuestFacts) -> bool:
    """Tell whether nothing speaks against draining a guest's host, as far as the guest alone is concerned."""
    return is_settled(guest) and find_obstacle(guest) is None


def _guests(facts: Facts) -> Iterable[Finding]:
    """Whether guests can leave their hosts is judged with all of the fleet at hand (``model.drain_preflight``)."""
    homeless = [g for g in facts.guests if g.status == "ERROR" and g.host is None]
    if homeless:
        names = listed(guest.name for guest in homeless)
        yield _warning("guests", f"{len(homeless)} in ERROR without a host: {names}", "delete or repair them")
    busy = [guest for guest in facts.guests if not is_settled(guest)]
    if busy:
        names = listed(f"{guest.name} ({guest.task_state or guest.status})" for guest in busy)
        yield _warning("guests", f"{len(busy)} are being changed just now: {names}", "a drain waits until that is over")


def _redundancy(request: UpgradeRequest) -> Iterable[Finding]:
    controls = request.inventory.with_role(Role.CONTROL)
    if len(controls) < 2:
        yield _error(
            "control plane",
            f"{controls[0]} is the only control host: each API would be away while it is restarted",
            "add a second control host behind the load balancer",
        )
    computes = request.compute_hosts
    most = request.spec.max_unavailable
    if len(computes) > 1 and resolve(most, len(computes)) >= len(computes):
        yield _error(
            "max_unavailable",
            f"is {most}, and there are {len(computes)} compute hosts: guests would have no host to go to",
            f"set it to {len(computes) - 1} or less",
        )


def judge_migrations(migrations: Iterable[Migration]) -> tuple[Finding, ...]:
    """Return a finding for each migration that nova counts as going on: a restart of its hosts would break it."""
    found = (
        _error(
            f"guest {migration.guest}",
            migration.text,
            f"confirm or revert it: `openstack server resize confirm {migration.guest}`"
            if migration.status == AWAITS_CONFIRMATION
            else "wait until it has ended; if nothing has worked on it for long, `openstack server migration abort`, "
            "or set the record to error",
        )
        for migration in migrations
        if migration.unfinished
    )
    return tuple(_named("migrations", found))


def judge_allocations(
    host: str, consumers: Iterable[str], guests: Iterable[GuestFacts], migrations: Iterable[Migration]
) -> tuple[Finding, ...]:
    """Return a finding if placement holds room on a host for somebody who is not there: it would never be empty.

    A guest that is being made or moved holds room where it will be before nova says that it is there.
    """
    known = {g.id for g in guests if g.host in (host, None) or not is_settled(g)}
    known |= {m.uuid for m in migrations if m.unfinished}
    orphans = sorted(set(consumers) - known)
    if not orphans:
        return ()
    remedy = "`nova-manage placement audit --verbose`, then with `--delete`"
    found = _error(host, f"{len(orphans)} allocations belong to no guest or migration: {listed(orphans)}", remedy)
    return tuple(_named("allocations", (found,)))


def clock_skew(clock: float, asked: float, answered: float) -> float:
    """Return by how many seconds a host's clock differs at the least, which was read at some time between two moments.

    However long the host takes for its answer: as long as its clock shows a time in between, nothing speaks against it.
    """
    return min(clock - asked, 0.0) or max(clock - answered, 0.0)


def judge_clocks(offsets: Mapping[str, float]) -> tuple[Finding, ...]:
    """Return a finding for each host whose clock differs from the worker's (seconds) too much to compare times."""
    found = (
        _error(
            host,
            f"its clock differs from the worker's by {offset:+.0f} s",
            "synchronise both: `timedatectl set-ntp true`, or `chronyc makestep`",
        )
        for host, offset in sorted(offsets.items())
        if abs(offset) > MOST_CLOCK_SKEW
    )
    return tuple(_named("clock", found))
