"""Why a host cannot be emptied, with the amount that lacks and what would help."""

from model.fleet import GroupPolicy, ServerGroup
from model.placement.board import Board, Task
from model.placement.catalog import Item, is_usable, refusal
from model.placement.records import MIB_PER_GIB, Shortfall

_UNITS = {"MEMORY_MB": "MiB", "DISK_GB": "GiB", "VCPU": "vCPUs", "PCPU": "pCPUs", "VGPU": "vGPUs"}


def unit_of(resource: str) -> str:
    """Return the unit in which placement counts a resource class."""
    return _UNITS.get(resource, "units")


def amount(resource: str, value: float) -> str:
    """Write an amount of a resource class for people."""
    if resource == "MEMORY_MB":
        return f"{value / MIB_PER_GIB:,.1f} GiB of memory"
    if resource == "DISK_GB":
        return f"{value:,.0f} GiB of disk"
    return f"{value:,.0f} {_UNITS.get(resource, resource)}"


def explain(board: Board, host: str) -> Shortfall:
    """Say why a host can be emptied neither into hosts that are done nor with second moves."""
    task = board.task
    for item in sorted(board.items[host], key=lambda item: (-item.size, item.guests[0])):
        if (found := _unplaced(board, item, host)) is not None:
            return found
    if (lack := task.budget.lack([host])) is not None:
        resource = task.catalog.resources[lack.resource]
        where = f" in zone {lack.scope.zone}" if lack.scope.zone else ""
        where += f" on hosts with {', '.join(sorted(lack.scope.traits))}" if lack.scope.traits else ""
        help_ = ", or keep a smaller reserve" if lack.reserve else ""
        kept = f", with {amount(resource, lack.reserve)} kept for failing hosts (reserve_hosts)" if lack.reserve else ""
        return Shortfall(
            host=host,
            resource=resource,
            zone=lack.scope.zone,
            missing=round(lack.missing, 3),
            unit=unit_of(resource),
            sentence=f"while host {host} is out of service, {amount(resource, lack.missing)} too little is left{where} "
            f"for all guests{kept}: add a host there, or let guests of it be stopped or left{help_}",
        )
    return _together(board, host)


def _unplaced(board: Board, item: Item, host: str) -> Shortfall | None:
    """Say what lacks for a single guest, if even alone it finds no place."""
    task = board.task
    rooms = [
        *board.rooms.clean.values(),
        *(r for n, r in sorted(board.rooms.dirty.items()) if n != host and n in board.left),
    ]
    allowed = task.catalog.allowed(item.rules)
    possible = [room for room in rooms if room.host in allowed and room.host != host]
    guest = task.catalog.guests[item.guests[0]]
    name = guest.name or guest.id
    if not possible:
        return _no_host(task, item, host, name)
    in_group = [room for room in possible if not room.breaks(item)]
    if not in_group and item.group is not None:
        return Shortfall(
            host=host,
            resource="group",
            zone=item.rules.zone,
            missing=1,
            unit="hosts",
            sentence=f"host {host} cannot be emptied: guest {name} of server group {item.group.name or item.group.id} "
            f"({item.group.policy}) may go to none of {len(possible)} hosts, which all have members of it: add a host, "
            f"or let a member be stopped or left",
        )
    if any(room.fits(item.need) for room in in_group):
        return None
    gaps = [(*max(zip(_gaps(item, room.free), range(len(room.free)), strict=True)), room.host) for room in in_group]
    gap, index, nearest = min(gaps)
    resource = task.catalog.resources[index]
    where = f" of zone {item.rules.zone}" if item.rules.zone else ""
    return Shortfall(
        host=host,
        resource=resource,
        zone=item.rules.zone,
        missing=round(gap * (item.need[index] or 1), 3),
        unit=unit_of(resource),
        sentence=f"host {host} cannot be emptied: guest {name} needs {amount(resource, item.need[index])}, and no host"
        f"{where} that may take it has so much free; {nearest} comes nearest, and lacks "
        f"{amount(resource, gap * (item.need[index] or 1))}: add a host, or let the guest be stopped or left",
    )


def _gaps(item: Item, free: list[float]) -> list[float]:
    """The part of each need that a room does not cover."""
    return [max(0.0, need - room) / (need or 1) for need, room in zip(item.need, free, strict=True)]


def _no_host(task: Task, item: Item, host: str, name: str) -> Shortfall:
    others = [h for n, h in sorted(task.catalog.hosts.items()) if n != host and is_usable(h)]
    counts: dict[str, int] = {}
    for other in others:
        if (broken := refusal(item.rules, other)) is not None:
            counts[broken] = counts.get(broken, 0) + 1
    main = max(sorted(counts), key=lambda key: counts[key], default="hosts")
    asked = {
        "zone": f"zone {item.rules.zone}",
        "traits": f"the traits {', '.join(sorted(item.rules.traits))}",
        "hypervisor": f"hypervisor {item.rules.hypervisor}",
        "version": f"hypervisor version {item.rules.version} or newer",
        "hosts": "another host",
    }
    return Shortfall(
        host=host,
        resource=main,
        zone=item.rules.zone,
        missing=1,
        unit="hosts",
        sentence=f"host {host} cannot be emptied: guest {name} needs {asked[main]}, and none of {len(others)} other "
        "usable hosts may take it: add or enable such a host, or let the guest be stopped or left",
    )


def _together(board: Board, host: str) -> Shortfall:
    """Each guest alone finds a place, all of them do not."""
    catalog = board.task.catalog
    zones = {item.rules.zone for item in board.items[host]}
    zone = zones.pop() if len(zones) == 1 else None
    rooms = [r for r in board.rooms.clean.values() if zone in {None, r.zone}]
    rooms += [r for n, r in board.rooms.dirty.items() if n in board.left and n != host and zone in {None, r.zone}]
    need = [sum(item.need[i] for item in board.items[host]) for i in range(len(catalog.resources))]
    free = [sum(room.free[i] for room in rooms) for i in range(len(need))]
    gap, index = max(((n - f) / (n or 1), i) for i, (n, f) in enumerate(zip(need, free, strict=True)))
    resource = catalog.resources[index]
    # With enough in sum, it is scattered: the largest guest is what one host would have to have free besides.
    largest = max(item.need[index] for item in board.items[host])
    missing = need[index] - free[index] if gap > 0 else largest
    how = "too little room" if gap > 0 else "enough room in sum, but scattered over too many hosts"
    where = f" in zone {zone}" if zone else ""
    return Shortfall(
        host=host,
        resource=resource,
        zone=zone,
        missing=round(missing, 3),
        unit=unit_of(resource),
        sentence=f"host {host} cannot be emptied: its guests need {amount(resource, need[index])}, and there is {how}"
        f"{where}; {amount(resource, missing)} more on one host would help: add a host, or let guests be stopped "
        "or left",
    )


def impossible_groups(task: Task) -> list[tuple[Shortfall, list[str]]]:
    """Find server groups whose rule does not let a member leave its host, whatever the order, and these hosts."""
    found: list[tuple[Shortfall, list[str]]] = []
    emptied = {guest.id: host for host, movers in task.movers.items() for guest in movers}
    for group in sorted(task.catalog.fleet.groups, key=lambda group: group.id):
        moving = sorted(member for member in group.members if member in emptied)
        if moving and group.policy is GroupPolicy.ANTI_AFFINITY:
            found += _no_spare_host(task, group, moving, emptied)
        elif moving and group.policy is GroupPolicy.AFFINITY:
            found += _torn(task, group, moving, emptied)
    return found


def _no_spare_host(
    task: Task, group: ServerGroup, moving: list[str], emptied: dict[str, str]
) -> list[tuple[Shortfall, list[str]]]:
    """With one host less there must still be a place for every member."""
    catalog = task.catalog
    members = [member for member in group.members if member in catalog.guests]
    rules = [catalog.rules(catalog.guests[member], emptied[member]) for member in moving]
    hosts = {name for rule in rules for name in catalog.allowed(rule) if is_usable(catalog.hosts[name])}
    hosts |= {emptied[member] for member in moving}
    if len(members) <= group.max_per_host * (len(hosts) - 1):
        return []
    first = emptied[moving[0]]
    shortfall = Shortfall(
        host=first,
        resource="group",
        zone=rules[0].zone,
        missing=-(-len(members) // group.max_per_host) + 1 - len(hosts),
        unit="hosts",
        sentence=f"server group {group.name or group.id} (anti-affinity, {group.max_per_host} to a host) has "
        f"{len(members)} members for {len(hosts)} hosts: while one of these is out of service there is no place "
        f"for a member of it. Add a host, relax the group's rule, or let its member on {first} be stopped",
    )
    return [(shortfall, sorted({emptied[member] for member in moving}))]


def _torn(
    task: Task, group: ServerGroup, moving: list[str], emptied: dict[str, str]
) -> list[tuple[Shortfall, list[str]]]:
    """Members that must stay together cannot, when some stay on a host that the others leave."""
    found: list[tuple[Shortfall, list[str]]] = []
    for host in sorted({emptied[member] for member in moving}):
        staying = sorted(guest.name or guest.id for guest in task.stays[host] if guest.id in group.members)
        if staying:
            shortfall = Shortfall(
                host=host,
                resource="group",
                zone=task.catalog.hosts[host].zone,
                missing=0,
                unit="hosts",
                sentence=f"server group {group.name or group.id} (affinity) would be torn apart: {staying[0]} "
                f"stays on {host} while other members of it move. Give all its members the same class",
            )
            found.append((shortfall, [host]))
    return found
