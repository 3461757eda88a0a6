"""What hosts, databases, the message queue and the balancer must be like before an upgrade: judged, not read.

Each function takes what ``activities.facts`` and ``activities.readiness`` have read, and returns findings. The checks
and the failures that they keep off are listed in ``docs/check.md``.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from model.base import Record
from model.components import COMPUTE_UNIT, apis, components_on
from model.inventory import Inventory, Role
from model.releases import Release, find_release
from model.spec import UpgradeRequest
from model.words import count, duration
from model.work import Finding, HostFacts

NAMES_SHOWN = 5
# A dump is compressed, and restored once as a test beside it.
DUMP_ROOM = 1.5
# Certificates that end this soon would end in the middle of the run, or before the next monthly one.
CERTIFICATE_WARNING = 30 * 86400.0
CERTIFICATE_ERROR = 2 * 86400.0


class HostState(Record):
    """What was read of a host besides its units.

    Attributes:
        machine: its machine id.
        synchronised: whether its clock follows a time server, as systemd says; None where that is not known.
        reboot_required: whether installed packages wait for a reboot.
        broken: packages that are half installed or half removed.
        whole: versions of services that are wholly installed; ``torsos`` only in part.
        keys: by name of keystone's repositories of keys, a checksum of their content and how many keys there are.
        options: configured values by service, section and key, such as ``nova upgrade_levels compute``.
        locks: by service the checksum of the target's lock file; ``pins``: the version of the service in it.
        room: free bytes by the path that needs them.
    """

    machine: str = ""
    synchronised: bool | None = None
    reboot_required: bool = False
    broken: tuple[str, ...] = ()
    whole: tuple[tuple[str, str], ...] = ()
    torsos: tuple[tuple[str, str], ...] = ()
    keys: dict[str, tuple[str, int]] = {}
    options: dict[str, str] = {}
    locks: dict[str, str] = {}
    pins: dict[str, str] = {}
    room: dict[str, int] = {}


class ServiceVersion(NamedTuple):
    """A row of nova's table of services: whose it is, and the version that it was last started with."""

    binary: str
    host: str
    version: int


class Shipped(NamedTuple):
    """The migrations of a schema that a version of a service ships: with which they end, and all there are."""

    heads: tuple[str, ...]
    known: frozenset[str]


class DatabaseState(Record):
    """What the database server says of itself and of what is in it.

    Attributes:
        bytes: the size of each schema.
        cluster: Galera's status variables, in lower case; empty without Galera.
        cells: the names of nova's cells, but for cell0.
        records: nova's service records that are not deleted.
        images: images that somebody is at work on, with their status; ``tasks``: glance's running tasks.
    """

    bytes: dict[str, int] = {}
    cluster: dict[str, str] = {}
    cells: tuple[str, ...] = ()
    records: tuple[ServiceVersion, ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    tasks: tuple[tuple[str, str], ...] = ()


def error(check: str, subject: str, problem: str, remedy: str) -> Finding:
    """Something that forbids the upgrade."""
    return Finding(severity="error", subject=subject, problem=problem, remedy=remedy, check=check)


def warning(check: str, subject: str, problem: str, remedy: str) -> Finding:
    """Something that should be mended, and forbids nothing."""
    return Finding(severity="warning", subject=subject, problem=problem, remedy=remedy, check=check)


def note(check: str, subject: str, problem: str, remedy: str) -> Finding:
    """Something to know."""
    return Finding(severity="note", subject=subject, problem=problem, remedy=remedy, check=check)


def judge_hosts(
    request: UpgradeRequest, states: Mapping[str, HostState], facts: Mapping[str, HostFacts], own_machine: str = ""
) -> tuple[Finding, ...]:
    """Return what speaks against the upgrade on the hosts themselves, and where they differ but must not.

    Args:
        request: what is wanted of which cloud.
        states: what was read of each host.
        facts: the units of each host.
        own_machine: the machine id of the worker's own host.
    """
    found: list[Finding] = []
    for host, state in states.items():
        found += _packages(request, host, state)
        found += _way_back(request, host, state, facts)
        found += _pins(request, host, state)
        if own_machine and state.machine == own_machine:
            found.append(
                warning(
                    "worker",
                    host,
                    "is the host that this stackroll runs on: it restarts what it stands on",
                    "run the worker and Temporal on a machine that is no part of the cloud",
                )
            )
    found += _same_locks(request.inventory, states)
    found += _same_keys(request.inventory, states)
    found += _options(request, states)
    return tuple(found)


def _packages(request: UpgradeRequest, host: str, state: HostState) -> Iterable[Finding]:
    target = request.target
    if state.broken:
        yield warning(
            "packages",
            host,
            f"has half-installed packages: {names(state.broken)}",
            "finish or remove them: `dpkg --configure -a && apt-get -f install`",
        )
    if state.reboot_required:
        yield note("reboot", host, "waits for a reboot (new kernel or libraries)", "`stackroll reboot` does that")
    if state.synchronised is False:
        yield note(
            "clock", host, "its clock follows no time server", "`timedatectl set-ntp true`, or set up chrony there"
        )
    for service, version in state.torsos:
        if target.versions.get(service) == version:
            yield note(
                "packages",
                host,
                f"has {service} {version} only in part, from an earlier try",
                "nothing to do: it is made anew when it is installed",
            )


def _way_back(
    request: UpgradeRequest, host: str, state: HostState, facts: Mapping[str, HostFacts]
) -> Iterable[Finding]:
    """What runs must be wholly installed: a rollback starts it again."""
    if not state.whole and not state.torsos:
        return
    running = facts[host].running if host in facts else {}
    for component in components_on(request.inventory, host):
        version = running.get(component.unit)
        if version and "+" not in version and (component.service, version) not in state.whole:
            yield error(
                "way-back",
                f"{component.unit} on {host}",
                f"runs from {component.service} {version}, which is not whole there any more: it could not be "
                "started again by a rollback",
                f"install {component.service} {version} again on the host, then restart {component.unit}: "
                f"`systemctl restart {component.unit}`",
            )


def _pins(request: UpgradeRequest, host: str, state: HostState) -> Iterable[Finding]:
    target = request.target
    for service, version in state.pins.items():
        # Behind a "+" is the number of a build: the service is the same, what it is made with is newer.
        if version not in (target.versions[service], target.versions[service].partition("+")[0]):
            yield error(
                "repository",
                host,
                f"the lock file of {target.id} has {service} {version}, and the release is {target.versions[service]}",
                f"put the lock file of {service} {target.versions[service]} into the repository",
            )


def _same_locks(inventory: Inventory, states: Mapping[str, HostState]) -> Iterable[Finding]:
    """All hosts install the same: lock files that differ would make a mixed cloud of one release."""
    for service in inventory.services:
        odd = _odd({host: state.locks[service] for host, state in states.items() if service in state.locks})
        if odd:
            yield error(
                "repository",
                names(odd),
                f"the lock file of {service} is not the one that the other hosts have",
                f"copy the same {inventory.packaging.repository} to all hosts",
            )


def _same_keys(inventory: Inventory, states: Mapping[str, HostState]) -> Iterable[Finding]:
    """What one control host has encrypted, every other one must read."""
    if "keystone" not in inventory.services:
        return
    controls = {host: states[host] for host in inventory.with_role(Role.CONTROL) if host in states}
    for name in ("fernet", "credential"):
        kept = {host: state.keys[name] for host, state in controls.items() if name in state.keys}
        empty = [host for host, (_, number) in kept.items() if not number]
        if empty and name == "fernet":
            yield error(
                "keys",
                names(empty),
                f"has no {name} keys, by its keystone.conf",
                f"copy the keys of another control host there, or `keystone-manage {name}_setup`",
            )
        odd = _odd({host: sum_ for host, (sum_, number) in kept.items() if number})
        if odd:
            yield error(
                "keys",
                names(odd),
                f"has other {name} keys than the other control hosts: what one encrypts is void on another",
                f"copy the {name} keys of the host that rotates them to all control hosts, and rotate none until the "
                "upgrade has ended",
            )


def _options(request: UpgradeRequest, states: Mapping[str, HostState]) -> Iterable[Finding]:
    inventory = request.inventory
    if "nova" in inventory.services:
        nova = {h: states[h] for h in inventory.hosts if h in states and _has_nova(inventory, h)}
        known = {host: state for host, state in nova.items() if state.options}
        loose = [host for host, state in known.items() if not state.options.get("nova upgrade_levels compute")]
        if loose:
            yield error(
                "rpc-pin",
                names(loose),
                "nova there sends the newest messages at once: [upgrade_levels] compute is not set",
                "set `compute = auto` in section [upgrade_levels] of nova.conf on every host, and restart nova",
            )
        silent = [
            host
            for host, state in known.items()
            if state.options.get("nova service_user send_service_user_token", "").lower() not in {"true", "1", "yes"}
        ]
        if silent:
            yield warning(
                "service-token",
                names(silent),
                "nova there sends no service token: long migrations outlive their users' tokens",
                "set `send_service_user_token = true` in section [service_user] of nova.conf",
            )
    for host in inventory.with_role(Role.CONTROL):
        lives = states[host].options.get("keystone token expiration", "") if host in states else ""
        if lives.isdigit() and int(lives) < request.spec.drain_timeout:
            yield warning(
                "service-token",
                host,
                f"tokens live {duration(int(lives))}, and a drain may take {duration(request.spec.drain_timeout)}",
                "set a longer `expiration` in section [token] of keystone.conf, or a shorter drain_timeout",
            )


def _has_nova(inventory: Inventory, host: str) -> bool:
    return any(component.service == "nova" for component in components_on(inventory, host))


def judge_database(request: UpgradeRequest, state: DatabaseState, room: Mapping[str, int]) -> tuple[Finding, ...]:
    """Return what speaks against the upgrade in the database: room, cluster, cells, records, work in progress.

    ``room`` is the free space on the database host, by path.
    """
    release = find_release(request.inventory.release)
    return (
        *_dump_room(request.inventory, state, room),
        *_cluster(request.inventory, state),
        *_records(state, release),
        *_cells(state),
        *_glance_work(state),
    )


def _dump_room(inventory: Inventory, state: DatabaseState, room: Mapping[str, int]) -> Iterable[Finding]:
    need = int(sum(state.bytes.values()) * DUMP_ROOM)
    for path, free in room.items():
        if need > free:
            yield error(
                "space",
                inventory.database.host,
                f"has {free // 1_000_000} MB free at {path}, and the dumps and their test restore need up to "
                f"{need // 1_000_000} MB",
                f"give {path} more room, or delete old dumps below /var/lib/stackroll",
            )


def _cluster(inventory: Inventory, state: DatabaseState) -> Iterable[Finding]:
    status, host = state.cluster, inventory.database.host
    if not status or status.get("wsrep_on", "on").lower() == "off" or not status.get("wsrep_cluster_size"):
        return
    if int(status["wsrep_cluster_size"] or 0) < 1:
        return
    wrong = []
    if status.get("wsrep_cluster_status", "").lower() != "primary":
        wrong.append(f"the cluster is {status.get('wsrep_cluster_status')}, not Primary")
    if status.get("wsrep_local_state_comment", "").lower() != "synced":
        wrong.append(f"this node is {status.get('wsrep_local_state_comment')}, not Synced")
    if status.get("wsrep_ready", "").lower() not in {"on", "1"}:
        wrong.append("this node is not ready")
    if wrong:
        yield error(
            "quorum",
            host,
            "; ".join(wrong),
            "bring the cluster together first: `mysql -e \"SHOW STATUS LIKE 'wsrep%'\"`",
        )
    elif int(status["wsrep_cluster_size"]) % 2 == 0:
        size = status["wsrep_cluster_size"]
        yield warning(
            "quorum", host, f"the cluster has {size} nodes: half of them cannot decide", "bring back the missing node"
        )


def _records(state: DatabaseState, release: Release) -> Iterable[Finding]:
    """One record for each service, at the version that the code really has: the lowest one binds all others."""
    ordered = sorted(state.records, key=lambda row: (row.binary, row.host))
    for (binary, host), rows in groupby(ordered, key=lambda row: (row.binary, row.host)):
        if (number := len(list(rows))) > 1:
            yield error(
                "service-records",
                f"{binary} on {host}",
                f"has {number} service records in nova's database",
                "delete those that do not report: `openstack compute service list`, then "
                "`openstack compute service delete ID`",
            )
    wrong = [row for row in state.records if row.version != release.nova_service_version]
    for version, rows in groupby(sorted(wrong, key=lambda row: row.version), key=lambda row: row.version):
        subject = names(f"{row.binary} on {row.host}" for row in rows)
        yield error(
            "service-records",
            subject,
            f"has a service record of version {version}, and {release.id} is {release.nova_service_version}",
            "restart it at the release of the cloud, or delete its record if the service is gone: "
            "`openstack compute service delete ID`",
        )


def _cells(state: DatabaseState) -> Iterable[Finding]:
    if len(state.cells) > 1:
        yield warning(
            "rpc-pin",
            "nova",
            f"has {len(state.cells)} cells ({names(state.cells)}): with `compute = auto` no nova-api starts while one "
            "of them is down",
            "set the release's name in [upgrade_levels] compute instead, or see that every cell's database stays up",
        )


def _glance_work(state: DatabaseState) -> Iterable[Finding]:
    if state.images:
        shown = names(f"{id_} ({status})" for id_, status in state.images)
        yield warning(
            "running-tasks",
            "glance",
            f"{count(len(state.images), 'image')} just being written: {shown}",
            "wait until they are active; one that nobody writes any more: `openstack image delete ID`",
        )
    if state.tasks:
        shown = names(f"{id_} ({status})" for id_, status in state.tasks)
        yield warning(
            "running-tasks",
            "glance",
            f"{count(len(state.tasks), 'task')} in progress: {shown}",
            "wait until they have ended: `openstack image task list`",
        )


def judge_backends(
    inventory: Inventory, servers: Collection[tuple[str, str, str]], *, up: Collection[tuple[str, str]]
) -> tuple[Finding, ...]:
    """Return a finding for each instance of an API that the balancer lacks, or does not send requests to.

    Args:
        inventory: the cloud.
        servers: all instances: backend, name, the balancer's word for its state.
        up: backend and name of those that get requests.
    """
    known = {(backend, name): status for backend, name, status in servers}
    found = []
    for component in apis(inventory):
        for host in inventory.with_role(component.role):
            place = (component.backend or "", host)
            if place in up:
                continue
            where = f"{component.unit} on {host}"
            state = known.get(place)
            if state is None:
                problem, remedy = "is not behind the load balancer", f"add server {host} to backend {place[0]}"
            elif state.split(" ")[0] in {"MAINT", "DRAIN"}:
                problem = f"was taken out of the load balancer ({state})"
                ready = (
                    f"echo 'set server {place[0]}/{host} state ready' | socat stdio {inventory.load_balancer.socket}"
                )
                remedy = f"put it back on {inventory.load_balancer.host}: `{ready}`"
            else:
                problem = f"is {state} by the load balancer"
                remedy = f"see its log on the host: `journalctl -u {component.unit}`"
            found.append(error("balancer", where, problem, remedy))
    return tuple(found)


def judge_queues(inventory: Inventory, consumers: Mapping[str, int], alarms: Collection[str]) -> tuple[Finding, ...]:
    """Return what is wrong with the message queue: alarms, and services of nova that nobody listens for.

    ``consumers`` are the numbers of consumers by queue.
    """
    hosts = ", ".join(inventory.with_role(Role.MESSAGING)) or "messaging"
    found = [
        error(
            "queues",
            hosts,
            f"RabbitMQ: {alarm}",
            "`rabbitmq-diagnostics check_alarms`; mend it: no message gets through",
        )
        for alarm in alarms
    ]
    wanted = {"conductor": "nova-conductor", "scheduler": "nova-scheduler"}
    wanted |= {f"compute.{host}": f"{COMPUTE_UNIT} on {host}" for host in inventory.with_role(Role.COMPUTE)}
    if "nova" in inventory.services and consumers:
        deaf = [who for queue, who in wanted.items() if not consumers.get(queue)]
        if deaf:
            found.append(
                error(
                    "queues",
                    names(deaf),
                    "nobody listens on its message queue",
                    "restart it, and see its log for AMQP errors: `rabbitmqctl list_queues name consumers`",
                )
            )
    return tuple(found)


def judge_upgrade_check(service: str, version: str, status: int, output: str) -> tuple[Finding, ...]:
    """Return the warnings and failures of ``<service>-status upgrade check`` run with the code of a version."""
    subject = f"{service}-status"
    if status not in {0, 1, 2} or "Result:" not in output:
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "it said nothing")
        problem = f"`{service}-status upgrade check` of {version} broke off with status {status}: {last[:200]}"
        return (warning("upgrade-check", subject, problem, "run it on a control host, and mend what it names"),)
    found, name, result, details = [], "", "", list[str]()

    def tell() -> None:
        if result in {"Failure", "Warning"}:
            make = error if result == "Failure" else warning
            text = " ".join(details).strip() or "no details"
            found.append(
                make(
                    "upgrade-check", subject, f"{name}: {text}", f"mend it; `{service}-status upgrade check` tells more"
                )
            )

    for line in output.splitlines():
        text = line.strip().strip("|").strip()
        key, _, value = text.partition(": ")
        if key == "Check":
            tell()
            name, result, details = value.strip(), "", []
        elif key == "Result":
            result = value.strip()
        elif key == "Details":
            details = [value.strip()]
        elif details and text and not text.startswith("+"):
            details.append(text)
        elif text.startswith("+-") or line.startswith("+"):
            tell()
            name, result, details = "", "", []
    tell()
    return tuple(found)


def judge_schemas(
    schemas: Mapping[str, tuple[str, ...]], shipped: Mapping[str, Shipped], release: str
) -> tuple[Finding, ...]:
    """Return a finding for each schema whose revision is not the one that the running code ships.

    One that the code does not know is of a newer release: a rollback leaves it so, and the code runs on it.
    """
    return tuple(
        _behind(schema, at, shipped[schema], release)
        if shipped[schema].known.issuperset(at)
        else note(
            "schemas",
            f"schema {schema}",
            f"is at {', '.join(at)}, which is newer than the running code of {release}",
            "a rollback leaves it so, and the next upgrade goes on from there; if there was none, find out who did it",
        )
        for schema, at in schemas.items()
        if schema in shipped and shipped[schema].heads != at
    )


def _behind(schema: str, at: tuple[str, ...], shipped: Shipped, release: str) -> Finding:
    return error(
        "schemas",
        f"schema {schema}",
        f"is at {', '.join(at) or 'no revision'}, and the running code of {release} ends with "
        f"{', '.join(shipped.heads)}",
        "finish the last upgrade first: run the service's `db sync` with the running code",
    )


def judge_certificate(address: str, seconds: float) -> tuple[Finding, ...]:
    """Return a finding if the certificate at an address ends within so many seconds, or has ended."""
    if seconds > CERTIFICATE_WARNING:
        return ()
    make = error if seconds < CERTIFICATE_ERROR else warning
    when = f"ends in {duration(seconds)}" if seconds > 0 else f"ended {duration(-seconds)} ago"
    return (make("certificate", address, f"its certificate {when}", "renew it, and reload the load balancer"),)


def _odd(values: Mapping[str, str]) -> list[str]:
    """Return the hosts whose value is not that of most."""
    numbers: dict[str, int] = {}
    for value in values.values():
        numbers[value] = numbers.get(value, 0) + 1
    if len(numbers) < 2:
        return []
    most = max(numbers, key=lambda value: numbers[value])
    return [host for host, value in values.items() if value != most]


def names(some: Iterable[str]) -> str:
    """Return a list for people: the first few, and how many more."""
    every = list(some)
    shown = ", ".join(every[:NAMES_SHOWN])
    return f"{shown} and {len(every) - NAMES_SHOWN} more" if len(every) > NAMES_SHOWN else shown
