"""A cloud for the benchmark of drains: hosts of two sizes in four zones, guests of several shapes, server groups."""

import random

from model.fleet import Fleet, FleetGuest, FleetHost, GroupPolicy, ServerGroup
from model.placement import Durations
from model.work import Capacity

ZONES = 4
# vCPUs and GiB of memory that placement gives away: a small host and a large one.
SIZES = ((64, 256), (128, 512))
# vCPUs, GiB of memory, and how many of twenty guests have it.
FLAVORS = ((1, 2, 3), (2, 4, 4), (2, 8, 4), (4, 8, 3), (4, 16, 3), (8, 32, 2), (16, 64, 1))
ASKED_FOR_ITS_ZONE = 0.5
GROUPED = 1 / 3
SOFT = 0.3
_MIB = 1024


def make_fleet(hosts: int, load: float, seed: int) -> Fleet:
    """Return a cloud whose hosts are filled to ``load`` on average; a third of its guests are in groups of three."""
    random_ = random.Random(seed)
    found: dict[str, FleetHost] = {}
    guests: list[FleetGuest] = []
    for index in range(hosts):
        name, zone = f"cn-{index:04}", f"az{index % ZONES}"
        vcpus, gib = SIZES[index // ZONES % 2]
        here = _guests(random_, name, zone, (vcpus, gib), min(0.95, max(0.1, random_.gauss(load, 0.12))), len(guests))
        used = {
            "VCPU": sum(guest.resources["VCPU"] for guest in here),
            "MEMORY_MB": sum(guest.resources["MEMORY_MB"] for guest in here),
        }
        total = {"VCPU": float(vcpus), "MEMORY_MB": float(gib * _MIB)}
        found[name] = FleetHost(name=name, zone=zone, capacity=Capacity(total=total, used=used))
        guests += here
    return Fleet(hosts=found, guests=tuple(guests), groups=tuple(_groups(random_, found, guests)))


def _guests(
    random_: random.Random, host: str, zone: str, size: tuple[int, int], share: float, first: int
) -> list[FleetGuest]:
    """Fill a host up to a share of it."""
    vcpus = memory = 0
    found: list[FleetGuest] = []
    while True:
        cpus, gib, _ = random_.choices(FLAVORS, [flavor[2] for flavor in FLAVORS])[0]
        vcpus, memory = vcpus + cpus, memory + gib
        if vcpus > size[0] * share or memory > size[1] * share:
            return found
        id_ = f"guest-{first + len(found):05}"
        found.append(
            FleetGuest(
                id=id_,
                name=id_,
                host=host,
                status="ACTIVE",
                vcpus=cpus,
                ram_mb=gib * _MIB,
                zone=zone if random_.random() < ASKED_FOR_ITS_ZONE else None,
                resources={"VCPU": float(cpus), "MEMORY_MB": float(gib * _MIB)},
            )
        )


def _groups(random_: random.Random, hosts: dict[str, FleetHost], guests: list[FleetGuest]) -> list[ServerGroup]:
    """Put a third of the guests into anti-affinity groups of three within a zone."""
    found = []
    for zone in sorted({host.zone for host in hosts.values()}):
        here = [guest for guest in guests if guest.host is not None and hosts[guest.host].zone == zone]
        random_.shuffle(here)
        wanted = int(len(here) * GROUPED) // 3
        threes = (here[index : index + 3] for index in range(0, len(here) - 2, 3))
        apart = [three for three in threes if len({guest.host for guest in three}) == 3][:wanted]
        for number, three in enumerate(apart):
            policy = GroupPolicy.SOFT_ANTI_AFFINITY if random_.random() < SOFT else GroupPolicy.ANTI_AFFINITY
            members = tuple(guest.id for guest in three)
            found.append(ServerGroup(id=f"{zone}-{number}", policy=policy, members=members))
    return found


def draw_durations(fleet: Fleet, expected: Durations, seed: int) -> Durations:
    """Return durations around the expected ones: log-normal, a move within a factor of 2, a reboot of 1.5, mostly."""
    random_ = random.Random(seed)
    return expected.model_copy(
        update={
            "guests": {g.id: expected.of_guest(g) * random_.lognormvariate(0, 0.35) for g in fleet.guests},
            "hosts": {name: expected.of_host(name) * random_.lognormvariate(0, 0.2) for name in sorted(fleet.hosts)},
        }
    )
