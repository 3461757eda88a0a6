"""The part of nova's API that does something to a guest: ``POST /servers/{id}/action``, and its migrations."""

from collections.abc import Callable
from typing import Any

from simulator.actions import ACTS
from simulator.apis.pages import fault, not_simulated
from simulator.apis.views import microversion, running_migration
from simulator.cloud import SimCloud
from simulator.cold import MIGRATION, RESIZE
from simulator.guests import Guest, Migration
from simulator.http import Request, Response
from simulator.nova import reads

_INCOMPATIBLE = (
    "Unexpected API Error. <class 'oslo_versionedobjects.exception.IncompatibleObjectVersion'>: Version {} of "
    "ImageMetaProps is not supported"
)
_LIVE, _COLD = {"active", "paused"}, {"active", "stopped"}
_IN_PROGRESS = {"queued", "preparing", "running", "post-migrating"}


def act(cloud: SimCloud, request: Request, guest: Guest) -> Response:
    """Take an action on."""
    name, content = next(iter(request.json().items()), ("", None))
    arguments = content if isinstance(content, dict) else {}
    special: dict[str, Callable[[], Response]] = {
        "os-migrateLive": lambda: _migrate_live(cloud, request, guest, arguments),
        "migrate": lambda: _migrate_cold(cloud, request, guest, name, arguments),
        "resize": lambda: _migrate_cold(cloud, request, guest, name, arguments),
        "confirmResize": lambda: _settle(cloud, guest, name),
        "revertResize": lambda: _settle(cloud, guest, name),
        "os-resetState": lambda: _reset(guest, arguments),
        "lock": lambda: _lock(guest, arguments.get("locked_reason")),
        "unlock": lambda: _unlock(guest),
    }
    if guest.locked and name not in {"lock", "unlock", "os-resetState"} and not cloud.is_admin(request):
        return fault(409, "conflictingRequest", f"Instance {guest.id} is locked")
    if name in special:
        return special[name]()
    if name not in ACTS:
        return fault(400, "badRequest", f"not simulated: action {name}")
    found = ACTS[name]
    if (conflict := _conflict(guest, name, found.states)) is not None:
        return conflict
    guest.work(found.task, "HARD_REBOOT" if name == "reboot" else None)
    cloud.spawn(cloud.actions.carry_out(guest, found))
    return Response(200, {"adminPass": "simulated"}) if name == "rescue" else Response(202)


def _conflict(guest: Guest, action: str, states: frozenset[str] | set[str]) -> Response | None:
    """Return why an action is not possible now."""
    if guest.vm_state not in states:
        why = f"vm_state {guest.vm_state}"
    elif guest.task_state is not None:
        why = f"task_state {guest.task_state}"
    else:
        return None
    return fault(409, "conflictingRequest", f"Cannot '{action}' instance {guest.id} while it is in {why}")


def _migrate_live(cloud: SimCloud, request: Request, guest: Guest, arguments: dict[str, Any]) -> Response:
    host = arguments.get("host")
    if arguments.get("force") is not None and microversion(request) >= (2, 68):
        return fault(400, "badRequest", "Additional properties are not allowed ('force' was unexpected)")
    if not reads(request.code, guest.image_meta):
        return fault(500, "computeFault", _INCOMPATIBLE.format(guest.image_meta))
    if (conflict := _conflict(guest, "os-migrateLive", _LIVE)) is not None:
        return conflict
    if host is not None and host not in cloud.nova.providers:
        return fault(400, "badRequest", f"Compute host {host} could not be found.")
    cloud.migrate(guest, host)
    return Response(202)


def _migrate_cold(cloud: SimCloud, request: Request, guest: Guest, action: str, arguments: dict[str, Any]) -> Response:
    host = arguments.get("host")
    if not reads(request.code, guest.image_meta):
        return fault(500, "computeFault", _INCOMPATIBLE.format(guest.image_meta))
    if (conflict := _conflict(guest, action, _COLD)) is not None:
        return conflict
    if host is not None and host not in cloud.nova.providers:
        return fault(400, "badRequest", f"Compute host {host} could not be found.")
    if host is not None and host == guest.host:
        return fault(400, "badRequest", f"Cannot migrate to the host where instance {guest.id} is: {host}.")
    if guest.host is not None and not cloud.nova.is_up(cloud.nova.record("nova-compute", guest.host)):
        return fault(409, "conflictingRequest", "Service is unavailable at this time.")
    kind = RESIZE if action == "resize" else MIGRATION
    cloud.spawn(cloud.mover.resize(guest, kind=kind, wanted=host))
    return Response(202)


def _settle(cloud: SimCloud, guest: Guest, action: str) -> Response:
    confirm, move = action == "confirmResize", cloud.mover.cold.waiting(guest)
    if (conflict := _conflict(guest, action, {"resized"})) is not None:
        return conflict
    if move is None:
        return fault(400, "badRequest", "Instance has not been resized.")
    cloud.spawn(cloud.mover.cold.settle_later(guest, move, confirm=confirm))
    return Response(204 if confirm else 202)


def _reset(guest: Guest, arguments: dict[str, Any]) -> Response:
    guest.rest("ACTIVE" if arguments.get("state") == "active" else "ERROR")
    return Response(202)


def _lock(guest: Guest, reason: str | None) -> Response:
    guest.locked, guest.locked_reason = True, reason
    return Response(202)


def _unlock(guest: Guest) -> Response:
    guest.locked, guest.locked_reason = False, None
    return Response(202)


def migrations(cloud: SimCloud, request: Request, guest: Guest, rest: list[str]) -> Response:
    """Answer what is asked about the live migrations of a guest that go on."""
    moves = [m for m in cloud.nova.migrations if m.guest == guest.id and m.status in _IN_PROGRESS]
    match (request.method, rest):
        case ("GET", []):
            return Response(200, {"migrations": [running_migration(cloud, move) for move in moves]})
        case ("GET", [number]):
            for move in moves:
                if str(move.id) == number:
                    return Response(200, {"migration": running_migration(cloud, move)})
            return fault(404, "itemNotFound", f"Live migration {number} for server {guest.id} is not in progress.")
        case ("DELETE", [number]):
            return _abort(cloud, guest, number)
        case ("POST", [number, "action"]) if "force_complete" in request.json():
            return _force(cloud, guest, number)
    return not_simulated(request)


def _abort(cloud: SimCloud, guest: Guest, number: str) -> Response:
    if guest.task_state != "migrating":
        return _not_migrating(guest, "abort live migration")
    move = _found(cloud, guest, number)
    if move is None:
        return fault(404, "itemNotFound", f"Migration {number} not found for instance {guest.id}")
    if move.status not in {"queued", "preparing", "running"}:
        return _wrong_state(guest, move, "abort live migration")
    move.abort = True
    return Response(202)


def _force(cloud: SimCloud, guest: Guest, number: str) -> Response:
    if guest.vm_state != "active" or guest.task_state != "migrating":
        return _not_migrating(guest, "force_complete")
    move = _found(cloud, guest, number)
    if move is None or move.status != "running":
        return _wrong_state(guest, move, "force complete")
    move.force = True
    return Response(202)


def _found(cloud: SimCloud, guest: Guest, number: str) -> Migration | None:
    return next((m for m in cloud.nova.migrations if m.guest == guest.id and str(m.id) == number), None)


def _not_migrating(guest: Guest, action: str) -> Response:
    state = f"vm_state {guest.vm_state}" if guest.task_state == "migrating" else f"task_state {guest.task_state}"
    return fault(409, "conflictingRequest", f"Cannot '{action}' instance {guest.id} while it is in {state}")


def _wrong_state(guest: Guest, move: Migration | None, method: str) -> Response:
    state = move.status if move else "unknown"
    text = f"Migration of instance {guest.id} cannot {method}: its state is {state}."
    return fault(400, "badRequest", text)
