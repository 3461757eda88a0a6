"""nova's API: what administrators ask about the fleet; ``servers`` has what is about guests."""

from typing import Any

from simulator.apis import servers
from simulator.apis.pages import fault, not_simulated, page
from simulator.cloud import SimCloud
from simulator.http import Request, Response
from simulator.nova import API_BINARY, FLAVOR, INVENTORY, Migration, Service

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
        case ("GET", ["v2.1", "os-services"]):
            return Response(200, {"services": _services(cloud, request)})
        case ("PUT", ["v2.1", "os-services", id_]):
            return _set_service(cloud, request, id_)
        case ("GET", ["v2.1", "os-migrations"]):
            return _migrations(cloud, request)
        case ("GET", ["v2.1", "os-hypervisors", *rest]):
            return _hypervisors(cloud, rest)
        case ("GET", ["v2.1", "flavors", *_]):
            row = {"id": "1", "name": "tiny", "OS-FLV-EXT-DATA:ephemeral": 0, "os-flavor-access:is_public": True}
            return Response(200, {"flavors": [{**FLAVOR, **row}]})
        case ("GET", ["v2.1", "os-aggregates"]):
            return Response(200, {"aggregates": []})
    return not_simulated(request)


def _version(cloud: SimCloud) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"http://{cloud.spec.vip}:8774/v2.1/"}]
    return {"id": "v2.1", "status": "CURRENT", "version": _MOST, "min_version": "2.1", "links": links}


def _services(cloud: SimCloud, request: Request) -> list[dict[str, Any]]:
    """The list, which leaves out the API's own records."""
    binary, host = request.query.get("binary"), request.query.get("host")
    rows = [row for row in cloud.nova.services if row.binary != API_BINARY]
    return [_service(cloud, row) for row in rows if binary in {None, row.binary} and host in {None, row.host}]


def _service(cloud: SimCloud, row: Service) -> dict[str, Any]:
    return {
        "id": row.id,
        "binary": row.binary,
        "host": row.host,
        "zone": "nova" if row.host in cloud.nova.providers else "internal",
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


def _migrations(cloud: SimCloud, request: Request) -> Response:
    host, status = request.query.get("host"), request.query.get("status")
    found = [
        migration_row(cloud, move)
        for move in reversed(cloud.nova.migrations)
        if host in {None, move.source, move.target} and status in {None, move.status}
    ]
    return page(request, "migrations", found, marker="uuid")


def migration_row(cloud: SimCloud, move: Migration) -> dict[str, Any]:
    """Return a migration as the API shows it."""
    return {
        "id": move.id,
        "uuid": move.uuid,
        "instance_uuid": move.guest,
        "migration_type": move.kind,
        "status": move.status,
        "source_compute": move.source,
        "source_node": move.source,
        "dest_compute": move.target,
        "dest_node": move.target,
        "created_at": cloud.clock.iso(move.created),
        "updated_at": cloud.clock.iso(move.updated),
    }


def _hypervisors(cloud: SimCloud, rest: list[str]) -> Response:
    """List them, or show the one whose id is in the path."""
    if rest in ([], ["detail"]):
        return Response(200, {"hypervisors": [_hypervisor(cloud, host) for host in cloud.nova.providers]})
    id_ = rest[0]
    host = next((host for host, known in cloud.nova.providers.items() if known == id_), None)
    if host is None:
        return fault(404, "itemNotFound", f"Hypervisor with ID '{id_}' could not be found.")
    return Response(200, {"hypervisor": _hypervisor(cloud, host)})


def _hypervisor(cloud: SimCloud, host: str) -> dict[str, Any]:
    row = cloud.nova.record("nova-compute", host)
    service = {"id": row.id, "host": host, "disabled_reason": row.reason}
    return {
        "id": cloud.nova.providers[host],
        "hypervisor_hostname": host,
        "state": "up" if cloud.nova.is_up(row) else "down",
        "status": "disabled" if row.disabled else "enabled",
        "hypervisor_type": "fake",
        "vcpus": INVENTORY["VCPU"]["total"],
        "host_ip": cloud.hosts[host].address,
        "service": service,
    }
