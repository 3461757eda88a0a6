"""The database server: room for the dumps, Galera's quorum, nova's records and cells, work of glance, schemas."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

from model.base import Record
from model.inventory import Inventory
from model.readiness.findings import error, note, warning
from model.releases import Release
from model.words import count, listed
from model.work import Finding

# A dump is compressed, and restored once as a test beside it.
DUMP_ROOM = 1.5


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


def judge_database(
    inventory: Inventory, state: DatabaseState, room: Mapping[str, int], release: Release
) -> tuple[Finding, ...]:
    """Return what speaks against the upgrade in the database: room, cluster, cells, records, work in progress.

    Args:
        inventory: the cloud.
        state: what was read.
        room: the free space on the database host, by path.
        release: what the processes run: records are to be of that, whatever the inventory says.
    """
    return (
        *_dump_room(inventory, state, room),
        *_cluster(inventory, state),
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
        subject = listed(f"{row.binary} on {row.host}" for row in rows)
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
            f"has {len(state.cells)} cells ({listed(state.cells)}): with `compute = auto` no nova-api starts while one "
            "of them is down",
            "set the release's name in [upgrade_levels] compute instead, or see that every cell's database stays up",
        )


def _glance_work(state: DatabaseState) -> Iterable[Finding]:
    writing = "wait until they are active; one that nobody writes any more: `openstack image delete ID`"
    running = "wait until they have ended: `openstack image task list`"
    for noun, doing, rows, remedy in (
        ("image", "just being written", state.images, writing),
        ("task", "in progress", state.tasks, running),
    ):
        if rows:
            shown = listed(f"{id_} ({status})" for id_, status in rows)
            yield warning("running-tasks", "glance", f"{count(len(rows), noun)} {doing}: {shown}", remedy)


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
