"""The operator of a simulated cloud: mends what a fault has broken, at the machines themselves, when it is time to."""

from model.inventory import Role
from simulator.cloud import COMPUTE_ID, SimCloud
from simulator.nova import Guest

_ROOM = 40_000_000_000


def mend(cloud: SimCloud) -> None:
    """Mend everything: the fault, and what it has left on hosts and of guests."""
    cloud.faults.mend()
    for host in cloud.hosts.values():
        host.free_bytes = max(host.free_bytes, _ROOM)
        host.hostname = host.name
        if Role.COMPUTE in host.roles:
            host.files[COMPUTE_ID] = cloud.nova.providers[host.name]
    for guest in cloud.nova.guests.values():
        _mend_guest(cloud, guest)


def _mend_guest(cloud: SimCloud, guest: Guest) -> None:
    """Reset and start a guest that its host's end, or nova's, has left behind; what is on its way is left alone."""
    if guest.status in {"ERROR", "SHUTOFF"} and guest.task_state is None and guest.host is not None:
        guest.status, guest.fault = "ACTIVE", ""
    if guest.id in cloud.mover.stranded:
        cloud.spawn(cloud.mover.reset(guest))
