"""The lab as a user and a judge reach it: HTTP, the system's own ssh, SQL. Nothing of stackroll's code in here."""

import json
import os
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

LAB = Path(os.environ.get("STACKROLL_LAB_DIR", "/var/lib/stackroll/lab"))
PORTS = {"keystone": 5000, "placement": 8778, "glance": 9292, "nova": 8774}
PROBES = {
    "keystone": "/v3/projects",
    "placement": "/resource_providers",
    "glance": "/v2/images",
    "nova": "/v2.1/servers",
}
MICROVERSION = "2.88"


def stackroll(*words: str, env: dict[str, str] | None = None, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run the command line as an operator does."""
    binary = Path(__file__).parents[2] / ".venv/bin/stackroll"
    command = [str(binary) if binary.exists() else "stackroll", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})}, check=False
    )


def read_yaml(name: str) -> Any:
    return YAML(typ="safe").load((LAB / name).read_text())


@dataclass(frozen=True)
class Cloud:
    """An OpenStack user of the lab: ``lab`` is the administrator, ``lab-demo`` an ordinary user."""

    entry: str = "lab"

    @cached_property
    def address(self) -> str:
        return str(read_yaml("cloud.yaml")["load_balancer"]["address"])

    @cached_property
    def token(self) -> str:
        auth = read_yaml("clouds.yaml")["clouds"][self.entry]["auth"]
        domain = {"name": auth["user_domain_name"]}
        user = {"name": auth["username"], "password": auth["password"], "domain": domain}
        scope = {"project": {"name": auth["project_name"], "domain": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer = httpx.post(f"http://{self.address}:5000/v3/auth/tokens", json=body, timeout=60)
        answer.raise_for_status()
        return answer.headers["X-Subject-Token"]

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Auth-Token": self.token, "OpenStack-API-Version": f"compute {MICROVERSION}"}

    def url(self, service: str, path: str) -> str:
        return f"http://{self.address}:{PORTS[service]}{path}"

    def call(self, method: str, service: str, path: str, body: Any = None) -> httpx.Response:
        """One request through the load balancer on a connection of its own."""
        url = self.url(service, path)
        return httpx.request(method, url, headers=self.headers, json=body, timeout=120, verify=False)

    def servers(self, query: str = "") -> list[dict[str, Any]]:
        answer = self.call("GET", "nova", f"/v2.1/servers/detail?{query}")
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["servers"]
        return found


def all_servers() -> list[dict[str, Any]]:
    """Every server of every tenant."""
    return Cloud().servers("all_tenants=1")


def addresses(role: str) -> dict[str, str]:
    hosts = read_yaml("cloud.yaml")["hosts"]
    return {name: host["address"] for name, host in hosts.items() if role in host["roles"]}


def ssh(address: str, command: str) -> str:
    """Run a command on a host by the system's own ssh."""
    words = ["ssh", "-i", str(LAB / "id_ed25519"), "-o", f"UserKnownHostsFile={LAB / 'known_hosts'}"]
    words += ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", f"root@{address}", command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{address}: {command}: exit status {done.returncode}: {done.stderr or done.stdout}"
    return done.stdout


def sql(statement: str) -> list[list[str]]:
    """Ask MariaDB on its own host; one list per row."""
    host = next(iter(addresses("database").values()))
    return [line.split("\t") for line in ssh(host, f"mysql -Ne {shlex.quote(statement)}").splitlines()]


def job_starts(address: str) -> list[str]:
    """Return the description of every job of stackroll that a host's journal saw starting, once per start."""
    # Not -u with a pattern: it fails where no such unit has ever been.
    lines = ssh(address, "journalctl -o json --no-pager --output-fields=UNIT,MESSAGE _PID=1").splitlines()
    messages = [entry for line in lines if str((entry := json.loads(line)).get("UNIT", "")).startswith("stackroll-")]
    return [entry["UNIT"] for entry in messages if str(entry.get("MESSAGE", "")).startswith(("Started", "Starting"))]


def all_job_starts() -> list[str]:
    """Return the same of every host of the lab."""
    hosts = [host["address"] for host in read_yaml("cloud.yaml")["hosts"].values()]
    with ThreadPoolExecutor(len(hosts)) as pool:
        return [start for starts in pool.map(job_starts, hosts) for start in starts]
