"""nova's scheduler, as far as it decides which host takes a guest: its filters, and the weigher of free memory.

It knows guests by the host that nova's database has for them: of two members of an anti-affinity group that move at the
same time it sees neither on the target, and sends both there (Launchpad bug 1821755). With ``late_check`` the target
looks for itself who is on the way to it, as nova does unless ``[workarounds]disable_group_policy_check_upcall`` is set.
"""

from collections import Counter
from collections.abc import Callable, Collection
from functools import cached_property

from model.components import COMPUTE_UNIT
from model.fleet import GroupPolicy
from simulator.guests import Group, Guest
from simulator.nova import Nova, Service

NO_VALID_HOST = "No valid host was found. There are not enough hosts available."


class NoValidHostError(Exception):
    """No host passes the filters; the message is nova's."""


class Scheduler:
    """Chooses hosts."""

    def __init__(self, nova: Nova, *, late_check: bool = False) -> None:
        self._nova, self._late_check = nova, late_check

    def choose(self, guest: Guest, *, wanted: str | None = None, ignored: Collection[str] = ()) -> str:
        """Return the host with the most free memory that may take a guest; ``wanted`` or none, if that is given.

        Raises:
            NoValidHostError: no host passes.
        """
        hosts = [wanted] if wanted is not None else list(self._nova.providers)
        request = _Request(self._nova, guest, late_check=self._late_check)
        fitting = [
            host for host in hosts if host != guest.host and host not in ignored and request.refusing(host) is None
        ]
        if not fitting:
            raise NoValidHostError(NO_VALID_HOST)
        return max(fitting, key=self._free_memory)

    def refusing(self, guest: Guest, host: str) -> str | None:
        """Return the first filter that keeps a guest from a host."""
        return _Request(self._nova, guest, late_check=self._late_check).refusing(host)

    def _free_memory(self, host: str) -> float:
        return self._nova.room(host)["MEMORY_MB"] - self._nova.used(self._nova.providers[host])["MEMORY_MB"]


class _Request:
    """One guest that looks for a host; what is the same for every host is found out once."""

    def __init__(self, nova: Nova, guest: Guest, *, late_check: bool) -> None:
        self._nova, self._guest, self._late_check = nova, guest, late_check
        self._filters: dict[str, Callable[[str], bool]] = {
            "ComputeFilter": self._takes_guests,
            "AvailabilityZoneFilter": lambda host: guest.zone is None or guest.zone == nova.zone_of(host),
            "ServerGroupAntiAffinityFilter": self._apart,
            "ServerGroupAffinityFilter": self._together,
            "traits": lambda host: set(guest.flavor.traits) <= set(nova.traits(host)),
            "placement": lambda host: nova.has_room(host, guest.resources),
            "hypervisor version": self._not_older,
        }

    def refusing(self, host: str) -> str | None:
        return next((name for name, passes in self._filters.items() if not passes(host)), None)

    @cached_property
    def _groups(self) -> list[tuple[Group, Counter[str | None]]]:
        """The guest's groups, with the hosts of their other members."""
        return [(group, self._places(group)) for group in self._nova.groups_of(self._guest.id)]

    def _places(self, group: Group) -> Counter[str | None]:
        others = {id_ for id_ in group.members if id_ != self._guest.id and id_ in self._nova.guests}
        places = Counter(self._nova.guests[id_].host for id_ in others)
        if self._late_check:
            coming = (move for move in self._nova.migrations if move.unfinished and move.guest in others)
            places.update(move.target for move in coming)
        return places

    def _takes_guests(self, host: str) -> bool:
        row = self._rows[host]
        return not row.disabled and self._nova.is_up(row)

    @cached_property
    def _rows(self) -> dict[str, Service]:
        return {row.host: row for row in self._nova.services if row.binary == COMPUTE_UNIT}

    def _apart(self, host: str) -> bool:
        hard = (found for found in self._groups if found[0].policy is GroupPolicy.ANTI_AFFINITY)
        return all(places[host] < group.max_per_host for group, places in hard)

    def _together(self, host: str) -> bool:
        hard = (found for found in self._groups if found[0].policy is GroupPolicy.AFFINITY)
        return all(not +places or places[host] for _, places in hard)

    def _not_older(self, host: str) -> bool:
        version, source = self._nova.hypervisor_version, self._guest.host
        return source is None or version(host) >= version(source)
