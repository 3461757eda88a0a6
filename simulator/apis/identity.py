"""keystone: versions, tokens with a catalog, projects."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.cloud import SimCloud
from simulator.http import Request, Response
from simulator.settings import PASSWORD, REGION
from simulator.tenants import ADMIN, DEMO, Account

DOMAIN = {"id": "default", "name": "Default"}
PROJECTS = {"admin": ADMIN, "demo": DEMO}
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
        case ("GET", "/v3/projects" | "/v3/users" as path):
            kind = path.rpartition("/")[2]
            rows = [_account(account) for account in _table(cloud, kind).values()]
            return Response(200, {kind: rows, "links": {"next": None}})
        case ("POST", "/v3/projects" | "/v3/users" as path):
            return _make(cloud, request, path.rpartition("/")[2])
        case (_, path) if path.startswith(("/v3/projects/", "/v3/users/")):
            return _about(cloud, request, *path.split("/")[2:4])
        case ("GET", "/v3/domains"):
            return Response(200, {"domains": [{**DOMAIN, "enabled": True}]})
        case ("GET", "/v3/regions"):
            return Response(200, {"regions": [{"id": REGION}]})
    return _error(404, f"not simulated: {request.name}", "Not Found")


def _table(cloud: SimCloud, kind: str) -> dict[str, Account]:
    return cloud.tenants.users if kind == "users" else cloud.tenants.projects


def _make(cloud: SimCloud, request: Request, kind: str) -> Response:
    body, singular = request.json(), kind.removesuffix("s")
    asked = body.get(singular, {})
    if not asked.get("name"):
        return _error(400, f"{singular}.name is missing", "Bad Request")
    if any(account.name == asked["name"] for account in _table(cloud, kind).values()):
        return _error(409, f"Conflict occurred attempting to store {singular}", "Conflict")
    if kind == "users":
        made = cloud.tenants.add_user(asked["name"], asked.get("default_project_id"))
    else:
        made = cloud.tenants.add_project(asked["name"])
    return Response(201, {singular: _account(made)})


def _about(cloud: SimCloud, request: Request, kind: str, id_: str) -> Response:
    table = _table(cloud, kind)
    if id_ not in table:
        return _error(404, f"Could not find {id_}.", "Not Found")
    if request.method == "DELETE":
        del table[id_]
        return Response(204)
    return Response(200, {kind.removesuffix("s"): _account(table[id_])})


def _account(account: Account) -> dict[str, Any]:
    row = {"id": account.id, "name": account.name, "domain_id": account.domain, "enabled": account.enabled}
    return row if account.project is None else {**row, "default_project_id": account.project}


def _error(code: int, message: str, title: str) -> Response:
    return Response(code, {"error": {"code": code, "message": message, "title": title}})


def _version(cloud: SimCloud) -> dict[str, Any]:
    links = [{"rel": "self", "href": f"http://{cloud.spec.vip}:5000/v3/"}]
    return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": links, "media-types": []}


def _token(cloud: SimCloud, request: Request) -> Response:
    auth = request.json().get("auth", {})
    user = auth.get("identity", {}).get("password", {}).get("user", {})
    project = auth.get("scope", {}).get("project", {}).get("name", "admin")
    if user.get("password") != PASSWORD or user.get("name") not in PROJECTS or project not in PROJECTS:
        return _error(401, "The request you have made requires authentication.", "Unauthorized")
    token, now = secrets.token_hex(16), datetime.now(tz=UTC)
    cloud.tokens[token] = user["name"] == "admin"
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
