"""What nova's databases say of a guest, its moves and its groups. What its machine really does is in ``machines``."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from model.fleet import GroupPolicy
from model.nova import ENDED, LIVE_MIGRATION
from simulator.catalog import TINY, Flavor
from simulator.tenants import DEMO
from simulator.tenants import TINY as TINY_IMAGE

# nova/api/openstack/common.py, _STATE_MAP, turned round.
VM_STATES = {
    "SHUTOFF": "stopped",
    "VERIFY_RESIZE": "resized",
    "RESCUE": "rescued",
    "BUILD": "building",
    "SHELVED_OFFLOADED": "shelved_offloaded",
}
# nova.objects.image_meta.ImageMetaProps of each release; of those before 31 only the order counts here.
IMAGE_META = {"29": "1.36", "30": "1.38", "31": "1.39", "32": "1.42", "33": "1.42", "34": "1.44"}


@dataclass
class Guest:
    """A server.

    Attributes:
        status: as the API shows it; while nova works on the guest, perhaps another one than that in which it rests.
        image: its image's id; None for a guest that boots from a volume.
        dirty: how much of what is copied of its memory it writes anew meanwhile; from 1 on it never gets there.
    """

    id: str
    name: str
    host: str | None
    status: str = "ACTIVE"
    task_state: str | None = None
    created: str = ""
    fault: str = ""
    # The version of ImageMetaProps in its request specification (nova_api.request_specs): that of the API which took
    # the order, whatever runs later.
    image_meta: str = IMAGE_META["29"]
    actions: list[dict[str, Any]] = field(default_factory=list)
    flavor: Flavor = TINY
    project: str = DEMO
    zone: str | None = None
    locked: bool = False
    locked_reason: str | None = None
    tags: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    config_drive: bool = False
    image: str | None = TINY_IMAGE
    volumes: list[str] = field(default_factory=list)
    dirty: float = 0.0
    _resting: str | None = None

    def acted(self, action: str, ordered: str, ended: str) -> None:
        """Have nova remember an action that ended well; both moments as its database has them."""
        event = {"event": f"compute_{action}", "result": "Success", "start_time": ordered, "finish_time": ended}
        row = {"action": action, "request_id": f"req-{uuid.uuid4()}", "message": None, "start_time": ordered}
        self.actions.insert(0, {**row, "events": [event], "move": None})

    @property
    def resources(self) -> dict[str, int]:
        """What it needs of a host."""
        disk = self.flavor.disk if self.image is not None else 0
        return {"VCPU": self.flavor.vcpus, "MEMORY_MB": self.flavor.ram, "DISK_GB": disk}

    @property
    def vm_state(self) -> str:
        """Nova's inner state, which work on the guest does not change before its end."""
        status = self._resting if self.task_state is not None and self._resting else self.status
        return VM_STATES.get(status, status.lower())

    @property
    def resting(self) -> str:
        """The status that it has while nova does not work on it."""
        return self._resting if self.task_state is not None and self._resting else self.status

    def work(self, task: str, status: str | None = None) -> None:
        """Let nova work on it, perhaps with another status to be shown."""
        self._resting = self.resting
        self.task_state, self.status = task, status or self.status

    def rest(self, status: str | None = None) -> None:
        """End nova's work on it; it has the old status again, or this one."""
        self.status, self.task_state = status or self.resting, None
        self._resting = None


@dataclass
class Migration:
    """A row of nova's table of migrations.

    Attributes:
        wanted: the target that was asked for.
        copying: when copying began, and how many real seconds it takes; None while it does not.
        endless: whether its guest writes as fast as it is copied.
        force: whether it has been ordered to complete.
        ran: whether the guest of a cold one ran before.
    """

    id: int
    guest: str
    source: str
    created: float
    status: str = "accepted"
    target: str | None = None
    updated: float = 0.0
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    abort: bool = False
    kind: str = LIVE_MIGRATION
    wanted: str | None = None
    copying: tuple[float, float] | None = None
    endless: bool = False
    force: bool = False
    ran: bool = True

    @property
    def written_target(self) -> str | None:
        """What nova has written as its target: of a live one, the host that was asked for, from the beginning on."""
        return self.target or (self.wanted if self.kind == LIVE_MIGRATION else None)

    @property
    def unfinished(self) -> bool:
        """Whether it still goes on."""
        return self.status not in ENDED


@dataclass
class Group:
    """A server group."""

    name: str
    policy: GroupPolicy
    members: list[str] = field(default_factory=list)
    max_per_host: int = 1
    project: str = DEMO
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Aggregate:
    """A host aggregate; one with a zone makes the zone of its hosts."""

    id: int
    name: str
    zone: str | None = None
    hosts: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def instance_name(guest: str) -> str:
    """Return the name of a guest's machine at its hypervisor."""
    return f"instance-{guest[:8]}"
