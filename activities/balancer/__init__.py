"""What is asked of a load balancer: shell commands for it, by the name of the balancer adapter."""

from typing import Protocol

from activities.registry import Registry
from model.base import Record
from model.inventory import Inventory


class Server(Record):
    """One instance behind a balancer.

    Attributes:
        backend: the balancer's name of the service.
        name: the balancer's name of the instance.
        status: the balancer's own word, such as ``UP`` or ``DRAIN``.
        sessions: requests that it is working on for clients.
        queued: requests that wait for it.
        address: where it listens, as ``address:port``.
    """

    backend: str
    name: str
    status: str
    sessions: int
    queued: int
    address: str

    @property
    def up(self) -> bool:
        """Whether it gets new requests."""
        return self.status.split(" ")[0] in {"UP", "no"}


class Session(Record):
    """A request on its way through a balancer: where it came in, which instance has it, its age in seconds."""

    frontend: str
    server: str | None
    age: int


class Balancer(Protocol):
    """A load balancer, steered by a command on its host. Setting a state twice is harmless."""

    def set_state(self, backend: str, server: str, state: str) -> str:
        """Return the command for ``drain`` (no new requests), ``maint`` (out of service) or ``ready``."""

    def check(self, output: str) -> str | None:
        """Return why a changing command was refused; None when it was done."""

    def servers(self) -> str:
        """Return the command that prints what ``parse_servers`` reads."""

    def parse_servers(self, output: str) -> tuple[Server, ...]:
        """Return all instances of all services."""

    def waiting(self, output: str, backend: str) -> int:
        """Return how many requests wait for any instance of a service, from the output of ``servers``."""

    def sessions(self) -> str:
        """Return the command that prints what ``parse_sessions`` reads."""

    def parse_sessions(self, output: str) -> tuple[Session, ...]:
        """Return all requests on their way."""

    def hold(self, frontend: str, seconds: int) -> str:
        """Return the command that holds back writes of a frontend for so many seconds from now; 0 ends it."""

    def holds(self) -> str:
        """Return the command that prints what ``parse_holds`` reads."""

    def parse_holds(self, output: str) -> tuple[str, ...]:
        """Return the frontends whose writes are held back now."""


registry: Registry[Balancer] = Registry(__name__, "balancer")


def balancer_of(inventory: Inventory) -> Balancer:
    """Return the balancer adapter of a cloud."""
    return registry.make(inventory.load_balancer.adapter, inventory.load_balancer)
