"""What users make while a cloud is at the new release, and what must still be well when it is back at the old one."""

import time
from typing import Any

import httpx

from tests.lab.access import Cloud

CONTENT = b"made on the new release " * 500
PASSWORD = "a-users-own-password"
LIMIT = 240.0


class Newcomers:
    """A project with a user, an image, and servers from it: plain ones, one in the middle of a resize, one in BUILD."""

    def __init__(self) -> None:
        self._cloud = Cloud()
        self.image = self.user = self.project = self.big = ""
        self.servers: dict[str, str] = {}

    def arrive(self) -> None:
        """Make everything but the server in BUILD."""
        self._identity()
        self._image()
        flavor = {"name": "m1.bigger", "ram": 128, "vcpus": 2, "disk": 1}
        self.big = self._call("POST", "nova", "/v2.1/flavors", {"flavor": flavor})["flavor"]["id"]
        for name in ("new0", "new1", "new2"):
            self.servers[name] = self._boot(name)
        for name in self.servers:
            self.until(name, "ACTIVE")
        self.act("new2", {"resize": {"flavorRef": self.big}})
        self.until("new2", "VERIFY_RESIZE")

    def arrive_in_build(self) -> None:
        """Ask for a server and return before it is there."""
        self.servers["new3"] = self._boot("new3")
        assert self.server("new3")["status"] == "BUILD"

    def _identity(self) -> None:
        project = {"name": "project-new", "domain_id": "default"}
        self.project = self._call("POST", "keystone", "/v3/projects", {"project": project})["project"]["id"]
        user = {"name": "user-new", "password": PASSWORD, "domain_id": "default"}
        self.user = self._call("POST", "keystone", "/v3/users", {"user": user})["user"]["id"]
        roles = self._call("GET", "keystone", "/v3/roles?name=member")["roles"]
        path = f"/v3/projects/{self.project}/users/{self.user}/roles/{roles[0]['id']}"
        assert self._cloud.call("PUT", "keystone", path).status_code == 204

    def _image(self) -> None:
        # A property makes nova write an ImageMetaProps of its newest version into the request.
        described = {"name": "image-new", "disk_format": "raw", "container_format": "bare", "hw_rng_model": "virtio"}
        self.image = self._call("POST", "glance", "/v2/images", described)["id"]
        headers = {**self._cloud.headers, "Content-Type": "application/octet-stream"}
        url = self._cloud.url("glance", f"/v2/images/{self.image}/file")
        assert httpx.put(url, headers=headers, content=CONTENT, timeout=120).status_code == 204

    def _boot(self, name: str) -> str:
        flavors = self._call("GET", "nova", "/v2.1/flavors")["flavors"]
        tiny = next(flavor["id"] for flavor in flavors if flavor["name"] == "m1.tiny")
        body = {"name": name, "flavorRef": tiny, "imageRef": self.image, "networks": "none"}
        return str(self._call("POST", "nova", "/v2.1/servers", {"server": body})["server"]["id"])

    # What is asked for afterwards

    def assert_well(self) -> None:
        """Everything is still there, and the resize and the build that were going on have ended well."""
        auth = {"user": {"id": self.user, "password": PASSWORD}}
        body = {"identity": {"methods": ["password"], "password": auth}, "scope": {"project": {"id": self.project}}}
        assert self._cloud.call("POST", "keystone", "/v3/auth/tokens", {"auth": body}).status_code == 201
        kept = httpx.get(
            self._cloud.url("glance", f"/v2/images/{self.image}/file"), headers=self._cloud.headers, timeout=60
        )
        assert kept.content == CONTENT
        for name in ("new0", "new1", "new3"):
            self.until(name, "ACTIVE")
        assert self.server("new2")["status"] == "VERIFY_RESIZE"
        self.act("new2", {"confirmResize": None}, 204)
        self.until("new2", "ACTIVE")
        assert self.server("new2")["flavor"]["vcpus"] == 2

    def assert_workable(self) -> None:
        """The old release can move, resize and rebuild what the new one has made."""
        was = self.server("new0")["OS-EXT-SRV-ATTR:host"]
        self.act("new0", {"os-migrateLive": {"host": None, "block_migration": "auto"}})
        self._until("new0", lambda server: server["status"] == "ACTIVE" and server["OS-EXT-SRV-ATTR:host"] != was)
        self.act("new1", {"resize": {"flavorRef": self.big}})
        self.until("new1", "VERIFY_RESIZE")
        self.act("new1", {"revertResize": None})
        self.until("new1", "ACTIVE")
        self.act("new3", {"rebuild": {"imageRef": self.image}})
        self._until("new3", lambda server: server["status"] == "ACTIVE" and server["OS-EXT-STS:task_state"] is None)

    def act(self, name: str, action: dict[str, Any], status: int = 202) -> None:
        answer = self._cloud.call("POST", "nova", f"/v2.1/servers/{self.servers[name]}/action", action)
        assert answer.status_code == status, f"{name}: {action}: HTTP {answer.status_code}: {answer.text[:300]}"

    def server(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", "nova", f"/v2.1/servers/{self.servers[name]}")["server"]
        return found

    def until(self, name: str, status: str) -> None:
        self._until(name, lambda server: server["status"] == status)

    def _until(self, name: str, condition: Any) -> None:
        limit = time.monotonic() + LIMIT
        while time.monotonic() < limit:
            server = self.server(name)
            assert server["status"] != "ERROR", server.get("fault")
            if condition(server):
                return
            time.sleep(0.5)
        raise AssertionError(
            f"{name} is still {server['status']}/{server['OS-EXT-STS:task_state']} after {LIMIT:.0f} s"
        )

    def _call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        answer = self._cloud.call(method, service, path, body)
        assert answer.status_code < 300, f"{method} {path}: HTTP {answer.status_code}: {answer.text[:300]}"
        return answer.json()
