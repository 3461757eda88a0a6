"""An address that answers nothing: connections to it time out, as those to a machine without power do."""

import contextlib
import socket


class Hole:
    """A socket whose queue of connections is full, and which nobody serves: the kernel drops every further request."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((address, port))
        self._socket.listen(0)
        # One connection fills a queue of length 0; the second makes sure.
        self._stuffing = [_begun(address, port) for _ in range(2)]

    def close(self) -> None:
        """Free the address; who still tries is refused, or reaches whoever listens there next."""
        for one in (*self._stuffing, self._socket):
            one.close()


def _begun(address: str, port: int) -> socket.socket:
    one = socket.socket()
    one.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        one.connect((address, port))
    return one
