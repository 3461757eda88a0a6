"""Harmless writes of the availability probe: what they make is deleted at once, and again later if that fails.

Everything that is made bears a name that says whose it is. A worker that dies between making and deleting leaves one
behind; whoever probes next, or the end of the watch, finds it by its name.
"""

import itertools
from collections.abc import Awaitable, Callable, Sequence

import httpx

from activities import openstack
from activities.checks import Check, FailedError, Tools, failed
from activities.errors import StackrollError
from model.availability_spec import WriteName
from model.components import api_url, find_component
from model.inventory import Inventory

# The balancer may hold writes back for 90 seconds while conductors restart, and they are answered then.
WRITE_PATIENCE = 120.0
# One write for so many reads: it costs more, and logs and databases keep traces of it.
WRITE_EVERY = 10.0
MARK = "stackroll-probe"
# Somebody's key, whose private half nobody has: a key pair that is imported costs nova less than one that it makes.
_PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGnLxzFuLJMvfhoCvl8XiS8bJZ4YMzZfGnkqkXNHGzTy stackroll-probe"

Ask = Callable[[Tools], Awaitable[int | None]]


class Writes:
    """The writes that the operator allows, for one cloud."""

    def __init__(self, inventory: Inventory, scheme: str, names: Sequence[WriteName]) -> None:
        """Prepare them; those of services that the cloud does not have are left out."""
        self._inventory, self._scheme = inventory, scheme
        self._numbers = itertools.count(1)
        known = {"keypair": "nova-api", "image": "glance", "token": "keystone"}
        self._names = [name for name in names if find_component(known[name]).service in inventory.services]

    def checks(self) -> list[Check]:
        """Return them as checks."""
        made = {
            "keypair": ("nova-api", "POST /v2.1/os-keypairs", self._keypair),
            "image": ("glance", "POST /v2/images", self._image),
            "token": ("keystone", "POST /v3/auth/tokens", self._token),
        }
        return [
            Check(service, name, request, ask, patience=WRITE_PATIENCE, every=WRITE_EVERY)
            for name in self._names
            for service, request, ask in (made[name],)
        ]

    async def clean(self, tools: Tools) -> None:
        """Delete whatever this probe has left behind, now or in an earlier life.

        Raises:
            FailedError: an API refuses to.
            httpx.HTTPError: an API does not answer.
        """
        if "keypair" in self._names:
            answer = await self._call(tools, "GET", self._url("nova-api", "/v2.1/os-keypairs"))
            names = [row["keypair"]["name"] for row in answer.json()["keypairs"]]
            for name in names:
                if name.startswith(MARK):
                    await self._delete(tools, self._url("nova-api", f"/v2.1/os-keypairs/{name}"))
        if "image" in self._names:
            answer = await self._call(tools, "GET", self._url("glance", f"/v2/images?tag={MARK}"))
            for image in answer.json()["images"]:
                # The mark alone would do; a user's own image with such a tag must not be the price of a mistake.
                if image["name"].startswith(MARK) and image["status"] == "queued":
                    await self._delete(tools, self._url("glance", f"/v2/images/{image['id']}"))

    async def _keypair(self, tools: Tools) -> int:
        name, url = f"{MARK}-{next(self._numbers)}", self._url("nova-api", "/v2.1/os-keypairs")
        # One that a crash has left behind would be in the way.
        await self._delete(tools, f"{url}/{name}")
        body = {"keypair": {"name": name, "public_key": _PUBLIC_KEY}}
        answer = await self._call(tools, "POST", url, body)
        await self._delete(tools, f"{url}/{name}")
        return answer.status_code

    async def _image(self, tools: Tools) -> int:
        url = self._url("glance", "/v2/images")
        body = {"name": f"{MARK}-{next(self._numbers)}", "tags": [MARK], "visibility": "private"}
        answer = await self._call(tools, "POST", url, body)
        await self._delete(tools, f"{url}/{_id(answer)}")
        return answer.status_code

    async def _token(self, _: Tools) -> int:
        try:
            await openstack.new_token(self._inventory)
        except StackrollError as error:
            raise FailedError(error.problem) from error
        return httpx.codes.CREATED

    async def _delete(self, tools: Tools, url: str) -> None:
        answer = await tools.client.delete(url, headers={"X-Auth-Token": tools.token}, timeout=WRITE_PATIENCE)
        if answer.is_error and answer.status_code != httpx.codes.NOT_FOUND:
            raise failed(answer)

    async def _call(self, tools: Tools, method: str, url: str, body: object = None) -> httpx.Response:
        headers = {"X-Auth-Token": tools.token}
        answer = await tools.client.request(method, url, json=body, headers=headers, timeout=WRITE_PATIENCE)
        if answer.is_error:
            raise failed(answer)
        return answer

    def _url(self, unit: str, path: str) -> str:
        return f"{api_url(self._inventory, find_component(unit), self._scheme)}{path}"


def _id(answer: httpx.Response) -> str:
    """Return the id of what was made; an answer without one, as of something between us and the API, is a failure."""
    try:
        return str(answer.json()["id"])
    except (ValueError, KeyError, TypeError):
        raise failed(answer) from None
