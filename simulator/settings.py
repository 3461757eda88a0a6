"""How big a simulated cloud is, where its hosts have their addresses, and how long things take in it."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from model.base import Record
from model.inventory import HostName, ReleaseId, Role
from model.releases import RELEASES
from model.rolling import Percent

CLOUD = "sim"
REGION = "RegionOne"
PACKAGES = "/opt/openstack"
REPOSITORY = "/srv/openstack"
SOCKET = "/run/haproxy/admin.sock"
HOLD_MAP = "/etc/haproxy/hold.map"
PASSWORD = "simulated"  # noqa: S105 - of a cloud that listens on loopback addresses alone
SSH_PORT = 2222
_PER_NETWORK = 250


class Machine(NamedTuple):
    """A host of the cloud."""

    name: str
    address: str
    roles: tuple[Role, ...]


FlavorName = Literal["tiny", "small", "medium", "large", "xlarge", "ssd"]
Status = Literal["SHUTOFF", "PAUSED", "SUSPENDED", "RESCUE", "ERROR", "SHELVED"]
Kind = Status | Literal["locked", "tagged", "pinned", "config-drive", "volume", "busy"]
Share = Annotated[float, Field(ge=0, le=1)]


class FleetSpec(Record):
    """What the compute hosts and their guests are like. Everything is the same in every cloud with the same settings.

    Attributes:
        zones: availability zones; the hosts take turns.
        racks: host aggregates besides, of hosts that follow each other.
        big: the share of hosts of twice the size.
        ssd: the share of hosts with the trait STORAGE_DISK_SSD, on which alone guests of flavor ``ssd`` can be.
        updated: the share of hosts on which a new kernel waits for a reboot.
        load: how much of the hosts' memory is in use, instead of a number of guests.
        spread: by how much of its memory a host's load may differ from that.
        sizes: how often guests have which flavor (``simulator/catalog.py``), as weights.
        groups: the share of guests in hard anti-affinity groups of three.
        states: the share of guests in a status, or that are locked, tagged, pinned to their zone, with a config drive,
            booted from a volume, or busy: writing so fast that a live migration takes five times as long.
        tag: of guests that are tagged.
        seed: another number is another fleet.
    """

    zones: int = Field(default=1, ge=1, le=20)
    racks: int = Field(default=0, ge=0, le=500)
    big: Share = 0.0
    ssd: Share = 0.0
    updated: Share = 0.0
    load: Percent | None = None
    spread: Share = 0.0
    sizes: dict[FlavorName, Annotated[float, Field(gt=0)]] = Field(default={"tiny": 1.0}, min_length=1)
    groups: Share = 0.0
    states: dict[Kind, Share] = {}
    tag: str = "stackroll:drain=stop"
    seed: int = 1


class SimSpec(Record):
    """The size of a simulated cloud.

    Attributes:
        network: the first two numbers of all its addresses, which must be loopback ones.
        speed: how many seconds of simulated work pass in one second.
        resume_guests: nova's ``resume_guests_state_on_host_boot``.
        late_group_check: whether a target looks for itself which members of a group are on their way to it; without,
            as with nova's ``disable_group_policy_check_upcall``, two that move at the same time may meet there.
        repository: by service, point releases of this release that the repository has besides.
        migrations_at_once: nova's ``max_concurrent_live_migrations`` of each source; all that are asked for without.
        hosts: names and roles of all hosts, instead of numbers of them.
    """

    control: int = Field(default=2, ge=1, le=9)
    compute: int = Field(default=3, ge=1, le=5000)
    guests: int = Field(default=4, ge=0)
    release: ReleaseId = "2026.1"
    speed: float = Field(default=20.0, gt=0)
    network: str = Field(default="127.10", pattern=r"^127\.\d{1,3}$")
    ssh_port: int = SSH_PORT
    resume_guests: bool = False
    late_group_check: bool = False
    repository: dict[str, tuple[str, ...]] = {}
    migrations_at_once: int | None = Field(default=None, ge=1)
    fleet: FleetSpec = FleetSpec()
    hosts: dict[HostName, tuple[Role, ...]] = {}

    @property
    def vip(self) -> str:
        """The address of the load balancer."""
        return f"{self.network}.0.5"

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All hosts."""
        if self.hosts:
            places = enumerate(self.hosts.items())
            return tuple(
                Machine(name, f"{self.network}.{16 + n // _PER_NETWORK}.{n % _PER_NETWORK + 1}", roles)
                for n, (name, roles) in places
            )
        infra = Machine("infra1", f"{self.network}.0.10", (Role.DATABASE, Role.MESSAGING, Role.LOAD_BALANCER))
        controls = [Machine(f"ctl{n}", f"{self.network}.1.{n}", (Role.CONTROL,)) for n in range(1, self.control + 1)]
        computes = [
            Machine(
                f"cmp{n + 1}",
                f"{self.network}.{16 + n // _PER_NETWORK}.{n % _PER_NETWORK + 1}",
                (Role.COMPUTE,),
            )
            for n in range(self.compute)
        ]
        return (infra, *controls, *computes)

    def first(self, role: Role) -> str:
        """Return the first host with a role."""
        return next(machine.name for machine in self.machines if role in machine.roles)

    @property
    def next_release(self) -> str | None:
        """The release that an upgrade would lead to; None from the last one."""
        order = list(RELEASES)
        place = order.index(self.release) + 1
        return order[place] if place < len(order) else None


class Durations(NamedTuple):
    """Seconds that things take, before they are scaled; orders of magnitude of what the lab was seen to take."""

    install: float = 20.0
    start: float = 5.0
    stop: float = 2.0
    manage: float = 6.0
    dump: float = 3.0
    schedule: float = 1.0
    prepare: float = 1.5
    migrate_per_gib: float = 8.0
    build: float = 3.0
    # How long a guest stands still at the end of a live migration, and of one that is ordered to complete.
    gap: float = 0.3
    forced_gap: float = 5.0
    # Switching a guest off or on, pausing it, and whatever else nova does to it where it is.
    guest_action: float = 2.0
    boot: float = 40.0
    report_every: float = 10.0
    down_after: float = 60.0


# A service counts as down after at least so many real seconds, however fast time runs: this process may be held up.
LEAST_DOWN_AFTER = 4.0
