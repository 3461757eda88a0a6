"""Real guests: which of them run where, read from the processes themselves, and how those are started that should run.

Nova's word for a guest whose host was switched off may be older than the event, so nothing here asks nova what runs.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from deploy.lab import cgroups
from deploy.lab.api import Api
from deploy.lab.command import wait
from deploy.lab.errors import LabError
from deploy.lab.settings import LabSpec, Secrets

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HINT = (
    "see `stackroll lab status` and `stackroll lab ssh HOST journalctl -u nova-compute -u libvirtd`; then run it again"
)


def server_of(command_line: bytes) -> str:
    """Return the id of the server that a process runs, from its /proc/PID/cmdline, or an empty string."""
    words = command_line.split(b"\0")
    if not words[0].endswith(b"/qemu-system-x86_64") or b"-uuid" not in words[:-1]:
        return ""
    value = words[words.index(b"-uuid") + 1]
    return value.decode() if _UUID.fullmatch(value) else ""


def on_host(name: str) -> set[str]:
    """Return the ids of the servers that have a QEMU process on a host.

    A guest that is just being moved has one on both hosts.
    """
    found = set()
    for pid in cgroups.processes(name):
        try:
            found.add(server_of(Path(f"/proc/{pid}/cmdline").read_bytes()))
        except OSError:  # it has ended meanwhile
            continue
    return found - {""}


def running(spec: LabSpec) -> dict[str, list[str]]:
    """Return, by server id, the compute hosts on which it has a process."""
    found: dict[str, list[str]] = {}
    for host in spec.computes:
        for server in on_host(host.name):
            found.setdefault(server, []).append(host.name)
    return found


def start_order(server: dict[str, Any]) -> dict[str, Any] | None:
    """Return the request that starts a server which has no process, or None while nova is at work on it."""
    if server["OS-EXT-STS:task_state"]:
        return None
    # Nova may or may not have noticed yet that the guest has ended.
    orders: dict[str, dict[str, Any]] = {"ACTIVE": {"reboot": {"type": "HARD"}}, "SHUTOFF": {"os-start": None}}
    return orders.get(server["status"])


def start(spec: LabSpec, secrets: Secrets, wanted: Collection[str], timeout: float = 180) -> None:
    """Start every server that should run and does not, and wait until it has a process.

    Args:
        spec: The lab.
        secrets: Its passwords.
        wanted: Ids of servers that should run whatever nova says; those that nova believes active should run too.
        timeout: Seconds to wait.

    Raises:
        WaitError: One of them did not start.
    """
    api = Api(secrets.admin)
    asked: dict[str, str] = {}

    def probe() -> str:
        there = running(spec)
        down = [
            server
            for server in api.servers()
            if server["id"] not in there and (server["id"] in wanted or server["status"] == "ACTIVE")
        ]
        return "; ".join(f"{server['name']} is {server['status']}, {_order(api, server, asked)}" for server in down)

    wait("guests to run", probe, timeout=timeout, interval=1, remedy=_HINT)


def _order(api: Api, server: dict[str, Any], asked: dict[str, str]) -> str:
    """Ask nova to start a server, once for each status it is seen in, and say what came of it."""
    name, status = server["id"], server["status"]
    order = start_order(server)
    if order is None or asked.get(name) == status:
        return "not running yet"
    try:
        api.call("POST", "nova-api", f"/v2.1/servers/{name}/action", order)
    except LabError as refused:
        # Nova may have begun something of its own with it since it was listed; it is asked again.
        return str(refused)
    asked[name] = status
    return "asked to start"
