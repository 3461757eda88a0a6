"""Ports for servers that other processes start."""

import random
import socket
from pathlib import Path

_BELOW = 8000


def free_port() -> int:
    """Return a port on which nobody listens, and which stays free until somebody asks for this very one.

    The system takes those of connections, and those of servers that want any, from a range of its own: a port from
    there may be somebody else's by the time that it is used.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    for port in random.sample(range(first - _BELOW, first), _BELOW):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"every port from {first - _BELOW} to {first} is in use")
