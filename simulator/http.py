"""HTTP/1.1 on a real socket, as little of it as OpenStack's clients need."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_REASONS = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 300: "Multiple Choices"}
_HEADER_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Request:
    """A request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    # The version of the code that answers it.
    code: str = ""

    @property
    def name(self) -> str:
        """Its canonical name."""
        return f"{self.method} {self.path}"

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method in {"POST", "PUT", "PATCH", "DELETE"}

    def json(self) -> Any:
        """Return its body; an empty object when it is none."""
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            return {}


@dataclass(frozen=True)
class Response:
    """An answer; a body that is no bytes is sent as JSON."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


# None breaks the connection without an answer.
Handler = Callable[[Request], Awaitable[Response | None]]


class Listener:
    """A server on one address and port."""

    def __init__(self, address: str, port: int, handler: Handler) -> None:
        self._address, self._port, self._handler = address, port, handler
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    @property
    def place(self) -> tuple[str, int]:
        """Its address and port."""
        return self._address, self._port

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(
            self._serve, self._address, self._port, limit=_HEADER_LIMIT, backlog=512
        )

    def close(self) -> None:
        """Listen no more, and break what is open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer, task in list(self._serving.items()):
            writer.transport.abort()
            if task is not None:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving[writer] = asyncio.current_task()
        try:
            while (request := await _read(reader)) is not None:
                response = await self._handler(request)
                if response is None:
                    break
                close = request.headers.get("connection", "").lower() == "close"
                writer.write(_render(response, request.method, close=close))
                await writer.drain()
                if close:
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        except asyncio.CancelledError:
            # Only ``close`` does it, and has broken the connection; asyncio's streams complain of a cancelled task.
            return
        finally:
            self._serving.pop(writer, None)
            writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """Return the next request; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    split = urlsplit(target)
    body = await _read_body(reader, headers)
    return Request(
        method, unquote(split.path) or "/", dict(parse_qsl(split.query, keep_blank_values=True)), headers, body
    )


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        length = int(headers.get("content-length", "0"))
        return await reader.readexactly(length) if length else b""
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _render(response: Response, method: str, *, close: bool) -> bytes:
    plain = isinstance(response.body, bytes)
    content = response.body if plain else b"" if response.body is None else json.dumps(response.body).encode()
    headers = {
        "Content-Type": "text/html" if plain else "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close" if close else "keep-alive",
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Error')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if method == "HEAD" else content)
