"""nova's API: flavors, server groups, host aggregates and availability zones."""

from typing import Any

from model.fleet import GroupPolicy
from simulator.apis.pages import fault, not_simulated
from simulator.apis.views import flavor, group, microversion
from simulator.catalog import FLAVORS
from simulator.cloud import SimCloud
from simulator.guests import Aggregate, Group
from simulator.http import Request, Response
from simulator.nova import DEFAULT_ZONE


def flavors(_: SimCloud, request: Request, rest: list[str]) -> Response:
    """List the flavors, show one, or its extra specs."""
    version = microversion(request)
    if rest in ([], ["detail"]):
        return Response(200, {"flavors": [flavor(one, version) for one in FLAVORS.values()]})
    one = next((one for one in FLAVORS.values() if one.id == rest[0]), None)
    if one is None:
        return fault(404, "itemNotFound", f"Flavor {rest[0]} could not be found.")
    if rest[1:] == ["os-extra_specs"]:
        return Response(200, {"extra_specs": dict(one.extra_specs)})
    return Response(200, {"flavor": flavor(one, version)})


def groups(cloud: SimCloud, request: Request, rest: list[str]) -> Response:
    """List, show, make or delete server groups."""
    known, version = cloud.nova.groups, microversion(request)
    match (request.method, rest):
        case ("GET", []):
            # The groups of other projects are not in the list unless they are asked for.
            own = list(known.values()) if "all_projects" in request.query else []
            begin = int(request.query.get("offset", 0))
            shown = own[begin : begin + int(request.query.get("limit", 1000))]
            return Response(200, {"server_groups": [group(cloud, one, version) for one in shown]})
        case ("POST", []):
            return _make_group(cloud, request)
        case (_, [id_]) if id_ not in known:
            return fault(404, "itemNotFound", f"Instance group {id_} could not be found.")
        case ("GET", [id_]):
            return Response(200, {"server_group": group(cloud, known[id_], version)})
        case ("DELETE", [id_]):
            del known[id_]
            return Response(204)
    return not_simulated(request)


def _make_group(cloud: SimCloud, request: Request) -> Response:
    asked = request.json().get("server_group", {})
    policy = asked.get("policy") or next(iter(asked.get("policies", ())), "")
    if not asked.get("name") or policy not in set(GroupPolicy):
        return fault(400, "badRequest", "Invalid input: a group needs a name and a policy.")
    most = int(asked.get("rules", {}).get("max_server_per_host", 1))
    made = Group(asked["name"], GroupPolicy(policy), max_per_host=most)
    cloud.nova.groups[made.id] = made
    return Response(200, {"server_group": group(cloud, made, microversion(request))})


def aggregates(cloud: SimCloud, request: Request, rest: list[str]) -> Response:
    """List the aggregates, or show one."""
    rows = [_aggregate(one) for one in cloud.nova.aggregates]
    match (request.method, rest):
        case ("GET", []):
            return Response(200, {"aggregates": rows})
        case ("GET", [id_]):
            for row in rows:
                if str(row["id"]) == id_:
                    return Response(200, {"aggregate": row})
            return fault(404, "itemNotFound", f"Aggregate {id_} could not be found.")
    return not_simulated(request)


def _aggregate(one: Aggregate) -> dict[str, Any]:
    zone = {"availability_zone": one.zone} if one.zone else {}
    return {
        "id": one.id,
        "name": one.name,
        "availability_zone": one.zone,
        "hosts": list(one.hosts),
        "metadata": {**one.metadata, **zone},
        "created_at": "2026-01-01T00:00:00.000000",
        "updated_at": None,
        "deleted": False,
        "deleted_at": None,
    }


def zones(cloud: SimCloud, _: Request, rest: list[str]) -> Response:
    """List the availability zones of the compute hosts."""
    detail = rest == ["detail"]
    places: dict[str, dict[str, Any]] = {}
    for host in cloud.nova.providers:
        row = cloud.nova.record("nova-compute", host)
        state = {"available": cloud.nova.is_up(row), "active": not row.disabled, "updated_at": None}
        places.setdefault(cloud.nova.zone_of(host), {})[host] = {"nova-compute": state}
    rows = [
        {"zoneName": name, "zoneState": {"available": True}, "hosts": hosts if detail else None}
        for name, hosts in (places or {DEFAULT_ZONE: {}}).items()
    ]
    return Response(200, {"availabilityZoneInfo": rows})
