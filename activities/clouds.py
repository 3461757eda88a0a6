"""The connection to OpenStack's APIs: one per cloud and worker, with failures in words an operator can act on.

openstacksdk and its session are synchronous: every call runs in a pool of threads. Sessions are shared; keystoneauth
renews their tokens by itself.
"""

import asyncio
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import openstack.config
import openstack.exceptions
from keystoneauth1 import exceptions as ksa
from keystoneauth1.adapter import Adapter

from activities.errors import Refused, StackrollError, StepFailed, Unreachable
from model.base import JsonObject
from model.inventory import Inventory

API_TIMEOUT = 60.0

_T = TypeVar("_T")
_pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="openstack")
_connections: "dict[tuple[str, str, str, int], Cloud]" = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Cloud:
    """A cloud's session and its APIs.

    Attributes:
        auth_url: keystone's address as ``clouds.yaml`` has it.
        verify: whether certificates are checked, or the file to check them with.
        fresh: makes openstacksdk's own configuration, whose sessions know nothing of the cloud yet.
        providers: the ids of each host's hypervisors, as far as they have been asked for.
    """

    auth_url: str
    verify: bool | str
    session: Any
    compute: Adapter
    placement: Adapter
    fresh: Callable[[], Any] | None = None
    providers: dict[str, tuple[str, ...]] = field(default_factory=dict)


async def call(inventory: Inventory, api: str, ask: Callable[[Cloud], _T]) -> _T:
    """Return what ``ask`` finds out with the cloud's connection, in a thread of its own.

    Raises:
        Refused: no such file, entry, endpoint, or wrong credentials.
        Unreachable: keystone or the API does not answer, or answers that it cannot now.
        StepFailed: the API refuses the request.
    """

    def run() -> _T:
        try:
            return ask(_connection(inventory))
        except StackrollError:
            raise
        except Exception as error:
            known = _explain(inventory, api, error)
            if known is None:
                raise
            raise known from error

    return await asyncio.get_running_loop().run_in_executor(_pool, run)


def _connection(inventory: Inventory) -> Cloud:
    access = inventory.openstack
    path = Path(access.clouds_yaml).expanduser() if access.clouds_yaml else None
    if path is not None and not path.is_file():
        raise Refused(
            f"the file {path} does not exist on the worker's machine",
            remedy="put it there, or name the right file as openstack.clouds_yaml in the inventory",
        )
    # The time of change is part of the key: a corrected password counts without a restart of the worker.
    key = (str(path or ""), access.cloud, inventory.region, path.stat().st_mtime_ns if path else 0)
    with _lock:
        if key not in _connections:
            _connections[key] = _connect(path, access.cloud, inventory.region)
        return _connections[key]


def close() -> None:
    """End every connection to a cloud; the next call makes a new one."""
    with _lock:
        while _connections:
            _connections.popitem()[1].session.close()


def _connect(path: Path | None, cloud: str, region: str) -> Cloud:
    # Only what the inventory names: no OS_* variables, and secure.yaml only from beside the file.
    files = {"config_files": [str(path)], "secure_files": [str(path.with_name("secure.yaml"))]} if path else {}
    config = openstack.config.OpenStackConfig(load_envvars=False, app_name="stackroll", **files)
    names = config.get_cloud_names()
    if cloud not in names:
        where = (
            path or config.config_filename or "clouds.yaml (none was found in ., ~/.config/openstack, /etc/openstack)"
        )
        raise Refused(
            f"{where} has no entry {cloud!r}",
            remedy=f"add it, or set openstack.cloud to one of: {', '.join(sorted(names)) or 'none'}",
        )
    with warnings.catch_warnings():
        # The library warns of its own support for InfluxDB whether it is used or not.
        warnings.filterwarnings("ignore", message="Support for InfluxDB")
        found = config.get_one(cloud=cloud, region_name=region)
        found.config["api_timeout"] = found.config.get("api_timeout") or API_TIMEOUT
        return Cloud(
            auth_url=str(found.get_auth_args().get("auth_url", "")),
            verify=found.get_requests_verify_args()[0],
            session=found.get_session(),
            compute=_adapter(found, "compute"),
            placement=_adapter(found, "placement"),
            fresh=lambda: config.get_one(cloud=cloud, region_name=region),
        )


def _adapter(config: Any, service_type: str) -> Adapter:
    """Not the library's own proxy: this one returns answers as they are, and no more than was asked for."""
    return Adapter(
        session=config.get_session(),
        service_type=config.get_service_type(service_type),
        interface=config.get_interface(service_type),
        region_name=config.get_region_name(service_type),
        endpoint_override=config.get_endpoint(service_type),
    )


def _explain(inventory: Inventory, api: str, error: Exception) -> StackrollError | None:
    """Say what a failure of the library means; None for one that is no matter of the API."""
    access = inventory.openstack
    entry = f"entry {access.cloud!r} of {access.clouds_yaml or 'clouds.yaml'}"
    for kinds, made, problem, remedy in _MEANINGS:
        if isinstance(error, kinds):
            return made(problem.format(api=api, entry=entry, error=error), remedy=remedy.format(entry=entry))
    return None


# The first that fits counts: keystoneauth's failures of TLS are failures to connect, too.
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], type[StackrollError], str, str], ...] = (
    (
        (ksa.Unauthorized, ksa.MissingRequiredOptions),
        Refused,
        "keystone does not accept the credentials in {entry} ({error})",
        "correct user, password, project and domains there; the account needs the admin role",
    ),
    (
        (ksa.SSLError,),
        Refused,
        "no trusted TLS connection to {api} ({error})",
        "set cacert in {entry}, or renew the API's certificate",
    ),
    (
        (ksa.EndpointNotFound, ksa.EmptyCatalog),
        Refused,
        "the service catalog has no address of {api} ({error})",
        "see `openstack catalog list` and the inventory's region",
    ),
    (
        (ksa.ConnectFailure, ksa.DiscoveryFailure, ksa.HttpServerError, ksa.RetriableConnectionFailure),
        Unreachable,
        "no good answer from {api} ({error})",
        "see whether the load balancer and the API behind it are up; the step goes on as soon as they are",
    ),
    (
        (openstack.exceptions.ConfigException,),
        Refused,
        "{entry}: {error}",
        "see the openstacksdk documentation of clouds.yaml",
    ),
    ((ksa.ClientException, openstack.exceptions.SDKException), StepFailed, "{api}: {error}", ""),
)


def get(adapter: Any, path: str, microversion: str, params: dict[str, str] | None = None) -> JsonObject:
    """Return the answer of a GET; reading again is harmless, so a lost connection is tried again at once."""
    response = adapter.get(path, params=params or {}, microversion=microversion, connect_retries=2, raise_exc=False)
    check(response)
    return dict(response.json())


def pages(
    adapter: Any, path: str, key: str, microversion: str, params: dict[str, str], *, marker: str = "id"
) -> Iterator[JsonObject]:
    """Yield the rows of a list over all its pages; ``marker`` is the field that the API counts pages by."""
    query = dict(params)
    while True:
        page = get(adapter, path, microversion, query)
        yield from page[key]
        if not page.get(f"{key}_links") or not page[key]:
            return
        query["marker"] = str(page[key][-1][marker])


def check(response: Any) -> None:
    """Raise for an answer that is an error, with the API's own words and the request's id for the logs."""
    status = response.status_code
    if status < 400:
        return
    request = response.headers.get("x-openstack-request-id", "")
    text = f"{response.request.method} {response.request.url} answered {status}: {message(response)}"
    text += f" (request {request})" if request else ""
    if status in {401, 403}:
        raise Refused(text, remedy="the account in clouds.yaml needs the admin role and must be enabled")
    if status >= 500 or status == 429:
        raise Unreachable(text, remedy="see the API's log for that request; the step goes on as soon as it answers")
    raise StepFailed(text)


def message(response: Any) -> str:
    """Return an API's own words for its error: nova, keystone and placement each put them elsewhere."""
    try:
        body = response.json()
    except ValueError:
        # A page of a load balancer or a web server, made for browsers.
        return " ".join(re.sub(r"<[^>]*>", " ", response.text).split())[:200]
    if isinstance(body, dict):
        for part in body.values():
            if isinstance(part, dict) and "message" in part:
                return str(part["message"])[:300]
        for part in body.get("errors", []):
            return str(part.get("detail", part))[:300]
    return str(body)[:300]
