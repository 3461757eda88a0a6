"""What a schedule of drains says: hosts in waves, a target for each guest, what it costs, and what lacks."""

from enum import StrEnum

from pydantic import Field

from model.base import Record
from model.nova import Guest
from model.rolling import Order

MIB_PER_GIB = 1024


class Cause(StrEnum):
    """Why a guest is moved: because its host's turn has come, or beyond that to a host that must itself be done yet."""

    TURN = "turn"
    SEED = "seed"
    SPILL = "spill"
    HASTE = "haste"

    @property
    def meaning(self) -> str:
        """The cause in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Cause.TURN: "its host is emptied, and it goes to one that is done",
    Cause.SEED: "the first host to be emptied: no host that is done can take its guests, so they move twice",
    Cause.SPILL: "the hosts that are done have too little room, so it moves twice",
    Cause.HASTE: "hosts are emptied before enough others are done, so that none waits; it moves twice",
}


class Filter(StrEnum):
    """What rules a host out as a guest's target; ``possible`` is what nothing rules out."""

    SOURCE = "source"
    OUT = "out"
    WAVE = "wave"
    LATER = "later"
    ZONE = "zone"
    TRAITS = "traits"
    HYPERVISOR = "hypervisor"
    VERSION = "version"
    GROUP = "group"
    ROOM = "room"
    POSSIBLE = "possible"

    @property
    def meaning(self) -> str:
        """The filter in words that follow the number of hosts it removed."""
        return _FILTERS[self]


_FILTERS = {
    Filter.SOURCE: "is the one it leaves",
    Filter.OUT: "down, disabled or to be avoided",
    Filter.WAVE: "out of service in the same wave",
    Filter.LATER: "not done yet",
    Filter.ZONE: "in another zone",
    Filter.TRAITS: "without the required traits",
    Filter.HYPERVISOR: "with another kind of hypervisor",
    Filter.VERSION: "with an older hypervisor",
    Filter.GROUP: "ruled out by its server group",
    Filter.ROOM: "with too little room",
    Filter.POSSIBLE: "possible, of which it suited best",
}


class Durations(Record):
    """How long things are expected to take; what was measured takes the place of what is assumed.

    Attributes:
        seconds_per_gib: of a guest's memory, when it moves.
        per_move: seconds that a move takes beside its memory: scheduling, ports, settling.
        reboot: seconds from the last guest's leave until the host takes guests again.
        guests: seconds of one move, by guest, where they are known.
        hosts: the same as ``reboot`` for single hosts.
    """

    seconds_per_gib: float = Field(default=4.0, ge=0)
    per_move: float = Field(default=15.0, ge=0)
    reboot: float = Field(default=300.0, ge=0)
    guests: dict[str, float] = {}
    hosts: dict[str, float] = {}

    def of_guest(self, guest: Guest) -> float:
        """Return the seconds of one move of this guest."""
        known = self.guests.get(guest.id)
        return known if known is not None else self.per_move + self.seconds_per_gib * guest.ram_mb / MIB_PER_GIB

    def of_host(self, host: str) -> float:
        """Return the seconds that a host is away after its guests have left."""
        return self.hosts.get(host, self.reboot)


class Assignment(Record):
    """One move of one guest.

    Attributes:
        guest: its id.
        source: the host that it leaves.
        target: the host that it goes to.
        wave: the wave of ``source``.
        cause: ``turn``, or why it goes to a host from which it must move once more.
        ruled_out: the place in ``Schedule.ruled_out`` of what removed the other hosts.
    """

    guest: str
    source: str
    target: str
    wave: int
    cause: Cause = Cause.TURN
    ruled_out: int = -1


class Wave(Record):
    """Hosts that may be out of service together.

    Attributes:
        index: its place, from 0.
        hosts: their names, in the order in which they are to be started.
        canary: whether it goes first and must stay healthy for a time before the others follow.
        needs: the waves that must be over before it begins: those of the canary hosts. Beyond that its hosts wait for
            single hosts (``Schedule.needs``), so that a slow one does not hold up all others.
        guests: how many guests leave its hosts.
        room: what the hosts that are done have free when it begins, by resource class.
        load: what leaves its hosts.
        spare: what all other usable hosts have free beyond what the wave's hosts hold and beyond ``reserve``: if the
            whole wave were lost at once, and the reserve hosts too, so much would still be free.
        reserve: what the hosts that may fail besides hold at the most.
        seconds: how long it is expected to take, from the first drain to the last host's return.
    """

    index: int
    hosts: tuple[str, ...]
    canary: bool = False
    needs: tuple[int, ...] = ()
    guests: int = 0
    room: dict[str, float] = {}
    load: dict[str, float] = {}
    spare: dict[str, float] = {}
    reserve: dict[str, float] = {}
    seconds: float = 0.0


class Skipped(Record):
    """A host that is not done, and why. ``exposed``: its guests stay on it as they are, by their owners' wish."""

    host: str
    reason: str
    exposed: bool = False


class Shortfall(Record):
    """What lacks for a host to be taken out of service. A schedule that has one is refused.

    Attributes:
        host: the host that cannot be emptied; empty when it is about all of them.
        resource: the resource class; for a rule that no host satisfies, its name: ``group``, ``zone``, ``traits`` ...
        zone: where the room would be needed; None when anywhere would do.
        missing: how much more is needed.
        unit: of ``missing``.
        sentence: all of it for people, with what would help.
    """

    host: str
    resource: str
    zone: str | None = None
    missing: float
    unit: str
    sentence: str


class Slots(Record):
    """How many hosts may be out of service at the same time: in all, and by zone and aggregate.

    ``zones`` is what room allows too: any so many hosts of a zone may be away at once, and the reserve besides.
    """

    total: int
    zones: dict[str, int] = {}
    aggregates: dict[str, int] = {}


class Cost(Record):
    """What an order costs.

    Attributes:
        moves: predicted moves of guests.
        most: the most moves of one guest.
        gib: memory of guests that is moved, each time counted.
        makespan: estimated seconds from the first drain to the last host's return.
        utilisation: the part of the slots' time in which a host was out of service, from 0 to 1.
        shortfalls: how many; an order with any is not possible.
    """

    order: Order
    waves: int
    moves: int
    most: int
    gib: float
    makespan: float
    utilisation: float
    shortfalls: int = 0


class Schedule(Record):
    """In which order hosts are emptied, and where each of their guests goes.

    Attributes:
        order: what it was made for.
        waves: the hosts, wave by wave.
        needs: by host, the hosts that must be back in service before it is begun. With ``slots``, it is all that an
            executor must keep: whatever order it finds itself in, there is room for every guest at its target.
        slots: how many hosts may be out of service together.
        assignments: the moves, in the order in which they were planned; a guest that moves twice has two.
        skipped: the hosts that are not done.
        shortfalls: what lacks; when there is anything, the schedule is refused.
        movers: guests that must move at least once.
        bound: no order does with fewer moves (``bounds.bound``).
        gib_movers: memory of the movers, each counted once.
        cost: what it costs.
        other: what the other order would cost.
        fastest_possible: no order is done in fewer seconds (``bounds.makespan_bound``).
        ruled_out: for moves, how many hosts each filter removed when the wave was planned; ``room`` is followed by
            a colon and the resource class that lacked, ``possible`` counts those that were left. Many moves share one
            entry.
    """

    order: Order
    waves: tuple[Wave, ...] = ()
    needs: dict[str, tuple[str, ...]] = {}
    slots: Slots
    assignments: tuple[Assignment, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    movers: int = 0
    bound: int = 0
    gib_movers: float = 0.0
    cost: Cost
    other: Cost | None = None
    fastest_possible: float = 0.0
    ruled_out: tuple[dict[str, int], ...] = ()

    @property
    def excess(self) -> dict[Cause, int]:
        """How many moves beyond one per mover, by cause; a guest left on a host that stays undone has none."""
        seen: dict[str, Cause] = {}
        found: dict[Cause, int] = {}
        for move in self.assignments:
            if move.guest in seen:
                cause = seen[move.guest]
                found[cause] = found.get(cause, 0) + 1
            seen[move.guest] = move.cause
        return found

    def wave_of(self, host: str) -> Wave | None:
        """Return the wave of a host; None when it is skipped or unknown."""
        return next((wave for wave in self.waves if host in wave.hosts), None)

    def targets_of(self, host: str) -> dict[str, str]:
        """Return the target of each guest that leaves this host, in the order of its start."""
        return {move.guest: move.target for move in self.assignments if move.source == host}
