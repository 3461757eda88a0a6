"""Loopback networks for simulated clouds: each is leased to one cloud of one process at a time."""

import contextlib
import fcntl
import itertools
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Those between are taken by the simulator's other tests.
NUMBERS = (*range(220, 255), *range(11, 20))


@contextlib.contextmanager
def leased_network() -> Iterator[str]:
    """Yield the first two numbers of a network that nobody else has until the block ends."""
    with contextlib.ExitStack() as stack:
        for number in NUMBERS:
            lock = stack.enter_context((Path(tempfile.gettempdir()) / f"stackroll-network-{number}").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if _is_free(f"127.{number}"):
                break
        else:
            raise AssertionError(f"all of {len(NUMBERS)} loopback networks are in use")
        yield f"127.{number}"


def _is_free(network: str) -> bool:
    """Tell whether nobody listens there, who knows nothing of leases."""
    for host, port in itertools.product(("0.5", "1.1"), (5000, 8774)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((f"{network}.{host}", port))
            except OSError:
                return False
    return True
