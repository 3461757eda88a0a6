"""What the cloud is: hosts, where services run, and how stackroll reaches them (``cloud.yaml``).

Secrets are named, never contained: keys and passwords stay in the files that ``ssh`` and ``openstack`` point to.
"""

from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from model.base import Record
from model.releases import find_release

ServiceName = Literal["keystone", "placement", "glance", "nova"]
KNOWN_SERVICES: tuple[ServiceName, ...] = ("keystone", "placement", "glance", "nova")


class Role(StrEnum):
    """What a host is there for."""

    CONTROL = "control"
    COMPUTE = "compute"
    DATABASE = "database"
    LOAD_BALANCER = "load-balancer"
    MESSAGING = "messaging"


def _address(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        if not value or any(c.isspace() for c in value):
            raise ValueError("must be an IP address or a host name") from None
    return value


def _release_id(value: str) -> str:
    return find_release(value).id


ReleaseId = Annotated[str, AfterValidator(_release_id)]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]


class Host(Record):
    """A machine of the cloud: its management address, what it is there for, its availability zone."""

    address: Annotated[str, AfterValidator(_address)]
    roles: tuple[Role, ...] = Field(min_length=1)
    zone: str = "nova"


class OpenStackAccess(Record):
    """The entry of ``clouds.yaml`` with administrator's rights, and the file if it is not in a standard place."""

    cloud: str
    clouds_yaml: str | None = None


class SshAccess(Record):
    """How to log in to every host: user, private key file, file with the hosts' keys (always verified)."""

    user: str = "root"
    key: str
    known_hosts: str
    port: int = 22


class Packaging(Record):
    """How software gets onto a host.

    ``venv``: one virtual environment per service and version below ``root``, made from the lock files in
    ``repository`` (in the manner of openstack-ansible): ``RELEASE/SERVICE/requirements.txt``, or, where a version has
    one of its own, ``RELEASE/SERVICE/VERSION/requirements.txt``.
    """

    adapter: Literal["venv"] = "venv"
    root: str = "/opt/openstack"
    repository: str = "/srv/openstack"

    def source(self, release: str, service: str) -> str:
        """Return the directory with the lock file of a service; a point release has one of its own below it."""
        return f"{self.repository.rstrip('/')}/{release}/{service}"


class Database(Record):
    """The database server: the host where its local administrator may run the client."""

    adapter: Literal["mariadb"] = "mariadb"
    host: HostName


class LoadBalancer(Record):
    """The load balancer in front of the APIs.

    Attributes:
        host: the host that it runs on.
        address: the address that clients use.
        socket: its admin socket on that host.
        hold_map: the map file with which writes can be held back for some seconds (``deploy/haproxy/hold.lua``);
            without it, conductors and schedulers are restarted with writes going on.
    """

    adapter: Literal["haproxy"] = "haproxy"
    host: HostName
    address: Annotated[str, AfterValidator(_address)]
    socket: str = "/run/haproxy/admin.sock"
    hold_map: str | None = None


class Inventory(Record):
    """One OpenStack region as stackroll sees it."""

    cloud: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    release: ReleaseId
    region: str = "RegionOne"
    openstack: OpenStackAccess
    ssh: SshAccess
    hosts: dict[HostName, Host]
    services: tuple[ServiceName, ...] = KNOWN_SERVICES
    packaging: Packaging = Packaging()
    database: Database
    load_balancer: LoadBalancer

    @model_validator(mode="after")
    def _hosts_exist(self) -> Self:
        for key, name in (("database.host", self.database.host), ("load_balancer.host", self.load_balancer.host)):
            if name not in self.hosts:
                raise ValueError(f"{key}: unknown host {name!r}; known hosts: {', '.join(self.hosts)}")
        if not self.with_role(Role.CONTROL):
            raise ValueError("hosts: no host has the role 'control'")
        return self

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Return the names of the hosts with this role, in the order of the file."""
        return tuple(name for name, host in self.hosts.items() if role in host.roles)

    def narrowed(self, *names: str) -> Self:
        """Return the inventory with only the named hosts, the control hosts, and the hosts of database and balancer.

        A step carries what it needs of the inventory, not the whole fleet: payloads stay small.
        """
        keep = {*names, *self.with_role(Role.CONTROL), self.database.host, self.load_balancer.host}
        return self.model_copy(update={"hosts": {n: h for n, h in self.hosts.items() if n in keep}})
