"""What must hold at every moment, whatever is done to the cloud; whoever breaks it is written down.

No host holds more than it has room for; no two members of a hard anti-affinity group meet beyond its rule; every guest
is on exactly one host, the one that nova says; and no host is rebooted with guests that run on it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from model.fleet import GroupPolicy
from simulator.clock import Clock
from simulator.guests import Group, Guest
from simulator.machines import Machines
from simulator.nova import Nova


@dataclass(frozen=True)
class Violation:
    """What did not hold: which rule (``room``, ``group``, ``place``, ``killed``), since when, in words."""

    rule: str
    text: str
    moment: float


class Truth:
    """The recorder. Told of every change, it looks at what the change can have broken."""

    def __init__(self, nova: Nova, machines: Machines, clock: Clock) -> None:
        self._nova, self._machines, self._clock = nova, machines, clock
        self.violations: list[Violation] = []
        self._known: set[str] = set()

    def look(self, guests: Iterable[Guest] = (), hosts: Iterable[str] = ()) -> None:
        """Look at guests that have changed, their hosts, and these hosts."""
        touched, groups = set(hosts), dict[str, Group]()
        for guest in guests:
            touched |= {host for host in (guest.host, self._machines[guest.id].host) if host}
            groups |= {group.id: group for group in self._nova.groups_of(guest.id)}
            self._check_place(guest)
        for host in touched:
            self._check_room(host)
        for group in groups.values():
            self._check_group(group)

    def audit(self) -> list[Violation]:
        """Look at everything; return all violations there have ever been."""
        self.look(list(self._nova.guests.values()), self._nova.providers)
        for group in self._nova.groups.values():
            self._check_group(group)
        return self.violations

    def killed(self, host: str, guests: Iterable[str]) -> None:
        """Write down that a host was rebooted with guests that ran on it."""
        for id_ in guests:
            found = self._nova.guests.get(id_)
            moment = self._clock.iso(self._clock.now())
            self._note("killed", f"{host} was rebooted with guest {found.name if found else id_} running ({moment})")

    def dump(self) -> dict[str, Any]:
        """Return everything as plain data."""
        now = self._clock.now()
        names = {guest.id: guest.name for guest in self._nova.guests.values()}
        guests = [
            {
                "id": machine.guest,
                "name": names.get(machine.guest, ""),
                "host": machine.host,
                "power": machine.power,
                "count": machine.count(now),
                "restarts": machine.restarts,
                "moves": machine.moves,
                "pauses": [asdict(pause) for pause in machine.pauses],
                "deaths": machine.deaths,
            }
            for machine in self._machines
        ]
        return {"violations": [asdict(one) for one in self.audit()], "guests": guests}

    def _check_room(self, host: str) -> None:
        room, used = self._nova.room(host), self._nova.used(self._nova.providers[host])
        really = Counter[str]()
        for machine in self._machines.on(host):
            if machine.guest in self._nova.guests:
                really.update(self._nova.guests[machine.guest].resources)
        for name, most in room.items():
            if used[name] > most:
                self._note("room", f"{host} has room for {most:g} {name}, and placement has given away {used[name]}")
            if really[name] > most:
                self._note("room", f"{host} has room for {most:g} {name}, and its guests are {really[name]}")

    def _check_group(self, group: Group) -> None:
        if group.policy is not GroupPolicy.ANTI_AFFINITY:
            return
        places = Counter(self._machines[id_].host for id_ in group.members if id_ in self._nova.guests)
        for host, count in places.items():
            if host is not None and count > group.max_per_host:
                self._note("group", f"{count} members of group {group.name} are on {host}")

    def _check_place(self, guest: Guest) -> None:
        if guest.task_state is not None or guest.id not in self._nova.guests:
            return
        really = self._machines[guest.id].host
        if really != guest.host:
            self._note("place", f"guest {guest.name} is on {really}, and nova says {guest.host}")
        held = self._nova.held_by(guest.id)
        if held != ([guest.host] if guest.host else []):
            hosts = ", ".join(held) or "no host"
            self._note("place", f"guest {guest.name} is on {guest.host}, and holds room on {hosts}")

    def _note(self, rule: str, text: str) -> None:
        if text not in self._known:
            self._known.add(text)
            self.violations.append(Violation(rule, text, self._clock.now()))
