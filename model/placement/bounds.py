"""What no order can do better: the fewest moves, and the fewest seconds."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from model.base import Record
from model.fleet import Fleet, FleetGuest, GuestClass
from model.placement.board import Task
from model.placement.catalog import EXACT
from model.placement.limits import resolve
from model.placement.records import Durations
from model.placement.rooms import anti_groups
from model.rolling import Rolling


class MovesBound(Record):
    """The fewest moves with which all hosts can be emptied.

    Attributes:
        movers: guests that move at least once.
        again: guests that must move twice, because when the first host of a zone, or of all, is emptied, no host
            that is done has room for them.
    """

    movers: int
    again: int

    @property
    def moves(self) -> int:
        """The bound."""
        return self.movers + self.again


class MakespanBound(Record):
    """The fewest seconds in which all hosts can be done, and which limit says so.

    Attributes:
        seconds: the bound.
        binding: the limit that gives it.
        by: what each limit alone would allow, in seconds.
    """

    seconds: float
    binding: str
    by: dict[str, float]


def bound(fleet: Fleet, classes: Mapping[str, GuestClass], rolling: Rolling, *, hosts: Collection[str]) -> MovesBound:
    """Return the fewest moves.

    The first host that is emptied at all can send its guests only to hosts that need nothing; what does not fit goes
    to hosts that are emptied later, and moves again. In every other zone the same is true of its first host and the
    guests that asked for this zone. The arguments are those of ``schedule``.
    """
    return moves_bound(Task(fleet, classes, rolling, hosts))


def moves_bound(task: Task) -> MovesBound:
    """Return the fewest moves for a task."""
    zone_of = {name: task.catalog.hosts[name].zone for name in task.dirty}
    targets = [*task.clean, *task.shelters]
    everywhere = _free(task, targets)
    least: dict[str, int] = {}
    for zone in sorted(set(zone_of.values())):
        inside = _free(task, [name for name in targets if task.catalog.hosts[name].zone == zone])
        least[zone] = min(
            _unplaced(task, [guest for guest in task.movers[name] if guest.zone is not None], inside)
            for name in task.dirty
            if zone_of[name] == zone
        )
    again = min(
        (
            _unplaced(task, task.movers[name], everywhere) + sum(least.values()) - least[zone_of[name]]
            for name in task.dirty
        ),
        default=0,
    )
    return MovesBound(movers=sum(map(len, task.movers.values())), again=again)


def _free(task: Task, hosts: Iterable[str]) -> list[float]:
    catalog = task.catalog
    free = [0.0] * len(catalog.resources)
    for name in hosts:
        load = catalog.load(catalog.on[name])
        for index, (total, fixed) in enumerate(zip(catalog.total[name], catalog.fixed[name], strict=True)):
            free[index] += max(0.0, total - fixed - load[index])
    return free


def _unplaced(task: Task, guests: Collection[FleetGuest], free: list[float]) -> int:
    """Count how many guests at least find no room, even if room in sum were enough: the smallest fit first."""
    fitting = len(guests)
    for index, room in enumerate(free):
        used, count = 0.0, 0
        for need in sorted(task.catalog.need(guest.id)[index] for guest in guests):
            used += need
            if used > room + EXACT:
                break
            count += 1
        fitting = min(fitting, count)
    return len(guests) - fitting


def makespan_bound(
    fleet: Fleet,
    classes: Mapping[str, GuestClass],
    rolling: Rolling,
    *,
    hosts: Collection[str],
    durations: Durations | None = None,
) -> MakespanBound:
    """Return the fewest seconds, by each limit: whichever is the tightest counts.

    Canary hosts go before all others, so their time comes on top. The arguments are those of ``schedule``.
    """
    return shortest(Task(fleet, classes, rolling, hosts), durations or Durations())


def shortest(task: Task, durations: Durations) -> MakespanBound:
    """Return the fewest seconds for a task."""
    canaries = set(task.canaries())
    first = [name for name in task.dirty if name in canaries]
    rest = [name for name in task.dirty if name not in canaries]
    by = _limits(task, durations, rest)
    if first:
        alone = max(_limits(task, durations, first).values())
        wait = task.rolling.canary.healthy_for if rest else 0.0
        by = {name: seconds + alone + wait for name, seconds in by.items()} or {"canary": alone}
    binding = max(sorted(by), key=by.__getitem__, default="")
    return MakespanBound(seconds=by.get(binding, 0.0), binding=binding, by=by)


def _limits(task: Task, durations: Durations, hosts: Collection[str]) -> dict[str, float]:
    """What each limit alone allows for some hosts."""
    if not hosts:
        return {}
    limits, catalog = task.rolling.limits, task.catalog
    moving = {h: [durations.of_guest(guest) for guest in task.movers[h]] for h in hosts}
    work = {h: sum(seconds) for h, seconds in moving.items()}
    reboot = {h: durations.of_host(h) for h in hosts}
    alone = {h: max(work[h] / limits.per_source, max(moving[h], default=0.0)) + reboot[h] for h in hosts}
    last = min(reboot.values())
    by = {
        "critical host": max(alone.values()),
        "max_unavailable": sum(alone.values()) / resolve(task.rolling.max_unavailable, len(catalog.hosts)),
        "limits.total": sum(work.values()) / limits.total + last,
        "limits.per_target": sum(work.values()) / (limits.per_target * max(1, len(catalog.hosts))) + last,
    }
    zones = _sums(hosts, alone, lambda h: (catalog.hosts[h].zone,))
    moved = _sums(hosts, work, lambda h: (catalog.hosts[h].zone,))
    sizes = Counter(host.zone for host in catalog.hosts.values())
    by["max_per_zone"] = max(zones[z] / resolve(task.rolling.max_per_zone, sizes[z]) for z in zones)
    by["limits.per_zone"] = max(moved.values()) / limits.per_zone + last
    by["room"] = _room_bound(task, alone)
    aggregates = _sums(hosts, alone, lambda h: catalog.hosts[h].aggregates)
    sizes = Counter(name for host in catalog.hosts.values() for name in host.aggregates)
    if aggregates:
        most = task.rolling.max_per_aggregate
        by["max_per_aggregate"] = max(aggregates[a] / resolve(most, sizes[a]) for a in aggregates)
    groups = _sums(hosts, alone, lambda h: anti_groups(catalog, [guest.id for guest in catalog.on[h]]))
    if groups:
        by["max_per_group"] = max(seconds / task.together(group) for group, seconds in groups.items())
    return by


def _sums(
    hosts: Iterable[str], amounts: Mapping[str, float], keys: Callable[[str], Collection[str]]
) -> dict[str, float]:
    sums: dict[str, float] = {}
    for host in hosts:
        for key in keys(host):
            sums[key] = sums.get(key, 0.0) + amounts[host]
    return sums


def _room_bound(task: Task, alone: Mapping[str, float]) -> float:
    """Room that is away, times the seconds that it is away, is no more than what may be missing at a time."""
    return max((task.budget.time(scope, alone) for scope in task.budget.scopes), default=0.0)
