"""How services are started and stopped on a host: shell scripts for it, by the name of the service manager."""

from collections.abc import Sequence
from typing import Protocol

from activities.registry import Registry


class Units(Protocol):
    """A service manager. Its scripts end with a status other than 0, and with the unit's log, when a unit fails."""

    def restart(self, units: Sequence[str]) -> str:
        """Return a script that restarts units, all at the same time, and waits for them."""

    def stop(self, units: Sequence[str]) -> str:
        """Return a script that stops units and waits until nothing of them runs any more."""

    def start(self, units: Sequence[str]) -> str:
        """Return a script that starts units and waits for them."""

    def reload_caches(self, unit: str) -> str:
        """Return a script that makes the running processes of a unit forget what they have cached (SIGHUP)."""

    def log(self, unit: str, lines: int = 12) -> str:
        """Return a command that prints the last lines of a unit's log."""


registry: Registry[Units] = Registry(__name__, "service manager")


def units_of(name: str = "systemd") -> Units:
    """Return the adapter of a service manager."""
    return registry.make(name)
