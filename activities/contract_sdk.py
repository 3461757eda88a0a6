"""Golden calls of openstacksdk: reads that its users do, and the shape of what the library made of the answers."""

import contextlib
import itertools
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from keystoneauth1 import exceptions as ksa
from openstack.connection import Connection
from openstack.exceptions import SDKException

from activities.clouds import Cloud
from activities.errors import Refused
from model.contract import Parsed
from model.contract_shape import Rules, merged, shape_of

_lock = threading.Lock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the library warns its callers of to itself; the filters are those of all threads."""
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# So many of a list are looked at.
MOST = 50
_MAPS = frozenset(
    {
        "metadata",
        "addresses",
        "extra_specs",
        "properties",
        "options",
        "scheduler_hints",
        "cpu_info",
        "links",
        "location",
    }
)

Operation = Callable[[Any], Iterable[Any]]
_OLDEST = {"sort_key": "created_at", "sort_dir": "asc", "limit": MOST, "paginated": False}


def _first(rows: Iterable[Any]) -> list[Any]:
    return list(itertools.islice(rows, 1))


OPERATIONS: dict[str, Operation] = {
    "compute.servers": lambda c: c.compute.servers(all_projects=True, **_OLDEST),
    "compute.get_server": lambda c: [
        c.compute.get_server(one.id) for one in _first(c.compute.servers(details=False, all_projects=True, **_OLDEST))
    ],
    "compute.flavors": lambda c: c.compute.flavors(),
    "compute.get_flavor": lambda c: [c.compute.get_flavor(one.id) for one in _first(c.compute.flavors())],
    "compute.hypervisors": lambda c: c.compute.hypervisors(details=True),
    "compute.services": lambda c: c.compute.services(),
    "compute.aggregates": lambda c: c.compute.aggregates(),
    "compute.availability_zones": lambda c: c.compute.availability_zones(),
    "compute.server_groups": lambda c: c.compute.server_groups(),
    "compute.keypairs": lambda c: c.compute.keypairs(),
    "image.images": lambda c: c.image.images(limit=MOST, paginated=False),
    "image.get_image": lambda c: [c.image.get_image(one.id) for one in _first(c.image.images(limit=1))],
    "identity.projects": lambda c: c.identity.projects(),
    "identity.get_project": lambda c: [c.identity.get_project(one.id) for one in _first(c.identity.projects())],
    "identity.users": lambda c: c.identity.users(),
    "identity.get_user": lambda c: [c.identity.get_user(one.id) for one in _first(c.identity.users())],
    "identity.roles": lambda c: c.identity.roles(),
    "identity.domains": lambda c: c.identity.domains(),
    "identity.services": lambda c: c.identity.services(),
    "identity.endpoints": lambda c: c.identity.endpoints(),
    "identity.regions": lambda c: c.identity.regions(),
    "placement.resource_providers": lambda c: c.placement.resource_providers(),
    "placement.resource_classes": lambda c: c.placement.resource_classes(),
    "placement.inventories": lambda c: [
        held
        for one in _first(c.placement.resource_providers())
        for held in c.placement.resource_provider_inventories(one)
    ],
}


def connect(cloud: Cloud) -> Any:
    """Return a connection of the library that has not heard of the cloud's versions yet: those may have changed."""
    if cloud.fresh is None:
        raise Refused("this connection was made without openstacksdk's configuration")
    with _quiet():
        return Connection(config=cloud.fresh())


def operate(_: Cloud, connection: Any, operation: Operation) -> Parsed:
    """Carry out an operation as a user of the library would."""
    with _quiet():
        try:
            rows = [one.to_dict(computed=False) for one in itertools.islice(operation(connection), MOST)]
        except (SDKException, ksa.ClientException, LookupError, TypeError, ValueError, AttributeError) as error:
            return Parsed(error=f"{type(error).__name__}: {str(error)[:200]}")
    shapes = (shape_of(_plain(row), Rules(maps=_MAPS)) for row in rows)
    return Parsed(shape=merged(shapes))


def _plain(value: Any) -> Any:
    """Return what JSON knows; the library's own objects are no part of an answer."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)
