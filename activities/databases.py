"""What the databases themselves say: revisions, service records, and whether a guest that is gone was deleted.

Reads only. All of it through the database host's own client, as its local administrator.
"""

import asyncio
import shlex
from collections.abc import Iterable, Mapping

from activities.errors import StepFailed
from activities.packaging import packaging_of
from activities.ssh import Hosts
from model.baseline import Baseline, find_broken, find_missing
from model.components import DATABASES
from model.inventory import Inventory, Role
from model.nova import Guest
from model.readiness.databases import Shipped

# Where each service's package keeps the migrations of a schema; keystone's have two branches and a check of their own.
_MIGRATIONS = {
    "placement": ("placement", "db/sqlalchemy/alembic"),
    "glance": ("glance", "db/sqlalchemy/alembic_migrations"),
    "nova_api": ("nova", "db/api/migrations"),
    "nova_cell0": ("nova", "db/main/migrations"),
    "nova": ("nova", "db/main/migrations"),
}
# What a fully migrated schema records: revisions that no other one comes after or depends on. Then all there are.
_HEADS = """
import importlib.util, pathlib, sys
from alembic.script import ScriptDirectory
package = pathlib.Path(importlib.util.find_spec(sys.argv[1]).origin).parent
several = lambda ids: (ids,) if isinstance(ids, str) else tuple(ids or ())
revisions = list(ScriptDirectory(str(package / sys.argv[2])).walk_revisions())
passed = {before for r in revisions for before in (*several(r.down_revision), *several(r.dependencies))}
print(*sorted({r.revision for r in revisions} - passed))
print(*sorted(r.revision for r in revisions))
"""


async def revisions(hosts: Hosts, inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """Return the revisions of each schema, as its migrations have recorded them."""
    schemas = [schema for service in inventory.services for schema in DATABASES[service]]
    parts = [f"SELECT '{schema}', version_num FROM `{schema}`.alembic_version" for schema in schemas]  # noqa: S608
    found: dict[str, tuple[str, ...]] = {}
    for schema, revision in await _sql(hosts, inventory, " UNION ALL ".join(parts)):
        found[schema] = tuple(sorted((*found.get(schema, ()), revision)))
    return found


async def wrong_records(hosts: Hosts, inventory: Inventory, version: int | None) -> list[str]:
    """Describe nova's service records that have not this version: they hold all others back, or refuse them."""
    if version is None or "nova" not in inventory.services:
        return []
    rows = "SELECT `binary`, host, version FROM nova.services"
    query = f"{rows} WHERE deleted = 0 AND version <> {version:d} ORDER BY host, `binary`"
    return [
        f"nova's record of {binary} on {host} has version {found}, not {version}"
        for binary, host, found in await _sql(hosts, inventory, query)
    ]


async def lost_guests(hosts: Hosts, inventory: Inventory, baseline: Baseline, guests: tuple[Guest, ...]) -> list[str]:
    """Describe guests of the baseline that are gone without having been deleted, or that are in ERROR now."""
    missing = {guest.id: guest for guest in find_missing(baseline.guests, guests)}
    deleted: set[str] = set()
    if missing:
        ids = ", ".join(f"'{guest}'" for guest in missing)
        query = " UNION ".join(
            f"SELECT uuid FROM {schema}.instances WHERE deleted <> 0 AND uuid IN ({ids})"  # noqa: S608 - UUIDs of nova
            for schema in ("nova", "nova_cell0")
        )
        deleted = {row[0] for row in await _sql(hosts, inventory, query)}
    problems = [f"guest {g.name} ({i}) is gone, and nobody deleted it" for i, g in missing.items() if i not in deleted]
    broken = find_broken(baseline.guests, guests)
    return problems + [f"guest {guest.name} ({guest.id}) on {guest.host} is in ERROR now" for guest in broken]


async def check_schemas(
    hosts: Hosts, inventory: Inventory, schemas: dict[str, tuple[str, ...]], versions: Mapping[str, str]
) -> None:
    """Compare the databases with the migrations that these versions ship.

    Raises:
        StepFailed: they differ.
    """
    code = await shipped(hosts, inventory, schemas, versions)
    problems = [
        f"schema {schema} is at {', '.join(schemas[schema])}, the code expects {', '.join(mine.heads)}"
        for schema, mine in code.items()
        if mine.heads != schemas[schema]
    ]
    if problems:
        raise StepFailed(
            "databases are not at the schema of the new release",
            host=inventory.database.host,
            tail="\n".join(problems),
            remedy="run the service's `db sync` with the new code (see its step), then retry the step",
        )


async def shipped(
    hosts: Hosts, inventory: Inventory, schemas: Iterable[str], versions: Mapping[str, str]
) -> dict[str, Shipped]:
    """Return for each of these schemas what the migrations of these versions are.

    Without those of keystone, and of services whose version is not named.
    """
    known = {name: _MIGRATIONS[name] for name in schemas if name in _MIGRATIONS and _MIGRATIONS[name][0] in versions}
    places = list(dict.fromkeys(known.values()))
    found = await asyncio.gather(*(_shipped(hosts, inventory, versions[place[0]], *place) for place in places))
    code = dict(zip(places, found, strict=True))
    return {name: code[place] for name, place in known.items()}


async def _sql(hosts: Hosts, inventory: Inventory, query: str) -> list[list[str]]:
    client = '"$(command -v mariadb || command -v mysql)"'
    command = f"{client} --batch --skip-column-names --execute {shlex.quote(query)}"
    done = await hosts.run(inventory, inventory.database.host, command)
    return [line.split("\t") for line in done.stdout.splitlines()]


async def _shipped(hosts: Hosts, inventory: Inventory, version: str, package: str, folder: str) -> Shipped:
    python = packaging_of(inventory).tool(package, version, "python")
    command = shlex.join([python, "-c", _HEADS, package, folder])
    # It imports all of alembic, on a host that may have much else to do.
    done = await hosts.run(inventory, inventory.with_role(Role.CONTROL)[0], command, timeout=180)
    heads, _, known = done.stdout.strip().partition("\n")
    return Shipped(heads=tuple(heads.split()), known=frozenset(known.split()))
