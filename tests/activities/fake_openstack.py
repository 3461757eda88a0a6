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

from activities import clouds
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
        orders: everything that was asked of servers, in order: the action, the guest, and the host asked for.
        hold: whether a migration stays as it is, whoever looks.
        copies: bytes of memory that each running migration has left, as nova tells with each look.
        unclean: whether failed migrations keep their room in placement.
        dead: guests that do not start.
        actions: what nova did to guests, the newest first.
    """

    hosts: tuple[str, ...] = ("cmp1", "cmp2")
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    servers: dict[str, dict[str, Any]] = field(default_factory=dict)
    migrations: list[dict[str, Any]] = field(default_factory=list)
    allocations: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    looks: int = 2
    outcome: Callable[[int], str] = lambda number: "completed"
    asked: list[str] = field(default_factory=list)
    orders: list[tuple[str, str, str | None]] = field(default_factory=list)
    hold: Callable[[dict[str, Any]], bool] = lambda record: False
    copies: dict[int, list[int]] = field(default_factory=dict)
    unclean: bool = False
    dead: set[str] = field(default_factory=set)
    actions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    groups: list[dict[str, Any]] = field(default_factory=list)
    aggregates: list[dict[str, Any]] = field(default_factory=list)
    traits: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
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
                "zone": "nova",
            }
            self.allocations[f"provider-{host}"] = {}
            assert number < 10

    def boot(self, name: str, host: str | None = "cmp1", status: str = "ACTIVE", **more: Any) -> str:
        guest = f"id-{name}"
        self.servers[guest] = {
            "id": guest,
            "name": name,
            "status": status,
            "tenant_id": "p1",
            "created": CREATED,
            "OS-EXT-STS:task_state": None,
            "OS-EXT-SRV-ATTR:host": host,
            "OS-EXT-STS:vm_state": {"ACTIVE": "active", "SHUTOFF": "stopped"}.get(status, status.lower()),
            "OS-EXT-STS:power_state": 4 if status in {"SHUTOFF", "SUSPENDED"} else 1,
            "flavor": {"vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0},
            "metadata": {},
            **more,
        }
        if host:
            self.allocations[f"provider-{host}"][guest] = {"VCPU": 1}
        return guest

    def begin_migration(
        self,
        guest: str,
        *,
        kind: str = "live-migration",
        target: str | None = None,
        created: str = "2090-01-01T00:00:00.000000",
    ) -> dict[str, Any]:
        record = {
            "id": len(self.migrations) + 1,
            "uuid": f"migration-{len(self.migrations) + 1}",
            "instance_uuid": guest,
            "migration_type": kind,
            "status": "running" if kind == "live-migration" else "migrating",
            "source_compute": self.servers[guest]["OS-EXT-SRV-ATTR:host"],
            "dest_compute": target or "cmp2",
            "created_at": created,
            "updated_at": created,
            "looks": self.looks,
        }
        self.before[guest] = self.servers[guest]["status"]
        live = kind == "live-migration"
        doing = {"status": "MIGRATING", "OS-EXT-STS:task_state": "migrating"}
        self.servers[guest] |= doing if live else {"status": "RESIZE", "OS-EXT-STS:task_state": "resize_migrating"}
        self.migrations.append(record)
        return record

    def pass_time(self) -> None:
        running = [record for record in self.migrations if record["status"] in {"running", "migrating"}]
        self.most_at_once = max(self.most_at_once, len(running))
        for record in running:
            if self.hold(record):
                continue
            record["looks"] -= 1
            if record["looks"] <= 0:
                self._end(record, self.outcome(record["id"]))
        for server in self.servers.values():
            if server["OS-EXT-STS:task_state"] in {"powering-off", "powering-on"}:
                off = server["OS-EXT-STS:task_state"] == "powering-off"
                stays = server["id"] in self.dead and not off
                status = "SHUTOFF" if off or stays else "ACTIVE"
                server |= {"status": status, "OS-EXT-STS:task_state": None}
                server |= {"OS-EXT-STS:power_state": 4 if status == "SHUTOFF" else 1}

    def _end(self, record: dict[str, Any], outcome: str) -> None:
        guest, source = record["instance_uuid"], f"provider-{record['source_compute']}"
        live = record["migration_type"] == "live-migration"
        done = "completed" if live else "finished"
        record["status"] = done if outcome == "completed" else "cancelled" if outcome == "cancelled" else "error"
        if outcome == "deleted":
            del self.servers[guest]
            self.allocations[source].pop(guest, None)
            return
        server = self.servers[guest]
        server |= {"status": self.before.get(guest, "ACTIVE"), "OS-EXT-STS:task_state": None}
        if outcome == "completed":
            server["OS-EXT-SRV-ATTR:host"] = record["dest_compute"]
            self.allocations[f"provider-{record['dest_compute']}"][guest] = self.allocations[source].pop(guest, {})
            if not live:
                server["status"] = "VERIFY_RESIZE"
                self.allocations[source][record["uuid"]] = {"VCPU": 1}
        elif self.unclean:
            self.allocations[f"provider-{record['dest_compute']}"][guest] = {"VCPU": 1}

    def clean(self) -> None:
        """Let nova clean up what failed migrations have left."""
        self.unclean = False
        for server in self.servers.values():
            for host in self.hosts:
                if host != server["OS-EXT-SRV-ATTR:host"]:
                    self.allocations[f"provider-{host}"].pop(server["id"], None)

    def hosts_of(self) -> dict[str, str | None]:
        return {server["name"]: server["OS-EXT-SRV-ATTR:host"] for server in self.servers.values()}

    # The APIs, each a path below its own prefix

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, url: str) -> tuple[int, Any]:
        api, _, rest = path.lstrip("/").partition("/")
        self.requests.append(f"{method} {path}")
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
                    ("image", "glance", "image"),
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

    def _image(self, _method: str, path: str, _query: dict[str, str], _body: Any, url: str) -> tuple[int, Any]:
        if path in {"", "v2"}:
            links = [{"rel": "self", "href": f"{url}/image/v2/"}]
            return 200, {"versions": [{"id": "v2.17", "status": "CURRENT", "links": links}]}
        name = path.rpartition("/")[2]
        if name == "images":
            return 200, {"images": []}
        return (200, self.images[name]) if name in self.images else (404, {"message": "no such image"})

    def _compute(  # noqa: PLR0911 - a table of routes
        self, method: str, path: str, query: dict[str, str], body: Any, url: str
    ) -> tuple[int, Any]:
        if path in {"", "v2.1"}:
            links = [{"rel": "self", "href": f"{url}/compute/v2.1/"}]
            return 200, {
                "version": {"id": "v2.1", "status": "CURRENT", "version": "2.100", "min_version": "2.1", "links": links}
            }
        parts = path.removeprefix("v2.1/").split("/")
        if parts[0] == "os-services":
            return self._services(method, parts, body)
        if parts[0] == "os-server-groups":
            return 200, {"server_groups": self.groups if query.get("offset", "0") == "0" else []}
        if parts[0] == "os-aggregates":
            return 200, {"aggregates": self.aggregates}
        if parts[0] == "os-migrations":
            if "status" not in query:
                self.pass_time()
            host, status = query.get("host"), query.get("status")
            found = [m for m in self.migrations if host in {None, m["source_compute"], m["dest_compute"]}]
            found = [m for m in found if status in {None, m["status"]}]
            return 200, {"migrations": [{k: v for k, v in m.items() if k != "looks"} for m in reversed(found)]}
        if parts[0] == "os-hypervisors":
            rows = [
                {
                    "id": f"provider-{host}",
                    "hypervisor_hostname": host,
                    "hypervisor_type": "QEMU",
                    "hypervisor_version": 7002022,
                    "service": {"host": host},
                }
                for host in self.hosts
            ]
            if parts[1] == "detail":
                return 200, {"hypervisors": rows}
            row = next((row for row in rows if row["id"] == parts[1]), None)
            return (404, {"itemNotFound": {"message": "no such"}}) if row is None else (200, {"hypervisor": row})
        return self._servers(method, parts, query, body)

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

    def _servers(  # noqa: PLR0911 - a table of routes
        self, method: str, parts: list[str], query: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        if len(parts) == 1 or parts[1] == "detail":
            wanted = {"OS-EXT-SRV-ATTR:host": query.get("host"), "status": query.get("status")}
            found = [s for s in self.servers.values() if all(v is None or s[k] == v for k, v in wanted.items())]
            return 200, {"servers": found}
        guest = parts[1]
        if guest not in self.servers:
            return 404, {"itemNotFound": {"message": "no such server"}}
        if len(parts) == 2:
            self.pass_time()
            return 200, {"server": self.servers[guest]}
        if parts[2] == "os-instance-actions":
            rows = self.actions.get(guest, [])
            if len(parts) == 3:
                return 200, {"instanceActions": [{k: v for k, v in row.items() if k != "events"} for row in rows]}
            return 200, {"instanceAction": next(row for row in rows if row["request_id"] == parts[3])}
        if parts[2] == "metadata":
            return self._metadata(method, self.servers[guest], parts, body)
        if parts[2] == "migrations":
            return self._migrations(method, guest, parts)
        assert method == "POST"
        return self._act(guest, next(iter(body)), body)

    def _metadata(self, method: str, server: dict[str, Any], parts: list[str], body: Any) -> tuple[int, Any]:
        if server["OS-EXT-STS:task_state"]:
            return 409, {"conflictingRequest": {"message": "it is in a task"}}
        if method == "DELETE":
            return (204, None) if server["metadata"].pop(parts[3], None) else (404, {})
        server["metadata"] |= body["metadata"]
        return 200, {"metadata": server["metadata"]}

    def _migrations(self, method: str, guest: str, parts: list[str]) -> tuple[int, Any]:
        running = [m for m in self.migrations if m["instance_uuid"] == guest and m["status"] == "running"]
        if len(parts) == 3:
            left = [self.copies.get(record["id"], [0]) for record in running]
            rows = [{"id": m["id"], "memory_total_bytes": 64 << 20} for m in running]
            for row, copies in zip(rows, left, strict=True):
                row["memory_remaining_bytes"] = copies.pop(0) if len(copies) > 1 else copies[0]
            return 200, {"migrations": rows}
        action = "abort" if method == "DELETE" else "force-complete"
        self.orders.append((action, guest, None))
        if not running:
            return 400, {"badRequest": {"message": "it does not run"}}
        self._end(running[0], "cancelled" if action == "abort" else "completed")
        return 202, None

    def _act(self, guest: str, action: str, body: Any) -> tuple[int, Any]:
        server, detail = self.servers[guest], body[action] or {}
        self.orders.append((action, guest, detail.get("host")))
        if action == "os-migrateLive":
            self.asked.append(guest)
        if status := self.refuse(guest):
            return status, {"badRequest": {"message": f"will not move {guest}"}}
        if server["OS-EXT-STS:task_state"]:
            return 409, {"conflictingRequest": {"message": "it is in task_state migrating"}}
        if action in {"os-migrateLive", "migrate"}:
            kind = "live-migration" if action == "os-migrateLive" else "migration"
            self.begin_migration(guest, kind=kind, target=detail.get("host"))
        elif action == "confirmResize":
            record = next(m for m in self.migrations if m["instance_uuid"] == guest and m["status"] == "finished")
            record["status"] = "confirmed"
            self.allocations[f"provider-{record['source_compute']}"].pop(record["uuid"], None)
            server["status"] = self.before[guest]
            return 204, None
        else:
            server["OS-EXT-STS:task_state"] = {"os-stop": "powering-off", "os-start": "powering-on"}[action]
        return 202, None

    def _placement(  # noqa: PLR0911 - a table of routes
        self, _method: str, path: str, _query: dict[str, str], _body: Any, _url: str
    ) -> tuple[int, Any]:
        parts = path.split("/")
        if parts == [""]:
            return 200, {"versions": [{"id": "v1.0", "min_version": "1.0", "max_version": "1.39", "status": "CURRENT"}]}
        if parts[0] == "allocations":
            held = {p: {"resources": c[parts[1]]} for p, c in self.allocations.items() if parts[1] in c}
            return 200, {"allocations": held}
        if len(parts) == 1:
            return 200, {"resource_providers": [{"uuid": p, "root_provider_uuid": p} for p in self.allocations]}
        here = self.allocations[parts[1]]
        if parts[2] == "allocations":
            return 200, {"allocations": {consumer: {"resources": amount} for consumer, amount in here.items()}}
        if parts[2] == "usages":
            return 200, {"usages": {"VCPU": len(here)}}
        if parts[2] == "traits":
            return 200, {"traits": self.traits.get(parts[1], [])}
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

        do_GET = do_POST = do_PUT = do_DELETE = _do  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield make_inventory(folder, f"{url}/identity/v3", cloud.hosts)
    finally:
        clouds.close()
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
