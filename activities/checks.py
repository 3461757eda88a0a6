"""What the availability probe asks: APIs, and the addresses of canary guests."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from model.account import guest_service
from model.availability import READ
from model.components import Component, api_url
from model.inventory import Inventory

# As long as most clients wait. The balancer holds writes back for a while when conductors restart.
READ_PATIENCE = 60.0
GUEST_PATIENCE = 5.0
SERVER_ERROR = 500


@dataclass
class Tools:
    """What checks work with.

    Attributes:
        client: opens a connection for each request: one that is kept would not notice that new ones are refused.
        token: the newest token; empty before there is one, which ``ready`` tells.
    """

    client: httpx.AsyncClient
    token: str = ""
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class FailedError(Exception):
    """A request has failed; the message says how."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """Say how, and with which HTTP status if there was an answer."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Check:
    """Something that is asked again and again.

    Attributes:
        service: what is asked.
        name: which check of the service it is.
        request: what is asked, in words.
        ask: asks once, and returns the HTTP status if there is one; raises ``FailedError``, ``httpx.HTTPError``,
            ``OSError`` or ``TimeoutError``.
        patience: seconds after which no answer is a failure.
        every: how many intervals of the probe are between two requests.
        needs_token: whether it cannot be asked before there is a token.
    """

    service: str
    name: str
    request: str
    ask: Callable[[Tools], Awaitable[int | None]] = field(repr=False)
    patience: float = READ_PATIENCE
    every: float = 1.0
    needs_token: bool = True


def read_check(inventory: Inventory, component: Component, scheme: str) -> Check:
    """Return the check that reads from an API's database."""
    path = component.probe or "/"
    url = f"{api_url(inventory, component, scheme)}{path}"

    async def ask(tools: Tools) -> int:
        response = await tools.client.get(url, headers={"X-Auth-Token": tools.token})
        if response.status_code != httpx.codes.OK:
            raise failed(response)
        return response.status_code

    return Check(component.unit, READ, f"GET {path}", ask)


def health_check(inventory: Inventory, component: Component, scheme: str) -> Check:
    """Return the check that only asks whether an API answers: it costs a tenth, and needs no token."""
    path = component.health or "/"
    url = f"{api_url(inventory, component, scheme)}{path}"

    async def ask(tools: Tools) -> int:
        response = await tools.client.get(url)
        # Whether there is such a page is a matter of its configuration; that it answers is what counts.
        if response.status_code >= SERVER_ERROR:
            raise failed(response)
        return response.status_code

    return Check(component.unit, "health", f"GET {path}", ask, needs_token=False)


def canary_check(name: str, address: str) -> Check:
    """Return the check of a guest: whether it takes a connection, or answers a request."""
    parts = urlsplit(address)

    async def connect(_: Tools) -> None:
        _reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.close()
        await writer.wait_closed()

    async def get(tools: Tools) -> int:
        response = await tools.client.get(address, follow_redirects=False)
        if response.status_code >= SERVER_ERROR:
            raise failed(response)
        return response.status_code

    ask: Callable[[Tools], Awaitable[int | None]] = connect if parts.scheme == "tcp" else get
    return Check(guest_service(name), "reach", address, ask, patience=GUEST_PATIENCE, needs_token=False)


def failed(response: httpx.Response) -> FailedError:
    """Return the failure that an answer is."""
    words = " ".join(response.text.split())[:100]
    return FailedError(f"{response.status_code} {words}".strip(), response.status_code)


def make_client(verify: bool | str) -> httpx.AsyncClient:
    """Return the client of the probe."""
    trust = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(verify=trust, timeout=READ_PATIENCE, limits=limits)
