"""The part of nova's API that is about guests: list, create, delete, live-migrate, what happened to them."""

import uuid
from typing import Any

from simulator.apis.identity import PROJECTS
from simulator.apis.pages import fault, not_simulated, page
from simulator.cloud import SimCloud
from simulator.http import Request, Response
from simulator.nova import FLAVOR, Guest, image_meta, reads
from simulator.tenants import TINY

_INCOMPATIBLE = (
    "Unexpected API Error. <class 'oslo_versionedobjects.exception.IncompatibleObjectVersion'>: Version {} of "
    "ImageMetaProps is not supported"
)
_MOVABLE = {"ACTIVE", "PAUSED"}
# nova/compute/power_state.py
_POWER = {"BUILD": 0, "PAUSED": 3, "SHUTOFF": 4, "SUSPENDED": 4}


def answer(cloud: SimCloud, request: Request, parts: list[str]) -> Response:
    """Answer a request below ``/servers``."""
    match (request.method, parts):
        case ("GET", [] | ["detail"]):
            return _list(cloud, request, detail=bool(parts))
        case ("POST", []):
            return _create(cloud, request)
        case (_, [id_, *rest]) if id_ in cloud.nova.guests:
            return _about(cloud, request, cloud.nova.guests[id_], rest)
        case (_, [id_, *_]):
            return fault(404, "itemNotFound", f"Instance {id_} could not be found.")
    return not_simulated(request)


def _list(cloud: SimCloud, request: Request, *, detail: bool) -> Response:
    host, status = request.query.get("host"), request.query.get("status")
    found = [g for g in cloud.nova.guests.values() if host in {None, g.host} and status in {None, g.status}]
    rows = [_detail(guest) if detail else {"id": guest.id, "name": guest.name, "links": []} for guest in found]
    return page(request, "servers", rows)


def _detail(guest: Guest) -> dict[str, Any]:
    row = {
        "id": guest.id,
        "name": guest.name,
        "status": guest.status,
        "tenant_id": PROJECTS["demo"],
        "created": guest.created,
        "flavor": {"original_name": "tiny", **FLAVOR},
        "OS-EXT-STS:task_state": guest.task_state,
        "OS-EXT-STS:vm_state": guest.status.lower(),
        "OS-EXT-STS:power_state": _POWER.get(guest.status, 1),
        "image": {"id": TINY, "links": []},
        "OS-EXT-SRV-ATTR:host": guest.host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": guest.host,
    }
    if guest.fault:
        row["fault"] = {"code": 500, "message": guest.fault, "created": guest.created}
    return row


def _create(cloud: SimCloud, request: Request) -> Response:
    name = request.json().get("server", {}).get("name")
    if not name:
        return fault(400, "badRequest", "Invalid input: a server needs a name.")
    created = cloud.clock.iso(cloud.clock.now())[:19] + "Z"
    written = image_meta(request.code)
    guest = Guest(str(uuid.uuid4()), name, None, "BUILD", "scheduling", created, image_meta=written)
    cloud.nova.guests[guest.id] = guest
    cloud.spawn(cloud.mover.build(guest))
    return Response(202, {"server": {"id": guest.id, "links": []}})


def _about(  # noqa: PLR0911 - a table of routes
    cloud: SimCloud, request: Request, guest: Guest, parts: list[str]
) -> Response:
    match (request.method, parts):
        case ("GET", []):
            return Response(200, {"server": _detail(guest)})
        case ("DELETE", []):
            cloud.nova.delete(guest)
            return Response(204)
        case ("POST", ["action"]):
            return _act(cloud, request, guest)
        case ("GET", ["os-instance-actions"]):
            rows = [{key: a[key] for key in ("action", "request_id", "message")} for a in guest.actions]
            return Response(200, {"instanceActions": rows})
        case ("GET", ["os-instance-actions", id_]):
            found = next((action for action in guest.actions if action["request_id"] == id_), None)
            return Response(200, {"instanceAction": found}) if found else not_simulated(request)
        case ("DELETE", ["migrations", number]):
            return _abort(cloud, guest, number)
    return not_simulated(request)


def _act(cloud: SimCloud, request: Request, guest: Guest) -> Response:
    action = next(iter(request.json()), "")
    if action in {"resize", "migrate", "confirmResize", "revertResize"}:
        return _resize(cloud, request, guest, action)
    if action == "os-migrateLive":
        if not reads(request.code, guest.image_meta):
            return fault(500, "computeFault", _INCOMPATIBLE.format(guest.image_meta))
        if guest.task_state is not None:
            return _conflict(guest, f"task_state {guest.task_state}")
        if guest.status not in _MOVABLE:
            return _conflict(guest, f"vm_state {guest.status.lower()}")
        cloud.migrate(guest)
    elif action == "os-resetState":
        guest.status = "ACTIVE" if request.json()[action].get("state") == "active" else "ERROR"
        guest.task_state = None
    elif action == "os-start":
        guest.status = "ACTIVE"
    elif action == "os-stop":
        guest.status = "SHUTOFF"
    else:
        return fault(400, "badRequest", f"not simulated: action {action}")
    return Response(202)


def _resize(cloud: SimCloud, request: Request, guest: Guest, action: str) -> Response:
    if action.endswith("Resize"):
        done = cloud.mover.settle(guest, confirm=action == "confirmResize")
        return Response(202 if action == "revertResize" else 204) if done else _conflict(guest, "no resize that waits")
    if not reads(request.code, guest.image_meta):
        return fault(500, "computeFault", _INCOMPATIBLE.format(guest.image_meta))
    if guest.status not in {"ACTIVE", "SHUTOFF"} or guest.task_state is not None:
        return _conflict(guest, f"vm_state {guest.status.lower()}")
    cloud.spawn(cloud.mover.resize(guest))
    return Response(202)


def _abort(cloud: SimCloud, guest: Guest, number: str) -> Response:
    for move in cloud.nova.migrations:
        if move.guest == guest.id and str(move.id) == number and move.status in {"running", "preparing"}:
            move.abort = True
            return Response(202)
    return fault(400, "badRequest", f"Migration {number} is not running.")


def _conflict(guest: Guest, why: str) -> Response:
    return fault(409, "conflictingRequest", f"Cannot 'os-migrateLive' instance {guest.id} while it is in {why}")
