"""A host: what is installed on it, which units run from what, its files, its disk."""

import itertools
import uuid
from dataclasses import dataclass, field

from model.components import Component
from model.inventory import Role
from model.preflight import MEGABYTES
from simulator.catalog import NORMAL
from simulator.settings import PACKAGES, Machine

# 7.2.22, as nova writes versions.
QEMU = 7002022
KERNEL = "6.1.0-41-amd64"
# Units of a compute host that are none of OpenStack's.
OTHER_UNITS = ("libvirtd", "openvswitch-switch")
HOLD = "/var/lib/stackroll/hold"
OPTIONS = {
    "nova upgrade_levels compute": "auto",
    "nova service_user send_service_user_token": "true",
    "keystone token expiration": "14400",
}
REBOOT_REQUIRED = "/run/reboot-required"

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
        kernels: what is installed, the newest last; ``kernel`` is what runs.
        stale: processes that still run from libraries which were replaced.
        others: units that are none of OpenStack's, and whether they run.
        hooks: the operator's commands that were run on it, with their environment.
        booting: whether its units are being started.
        strict: whether nova-compute looks whether the host is what it was, as nova's does.
        reboots: how often it was rebooted in order.
        options: what its configuration files say, of what is asked for; ``keys``: keystone's, as checksum and number.
        lock: the checksum of every lock file in its repository; ``unresolved``: what uv says of those it cannot have.
        torsos: versions that are installed in part only; ``broken``: packages that are half installed.
        synchronised: whether its clock follows a time server, in systemd's word.
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
        self.kernel, self.hostname = KERNEL, machine.name
        self.kernels = [KERNEL]
        self.stale: set[str] = set()
        self.others = dict.fromkeys(OTHER_UNITS if Role.COMPUTE in machine.roles else (), True)
        self.hooks: list[tuple[str, dict[str, str]]] = []
        self.booting, self.strict, self.reboots = False, False, 0
        self.size = NORMAL
        self.hypervisor_version = QEMU
        self.up, self.silent = True, False
        self.journal: list[str] = []
        self.machine_id = uuid.uuid5(uuid.NAMESPACE_URL, f"stackroll-sim:machine:{machine.name}").hex
        self.options = dict(OPTIONS)
        self.keys = {"fernet": ("5f1e2a", 3), "credential": ("c0ffee", 2)}
        self.lock, self.unresolved = "10c4f11e", ""
        self.torsos: set[tuple[str, str]] = set()
        self.broken: set[str] = set()
        self.synchronised = "yes"

    def go_down(self) -> None:
        """Lose what a boot does not bring back."""
        self.others = dict.fromkeys(self.others, False)
        self.stale.clear()
        for path in [path for path in self.files if path.startswith("/run/")]:
            del self.files[path]

    def boot(self, boot_id: str, kernel: str | None) -> None:
        """Come up with this boot id, and with this kernel or the newest one."""
        self.boot_id, self.kernel = boot_id, kernel or self.kernels[-1]

    def is_held(self, unit: str) -> bool:
        """Tell whether a condition beside a unit keeps it from starting."""
        return f"{HOLD}/{unit}" in self.files

    def update(self, kernel: str | None = None, *stale: str) -> None:
        """Be a host whose packages were updated: with a kernel that does not run yet, and libraries that are in use."""
        if kernel is not None:
            self.kernels.append(kernel)
            self.files[REBOOT_REQUIRED] = "*** System restart required ***\n"
            self.files[f"{REBOOT_REQUIRED}.pkgs"] = f"linux-image-{kernel}\n"
        self.stale |= set(stale)

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
