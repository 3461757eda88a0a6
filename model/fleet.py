"""The hypervisors of a cloud and their guests, in the detail that draining needs: as nova and placement see them."""

from enum import StrEnum

from model.base import Record
from model.nova import Guest, Migration
from model.work import Capacity


class GuestClass(StrEnum):
    """How a guest leaves its host, or does not."""

    LIVE = "live"
    COLD = "cold"
    STOP = "stop"
    LEAVE = "leave"
    BLOCKED = "blocked"

    @property
    def meaning(self) -> str:
        """The class in words."""
        return _MEANINGS[self]


_MEANINGS = {
    GuestClass.LIVE: "moves while it runs on",
    GuestClass.COLD: "moves while it is off, or is switched off for the move",
    GuestClass.STOP: "stays: stopped just before its host is touched, started just after",
    GuestClass.LEAVE: "stays as it is: its host is not touched, and is listed as exposed",
    GuestClass.BLOCKED: "somebody must decide first",
}


class GroupPolicy(StrEnum):
    """The policy of a nova server group."""

    AFFINITY = "affinity"
    ANTI_AFFINITY = "anti-affinity"
    SOFT_AFFINITY = "soft-affinity"
    SOFT_ANTI_AFFINITY = "soft-anti-affinity"


class ServerGroup(Record):
    """A nova server group. ``max_per_host`` is the rule ``max_server_per_host`` of a hard anti-affinity group."""

    id: str
    name: str = ""
    policy: GroupPolicy
    members: tuple[str, ...]
    max_per_host: int = 1


class FleetGuest(Guest):
    """A server with all that decides how it can leave its host.

    Attributes:
        vm_state: nova's inner state, such as ``active`` or ``stopped``.
        power_state: what the hypervisor says: 1 running, 3 paused, 4 shut down, 6 crashed, 7 suspended, 0 unknown.
        zone: the availability zone that it was asked to be in; None when any would do.
        locked: whether its owner or an administrator has locked it.
        extra_specs: of its flavor.
        image: its image's id; empty when it boots from a volume.
        image_properties: of its image, as nova keeps them.
        volumes: how many volumes are attached.
        local_disk_gb: root disk, unless it boots from a volume, ephemeral disk and swap, rounded up.
        resources: what it holds in placement, by resource class.
        traits: what its host must have, by flavor and image (``trait:…=required``).
    """

    vm_state: str = ""
    power_state: int = 1
    zone: str | None = None
    locked: bool = False
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    config_drive: bool = False
    flavor: str = ""
    extra_specs: dict[str, str] = {}
    image: str = ""
    image_properties: dict[str, str] = {}
    volumes: int = 0
    local_disk_gb: int = 0
    resources: dict[str, float] = {}
    traits: tuple[str, ...] = ()


class FleetHost(Record):
    """A compute host as nova and placement see it.

    Attributes:
        state: ``up`` or ``down``.
        status: ``enabled`` or ``disabled``.
        hypervisor_version: such as 7002022 for QEMU 7.2.22; a guest never moves to an older one.
        aggregates: names of nova's host aggregates that it is in.
        traits: of its resource provider.
    """

    name: str
    zone: str = "nova"
    state: str = "up"
    status: str = "enabled"
    disabled_reason: str | None = None
    forced_down: bool = False
    hypervisor: str = ""
    hypervisor_version: int = 0
    aggregates: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    capacity: Capacity = Capacity(total={}, used={})


class Fleet(Record):
    """Everything that draining is decided from, read at one moment. ``migrations`` are those that are going on."""

    hosts: dict[str, FleetHost]
    guests: tuple[FleetGuest, ...] = ()
    groups: tuple[ServerGroup, ...] = ()
    migrations: tuple[Migration, ...] = ()
