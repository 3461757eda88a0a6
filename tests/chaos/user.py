"""A user who works on during an upgrade: makes a server, an image, an account, and tries again when refused."""

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

import httpx

from simulator.server import Simulation
from simulator.settings import PASSWORD

PATIENCE = 60.0
REST = 0.2
_numbers = itertools.count(1)


@dataclass
class User:
    """What somebody has made, by id."""

    sim: Simulation
    guests: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    async def act(self) -> None:
        """Make one of each."""
        number = next(_numbers)
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            server = {"name": f"mine{number}", "imageRef": "tiny", "flavorRef": "1", "networks": "none"}
            made = await self._post(client, 8774, "/v2.1/servers", {"server": server})
            self.guests.append(made["server"]["id"])
            image = {"name": f"mine{number}", "disk_format": "raw", "container_format": "bare"}
            self.images.append((await self._post(client, 9292, "/v2/images", image))["id"])
            await self._send(client, "PUT", 9292, f"/v2/images/{self.images[-1]}/file", content=b"x" * 64)
            user = {"name": f"mine{number}", "password": "simulated"}
            self.users.append((await self._post(client, 5000, "/v3/users", {"user": user}))["user"]["id"])

    async def migrate(self, guest: str) -> httpx.Response:
        """Order a live migration: the request reads what was stored when the server was made."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            action = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
            headers = {"X-Auth-Token": await self._token(client)}
            url = self._url(8774, f"/v2.1/servers/{guest}/action")
            return await client.post(url, json=action, headers=headers)

    async def _post(self, client: httpx.AsyncClient, port: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._send(client, "POST", port, path, json=body)).json()
        return answer

    async def _send(self, client: httpx.AsyncClient, method: str, port: int, path: str, **body: Any) -> httpx.Response:
        """Send a request until it succeeds."""
        last = ""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    token = await self._token(client)
                    url = self._url(port, path)
                    response = await client.request(method, url, headers={"X-Auth-Token": token}, **body)
                    if response.status_code < 300:
                        return response
                    last = f"{response.status_code} {response.text[:100]}"
                except httpx.TransportError as error:
                    last = f"{type(error).__name__}"
                if last.startswith("4") and not last.startswith("401"):
                    raise AssertionError(f"{method} {path} was refused: {last}")
                await asyncio.sleep(REST)

    async def _token(self, client: httpx.AsyncClient) -> str:
        user = {"name": "admin", "password": PASSWORD, "domain": {"name": "Default"}}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}}
        auth["scope"] = {"project": {"name": "admin", "domain": {"name": "Default"}}}
        response = await client.post(self._url(5000, "/v3/auth/tokens"), json={"auth": auth})
        return str(response.headers.get("X-Subject-Token", "none"))

    def _url(self, port: int, path: str) -> str:
        return f"http://{self.sim.spec.vip}:{port}{path}"
