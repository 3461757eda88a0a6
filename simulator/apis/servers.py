"""The part of nova's API that is about guests: list, create, delete, metadata, tags, what happened to them."""

import uuid
from typing import Any
from urllib.parse import unquote

from simulator.apis import actions
from simulator.apis.pages import fault, not_simulated, page
from simulator.apis.views import server
from simulator.catalog import FLAVORS, TINY
from simulator.cloud import SimCloud
from simulator.guests import Guest
from simulator.http import Request, Response
from simulator.nova import image_meta
from simulator.tenants import TINY as TINY_IMAGE

_TAGGABLE = {"active", "paused", "suspended", "stopped"}


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
    query = request.query
    host, status, project = query.get("host"), query.get("status"), query.get("project_id")
    tags = {tag for tag in query.get("tags", "").split(",") if tag}
    found = [
        guest
        for guest in cloud.nova.guests.values()
        if host in {None, guest.host}
        and status in {None, guest.status}
        and project in {None, guest.project}
        and tags <= set(guest.tags)
    ]

    def show(guest: Guest) -> dict[str, Any]:
        return server(cloud, request, guest) if detail else {"id": guest.id, "name": guest.name, "links": []}

    return page(request, "servers", found, mark=lambda guest: guest.id, show=show)


def _create(cloud: SimCloud, request: Request) -> Response:
    body = request.json()
    asked = body.get("server", {})
    if not asked.get("name"):
        return fault(400, "badRequest", "Invalid input: a server needs a name.")
    flavor = next((f for f in FLAVORS.values() if asked.get("flavorRef") in {f.id, f.name}), TINY)
    image = asked.get("imageRef")
    hints = body.get("os:scheduler_hints", {})
    created = cloud.clock.iso(cloud.clock.now())[:19] + "Z"
    guest = Guest(
        str(uuid.uuid4()),
        asked["name"],
        None,
        "BUILD",
        "scheduling",
        created,
        image_meta=image_meta(request.code),
        flavor=flavor,
        zone=asked.get("availability_zone"),
        metadata=dict(asked.get("metadata", {})),
        tags=list(asked.get("tags", ())),
        config_drive=bool(asked.get("config_drive")),
        image=image if image in cloud.tenants.images else TINY_IMAGE,
    )
    group = hints.get("group")
    if group is not None and group not in cloud.nova.groups:
        return fault(400, "badRequest", f"Instance group {group} could not be found.")
    cloud.nova.guests[guest.id] = guest
    if group is not None:
        cloud.nova.groups[group].members.append(guest.id)
    cloud.spawn(cloud.mover.build(guest))
    return Response(202, {"server": {"id": guest.id, "links": []}})


def _about(  # noqa: PLR0911 - a table of routes
    cloud: SimCloud, request: Request, guest: Guest, parts: list[str]
) -> Response:
    match (request.method, parts):
        case ("GET", []):
            mine = [group.id for group in cloud.nova.groups_of(guest.id)]
            return Response(200, {"server": {**server(cloud, request, guest), "server_groups": mine}})
        case ("DELETE", []):
            cloud.delete_guest(guest)
            return Response(204)
        case ("POST", ["action"]):
            return actions.act(cloud, request, guest)
        case ("GET", ["os-instance-actions"]):
            told = ("action", "request_id", "message", "start_time")
            rows = [{key: a.get(key) for key in told} for a in guest.actions]
            return Response(200, {"instanceActions": rows})
        case ("GET", ["os-instance-actions", id_]):
            found = next((action for action in guest.actions if action["request_id"] == id_), None)
            return Response(200, {"instanceAction": found}) if found else not_simulated(request)
        case (_, ["migrations", *rest]):
            return actions.migrations(cloud, request, guest, rest)
        case (_, ["metadata", *rest]):
            return _metadata(request, guest, rest)
        case (_, ["tags", *rest]):
            return _tags(request, guest, rest)
        case ("GET", ["os-volume_attachments"]):
            rows = [{"id": id_, "volumeId": id_, "serverId": guest.id, "device": "/dev/vdb"} for id_ in guest.volumes]
            return Response(200, {"volumeAttachments": rows})
    return not_simulated(request)


def _metadata(request: Request, guest: Guest, rest: list[str]) -> Response:
    given, name = request.json(), unquote(rest[0]) if rest else ""
    if request.method != "GET" and guest.vm_state not in _TAGGABLE:
        text = f"Cannot 'update metadata' instance {guest.id} while it is in vm_state {guest.vm_state}"
        return fault(409, "conflictingRequest", text)
    match request.method:
        case "POST" | "PUT" if not rest:
            kept = {} if request.method == "PUT" else guest.metadata
            guest.metadata = {**kept, **given.get("metadata", {})}
        case "PUT":
            guest.metadata[name] = given.get("meta", {}).get(name, "")
            return Response(200, {"meta": {name: guest.metadata[name]}})
        case "GET" | "DELETE" if rest and name not in guest.metadata:
            return fault(404, "itemNotFound", "Metadata item was not found")
        case "DELETE":
            del guest.metadata[name]
            return Response(204)
        case "GET" if rest:
            return Response(200, {"meta": {name: guest.metadata[name]}})
    return Response(200, {"metadata": dict(guest.metadata)})


def _tags(request: Request, guest: Guest, rest: list[str]) -> Response:
    tag = unquote(rest[0]) if rest else ""
    if request.method != "GET" and guest.vm_state not in _TAGGABLE:
        text = f"Cannot 'update tags' instance {guest.id} while it is in vm_state {guest.vm_state}"
        return fault(409, "conflictingRequest", text)
    match request.method:
        case "PUT" if not rest:
            guest.tags = list(request.json().get("tags", ()))
        case "PUT":
            new = tag not in guest.tags
            guest.tags += [tag] if new else []
            return Response(201 if new else 204)
        case "GET" | "DELETE" if rest and tag not in guest.tags:
            return fault(404, "itemNotFound", f"Server {guest.id} has no tag '{tag}'")
        case "GET" if rest:
            return Response(204)
        case "DELETE":
            guest.tags = [one for one in guest.tags if rest and one != tag]
            return Response(204)
    return Response(200, {"tags": list(guest.tags)})
