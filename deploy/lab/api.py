"""Talk to the lab's APIs: a small client over HTTP for checks, and the load balancer's own view."""

import csv
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from deploy.lab.command import ssh
from deploy.lab.errors import LabError
from deploy.lab.settings import VIP, LabSpec, Paths
from deploy.lab.templates import PORTS

# A request per API that needs a token, and so a database and Keystone behind it.
AUTHENTICATED = {
    "keystone": "/v3/projects",
    "placement": "/resource_providers",
    "glance": "/v2/images",
    "nova-api": "/v2.1/servers",
}
_SOCKET = "/run/haproxy/admin.sock"
_MICROVERSION = {"OpenStack-API-Version": "compute 2.90"}


class Api:
    """Authenticated requests to one lab, through the load balancer or straight to one control host."""

    def __init__(self, password: str, address: str = VIP) -> None:
        self._password = password
        self._address = address
        # The lab's traffic stays on this machine, whatever proxy the environment names.
        self._client = httpx.Client(timeout=30, trust_env=False)
        self._token = ""

    def url(self, unit: str, path: str, address: str = "") -> str:
        """Return the address of a path of an API."""
        return f"http://{address or self._address}:{PORTS[unit]}{path}"

    def authenticate(self) -> None:
        """Get a token for the admin.

        Raises:
            LabError: Keystone did not give one.
        """
        user = {"name": "admin", "domain": {"id": "default"}, "password": self._password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        self._token = ""
        answer = self._send("POST", self.url("keystone", "/v3/auth/tokens"), body)
        self._token = answer.headers["X-Subject-Token"]

    def _send(self, method: str, url: str, body: object = None) -> httpx.Response:
        headers = {"X-Auth-Token": self._token} if self._token else {}
        try:
            answer = self._client.request(method, url, json=body, headers=headers | _MICROVERSION)
        except httpx.HTTPError as error:
            raise LabError(f"{method} {url}: {type(error).__name__} {error}") from error
        if answer.is_error:
            raise LabError(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
        return answer

    def call(self, method: str, unit: str, path: str, body: object = None) -> Any:
        """Send a request and return what the answer's JSON says.

        Raises:
            LabError: No answer, or an error status.
        """
        if not self._token:
            self.authenticate()
        answer = self._send(method, self.url(unit, path), body)
        return answer.json() if answer.content else None

    def warm(self, unit: str, address: str, rounds: int = 4, width: int = 8) -> str:
        """Send rounds of concurrent requests to one instance until a whole round is answered well.

        The first requests to a fresh Keystone may be refused with 403 when several arrive at once, and every process
        of an API is slow once. Returns what is still wrong, or an empty string.
        """
        if not self._token:
            self.authenticate()
        headers = {"X-Auth-Token": self._token}
        url = self.url(unit, AUTHENTICATED[unit], address)
        wrong: list[str] = []
        with ThreadPoolExecutor(width) as pool:
            for _ in range(rounds):
                statuses = list(pool.map(lambda _: self._status(url, headers), range(width)))
                wrong = sorted({status for status in statuses if status != "200"})
                if not wrong:
                    return ""
        if "401" in wrong:
            self._token = ""
        return f"{unit} at {address} answers {', '.join(wrong)}"

    def _status(self, url: str, headers: dict[str, str]) -> str:
        try:
            return str(self._client.get(url, headers=headers).status_code)
        except httpx.HTTPError as error:
            return type(error).__name__

    def servers(self) -> list[dict[str, Any]]:
        """Return all guests, in detail."""
        found: list[dict[str, Any]] = self.call("GET", "nova-api", "/v2.1/servers/detail?all_tenants=1")["servers"]
        return found

    def compute_services(self) -> list[dict[str, Any]]:
        """Return nova's own list of its services."""
        found: list[dict[str, Any]] = self.call("GET", "nova-api", "/v2.1/os-services")["services"]
        return found


def balancer(paths: Paths, spec: LabSpec, *commands: str) -> str:
    """Send commands to the load balancer's admin socket and return its answer."""
    script = "".join(f"echo '{command}' | socat -t 5 stdio {_SOCKET}\n" for command in commands)
    return ssh(paths, spec.infra, script, timeout=30).stdout


def parse_stat(text: str) -> dict[tuple[str, str], str]:
    """Return the status of each server from the answer to `show stat`, by listen section and server."""
    rows = csv.DictReader(io.StringIO(text.removeprefix("# ")))
    return {
        (row["pxname"], row["svname"]): row["status"] for row in rows if row["svname"] not in {"FRONTEND", "BACKEND"}
    }


def not_up(statuses: dict[tuple[str, str], str], expected: Iterable[tuple[str, str]]) -> list[str]:
    """Return what the load balancer would not send requests to."""
    return [f"{unit}/{host}" for unit, host in expected if statuses.get((unit, host), "absent") != "UP"]
