"""A fleet as one finds them: hosts of two sizes in zones and racks, guests of many kinds, some of them awkward."""

import random
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from model.fleet import GroupPolicy
from simulator.catalog import BIG, FLAVORS, TINY, Flavor
from simulator.guests import Aggregate, Group, Guest
from simulator.host import Host
from simulator.machines import power_of
from simulator.settings import Kind, Status

if TYPE_CHECKING:
    from simulator.cloud import SimCloud

NEW_KERNEL = "6.1.0-42-amd64"
SSD = "STORAGE_DISK_SSD"
_GROUP_SIZE = 3
_STATUSES = get_args(Status)
# A guest that writes so much of its memory while it is copied takes five times as long.
_BUSY = 0.8


def furnish(cloud: "SimCloud") -> None:
    """Give the compute hosts of a new cloud sizes and places, and put guests onto them."""
    hosts = [cloud.hosts[name] for name in cloud.nova.providers]
    spec = cloud.spec.fleet
    for number, host in enumerate(hosts):
        if _within(number, spec.big):
            host.size = BIG
        if _within(number, spec.ssd):
            host.size = host.size.model_copy(update={"traits": (*host.size.traits, SSD)})
        if _within(number, spec.updated):
            host.update(NEW_KERNEL, "sshd")
    _make_aggregates(cloud, hosts)
    _Tenants(cloud, hosts).move_in()


def _within(number: int, share: float) -> bool:
    """Tell whether the one with this number belongs to a share that is spread evenly."""
    return int((number + 1) * share) > int(number * share)


def _make_aggregates(cloud: "SimCloud", hosts: list[Host]) -> None:
    spec, names = cloud.spec.fleet, [host.name for host in hosts]
    made = cloud.nova.aggregates
    if spec.zones > 1:
        for zone in range(spec.zones):
            name = f"az{zone + 1}"
            made.append(Aggregate(len(made) + 1, name, name, names[zone :: spec.zones]))
    for rack in range(spec.racks):
        # Those of a rack follow each other; a zone's hosts are spread over all of them.
        begin, end = len(names) * rack // spec.racks, len(names) * (rack + 1) // spec.racks
        made.append(Aggregate(len(made) + 1, f"rack{rack + 1}", None, names[begin:end], {"rack": str(rack + 1)}))


class _Tenants:
    """Whoever has guests in the cloud; the same ones whenever it is made with the same settings."""

    def __init__(self, cloud: "SimCloud", hosts: list[Host]) -> None:
        self._cloud, self._hosts, self._spec = cloud, hosts, cloud.spec.fleet
        self._random = random.Random(self._spec.seed)  # noqa: S311 - reproducible is what it must be

    def move_in(self) -> None:
        places = self._by_number() if self._spec.load is None else self._by_load()
        for number, (host, flavor) in enumerate(places, 1):
            self._cloud.add_guest(f"guest{number}", host.name, flavor=flavor)
        guests = list(self._cloud.nova.guests.values())
        self._make_groups(guests)
        for guest in guests:
            self._make_special(guest)

    def _by_number(self) -> Iterator[tuple[Host, Flavor]]:
        for number in range(self._cloud.spec.guests):
            yield self._hosts[number % len(self._hosts)], self._size(self._hosts[number % len(self._hosts)])

    def _by_load(self) -> Iterator[tuple[Host, Flavor]]:
        """Fill each host to the load, give or take the spread."""
        load, spread = float(str(self._spec.load).removesuffix("%")) / 100, self._spec.spread
        for host in self._hosts:
            room = self._cloud.nova.room(host.name)
            share = min(1.0, max(0.0, load + self._random.uniform(-spread, spread)))
            left = {name: amount * (share if name == "MEMORY_MB" else 1) for name, amount in room.items()}
            while (flavor := self._fitting(host, left)) is not None:
                for name, amount in Guest("", "", None, flavor=flavor).resources.items():
                    left[name] -= amount
                yield host, flavor

    def _fitting(self, host: Host, left: dict[str, float]) -> Flavor | None:
        for flavor in (self._size(host), TINY):
            need = Guest("", "", None, flavor=flavor).resources
            if all(left[name] >= amount for name, amount in need.items()):
                return flavor
        return None

    def _size(self, host: Host) -> Flavor:
        names = list(self._spec.sizes)
        (name,) = self._random.choices(names, [self._spec.sizes[name] for name in names])
        flavor = FLAVORS[name]
        return flavor if set(flavor.traits) <= set(host.size.traits) else TINY

    def _make_groups(self, guests: list[Guest]) -> None:
        """Put a share of the guests into groups of three, whose members are on three hosts of one zone."""
        nova = self._cloud.nova
        by_zone: dict[str, list[Guest]] = {}
        for guest in guests:
            by_zone.setdefault(nova.zone_of(guest.host or ""), []).append(guest)
        for zone, pool in sorted(by_zone.items()):
            self._random.shuffle(pool)
            for number in range(int(len(pool) * self._spec.groups / _GROUP_SIZE)):
                members = _apart(pool)
                if len(members) == _GROUP_SIZE:
                    name = f"group-{zone}-{number + 1}"
                    id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"stackroll-sim:group:{name}"))
                    nova.groups[id_] = Group(name, GroupPolicy.ANTI_AFFINITY, [one.id for one in members], id=id_)

    def _make_special(self, guest: Guest) -> None:
        spec = self._spec
        dice = self._random.random()
        for status in _STATUSES:
            share = spec.states.get(status, 0.0)
            if dice < share:
                guest.status = status
                self._cloud.machines[guest.id].become(power_of(status), self._cloud.clock.now())
                break
            dice -= share
        if self._is("locked"):
            guest.locked, guest.locked_reason = True, "its owner wants it so"
        if self._is("tagged"):
            guest.tags = [spec.tag]
        if self._is("pinned"):
            guest.zone = self._cloud.nova.zone_of(guest.host or "")
        if self._is("config-drive"):
            guest.config_drive = True
        if self._is("volume"):
            volume = uuid.uuid5(uuid.NAMESPACE_URL, f"stackroll-sim:volume:{guest.name}")
            guest.image, guest.volumes = None, [str(volume)]
            self._cloud.nova.place(guest, guest.host or "")
        if self._is("busy"):
            guest.dirty = _BUSY

    def _is(self, kind: Kind) -> bool:
        share = self._spec.states.get(kind, 0.0)
        return bool(share) and self._random.random() < share


def _apart(pool: list[Guest]) -> list[Guest]:
    """Take three guests on three hosts out of a pool; fewer if there are none."""
    members: list[Guest] = []
    for guest in pool:
        if guest.host not in {one.host for one in members}:
            members.append(guest)
        if len(members) == _GROUP_SIZE:
            break
    if len(members) == _GROUP_SIZE:
        for member in members:
            pool.remove(member)
    return members
