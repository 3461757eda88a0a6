"""Small fleets that can be counted by hand, and a strategy for any fleet."""

from collections.abc import Mapping

from model.fleet import Fleet, FleetGuest, FleetHost, GroupPolicy, GuestClass, ServerGroup
from model.work import Capacity


def guest(id_: str, host: str, size: float = 1, **kwargs: object) -> FleetGuest:
    """Return a running guest that holds so many vCPUs, and a GiB of memory for each."""
    return FleetGuest.model_validate(
        {
            "id": id_,
            "name": id_,
            "host": host,
            "status": "ACTIVE",
            "vcpus": int(size),
            "ram_mb": int(size * 1024),
            "resources": {"VCPU": float(size)},
            **kwargs,
        }
    )


def host(name: str, size: float = 10, used: float = 0, **kwargs: object) -> FleetHost:
    """Return a host with room for so many vCPUs."""
    capacity = Capacity(total={"VCPU": float(size)}, used={"VCPU": float(used)})
    return FleetHost.model_validate({"name": name, "capacity": capacity, **kwargs})


def fleet(hosts: list[FleetHost], guests: list[FleetGuest], groups: tuple[ServerGroup, ...] = ()) -> Fleet:
    """Return a fleet whose hosts have used what their guests hold, and what they had besides."""
    filled = {}
    for each in hosts:
        held = sum(g.resources["VCPU"] for g in guests if g.host == each.name)
        used = {"VCPU": each.capacity.used["VCPU"] + held}
        filled[each.name] = each.model_copy(update={"capacity": Capacity(total=each.capacity.total, used=used)})
    return Fleet(hosts=filled, guests=tuple(guests), groups=groups)


def anti(id_: str, *members: str, policy: GroupPolicy = GroupPolicy.ANTI_AFFINITY, most: int = 1) -> ServerGroup:
    """Return a group, anti-affine unless said otherwise."""
    return ServerGroup(id=id_, policy=policy, members=members, max_per_host=most)


def live(of: Fleet, **others: GuestClass) -> Mapping[str, GuestClass]:
    """Return the class of each guest: live, but for those that are named."""
    return {g.id: others.get(g.id, GuestClass.LIVE) for g in of.guests}
