"""keystone: versions, tokens with a catalog, projects."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.cloud import SimCloud
from simulator.http import Request, Response
from simulator.settings import PASSWORD, REGION

DOMAIN = {"id": "default", "name": "Default"}
PROJECTS = {"admin": "a" * 32, "demo": "d" * 32}
_LIFETIME = timedelta(hours=12)


def answer(cloud: SimCloud, request: Request) -> Response:  # noqa: PLR0911 - a table of routes
    """Answer a request to keystone."""
    match (request.method, request.path.rstrip("/")):
        case ("GET", ""):
            return Response(300, {"versions": {"values": [_version(cloud)]}})
        case ("GET", "/v3"):
            return Response(200, {"version": _version(cloud)})
        case ("POST", "/v3/auth/tokens"):
            return _token(cloud, request)
        case ("GET", "/v3/auth/catalog"):
            return Response(200, {"catalog": _catalog(cloud)})
        case ("GET", "/v3/projects"):
            rows = [
                {"id": id_, "name": name, "domain_id": "default", "enabled": True} for name, id_ in PROJECTS.items()
            ]
            return Response(200, {"projects": rows, "links": {"next": None}})
        case ("GET", "/v3/domains"):
            return Response(200, {"domains": [{**DOMAIN, "enabled": True}]})
        case ("GET", "/v3/regions"):
            return Response(200, {"regions": [{"id": REGION}]})
    return Response(404, {"error": {"code": 404, "message": f"not simulated: {request.name}", "title": "Not Found"}})


def _version(cloud: SimCloud) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"http://{cloud.spec.vip}:5000/v3/"}]
    return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": links, "media-types": []}


def _token(cloud: SimCloud, request: Request) -> Response:
    auth = request.json().get("auth", {})
    user = auth.get("identity", {}).get("password", {}).get("user", {})
    project = auth.get("scope", {}).get("project", {}).get("name", "admin")
    if user.get("password") != PASSWORD or user.get("name") not in PROJECTS or project not in PROJECTS:
        error = {"code": 401, "message": "The request you have made requires authentication.", "title": "Unauthorized"}
        return Response(401, {"error": error})
    token, now = secrets.token_hex(16), datetime.now(tz=UTC)
    cloud.tokens.add(token)
    roles = ["admin", "member", "reader"] if user["name"] == "admin" else ["member", "reader"]
    body = {
        "methods": ["password"],
        "issued_at": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "expires_at": (now + _LIFETIME).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "user": {"id": PROJECTS[user["name"]], "name": user["name"], "domain": DOMAIN},
        "project": {"id": PROJECTS[project], "name": project, "domain": DOMAIN},
        "roles": [{"id": role, "name": role} for role in roles],
        "catalog": _catalog(cloud),
    }
    return Response(201, {"token": body}, {"X-Subject-Token": token})


def _catalog(cloud: SimCloud) -> list[dict[str, Any]]:
    kinds = (
        ("identity", "keystone", ":5000/v3"),
        ("placement", "placement", ":8778"),
        ("image", "glance", ":9292"),
        ("compute", "nova", ":8774/v2.1"),
    )
    return [
        {
            "type": kind,
            "name": name,
            "id": name,
            "endpoints": [
                {
                    "id": f"{name}-{interface}",
                    "interface": interface,
                    "region": REGION,
                    "region_id": REGION,
                    "url": f"http://{cloud.spec.vip}{place}",
                }
                for interface in ("public", "internal", "admin")
            ],
        }
        for kind, name, place in kinds
    ]
