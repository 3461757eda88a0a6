"""A host: what is installed on it, which units run from what, its files, its disk."""

import itertools
import uuid
from dataclasses import dataclass, field

from model.components import Component
from model.inventory import Role
from model.preflight import MEGABYTES
from simulator.settings import PACKAGES, Machine

_pids = itertools.count(700)


@dataclass
class Unit:
    """A unit of systemd and its processes.

    Attributes:
        version: the version that its processes run from; None while it is down.
        starts: how often it was started; two numbers that differ are two different processes.
    """

    component: Component
    active: str = "inactive"
    version: str | None = None
    since: float = 0.0
    pid: int = 0
    starts: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name, without ``.service``."""
        return self.component.unit

    @property
    def running(self) -> bool:
        """Whether it has processes."""
        return self.active == "active"

    def begin(self, version: str, moment: float) -> None:
        """Run from this version."""
        self.active, self.version, self.since = "active", version, moment
        self.pid, self.starts = next(_pids), self.starts + 1
        self.log.append(f"Started {self.name} from {version}.")

    def end(self, state: str = "inactive") -> None:
        """Run no more."""
        self.active, self.version, self.pid = state, None, 0


class Host:
    """A machine of the cloud.

    Attributes:
        complete: what is wholly installed, as service and version.
        links: the active version of each service.
        up: whether it answers.
        silent: whether connections to it, while it is down, are left without any answer instead of being refused.
    """

    def __init__(self, machine: Machine, units: tuple[Component, ...], versions: dict[str, str]) -> None:
        self.name, self.address = machine.name, machine.address
        self.roles: tuple[Role, ...] = machine.roles
        self.units = {component.unit: Unit(component) for component in units}
        services = {component.service for component in units}
        self.complete = {(service, versions[service]) for service in services}
        self.links = {service: versions[service] for service in services}
        self.files: dict[str, str] = {}
        self.free_bytes = 40_000_000_000
        self.boot_id = str(uuid.uuid4())
        self.kernel, self.hostname = "6.1.0-41-amd64", machine.name
        self.up, self.silent = True, False
        self.journal: list[str] = []

    def put(self, service: str, version: str) -> None:
        """Install a version."""
        if (service, version) not in self.complete:
            self.free_bytes -= MEGABYTES[service] * 1_000_000 // 2
            self.complete.add((service, version))

    def remove(self, service: str, version: str) -> str:
        """Remove a version unless it is in use; return what was done, in the script's words."""
        if (service, version) not in self.complete:
            return "not there"
        if self.links.get(service) == version:
            return "kept: it is the active version"
        for unit in self.units.values():
            if unit.component.service == service and unit.version == version:
                return f"kept: process {unit.pid} (python3) runs from it"
        self.complete.discard((service, version))
        self.free_bytes += MEGABYTES[service] * 1_000_000 // 2
        return "removed"


def venv(service: str, version: str) -> str:
    """Return where a version lies."""
    return f"{PACKAGES}/venvs/{service}-{version}"
