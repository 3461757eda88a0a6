"""The load balancer in front of the APIs, and single instances of an API behind it, asked directly."""

import asyncio
import time
from dataclasses import dataclass

import httpx

from activities import openstack
from activities.balancer import Server, Session, balancer_of
from activities.context import wait_for
from activities.errors import Refused, StepFailed
from activities.ssh import Hosts
from model.inventory import Inventory

# Seconds. An instance that needs longer for one of its first requests is asked again.
PROBE_TIMEOUT = 10.0
ROUND_SIZE = 8
ROUNDS = 6
ROUND_SECONDS = 2.0


@dataclass(frozen=True)
class Front:
    """The load balancer of a cloud.

    Its states are set over SSH, and not as jobs: a setting says how things shall be, so saying it once more is
    harmless, and a new worker must be able to say something else than the one before.
    """

    hosts: Hosts
    inventory: Inventory

    async def servers(self, backend: str) -> tuple[Server, ...]:
        """Return the instances of one service."""
        adapter = balancer_of(self.inventory)
        found = adapter.parse_servers(await self._ask(adapter.servers()))
        return tuple(server for server in found if server.backend == backend)

    async def server(self, backend: str, name: str) -> Server:
        """Return one instance.

        Raises:
            Refused: the balancer does not know it.
        """
        known = await self.servers(backend)
        for server in known:
            if server.name == name:
                return server
        names = ", ".join(server.name for server in known) or "none"
        raise Refused(
            f"the load balancer has no server {name!r} in backend {backend!r}",
            host=self.inventory.load_balancer.host,
            remedy=f"name servers there as hosts in the inventory; it has: {names}",
        )

    async def set_state(self, backend: str, name: str, state: str) -> None:
        """Set an instance to ``drain``, ``maint`` or ``ready``."""
        await self._tell(balancer_of(self.inventory).set_state(backend, name, state))

    async def hold(self, frontend: str, seconds: int) -> None:
        """Hold back writes of a frontend for so many seconds from now; 0 ends it."""
        await self._tell(balancer_of(self.inventory).hold(frontend, seconds))

    async def sessions(self, frontend: str) -> tuple[Session, ...]:
        """Return the requests of one frontend that are on their way."""
        adapter = balancer_of(self.inventory)
        found = adapter.parse_sessions(await self._ask(adapter.sessions()))
        return tuple(session for session in found if session.frontend == frontend)

    async def waiting(self, backend: str) -> int:
        """Return how many requests wait for an instance of a service."""
        adapter = balancer_of(self.inventory)
        return adapter.waiting(await self._ask(adapter.servers()), backend)

    async def _ask(self, command: str) -> str:
        done = await self.hosts.run(self.inventory, self.inventory.load_balancer.host, command, timeout=15)
        return done.stdout

    async def _tell(self, command: str) -> None:
        complaint = balancer_of(self.inventory).check(await self._ask(command))
        if complaint is not None:
            raise StepFailed(
                "the load balancer refused a command",
                host=self.inventory.load_balancer.host,
                command=command,
                tail=complaint,
                remedy="compare the names in its configuration with the plan's, then retry the step",
            )


@dataclass(frozen=True)
class Answer:
    """The answer of an instance: its HTTP status (None: no answer), the seconds it took, and what went wrong."""

    status: int | None
    seconds: float
    text: str

    @property
    def good(self) -> bool:
        """Whether the request succeeded."""
        return self.status == 200


class Instance:
    """One instance of an API, asked with a valid token and past the load balancer, on a new connection each time."""

    def __init__(self, inventory: Inventory, address: str, probe: str) -> None:
        self._inventory = inventory
        self.url = f"http://{address}{probe}"

    async def ask(self) -> Answer:
        """Send one authenticated request."""
        token = await openstack.token(self._inventory)
        async with self._client(token) as client:
            return await self._get(client)

    async def wait_good(self, limit: float) -> Answer:
        """Ask until an authenticated request succeeds or the limit is over; return the last answer."""
        last = Answer(None, 0.0, "not asked")

        async def good() -> bool:
            nonlocal last
            last = await self.ask()
            return last.good

        await wait_for(good, f"{self.url} to answer", limit=limit, every=0.3)
        return last

    async def warm_up(self) -> Answer:
        """Ask in rounds of concurrent requests until a whole round is good and quick; return the worst of the last.

        Freshly started workers load their policies and caches with the first requests, and keystone answers some of
        several concurrent first ones with 403. Clients must not be those who find out.
        """
        token = await openstack.token(self._inventory)
        worst = Answer(None, 0.0, "not asked")
        async with self._client(token) as client:
            for _ in range(ROUNDS):
                answers = await asyncio.gather(*(self._get(client) for _ in range(ROUND_SIZE)))
                worst = max(answers, key=lambda answer: (not answer.good, answer.seconds))
                if worst.good and worst.seconds < ROUND_SECONDS:
                    break
        return worst

    def _client(self, token: str) -> httpx.AsyncClient:
        # Plain HTTP to one instance: loading the machine's certificates for each client would cost more than the probe.
        headers = {"X-Auth-Token": token, "Connection": "close"}
        return httpx.AsyncClient(headers=headers, timeout=PROBE_TIMEOUT, trust_env=False, verify=False)  # noqa: S501

    async def _get(self, client: httpx.AsyncClient) -> Answer:
        begun = time.monotonic()
        try:
            response = await client.get(self.url)
        except httpx.TransportError as error:
            return Answer(None, time.monotonic() - begun, f"no answer ({type(error).__name__}: {error})")
        text = "" if response.status_code == 200 else f"HTTP {response.status_code}: {response.text[:200]}"
        return Answer(response.status_code, time.monotonic() - begun, text)
