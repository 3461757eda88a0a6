"""Whether a host is empty: nothing of it left in nova, in placement, and on its hypervisor."""

from collections.abc import Collection, Iterable, Sequence

from model.base import Record
from model.fleet import FleetGuest
from model.nova import AWAITS_CONFIRMATION, Migration

# What of a guest is allowed to stay: it does not run, and its disk outlasts whatever is done to the host.
STILL = frozenset({"SHUTOFF", "SUSPENDED"})


class Domain(Record):
    """A machine that runs on a hypervisor, as libvirt has it; its UUID is the id of nova's server."""

    id: str
    name: str


def parse_domains(output: str) -> tuple[Domain, ...]:
    """Return the domains that ``virsh list --uuid --name`` has printed, one a line."""
    rows = (line.split(maxsplit=1) for line in output.splitlines() if line.strip())
    return tuple(Domain(id=row[0], name=row[1].strip() if len(row) > 1 else "") for row in rows)


def what_is_left(
    host: str,
    guests: Iterable[FleetGuest],
    migrations: Iterable[Migration],
    *,
    consumers: Sequence[str] = (),
    domains: Sequence[Domain] | None = None,
    stays: Collection[str] = (),
) -> tuple[str, ...]:
    """Say everything that is left on a host; it is drained when that is nothing.

    Args:
        host: its name; only what is exactly there counts.
        guests: servers of all tenants in all states.
        migrations: from and to it.
        consumers: who holds allocations of its resource providers.
        domains: what its hypervisor runs; None when it could not be asked.
        stays: guests that may stay, as long as they do not run.
    """
    here = [guest for guest in guests if guest.host == host]
    left = [
        f"guest {guest.name} ({guest.id}) is {guest.status} on it"
        for guest in here
        if guest.id not in stays or guest.status not in STILL or guest.task_state is not None
    ]
    left += [
        f"{move.text}{', which waits for a confirmation' if move.status == AWAITS_CONFIRMATION else ''}"
        for move in migrations
        if move.unfinished and host in {move.source, move.target}
    ]
    left += [f"placement still has an allocation of {one}" for one in consumers if one not in stays]
    return (*left, *(f"its hypervisor still runs {one.name} ({one.id})" for one in domains or ()))
