"""nova's API: what administrators ask about the fleet; ``servers`` has what is about guests."""

from typing import Any

from simulator.apis import fleet, servers
from simulator.apis.pages import fault, not_simulated, page
from simulator.apis.views import microversion, migration
from simulator.cloud import SimCloud
from simulator.http import Request, Response
from simulator.nova import API_BINARY, Service

_MOST = "2.104"


def answer(cloud: SimCloud, request: Request) -> Response:  # noqa: PLR0911 - a table of routes
    """Answer a request to nova."""
    parts = [part for part in request.path.split("/") if part]
    match (request.method, parts):
        case ("GET", []):
            return Response(200, {"versions": [_version(cloud)]})
        case ("GET", ["v2.1"]):
            return Response(200, {"version": _version(cloud)})
        case (_, ["v2.1", "servers", *rest]):
            return servers.answer(cloud, request, rest)
        case (_, ["v2.1", "os-keypairs", *rest]):
            return _keypairs(cloud, request, rest)
        case ("PUT", ["v2.1", "os-services", id_]):
            return _set_service(cloud, request, id_)
        case (_, ["v2.1", what, *rest]) if what in _ABOUT_FLEET:
            return _ABOUT_FLEET[what](cloud, request, rest)
        case ("GET", ["v2.1", what, *rest]) if what in _LISTS:
            return _LISTS[what](cloud, request, rest)
    return not_simulated(request)


def _version(cloud: SimCloud) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"http://{cloud.spec.vip}:8774/v2.1/"}]
    return {"id": "v2.1", "status": "CURRENT", "version": _MOST, "min_version": "2.1", "links": links}


def _keypairs(cloud: SimCloud, request: Request, rest: list[str]) -> Response:
    """List, import and delete keys; they are the administrator's, whoever asks."""
    known = cloud.tenants.keypairs
    match (request.method, rest):
        case ("GET", []):
            rows = [{"keypair": {"name": name, "public_key": key}} for name, key in known.items()]
            return Response(200, {"keypairs": rows})
        case ("POST", []):
            asked = request.json().get("keypair", {})
            if asked["name"] in known:
                return fault(409, "conflictingRequest", f"Key pair '{asked['name']}' already exists.")
            known[asked["name"]] = asked.get("public_key", "")
            return Response(200, {"keypair": {"name": asked["name"], "public_key": known[asked["name"]]}})
        case ("DELETE", [name]) if name in known:
            del known[name]
            return Response(202)
        case ("DELETE", [name]):
            return fault(404, "itemNotFound", f"Keypair {name} not found for user")
    return not_simulated(request)


def _services(cloud: SimCloud, request: Request, _: list[str]) -> Response:
    """The list, which leaves out the API's own records."""
    binary, host = request.query.get("binary"), request.query.get("host")
    rows = [row for row in cloud.nova.services if row.binary != API_BINARY]
    found = [_service(cloud, row) for row in rows if binary in {None, row.binary} and host in {None, row.host}]
    return Response(200, {"services": found})


def _service(cloud: SimCloud, row: Service) -> dict[str, Any]:
    return {
        "id": row.id,
        "binary": row.binary,
        "host": row.host,
        "zone": cloud.nova.zone_of(row.host) if row.host in cloud.nova.providers else "internal",
        "status": "disabled" if row.disabled else "enabled",
        "state": "up" if cloud.nova.is_up(row) else "down",
        "disabled_reason": row.reason,
        "forced_down": row.forced_down,
        "updated_at": cloud.clock.iso(row.updated),
    }


def _set_service(cloud: SimCloud, request: Request, id_: str) -> Response:
    row = next((row for row in cloud.nova.services if row.id == id_), None)
    if row is None:
        return fault(404, "itemNotFound", f"Service {id_} not found.")
    body = request.json()
    if "status" in body:
        row.disabled = body["status"] == "disabled"
        row.reason = body.get("disabled_reason") if row.disabled else None
    row.forced_down = bool(body.get("forced_down", row.forced_down))
    return Response(200, {"service": _service(cloud, row)})


def _migrations(cloud: SimCloud, request: Request, _: list[str]) -> Response:
    query = request.query
    host, status, guest = query.get("host"), query.get("status"), query.get("instance_uuid")
    kind, since = query.get("migration_type"), query.get("changes-since", "")[:19]
    found = [
        move
        for move in reversed(cloud.nova.migrations)
        # nova hides those of deleted servers with them.
        if move.guest not in cloud.nova.deleted
        if host in {None, move.source, move.written_target}
        and status in {None, move.status}
        and guest in {None, move.guest}
        and kind in {None, move.kind}
        and cloud.clock.iso(move.updated)[:19] >= since
    ]
    return page(request, "migrations", found, mark=lambda move: move.uuid, show=lambda move: migration(cloud, move))


def _hypervisors(cloud: SimCloud, request: Request, rest: list[str]) -> Response:
    """List them, or show the one whose id is in the path."""
    if rest in ([], ["detail"]):
        hosts = list(cloud.nova.providers)
        pattern = request.query.get("hypervisor_hostname_pattern", "")
        rows = [_hypervisor(cloud, request, host) for host in hosts if pattern in host]
        return Response(200, {"hypervisors": rows})
    id_ = rest[0]
    host = next((host for host, known in cloud.nova.providers.items() if known == id_), None)
    if host is None:
        return fault(404, "itemNotFound", f"Hypervisor with ID '{id_}' could not be found.")
    return Response(200, {"hypervisor": _hypervisor(cloud, request, host)})


def _hypervisor(cloud: SimCloud, request: Request, host: str) -> dict[str, Any]:
    row = cloud.nova.record("nova-compute", host)
    found: dict[str, Any] = {
        "id": cloud.nova.providers[host],
        "hypervisor_hostname": host,
        "state": "up" if cloud.nova.is_up(row) else "down",
        "status": "disabled" if row.disabled else "enabled",
        "hypervisor_type": "QEMU",
        "hypervisor_version": cloud.nova.hypervisor_version(host),
        "host_ip": cloud.hosts[host].address,
        "service": {"id": row.id, "host": host, "disabled_reason": row.reason},
    }
    if microversion(request) < (2, 88):
        size = cloud.hosts[host].size
        found |= {"vcpus": size.vcpus, "memory_mb": size.ram, "local_gb": size.disk}
    if request.query.get("with_servers", "").lower() in {"1", "true"}:
        found["servers"] = [{"uuid": guest.id, "name": guest.name} for guest in cloud.nova.guests_on(host)]
    return found


_ABOUT_FLEET = {"os-server-groups": fleet.groups, "os-aggregates": fleet.aggregates}
_LISTS = {
    "os-services": _services,
    "os-migrations": _migrations,
    "os-hypervisors": _hypervisors,
    "flavors": fleet.flavors,
    "os-availability-zone": fleet.zones,
}
