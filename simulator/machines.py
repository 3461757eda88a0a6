"""What the guests' machines really do, whatever nova's database says of them: where they are, and whether they run on.

A guest counts while it runs, ten times a second. The count goes on over a live migration and over a pause; it begins
anew when the guest is started, so it tells a guest that was moved from one that was restarted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

TICKS_PER_SECOND = 10


class Power(StrEnum):
    """What a machine does."""

    RUNNING = "running"
    PAUSED = "paused"
    # Its memory is on the host's disk.
    SAVED = "saved"
    OFF = "off"


# By the status that a guest rests in; any other one means that it runs.
_POWER = {
    "PAUSED": Power.PAUSED,
    "SUSPENDED": Power.SAVED,
    "SHUTOFF": Power.OFF,
    "SHELVED": Power.OFF,
    "SHELVED_OFFLOADED": Power.OFF,
    "BUILD": Power.OFF,
}


def power_of(status: str) -> Power:
    """Return what the machine of a guest in a status does."""
    return _POWER.get(status, Power.RUNNING)


@dataclass(frozen=True)
class Pause:
    """A time in which a guest that went on afterwards did not run: when it began, how long it took, why."""

    moment: float
    seconds: float
    why: str


@dataclass
class Machine:
    """The machine of a guest.

    Attributes:
        host: where it is; None for one that is nowhere, such as that of a server which has been offloaded.
        restarts: how often it has begun anew since it began for the first time.
        moves: how often it has come to another host.
        deaths: why it ended, each time it ended without having been asked to.
        arrival: how many seconds the last live migration took and how many of them it stood still, as its hypervisor
            remembers; None when it was started there.
    """

    guest: str
    host: str | None
    power: Power = Power.OFF
    restarts: int = 0
    moves: int = 0
    pauses: list[Pause] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    arrival: tuple[float, float] | None = None
    _lives: int = 0
    _counted: float = 0.0
    _since: float = 0.0

    def count(self, now: float) -> int:
        """Return how far it has counted in this life; 0 while it is off."""
        running = now - self._since if self.power is Power.RUNNING else 0.0
        return int((self._counted + running) * TICKS_PER_SECOND)

    @property
    def runs(self) -> bool:
        """Whether the host's reboot would end it."""
        return self.power in {Power.RUNNING, Power.PAUSED}

    def become(self, power: Power, now: float) -> None:
        """Be what one is that has never done anything else."""
        self._lives, self._counted = 0, 0.0
        self.power = Power.OFF
        if power is not Power.OFF:
            self.start(now)
        if power in {Power.PAUSED, Power.SAVED}:
            self.freeze(now, power)

    def start(self, now: float) -> None:
        """Begin a new life."""
        self.restarts += 1 if self._lives else 0
        self._lives += 1
        self.power, self._counted, self._since = Power.RUNNING, 0.0, now

    def end(self, death: str = "") -> None:
        """End; ``death`` says why, if nobody had asked for it."""
        if death and self.power is not Power.OFF:
            self.deaths.append(death)
        self.power, self._counted, self.arrival = Power.OFF, 0.0, None

    def freeze(self, now: float, power: Power = Power.PAUSED) -> None:
        """Pause it, or save it to disk."""
        if self.power is Power.RUNNING:
            self._counted += now - self._since
        self.power, self._since = power, now

    def thaw(self, now: float, why: str) -> None:
        """Let it go on."""
        self.pauses.append(Pause(self._since, now - self._since, why))
        self.power, self._since = Power.RUNNING, now

    def stand_still(self, now: float, seconds: float, why: str) -> None:
        """Have stood still for so many seconds until now, if it runs."""
        if self.power is Power.RUNNING and seconds:
            self.pauses.append(Pause(now - seconds, seconds, why))
            self._counted -= seconds


class Machines:
    """The machines of all guests, by guest and by host."""

    def __init__(self) -> None:
        self._all: dict[str, Machine] = {}
        self._on: dict[str, dict[str, Machine]] = {}

    def __iter__(self) -> Iterator[Machine]:
        return iter(self._all.values())

    def __getitem__(self, guest: str) -> Machine:
        return self._all.setdefault(guest, Machine(guest, None))

    def add(self, guest: str, host: str | None, status: str, now: float) -> Machine:
        """Make the machine of a guest that has always been there."""
        self.put(guest, host)
        self[guest].become(power_of(status), now)
        return self[guest]

    def put(self, guest: str, host: str | None) -> None:
        """Let a machine be on a host from now on, or nowhere."""
        machine = self[guest]
        if machine.host == host:
            return
        if machine.host is not None:
            del self._on[machine.host][guest]
            machine.moves += 1 if host is not None else 0
        machine.host = host
        if host is not None:
            self._on.setdefault(host, {})[guest] = machine

    def on(self, host: str) -> list[Machine]:
        """Return the machines of a host, whether they run or not."""
        return list(self._on.get(host, {}).values())

    def remove(self, guest: str) -> None:
        """Forget a deleted guest's."""
        self.put(guest, None)
        self._all.pop(guest, None)
