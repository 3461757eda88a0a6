"""A small OpenStack behind real HTTP: what nova, keystone and placement answer, with a state that tests arrange.

Time passes by being looked at: each list of migrations moves every running migration one step on.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from model.components import Component
from model.inventory import Inventory

CREATED = "2020-01-01T00:00:00Z"


@dataclass
class FakeCloud:
    """The state of the cloud.

    Attributes:
        looks: how many looks a migration takes.
        reports: whether services report to nova, once with every look at their list.
        outcome: what comes of the nth migration: ``completed``, ``error`` or ``deleted``.
        asked: every live migration that was asked for.
    """

    hosts: tuple[str, ...] = ("cmp1", "cmp2")
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    migrations: list[dict[str, Any]] = field(default_factory=list)
    allocations: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    looks: int = 2
    outcome: Callable[[int], str] = lambda number: "completed"
    asked: list[str] = field(default_factory=list)
    most_at_once: int = 0
    refuse: Callable[[str], int | None] = lambda guest: None
    token_requests: int = 0
    keystone_down: bool = False
    reports: bool = False
    reported: int = 0
    failing: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for number, host in enumerate(self.hosts):
            self.services[host] = {
                "id": f"service-{host}",
                "binary": "nova-compute",
                "host": host,
                "state": "up",
                "status": "enabled",
                "disabled_reason": None,
                "updated_at": "2020-01-01T00:00:00.000000",
                "forced_down": False,
            }
            self.allocations[f"provider-{host}"] = {}
            assert number < 10

    def boot(self, name: str, host: str | None = "cmp1", status: str = "ACTIVE") -> str:
        guest = f"id-{name}"
        self.servers[guest] = {
            "id": guest,
            "name": name,
            "status": status,
            "tenant_id": "p1",
            "created": CREATED,
            "OS-EXT-STS:task_state": None,
            "OS-EXT-SRV-ATTR:host": host,
            "flavor": {"vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0},
        }
        if host:
            self.allocations[f"provider-{host}"][guest] = {"VCPU": 1}
        return guest

    def begin_migration(self, guest: str, *, created: str = "2090-01-01T00:00:00.000000") -> dict[str, Any]:
        record = {
            "id": len(self.migrations) + 1,
            "uuid": f"migration-{len(self.migrations) + 1}",
            "instance_uuid": guest,
            "migration_type": "live-migration",
            "status": "running",
            "source_compute": self.servers[guest]["OS-EXT-SRV-ATTR:host"],
            "dest_compute": "cmp2",
            "created_at": created,
            "looks": self.looks,
        }
        self.servers[guest] |= {"status": "MIGRATING", "OS-EXT-STS:task_state": "migrating"}
        self.migrations.append(record)
        return record

    def pass_time(self) -> None:
        running = [record for record in self.migrations if record["status"] == "running"]
        self.most_at_once = max(self.most_at_once, len(running))
        for record in running:
            record["looks"] -= 1
            if record["looks"] <= 0:
                self._end(record, self.outcome(record["id"]))

    def _end(self, record: dict[str, Any], outcome: str) -> None:
        guest, source = record["instance_uuid"], f"provider-{record['source_compute']}"
        record["status"] = "completed" if outcome == "completed" else "error"
        if outcome == "deleted":
            del self.servers[guest]
            self.allocations[source].pop(guest, None)
            return
        server = self.servers[guest]
        server |= {"status": "ACTIVE", "OS-EXT-STS:task_state": None}
        if outcome == "completed":
            server["OS-EXT-SRV-ATTR:host"] = record["dest_compute"]
            self.allocations[f"provider-{record['dest_compute']}"][guest] = self.allocations[source].pop(guest, {})

    def hosts_of(self) -> dict[str, str | None]:
        return {server["name"]: server["OS-EXT-SRV-ATTR:host"] for server in self.servers.values()}

    # The APIs, each a path below its own prefix

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, url: str) -> tuple[int, Any]:
        api, _, rest = path.lstrip("/").partition("/")
        if api in self.failing:
            return self.failing[api], {"error": {"message": "out of order"}}
        with self.lock:
            handlers = {"identity": self._identity, "compute": self._compute, "placement": self._placement}
            return handlers.get(api, self._image)(method, rest.rstrip("/"), query, body, url)

    def _identity(self, method: str, path: str, _query: dict[str, str], _body: Any, url: str) -> tuple[int, Any]:
        if path in {"", "v3"}:
            return 200, {
                "version": {
                    "id": "v3.14",
                    "status": "stable",
                    "links": [{"rel": "self", "href": f"{url}/identity/v3/"}],
                }
            }
        if path == "v3/auth/tokens" and method == "POST":
            self.token_requests += 1
            region = {"region": "RegionOne", "region_id": "RegionOne"}
            catalog = [
                {
                    "type": kind,
                    "name": name,
                    "endpoints": [{"interface": "public", **region, "url": f"{url}/{place}"}],
                }
                for kind, name, place in (
                    ("compute", "nova", "compute/v2.1"),
                    ("placement", "placement", "placement"),
                    ("identity", "keystone", "identity/v3"),
                )
            ]
            token = {
                "methods": ["password"],
                "expires_at": "2099-01-01T00:00:00.000000Z",
                "issued_at": "2020-01-01T00:00:00.000000Z",
                "user": {"id": "u", "name": "admin", "domain": {"id": "default", "name": "Default"}},
                "project": {"id": "p", "name": "admin", "domain": {"id": "default", "name": "Default"}},
                "roles": [{"id": "r", "name": "admin"}],
                "catalog": catalog,
            }
            return (401 if self.keystone_down else 201), {"token": token}
        return 200, {"projects": []}

    def _image(self, _method: str, path: str, _query: dict[str, str], _body: Any, _url: str) -> tuple[int, Any]:
        return (200, {"versions": [{"id": "v2.17", "status": "CURRENT"}]}) if path == "" else (200, {"images": []})

    def _compute(self, method: str, path: str, query: dict[str, str], body: Any, url: str) -> tuple[int, Any]:
        if path in {"", "v2.1"}:
            links = [{"rel": "self", "href": f"{url}/compute/v2.1/"}]
            return 200, {
                "version": {"id": "v2.1", "status": "CURRENT", "version": "2.100", "min_version": "2.1", "links": links}
            }
        parts = path.removeprefix("v2.1/").split("/")
        if parts[0] == "os-services":
            return self._services(method, parts, body)
        if parts[0] == "os-migrations":
            self.pass_time()
            host = query.get("host")
            found = [m for m in self.migrations if host in {None, m["source_compute"], m["dest_compute"]}]
            return 200, {"migrations": [{k: v for k, v in m.items() if k != "looks"} for m in reversed(found)]}
        if parts[0] == "os-hypervisors":
            rows = [
                {"id": f"provider-{host}", "hypervisor_hostname": host, "service": {"host": host}}
                for host in self.hosts
            ]
            if parts[1] == "detail":
                return 200, {"hypervisors": rows}
            row = next((row for row in rows if row["id"] == parts[1]), None)
            return (404, {"itemNotFound": {"message": "no such"}}) if row is None else (200, {"hypervisor": row})
        return self._servers(method, parts, query)

    def _services(self, method: str, parts: list[str], body: Any) -> tuple[int, Any]:
        if method == "PUT":
            row = self.services[parts[1].removeprefix("service-")]
            row |= {"status": body["status"], "disabled_reason": body.get("disabled_reason")}
            return 200, {"service": row}
        if self.reports:
            self.reported += 1
            for row in self.services.values():
                row["updated_at"] = f"2020-01-01T00:00:{self.reported:02}.000000"
        return 200, {"services": list(self.services.values())}

    def _servers(self, method: str, parts: list[str], query: dict[str, str]) -> tuple[int, Any]:
        if len(parts) == 1 or parts[1] == "detail":
            wanted = {"OS-EXT-SRV-ATTR:host": query.get("host"), "status": query.get("status")}
            found = [s for s in self.servers.values() if all(v is None or s[k] == v for k, v in wanted.items())]
            return 200, {"servers": found}
        guest = parts[1]
        if guest not in self.servers:
            return 404, {"itemNotFound": {"message": "no such server"}}
        if parts[2] == "os-instance-actions":
            return 200, {"instanceActions": []}
        assert method == "POST"
        self.asked.append(guest)
        if status := self.refuse(guest):
            return status, {"badRequest": {"message": f"will not move {guest}"}}
        if self.servers[guest]["OS-EXT-STS:task_state"]:
            return 409, {"conflictingRequest": {"message": "it is in task_state migrating"}}
        self.begin_migration(guest)
        return 202, None

    def _placement(self, _method: str, path: str, _query: dict[str, str], _body: Any, _url: str) -> tuple[int, Any]:
        parts = path.split("/")
        if parts == [""]:
            return 200, {"versions": [{"id": "v1.0", "min_version": "1.0", "max_version": "1.39", "status": "CURRENT"}]}
        if len(parts) == 1:
            return 200, {"resource_providers": []}
        held = self.allocations[parts[1]]
        if parts[2] == "allocations":
            return 200, {"allocations": {consumer: {"resources": amount} for consumer, amount in held.items()}}
        if parts[2] == "usages":
            return 200, {"usages": {"VCPU": len(held)}}
        return 200, {"inventories": {"VCPU": {"total": 4, "reserved": 1, "allocation_ratio": 2.0}}}


PLACES = {"keystone": "identity", "placement": "placement", "glance": "image", "nova-api": "compute"}


def place_of(inventory: Inventory, component: Component, scheme: str = "http") -> str:
    """Where the fake serves an API; stands in for ``model.components.api_url``, whose ports are fixed."""
    auth = json.loads(Path(str(inventory.openstack.clouds_yaml)).read_text())["clouds"]["fake"]["auth"]
    return f"{str(auth['auth_url']).removesuffix('/identity/v3')}/{PLACES[component.unit]}"


@contextmanager
def serve(cloud: FakeCloud, folder: Path) -> Iterator[Inventory]:
    """Serve a cloud on a port of this machine, and yield an inventory that leads there."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet per answer; else each one waits 40 ms for an acknowledgement

        def _do(self) -> None:
            split = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = {key: values[0] for key, values in parse_qs(split.query).items()}
            status, answer = cloud.answer(self.command, split.path, query, body, url)
            payload = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            if self.command == "POST" and split.path.endswith("tokens"):
                self.send_header("X-Subject-Token", f"token-{cloud.token_requests}")
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = _do  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield make_inventory(folder, f"{url}/identity/v3", cloud.hosts)
    finally:
        server.shutdown()
        server.server_close()


def make_inventory(folder: Path, auth_url: str, computes: tuple[str, ...] = ("cmp1", "cmp2")) -> Inventory:
    clouds = folder / "clouds.yaml"
    auth = {
        "auth_url": auth_url,
        "username": "admin",
        "password": "right",
        "project_name": "admin",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    clouds.write_text(json.dumps({"clouds": {"fake": {"auth": auth, "region_name": "RegionOne"}}}))
    hosts: dict[str, Any] = {
        "ctl1": {"address": "127.0.0.1", "roles": ["control", "database", "load-balancer"]},
        **{name: {"address": "127.0.0.1", "roles": ["compute"]} for name in computes},
    }
    return Inventory.model_validate(
        {
            "cloud": "fake",
            "release": "2026.1",
            "openstack": {"cloud": "fake", "clouds_yaml": str(clouds)},
            "ssh": {"key": "key", "known_hosts": "known_hosts"},
            "hosts": hosts,
            "database": {"host": "ctl1"},
            "load_balancer": {"host": "ctl1", "address": "127.0.0.1"},
        }
    )
