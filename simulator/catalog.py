"""Sizes: of guests (flavors) and of hosts."""

from dataclasses import dataclass, field

from model.base import Record

Inventory = dict[str, dict[str, float]]
VCPU_RATIO = 4.0
RESERVED_MB = 512


@dataclass(frozen=True)
class Flavor:
    """A flavor; ``ram`` in MB, ``disk`` in GB."""

    id: str
    name: str
    vcpus: int
    ram: int
    disk: int
    extra_specs: dict[str, str] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, int]:
        """Its numbers as nova's API names them."""
        return {"vcpus": self.vcpus, "ram": self.ram, "disk": self.disk, "ephemeral": 0, "swap": 0}

    @property
    def traits(self) -> tuple[str, ...]:
        """What its hosts must have."""
        marks = (key.partition(":") for key, value in self.extra_specs.items() if value == "required")
        return tuple(name for kind, _, name in marks if kind == "trait")


FLAVORS = {
    flavor.name: flavor
    for flavor in (
        Flavor("1", "tiny", 1, 512, 1),
        Flavor("2", "small", 1, 2048, 10),
        Flavor("3", "medium", 2, 4096, 20),
        Flavor("4", "large", 4, 8192, 40),
        Flavor("5", "xlarge", 8, 16384, 80),
        Flavor("6", "ssd", 2, 4096, 40, {"trait:STORAGE_DISK_SSD": "required"}),
    )
}
TINY = FLAVORS["tiny"]


class HostSize(Record):
    """How big a compute host is: processors, memory in MB, disk in GB, and the traits of its resource provider."""

    vcpus: int = 16
    ram: int = 65536
    disk: int = 2000
    traits: tuple[str, ...] = ()

    @property
    def inventory(self) -> Inventory:
        """What placement knows of it."""
        return {
            "VCPU": {"total": self.vcpus, "reserved": 0, "allocation_ratio": VCPU_RATIO},
            "MEMORY_MB": {"total": self.ram, "reserved": RESERVED_MB, "allocation_ratio": 1.0},
            "DISK_GB": {"total": self.disk, "reserved": 0, "allocation_ratio": 1.0},
        }


NORMAL = HostSize()
BIG = HostSize(vcpus=32, ram=131072, disk=4000)
