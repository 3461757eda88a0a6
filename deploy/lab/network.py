"""The lab's network: one bridge, and one network namespace per host with an address on it.

There is no route to anywhere else, so a host can reach no package registry: exactly what the offline package cache is
there to prove.
"""

import json

from deploy.lab.command import run
from deploy.lab.errors import CommandError
from deploy.lab.settings import BRIDGE, GATEWAY, Host

_PREFIX = "srlab-"
_HINT = "see `ip addr` and `ip netns`; `stackroll lab down` removes all of it"


def namespace(name: str) -> str:
    """Return the name of a host's network namespace."""
    return f"{_PREFIX}{name}"


def _ip(*args: str) -> str:
    return run(["ip", *args], remedy=_HINT).stdout


def _links() -> set[str]:
    return {link["ifname"] for link in json.loads(_ip("-json", "link", "show"))}


def namespaces() -> set[str]:
    """Return the names of the hosts that have a network namespace."""
    listed = json.loads(_ip("-json", "netns", "list") or "[]")
    return {entry["name"].removeprefix(_PREFIX) for entry in listed if entry["name"].startswith(_PREFIX)}


def create_bridge() -> None:
    """Make the bridge, with this machine's address on it."""
    if BRIDGE in _links():
        return
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")


def connect(host: Host) -> None:
    """Give a host its namespace and its address."""
    space, outer = namespace(host.name), f"srl-{host.name}"
    # What a broken run may have left half made is made anew. The cable goes first: with its namespace it would only
    # vanish a moment later.
    if outer in _links():
        _ip("link", "del", outer)
    disconnect(host.name)
    _ip("netns", "add", space)
    _ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
    _ip("link", "set", outer, "master", BRIDGE, "up")
    _ip("-n", space, "addr", "add", f"{host.address}/24", "dev", "eth0")
    _ip("-n", space, "link", "set", "eth0", "up")
    _ip("-n", space, "link", "set", "lo", "up")


def disconnect(name: str) -> None:
    """Remove a host's namespace, and with it its end of the cable."""
    if name in namespaces():
        _ip("netns", "del", namespace(name))


def remove_bridge() -> None:
    """Remove the bridge and any cable a broken run has left on it."""
    for link in _links():
        if link == BRIDGE or link.startswith("srl-"):
            try:
                _ip("link", "del", link)
            except CommandError as gone:
                # The kernel removes a cable a moment after its namespace: it may be gone by now.
                if "Cannot find device" not in gone.output:
                    raise
