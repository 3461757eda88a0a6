"""How software gets onto a host: shell scripts for it, by the name of the packaging adapter."""

from typing import Protocol

from activities.registry import Registry
from model.base import Record
from model.inventory import Inventory
from model.inventory import Packaging as Settings


class Installed(Record):
    """A version of a service on a host: whether all of it is there, and whether units start from it."""

    service: str
    version: str
    whole: bool
    active: bool


class Packaging(Protocol):
    """Versions of a service side by side on a host, of which one is active. Every script may run again at any time."""

    def __init__(self, settings: Settings) -> None: ...

    def install(self, service: str, version: str, release: str) -> str:
        """Return a script that puts a version beside the others; one that is complete is kept."""

    def uninstall(self, service: str, version: str) -> str:
        """Return a script that removes a version, or keeps it and says why: it is active or still in use."""

    def check(self, service: str, version: str) -> str:
        """Return a script that fails when a version is not wholly installed; it changes nothing."""

    def activate(self, service: str, version: str) -> str:
        """Return a script that makes an installed version the one that units start from."""

    def installed(self) -> str:
        """Return the command that prints what ``parse_installed`` reads; it changes nothing."""

    def parse_installed(self, output: str) -> tuple[Installed, ...]:
        """Return every version of every service on a host."""

    def tool(self, service: str, version: str, name: str) -> str:
        """Return the path of a console script of a version, which need not be active."""

    def release_config(self, service: str, version: str) -> str:
        """Return the path of the configuration file that travels with a version; it need not exist."""


registry: Registry[Packaging] = Registry(__name__, "packaging")


def packaging_of(inventory: Inventory) -> Packaging:
    """Return the packaging adapter of a cloud."""
    return registry.make(inventory.packaging.adapter, inventory.packaging)
