"""What is read of a cloud before anything is planned. Nothing here changes anything.

Every host and API is asked at once, and whatever cannot be read becomes a finding: an operator learns of all wrong keys
and all dead hosts from one run.
"""

import asyncio
import shlex
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from temporalio import activity

from activities import openstack
from activities.context import Toolbox, errors_mapped
from activities.errors import Refused, StackrollError
from activities.readiness import (
    CHECK_LIMIT,
    ask_services,
    check_backends,
    check_certificates,
    check_queues,
    check_repository,
    check_schemas_now,
    parse_state,
    read_database,
    state_command,
)
from activities.running import parse_units, units_command
from activities.ssh import Hosts
from model.components import components_on
from model.inventory import Inventory, Role
from model.nova import Guest, ServiceRow, is_settled
from model.preflight import clock_skew, is_plain, judge_allocations, judge_clocks, judge_migrations, running_release
from model.readiness.databases import judge_database
from model.readiness.hosts import HostState, judge_hosts
from model.spec import UpgradeRequest
from model.work import Capacity, Facts, Finding, HostFacts, HostLoad, ServiceRecord

T = TypeVar("T")

# Seconds until what could be an orphan is looked at again.
SECOND_LOOK = 2.0

_SCRIPT = """
echo "B $(cat /proc/sys/kernel/random/boot_id)"
echo "T $(date +%s)"
place={root}; while [ ! -d "$place" ]; do place=$(dirname "$place"); done
echo "F $(df -PB1 "$place" | awk 'NR == 2 {{ print $4 }}')"
for file in {files}; do [ -f "$file" ] || echo "R $file"; done
missing() {{ for one in "$@"; do command -v "$one" > /dev/null && return; done; echo "M $*"; }}
{tools}
{units}
{state}
"""


@dataclass
class HostReading:
    """What was read on one host. ``skew`` is by how many seconds its clock differs from the worker's, at the least."""

    facts: HostFacts
    skew: float
    state: HostState = field(default_factory=HostState)
    missing_files: list[str] = field(default_factory=list)
    missing_tools: list[str] = field(default_factory=list)


class FactsActivities:
    """The activity ``read_facts``: the same reading, as part of a run."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._hosts = toolbox.hosts

    @activity.defn(name="read_facts")
    async def read_facts(self, request: UpgradeRequest) -> Facts:
        """Read everything that the plan and the checks need of the cloud."""
        async with errors_mapped():
            return await read_facts(self._hosts, request)


async def read_facts(hosts: Hosts, request: UpgradeRequest) -> Facts:
    """Read everything that the plan and the checks need of the cloud; what cannot be read becomes a finding."""
    inventory, findings = request.inventory, list[Finding]()
    readings, cloud = await asyncio.gather(
        _read_hosts(hosts, request, findings), _read_cloud(inventory, request.compute_hosts, findings)
    )
    findings += judge_clocks({name: reading.skew for name, reading in readings.items()})
    findings += await _read_more(hosts, request, readings, findings)
    return Facts(
        hosts={name: reading.facts for name, reading in readings.items()},
        guests=tuple(guest.facts for guest in cloud.guests if not is_plain(guest)),
        services=tuple(ServiceRecord.model_validate(_record(row)) for row in cloud.services),
        capacity=cloud.capacity,
        load=_load(cloud.guests),
        findings=_merged(findings, list(inventory.hosts)),
    )


async def _read_more(
    hosts: Hosts, request: UpgradeRequest, readings: dict[str, HostReading], findings: list[Finding]
) -> list[Finding]:
    """Return what speaks against the upgrade in the hosts' state, databases, queues, balancer and the services' tools.

    A host that could not be read is not asked again.
    """
    inventory = request.inventory
    states = {name: reading.state for name, reading in readings.items()}
    facts = {name: reading.facts for name, reading in readings.items()}
    found = list(judge_hosts(request, states, facts, own_machine()))
    first, none = inventory.with_role(Role.CONTROL)[0], tuple[Finding, ...]()
    checks: list[Awaitable[tuple[Finding, ...]]] = []
    if inventory.database.host in readings:
        room = states[inventory.database.host].room
        checks.append(_collect(_judged_database(hosts, request, room, facts), inventory.database.host, findings, none))
        if first in readings:
            checks.append(_collect(check_schemas_now(hosts, inventory, facts), "databases", findings, none))
    if first in readings:
        checks.append(_collect(ask_services(hosts, request, states, facts), first, findings, none))
        checks.append(_collect(check_repository(hosts, request), first, findings, none))
    if inventory.load_balancer.host in readings:
        checks.append(_collect(check_backends(hosts, inventory), "load balancer", findings, none))
    if all(host in readings for host in inventory.with_role(Role.MESSAGING)[:1]):
        checks.append(_collect(check_queues(hosts, inventory), "messaging", findings, none))
    checks.append(_collect(check_certificates(inventory), "keystone", findings, none))
    return found + [finding for several in await asyncio.gather(*checks) for finding in several]


async def _judged_database(
    hosts: Hosts, request: UpgradeRequest, room: dict[str, int], facts: dict[str, HostFacts]
) -> tuple[Finding, ...]:
    state = await read_database(hosts, request.inventory)
    return judge_database(request.inventory, state, room, running_release(request, facts))


def own_machine() -> str:
    """Return the id of the machine that this runs on; empty where it has none."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


async def _read_hosts(hosts: Hosts, request: UpgradeRequest, findings: list[Finding]) -> dict[str, HostReading]:
    names = list(request.inventory.hosts)
    found = await asyncio.gather(*(_collect(_read_host(hosts, request, n), n, findings, None) for n in names))
    readings = {name: reading for name, reading in zip(names, found, strict=True) if reading is not None}
    for name, reading in readings.items():
        findings += _lacking(name, reading)
    return readings


async def _read_host(hosts: Hosts, request: UpgradeRequest, host: str) -> HostReading:
    # Connecting takes its time; the clocks are compared over a connection that is there.
    await hosts.run(request.inventory, host, "true")
    asked = time.time()
    done = await hosts.run(request.inventory, host, host_command(request, host), check=False, timeout=CHECK_LIMIT)
    return parse_host(done.stdout, request.inventory, asked, time.time())


def host_command(request: UpgradeRequest, host: str) -> str:
    """Return the shell command that prints what ``parse_host`` reads. It changes nothing."""
    inventory = request.inventory
    components = components_on(inventory, host)
    services = sorted({component.service for component in components})
    source = inventory.packaging.source
    files = [f"{source(request.spec.to, service)}/requirements.txt" for service in services]
    tools = ["missing systemd-run"]
    tools += ["missing uv"] if components else []
    tools += ["missing socat"] if host == inventory.load_balancer.host else []
    tools += ["missing mariadb mysql", "missing mariadb-dump mysqldump"] if host == inventory.database.host else []
    return _SCRIPT.format(
        root=shlex.quote(inventory.packaging.root),
        files=" ".join(map(shlex.quote, files)),
        tools="\n".join(tools),
        units=units_command(inventory, [component.unit for component in components]) if components else "",
        state=state_command(request, host),
    )


def parse_host(output: str, inventory: Inventory, asked: float, answered: float) -> HostReading:
    """Return what a host printed, between the two moments of the worker's clock.

    Raises:
        Refused: it printed something else; its shell or its base system is not what stackroll knows.
    """
    values: dict[str, list[str]] = {}
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        values.setdefault(kind, []).append(rest.strip())
    try:
        boot_id, free, clock = values["B"][0], int(values["F"][0]), float(values["T"][0])
    except (KeyError, ValueError):
        raise Refused(
            f"its answer makes no sense: {output[:200]!r}",
            remedy="the host needs systemd, a POSIX shell, df and awk, and a login shell that prints nothing by itself",
        ) from None
    units = parse_units(output, inventory.packaging.root)
    facts = HostFacts(running={u: s.version for u, s in units.items()}, free_bytes=free, boot_id=boot_id)
    state = parse_state(output, inventory)
    return HostReading(facts, clock_skew(clock, asked, answered), state, values.get("R", []), values.get("M", []))


def _lacking(host: str, reading: HostReading) -> list[Finding]:
    found = [
        _finding(host, f"{path} is missing", "put the lock file of the new release there (packaging.repository)")
        for path in reading.missing_files
    ]
    return found + [
        _finding(host, f"the program {' or '.join(tools.split())} is missing", "install it on the host")
        for tools in reading.missing_tools
    ]


@dataclass
class _CloudReading:
    guests: tuple[Guest, ...] = ()
    services: list[ServiceRow] = field(default_factory=list)
    capacity: dict[str, Capacity] = field(default_factory=dict)


async def _read_cloud(inventory: Inventory, computes: tuple[str, ...], findings: list[Finding]) -> _CloudReading:
    # Asked first and alone: without a token nothing else can work, and one finding says so better than five.
    if not await _collect(openstack.token(inventory), "keystone", findings, ""):
        return _CloudReading()
    guests, services, migrations, providers = await asyncio.gather(
        _collect(openstack.guests(inventory), "nova", findings, None),
        _collect(openstack.service_records(inventory), "nova", findings, []),
        _collect(openstack.migrations(inventory), "nova", findings, None),
        _collect(openstack.providers(inventory), "nova", findings, {}),
    )
    findings += judge_migrations(migrations or ())
    room = await _collect(openstack.capacity(inventory, providers), "placement", findings, {})
    if guests is not None and migrations is not None:
        findings += await _read_orphans(inventory, {host: providers.get(host, ()) for host in computes}, findings)
    return _CloudReading(guests or (), services, room)


def _load(guests: Iterable[Guest]) -> dict[str, HostLoad]:
    memory: dict[str, list[int]] = {}
    for guest in guests:
        if guest.host is not None:
            memory.setdefault(guest.host, []).append(guest.ram_mb)
    return {host: HostLoad(guests=len(mb), gib=round(sum(mb) / 1024, 1)) for host, mb in sorted(memory.items())}


async def _read_orphans(
    inventory: Inventory, providers: dict[str, tuple[str, ...]], findings: list[Finding]
) -> list[Finding]:
    """Return a finding for each host on which placement holds room for nobody, at two looks.

    Guests and allocations cannot be read in the same moment: what users made or deleted in between is not there at
    the second look.
    """
    first = await _orphans(inventory, providers, findings)
    if not first:
        return []
    await asyncio.sleep(SECOND_LOOK)
    return await _orphans(inventory, {f.subject: providers[f.subject] for f in first}, findings)


async def _orphans(
    inventory: Inventory, providers: dict[str, tuple[str, ...]], findings: list[Finding]
) -> list[Finding]:
    held = await asyncio.gather(
        *(_collect(openstack.allocations_on(inventory, *ids), "placement", findings, {}) for ids in providers.values())
    )
    guests = await _collect(openstack.guests(inventory), "nova", findings, ())
    migrations = await _collect(openstack.migrations(inventory), "nova", findings, ())
    # A fleet has thousands of guests, of which few can hold room on a given host.
    here: dict[str, list[Guest]] = {host: [] for host in providers}
    anywhere = [guest for guest in guests if guest.host is None or not is_settled(guest)]
    for guest in guests:
        if guest.host in here:
            here[guest.host].append(guest)
    moves = [migration for migration in migrations if migration.unfinished]
    found = [judge_allocations(host, held[n], (*here[host], *anywhere), moves) for n, host in enumerate(providers)]
    return [finding for several in found for finding in several]


async def _collect(reading: Awaitable[T], subject: str, findings: list[Finding], otherwise: T) -> T:
    """Return what was read; a failure becomes a finding, one for each host or API."""
    try:
        return await reading
    except StackrollError as error:
        where = error.host or subject
        if all(finding.subject != where for finding in findings):
            findings.append(_finding(where, error.problem, error.remedy))
        return otherwise


def _merged(findings: list[Finding], hosts: list[str]) -> tuple[Finding, ...]:
    """Say only once what is the same on several hosts, such as a key that is missing on the worker's own machine.

    They come by severity, then in the order of the inventory, not in that of their answers.
    """
    order = {"error": 0, "warning": 1}
    places = {host: place for place, host in enumerate(hosts)}
    subjects: dict[Finding, list[str]] = {}
    for finding in sorted(findings, key=lambda f: (order.get(f.severity, 2), places.get(f.subject, len(hosts)))):
        subjects.setdefault(finding.model_copy(update={"subject": ""}), []).append(finding.subject)
    return tuple(
        finding.model_copy(update={"subject": ", ".join(dict.fromkeys(where))}) for finding, where in subjects.items()
    )


def _record(row: ServiceRow) -> dict[str, object]:
    return row.model_dump(include=set(ServiceRecord.model_fields))


def _finding(subject: str, problem: str, remedy: str) -> Finding:
    return Finding(severity="error", subject=subject, problem=problem, remedy=remedy)
