"""What stackroll asks of OpenStack's APIs, in the words of ``model.nova``."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from activities.clouds import Cloud, call, check, get, message, pages
from activities.errors import Unreachable
from model.base import JsonObject
from model.inventory import Inventory
from model.nova import Guest, Migration, ServiceRow, is_settled
from model.work import Capacity

# 2.69: servers of a cell that is down are marked instead of missing (nova/api/openstack/rest_api_version_history.rst).
SERVERS = "2.69"
SERVICES = "2.69"
SET_SERVICE = "2.53"
MIGRATIONS = "2.59"
HYPERVISORS = "2.53"
# 2.68: a named host is always checked by the scheduler; it cannot be forced any more.
LIVE_MIGRATE = "2.68"
ACTIONS = "2.84"
PLACEMENT = "1.20"

# Names of instance actions (nova/compute/instance_actions.py).
_MIGRATING = ("live-migration", "migrate")


async def token(inventory: Inventory) -> str:
    """Return a token that is valid for at least some more minutes; a new one only when the last one is about to end."""
    return await call(inventory, "keystone", lambda cloud: str(cloud.session.get_token()))


async def new_token(inventory: Inventory) -> None:
    """Ask keystone for a token, whether there is one already or not; nothing else uses it."""

    def ask(cloud: Cloud) -> None:
        cloud.session.auth.get_auth_ref(cloud.session)

    await call(inventory, "keystone", ask)


async def transport(inventory: Inventory) -> tuple[str, bool | str]:
    """Return the scheme of the APIs (keystone's, by ``clouds.yaml``), and whether certificates are checked, or by what.

    The second is True, False, or the file to check them with.
    """

    def read(cloud: Cloud) -> tuple[str, bool | str]:
        return urlsplit(cloud.auth_url).scheme or "http", cloud.verify

    return await call(inventory, "keystone", read)


async def service_records(
    inventory: Inventory, *, binary: str | None = None, host: str | None = None
) -> list[ServiceRow]:
    """Return nova's list of services, of one binary or of all, on one host (exactly this name) or on all.

    Raises:
        Unreachable: when a cell is down, because then part of the answer is missing.
    """
    params = ({"binary": binary} if binary else {}) | ({"host": host} if host else {})
    found = await call(
        inventory, "nova", lambda cloud: get(cloud.compute, "/os-services", SERVICES, params)["services"]
    )
    return [_service(row) for row in found if host in {None, row["host"]}]


async def set_service_status(inventory: Inventory, service_id: str, *, enabled: bool, reason: str = "") -> None:
    """Enable or disable a compute service; doing it twice is harmless."""
    body: JsonObject = {"status": "enabled"} if enabled else {"status": "disabled", "disabled_reason": reason}

    def put(cloud: Cloud) -> None:
        check(
            cloud.compute.put(
                f"/os-services/{service_id}", json=body, microversion="2.53", connect_retries=2, raise_exc=False
            )
        )

    await call(inventory, "nova", put)


async def guests(inventory: Inventory, *, host: str | None = None, status: str | None = None) -> tuple[Guest, ...]:
    """Return the servers of all tenants in all states, on one host (exactly this name) or on all.

    Raises:
        Unreachable: when a cell is down: guests that cannot be seen are not guests that do not exist.
    """
    rows = await server_rows(inventory, SERVERS, host=host, status=status)
    return tuple(guest_of(row) for row in rows)


async def server_rows(
    inventory: Inventory, microversion: str, *, host: str | None = None, status: str | None = None
) -> list[JsonObject]:
    """Return nova's own rows of servers, of all tenants, on one host (exactly this name) or on all."""
    params = {"all_tenants": "true", "limit": "1000"}
    params |= {"host": host} if host else {}
    params |= {"status": status} if status else {}
    rows = await call(
        inventory, "nova", lambda cloud: list(pages(cloud.compute, "/servers/detail", "servers", microversion, params))
    )
    for row in rows:
        check_known(row)
    return [row for row in rows if host is None or row.get("OS-EXT-SRV-ATTR:host") == host]


async def migrations(
    inventory: Inventory, host: str | None = None, *, status: str | None = None
) -> tuple[Migration, ...]:
    """Return nova's migrations, newest first: from or to one host or of all, in one status or in any."""
    params = {"limit": "1000"} | ({"host": host} if host else {}) | ({"status": status} if status else {})
    rows = await call(
        inventory,
        "nova",
        lambda cloud: list(pages(cloud.compute, "/os-migrations", "migrations", MIGRATIONS, params, marker="uuid")),
    )
    found = tuple(_migration(row) for row in rows)
    return tuple(m for m in found if host is None or host in {m.source, m.target})


async def in_flight(inventory: Inventory) -> list[str]:
    """Describe everything that nova is working on: servers being built, changed, moved or deleted, and migrations."""
    servers, moves = await asyncio.gather(guests(inventory), migrations(inventory))
    busy = [f"guest {g.name} ({g.id}) is in {g.task_state or g.status}" for g in servers if not is_settled(g)]
    return busy + [move.text for move in moves if move.moving]


async def in_flight_on(inventory: Inventory, host: str) -> list[str]:
    """Describe everything that nova is working on at a compute host; a server that has no host yet may come to it."""
    servers, moves = await asyncio.gather(guests(inventory), migrations(inventory))
    busy = [
        f"guest {g.name} ({g.id}) is in {g.task_state or g.status}"
        for g in servers
        if g.host in (host, None) and not is_settled(g) and g.status != "ERROR"
    ]
    return busy + [move.text for move in moves if move.moving and host in (move.source, move.target)]


async def live_migrate(inventory: Inventory, guest: str, host: str | None = None) -> str | None:
    """Ask nova to move a guest away while it runs: to this host, if its scheduler agrees, or wherever that wants.

    Returns:
        None when nova took it on, or when there is no such guest any more; else why nova refused just now (as while it
        is already on its way), which the caller finds out by reading again.

    Raises:
        Unreachable: no answer; nova may have taken it on.
    """
    body: JsonObject = {"os-migrateLive": {"host": host, "block_migration": "auto"}}
    return await ask(inventory, f"/servers/{guest}/action", body, LIVE_MIGRATE)


async def ask(inventory: Inventory, path: str, body: JsonObject, microversion: str) -> str | None:
    """Ask nova for something that it does later; the answer is as that of ``live_migrate``."""

    def post(cloud: Cloud) -> str | None:
        return refusal(cloud.compute.post(path, json=body, microversion=microversion, raise_exc=False))

    return await call(inventory, "nova", post)


def refusal(response: Any) -> str | None:
    """Return why nova refused just now; None when it took a request on, or when what it is about is gone."""
    if response.status_code in {400, 403, 409, 500}:
        return f"{response.status_code}: {message(response)}"
    if response.status_code != 404:
        check(response)
    return None


async def last_error(inventory: Inventory, guest: str) -> str:
    """Return what nova says of the last migration of a guest that failed; empty when it says nothing."""

    def read(cloud: Cloud) -> str:
        base = f"/servers/{guest}/os-instance-actions"
        response = cloud.compute.get(base, microversion=ACTIONS, connect_retries=2, raise_exc=False)
        if response.status_code == 404:
            return ""
        check(response)
        for action in response.json()["instanceActions"]:
            if action["action"] in _MIGRATING:
                shown = get(cloud.compute, f"{base}/{action['request_id']}", ACTIONS)["instanceAction"]
                failed = [event for event in shown["events"] if event["result"] == "Error"]
                words = failed[-1].get("details") or "" if failed else shown.get("message") or ""
                return f"{words} (request {action['request_id']})".strip()
        return ""

    return await call(inventory, "nova", read)


async def providers(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """Return for each compute host the ids of its hypervisors, which are the ids of their resource providers too."""
    rows = await call(
        inventory,
        "nova",
        lambda cloud: list(pages(cloud.compute, "/os-hypervisors/detail", "hypervisors", HYPERVISORS, {})),
    )
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        host = row["service"]["host"]
        found[host] = (*found.get(host, ()), str(row["id"]))
    return found


async def providers_of(inventory: Inventory, host: str) -> tuple[str, ...]:
    """Return the ids of a host's hypervisors, which stay the same while it is nova's.

    Nova can only list the whole fleet by host, so that is asked once, and again for a host that was not in the list.
    """
    known = await call(inventory, "nova", lambda cloud: cloud.providers)
    if host not in known:
        known.update(await providers(inventory))
    return known.get(host, ())


async def host_of(inventory: Inventory, hypervisor: str) -> str | None:
    """Return the host that nova has a hypervisor of this id on; None when it knows no such id."""

    def read(cloud: Cloud) -> str | None:
        response = cloud.compute.get(
            f"/os-hypervisors/{hypervisor}", microversion=HYPERVISORS, connect_retries=2, raise_exc=False
        )
        if response.status_code in {400, 404}:  # 400: no id at all
            return None
        check(response)
        return str(response.json()["hypervisor"]["service"]["host"])

    return await call(inventory, "nova", read)


async def allocations_on(inventory: Inventory, *provider_ids: str) -> dict[str, dict[str, int]]:
    """Return who holds what of these resource providers, by consumer (a guest's or a migration's id)."""

    def read(cloud: Cloud) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for provider in provider_ids:
            answer = get(cloud.placement, f"/resource_providers/{provider}/allocations", PLACEMENT)
            found |= {consumer: held["resources"] for consumer, held in answer["allocations"].items()}
        return found

    return await call(inventory, "placement", read)


async def capacity(inventory: Inventory, known: Mapping[str, tuple[str, ...]] | None = None) -> dict[str, Capacity]:
    """Return the room on every compute host: total minus reserved, times the allocation ratio; and what is used.

    ``known`` is the answer of ``providers``, if it is at hand.
    """
    known = await providers(inventory) if known is None else known
    rooms = await asyncio.gather(*(_room(inventory, ids) for ids in known.values()))
    return dict(zip(known, rooms, strict=True))


async def _room(inventory: Inventory, provider_ids: tuple[str, ...]) -> Capacity:
    def read(cloud: Cloud) -> Capacity:
        total: dict[str, float] = {}
        used: dict[str, float] = {}
        for provider in provider_ids:
            url = f"/resource_providers/{provider}"
            for name, item in get(cloud.placement, f"{url}/inventories", PLACEMENT)["inventories"].items():
                room = (item["total"] - item["reserved"]) * item["allocation_ratio"]
                total[name] = total.get(name, 0.0) + room
            for name, amount in get(cloud.placement, f"{url}/usages", PLACEMENT)["usages"].items():
                used[name] = used.get(name, 0.0) + amount
        return Capacity(total=total, used=used)

    return await call(inventory, "placement", read)


async def api_versions(inventory: Inventory, address: str) -> JsonObject:
    """Return the version document at an API's root, such as ``http://10.0.0.1:8774/``; it needs no token."""

    def read(cloud: Cloud) -> JsonObject:
        response = cloud.session.get(
            address, authenticated=False, raise_exc=False, connect_retries=2, headers={"Accept": "application/json"}
        )
        if response.status_code not in {200, 300}:
            check(response)
        return dict(response.json())

    return await call(inventory, address, read)


async def api_get(inventory: Inventory, address: str) -> int:
    """Return the HTTP status of an authenticated request to a full address."""
    return await call(
        inventory, address, lambda cloud: int(cloud.session.get(address, raise_exc=False, timeout=30).status_code)
    )


def _service(row: JsonObject) -> ServiceRow:
    if row.get("status") == "UNKNOWN":
        raise _cell_down(f"service {row.get('binary')} on {row.get('host')}")
    return ServiceRow(
        id=str(row["id"]),
        binary=row["binary"],
        host=row["host"],
        state=row["state"],
        status=row["status"],
        disabled_reason=row.get("disabled_reason"),
        updated_at=row.get("updated_at"),
        forced_down=bool(row.get("forced_down", False)),
        zone=row.get("zone") or "nova",
    )


def check_known(row: JsonObject) -> None:
    """Raise when nova does not know the state of a server, because its cell is down."""
    if row.get("status") == "UNKNOWN":
        raise _cell_down(f"guest {row['id']}")


def guest_of(row: JsonObject) -> Guest:
    """Return a server from nova's row of it."""
    flavor = row.get("flavor", {})
    return Guest(
        id=row["id"],
        name=row.get("name", ""),
        host=row.get("OS-EXT-SRV-ATTR:host") or None,
        status=row["status"],
        task_state=row.get("OS-EXT-STS:task_state"),
        project=row.get("tenant_id", ""),
        vcpus=flavor.get("vcpus", 0),
        ram_mb=flavor.get("ram", 0),
        disk_gb=flavor.get("disk", 0) + flavor.get("ephemeral", 0),
        created=row.get("created", ""),
        fault=(row.get("fault") or {}).get("message", ""),
    )


def _migration(row: JsonObject) -> Migration:
    return Migration(
        id=row["id"],
        uuid=row.get("uuid") or "",
        guest=row["instance_uuid"],
        kind=row.get("migration_type") or "migration",
        status=row["status"] or "",
        source=row["source_compute"] or "",
        target=row.get("dest_compute"),
        # nova gives microseconds and no zone here, unlike for servers
        created=_moment(row["created_at"]),
        updated=_moment(row.get("updated_at")),
    )


def _moment(stamp: str | None) -> str:
    return f"{stamp[:19]}Z" if stamp else ""


def _cell_down(what: str) -> Unreachable:
    return Unreachable(
        f"nova does not know the state of {what}: a cell is down",
        remedy="see `nova-manage cell_v2 list_cells` and the database and message queue of that cell",
    )
