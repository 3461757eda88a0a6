"""What runs where: the units of each OpenStack service, how their APIs are reached and probed, and their schemas.

Sources: the services' own documentation for ports and paths; the databases are those of a deployment with one cell
beside ``cell0``.
"""

from model.base import Record
from model.inventory import Inventory, Role


class Component(Record):
    """One OpenStack component: what runs as a unit on a host.

    Attributes:
        unit: its systemd unit, without ``.service``.
        service: the service that it belongs to, whose packages it runs from.
        role: the hosts that run it.
        port: where its API listens on its host; None for a component without an API.
        backend: the load balancer's name for its API.
        probe: the path of a cheap authenticated request that reaches its database.
        health: the path of a request that needs no token.
    """

    unit: str
    service: str
    role: Role
    port: int | None = None
    backend: str | None = None
    probe: str | None = None
    health: str | None = None

    @property
    def is_api(self) -> bool:
        """Whether clients reach it through the load balancer."""
        return self.port is not None


def _api(unit: str, service: str, port: int, probe: str, health: str) -> Component:
    return Component(unit=unit, service=service, role=Role.CONTROL, port=port, backend=unit, probe=probe, health=health)


COMPONENTS: tuple[Component, ...] = (
    _api("keystone", "keystone", 5000, "/v3/projects", "/v3"),
    _api("placement", "placement", 8778, "/resource_providers", "/"),
    _api("glance", "glance", 9292, "/v2/images", "/healthcheck"),
    _api("nova-api", "nova", 8774, "/v2.1/servers", "/"),
    Component(unit="nova-conductor", service="nova", role=Role.CONTROL),
    Component(unit="nova-scheduler", service="nova", role=Role.CONTROL),
    Component(unit="nova-compute", service="nova", role=Role.COMPUTE),
)

DATABASES: dict[str, tuple[str, ...]] = {
    "keystone": ("keystone",),
    "placement": ("placement",),
    "glance": ("glance",),
    "nova": ("nova_api", "nova_cell0", "nova"),
}

COMPUTE_UNIT = "nova-compute"
# The name on the package index, where it is not the service's own.
_DISTRIBUTIONS = {"placement": "openstack-placement"}


def find_distribution(service: str) -> str:
    """Return the name on the package index of what a service is made of; any other name is its own."""
    return _DISTRIBUTIONS.get(service, service)


def find_component(unit: str) -> Component:
    """Return the component that runs as this unit.

    Raises:
        KeyError: if no component runs as such a unit.
    """
    for component in COMPONENTS:
        if component.unit == unit:
            return component
    raise KeyError(unit)


def components_on(inventory: Inventory, host: str) -> tuple[Component, ...]:
    """Return what runs on a host by its roles and the cloud's services, in the order of ``COMPONENTS``."""
    roles = inventory.hosts[host].roles
    return tuple(c for c in COMPONENTS if c.role in roles and c.service in inventory.services)


def apis(inventory: Inventory) -> tuple[Component, ...]:
    """Return the components of the cloud's services that have an API behind the load balancer."""
    return tuple(c for c in COMPONENTS if c.is_api and c.service in inventory.services)


def api_url(inventory: Inventory, component: Component, scheme: str = "http") -> str:
    """Return where clients reach an API: the load balancer's address and the API's port, without a path."""
    address = inventory.load_balancer.address
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{component.port}"
