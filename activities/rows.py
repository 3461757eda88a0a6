"""Rows of the services' own databases, for the digest: read as JSON through the database host's own client.

The columns are those that every release known here has (nova ``db/main/models.py``, glance
``db/sqlalchemy/models.py``, placement ``db/sqlalchemy/models.py``, keystone ``*/backends/sql*.py``). Nothing secret is
selected: no passwords, no hashes of them, no credentials.
"""

import json
import shlex
from collections.abc import Iterable
from typing import Any

from activities.errors import StepFailed
from activities.ssh import Hosts
from model.base import JsonObject
from model.digest import Table
from model.inventory import Inventory

# Big clouds have hundreds of thousands of allocations.
QUERY_TIMEOUT = 300.0
_SERVICES = "SELECT {row} FROM nova.services WHERE deleted = 0"
_ALLOCATIONS = (
    "SELECT {row} FROM placement.allocations a "
    "JOIN placement.resource_providers p ON p.id = a.resource_provider_id "
    "JOIN placement.resource_providers r ON r.id = COALESCE(p.root_provider_id, p.id) "
    "JOIN placement.resource_classes c ON c.id = a.resource_class_id"
)
_IMAGES = "SELECT {row} FROM glance.images WHERE deleted = 0"
_USERS = (
    "SELECT {row} FROM keystone.`user` u LEFT JOIN keystone.local_user l ON l.user_id = u.id "
    "LEFT JOIN keystone.nonlocal_user n ON n.user_id = u.id"
)
_ASSIGNMENTS = (
    "SELECT {row} FROM (SELECT type, actor_id, target_id, role_id, inherited FROM keystone.assignment "
    "UNION ALL SELECT type, actor_id, target_id, role_id, inherited FROM keystone.system_assignment) x"
)
_DELETED = {
    "nova": (
        "SELECT uuid AS id FROM nova.instances WHERE deleted <> 0",
        "SELECT uuid AS id FROM nova_cell0.instances WHERE deleted <> 0",
        # Where `nova-manage db archive_deleted_rows` puts them.
        "SELECT uuid AS id FROM nova.shadow_instances",
        "SELECT uuid AS id FROM nova_cell0.shadow_instances",
    ),
    "glance": ("SELECT id FROM glance.images WHERE deleted <> 0",),
}
_IDENTITY = {
    "domains": (
        # The root of all domains is a row, but nobody's domain.
        "SELECT {row} FROM keystone.project WHERE is_domain = 1 AND id <> '<<keystone.domain.root>>'",
        {"id": "id", "name": "name", "enabled": "enabled"},
    ),
    "projects": (
        "SELECT {row} FROM keystone.project WHERE is_domain = 0",
        {"id": "id", "name": "name", "enabled": "enabled", "domain": "domain_id", "parent": "parent_id"},
    ),
    "users": (
        _USERS,
        {"id": "u.id", "name": "COALESCE(l.name, n.name)", "enabled": "u.enabled", "domain": "u.domain_id"},
    ),
    "groups": ("SELECT {row} FROM keystone.`group`", {"id": "id", "name": "name", "domain": "domain_id"}),
    "members": (
        "SELECT {row} FROM keystone.user_group_membership",
        {"id": "CONCAT(group_id, '/', user_id)"},
    ),
    "roles": ("SELECT {row} FROM keystone.role", {"id": "id", "name": "name", "domain": "domain_id"}),
    "assignments": (
        _ASSIGNMENTS,
        {"id": "CONCAT(type, '/', actor_id, '/', target_id, '/', role_id)", "inherited": "inherited"},
    ),
}
_CATALOG = {
    "regions": ("SELECT {row} FROM keystone.region", {"id": "id", "parent": "parent_region_id"}),
    "services": (
        "SELECT {row} FROM keystone.service",
        {"id": "id", "type": "type", "enabled": "enabled", "extra": "extra"},
    ),
    "endpoints": (
        "SELECT {row} FROM keystone.endpoint",
        {
            "id": "id",
            "interface": "interface",
            "service": "service_id",
            "url": "url",
            "enabled": "enabled",
            "region": "region_id",
        },
    ),
}
_FLAGS = {"enabled", "inherited"}


async def service_versions(hosts: Hosts, inventory: Inventory) -> dict[tuple[str, str], int]:
    """Return the version of each of nova's service records by binary and host."""
    wanted = {"binary": "`binary`", "host": "host", "version": "version"}
    rows = await _read(hosts, inventory, _query(_SERVICES, wanted))
    return {(row["binary"], row["host"]): row["version"] for row in rows}


async def allocations(hosts: Hosts, inventory: Inventory) -> dict[str, dict[str, dict[str, int]]]:
    """Return what each consumer holds of each host's resource provider: consumer, provider's id, resource class."""
    wanted = {"consumer": "a.consumer_id", "provider": "r.uuid", "resource": "c.name", "used": "a.used"}
    found: dict[str, dict[str, dict[str, int]]] = {}
    for row in await _read(hosts, inventory, _query(_ALLOCATIONS, wanted)):
        held = found.setdefault(row["consumer"], {}).setdefault(row["provider"], {})
        held[row["resource"]] = held.get(row["resource"], 0) + row["used"]
    return found


async def images(hosts: Hosts, inventory: Inventory) -> Table:
    """Return every image that is not deleted."""
    fields = ("id", "name", "status", "size", "checksum", "visibility", "owner")
    return _table(await _read(hosts, inventory, _query(_IMAGES, {name: name for name in fields})))


async def identity(hosts: Hosts, inventory: Inventory) -> dict[str, Table]:
    """Return keystone's domains, projects, users, groups, their members, roles and assignments."""
    return await _tables(hosts, inventory, _IDENTITY)


async def catalog(hosts: Hosts, inventory: Inventory) -> dict[str, Table]:
    """Return keystone's regions, services and endpoints."""
    found = await _tables(hosts, inventory, _CATALOG)
    for row in found["services"].values():
        # keystone keeps the name among what it does not know itself.
        extra = json.loads(str(row.pop("extra", None) or "{}"))
        row["name"] = str(extra.get("name", ""))
    return found


async def deleted(hosts: Hosts, inventory: Inventory, ids: Iterable[str]) -> set[str]:
    """Return which of these servers and images were deleted by somebody: their rows say so."""
    wanted = ", ".join(f"'{id_}'" for id_ in ids if id_.replace("-", "").isalnum())
    sources = [query for service, queries in _DELETED.items() if service in inventory.services for query in queries]
    if not wanted or not sources:
        return set()
    query = f"SELECT {{row}} FROM ({' UNION '.join(sources)}) x WHERE id IN ({wanted})"  # noqa: S608 - ids of OpenStack
    return {row["id"] for row in await _read(hosts, inventory, _query(query, {"id": "id"}))}


def _query(template: str, wanted: dict[str, str]) -> str:
    row = ", ".join(f"'{name}', {column}" for name, column in wanted.items())
    return template.format(row=f"JSON_OBJECT({row})")


async def _tables(
    hosts: Hosts, inventory: Inventory, wanted: dict[str, tuple[str, dict[str, str]]]
) -> dict[str, Table]:
    """Read several tables at once; each row says which one it is of."""
    queries = [_query(text, {"table": f"'{name}'", **columns}) for name, (text, columns) in wanted.items()]
    rows: dict[str, list[JsonObject]] = {name: [] for name in wanted}
    for row in await _read(hosts, inventory, ";\n".join(queries)):
        rows[row.pop("table")].append(row)
    return {name: _table(found) for name, found in rows.items()}


def _table(rows: Iterable[JsonObject]) -> Table:
    return {str(row.pop("id")): {name: _plain(name, value) for name, value in row.items()} for row in rows}


def _plain(name: str, value: Any) -> Any:
    return bool(value) if name in _FLAGS and value is not None else value


async def _read(hosts: Hosts, inventory: Inventory, query: str) -> list[JsonObject]:
    """Return the rows of queries that select one JSON object each.

    Raises:
        Refused, Unreachable, StepFailed: as of ``Hosts.run``; or what came is no JSON.
    """
    client = '"$(command -v mariadb || command -v mysql)" --default-character-set=utf8mb4 --raw'
    command = f"{client} --batch --skip-column-names --execute {shlex.quote(query)}"
    place = inventory.database.host
    done = await hosts.run(inventory, place, command, timeout=QUERY_TIMEOUT)
    try:
        return [json.loads(line) for line in done.stdout.splitlines()]
    except ValueError:
        raise StepFailed(
            "the database's answer is no JSON", host=place, command=command, tail=done.stdout, remedy="see its client"
        ) from None
