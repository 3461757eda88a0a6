"""What a lab is: its hosts, addresses, directories and secrets. Nothing here touches the machine."""

import hashlib
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.lab.errors import SpecError

RELEASES = ("2025.1", "2025.2", "2026.1", "2026.2")
SERVICES = ("keystone", "placement", "glance", "nova")
# What runs the guests: nova's fake driver with a memory, or QEMU without hardware virtualisation under libvirt.
HYPERVISORS = ("fake", "qemu")
# The releases whose nova has been seen to run QEMU guests in the lab.
QEMU_RELEASES = ("2026.1", "2026.2")
BRIDGE = "srlab0"
NETWORK = "10.97.0"
GATEWAY = f"{NETWORK}.1"
VIP = f"{NETWORK}.10"
REGION = "RegionOne"
OPENSTACK_UID = 2000
CONTROL_UNITS = ("keystone", "placement", "glance", "nova-api", "nova-conductor", "nova-scheduler")
COMPUTE_UNITS = ("nova-compute",)
INFRA_UNITS = ("mariadb", "rabbitmq-server", "memcached", "haproxy")
# Address plan: control hosts from .11, compute hosts from .21, so 9 and 230 are the most.
_MAX_CONTROL = 9
_MAX_COMPUTE = 230

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Host:
    """One machine of the lab; the hypervisor is that of a compute host, one of HYPERVISORS."""

    name: str
    address: str
    roles: tuple[str, ...]
    hypervisor: str = ""

    @property
    def kind(self) -> str:
        """The layer it is built on: infra, control or compute."""
        return self.roles[0] if self.roles[0] in {"control", "compute"} else "infra"

    @property
    def services(self) -> tuple[str, ...]:
        """OpenStack services with a virtual environment on this host."""
        return {"control": SERVICES, "compute": ("nova",)}.get(self.kind, ())

    @property
    def units(self) -> tuple[str, ...]:
        """The systemd units that do this host's work."""
        return {"control": CONTROL_UNITS, "compute": COMPUTE_UNITS}.get(self.kind, INFRA_UNITS)


@dataclass(frozen=True)
class LabSpec:
    """The shape of a lab."""

    release: str = "2026.1"
    control: int = 2
    compute: int = 3
    guests: int = 4
    hypervisor: str = "fake"

    def __post_init__(self) -> None:
        if self.release not in RELEASES:
            raise SpecError(f"release {self.release!r} is not known to the lab; it can run {', '.join(RELEASES)}")
        for what, count, most in (("control", self.control, _MAX_CONTROL), ("compute", self.compute, _MAX_COMPUTE)):
            if not 1 <= count <= most:
                raise SpecError(f"--{what} {count} is outside 1 to {most}")
        if self.guests < 0:
            raise SpecError(f"--guests {self.guests} is negative")
        if self.hypervisor not in HYPERVISORS:
            raise SpecError(f"--hypervisor {self.hypervisor} is not known; there are {', '.join(HYPERVISORS)}")
        if self.hypervisor == "qemu" and self.release not in QEMU_RELEASES:
            raise SpecError(f"--hypervisor qemu runs with {' and '.join(QEMU_RELEASES)}, not with {self.release}")

    @property
    def infra(self) -> Host:
        """The host with database, messaging, cache and load balancer."""
        return Host("infra1", VIP, ("database", "load-balancer", "messaging"))

    @property
    def controls(self) -> tuple[Host, ...]:
        """The control hosts, ctl1 first."""
        return tuple(Host(f"ctl{n}", f"{NETWORK}.{10 + n}", ("control",)) for n in range(1, self.control + 1))

    @property
    def computes(self) -> tuple[Host, ...]:
        """The compute hosts, cmp1 first."""
        return tuple(
            Host(f"cmp{n}", f"{NETWORK}.{20 + n}", ("compute",), self.hypervisor) for n in range(1, self.compute + 1)
        )

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts, in the order in which they are listed everywhere."""
        return (self.infra, *self.controls, *self.computes)

    @property
    def next_release(self) -> str | None:
        """The release that follows in the lab's list, or None for the last one."""
        after = RELEASES.index(self.release) + 1
        return RELEASES[after] if after < len(RELEASES) else None

    def host(self, name: str) -> Host:
        """Return the host of that name.

        Raises:
            SpecError: There is no such host.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        raise SpecError(f"the lab has no host {name!r}; its hosts are {', '.join(h.name for h in self.hosts)}")

    def describe(self) -> str:
        """Say it in one line."""
        kind = "" if self.hypervisor == "fake" else f" in {self.hypervisor}"
        return f"{self.release}, {self.control} control, {self.compute} compute, {self.guests} guests{kind}"


@dataclass(frozen=True)
class Secrets:
    """Passwords of one lab, drawn at random when it is made."""

    database: str = field(default_factory=lambda: secrets.token_hex(12))
    messaging: str = field(default_factory=lambda: secrets.token_hex(12))
    service: str = field(default_factory=lambda: secrets.token_hex(12))
    admin: str = field(default_factory=lambda: secrets.token_hex(12))
    demo: str = field(default_factory=lambda: secrets.token_hex(12))


@dataclass(frozen=True)
class Paths:
    """Where the lab keeps its things on this machine."""

    state: Path
    cache: Path

    @classmethod
    def from_environment(cls) -> "Paths":
        """Take STACKROLL_LAB_DIR and STACKROLL_CACHE_DIR, or the defaults under /var."""
        return cls(
            Path(os.environ.get("STACKROLL_LAB_DIR", "/var/lib/stackroll/lab")),
            Path(os.environ.get("STACKROLL_CACHE_DIR", "/var/cache/stackroll")),
        )

    @property
    def layers(self) -> Path:
        """Cached read-only file system layers."""
        return self.cache / "layers"

    @property
    def states(self) -> Path:
        """Saved states."""
        return self.cache / "states"

    @property
    def uv_cache(self) -> Path:
        """Cache of uv, shared with the hosts."""
        return self.cache / "uv"

    @property
    def repository(self) -> Path:
        """What the hosts see as /srv/openstack."""
        return self.state / "repository"

    @property
    def shared(self) -> Path:
        """Directories that several hosts mount: keys and images."""
        return self.state / "shared"

    @property
    def key(self) -> Path:
        """Private SSH key for root on every host."""
        return self.state / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The hosts' real keys."""
        return self.state / "known_hosts"

    @property
    def clouds(self) -> Path:
        """clouds.yaml with the entries lab and lab-demo."""
        return self.state / "clouds.yaml"

    @property
    def record(self) -> Path:
        """What this lab is and how far it got."""
        return self.state / "lab.json"

    def host(self, name: str) -> Path:
        """Directory of one host: root, upper, work."""
        return self.state / "hosts" / name


def digest(*parts: object) -> str:
    """Return a short digest of the parts, for names of cached things."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:12]


def tree_digest(*roots: Path) -> str:
    """Return a digest of names and contents of all files below the roots."""
    parts: list[object] = []
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                parts += [path.relative_to(root), path.stat().st_mode & 0o111, path.read_bytes().hex()]
    return digest(*parts)


def code_digest() -> str:
    """Return a digest of the lab's own code, locks and templates."""
    return tree_digest(_HERE, _HERE.parent / "haproxy")


def pristine_name(spec: LabSpec) -> str:
    """Return the name under which a freshly made cloud of this shape is kept."""
    shape = "-".join(str(value) for value in asdict(spec).values())
    return f"pristine-{shape}-{code_digest()}"
