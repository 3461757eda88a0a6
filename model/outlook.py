"""What a rolling reboot will do to hosts and guests, as it is shown before the start and explained afterwards."""

from collections.abc import Iterable, Mapping

from model.base import Record
from model.classify import Classified
from model.fleet import Fleet, FleetHost, GuestClass
from model.placement.records import MIB_PER_GIB, Assignment, Cause, Cost, Filter, Schedule, Skipped, Wave
from model.plan import Plan
from model.words import count
from model.work import Finding

# A plan travels as one payload: of a fleet's guests only those are named that something is to be said of.
MOST_NAMED = 400
MOST_EXPLAINED = 2_000
MOST_CLEAN = 50
_COULD = "possible"


class ClassCount(Record):
    """How many guests leave their host in one way, and their memory."""

    guests: int = 0
    gib: float = 0.0


class Outlook(Record):
    """What is predicted.

    Attributes:
        classes: the guests on the hosts that are to be done, by class.
        named: guests that do not simply move live, or of which something should be known.
        left_out: how many more there are of those.
        waves: the hosts in their order.
        skipped: hosts that are not done, and why.
        reasons: by host, why it is rebooted.
        movers: guests that must move at least once.
        bound: no order does with fewer moves.
        excess: moves beyond one for each mover, by cause.
        cost: what the order costs; ``other``: what the other one would.
        clean: hosts in service that are not to be done: guests may go there from the beginning.
        again: moves to hosts from which the guest must move once more.
        ruled_out: by guest, the place in ``filters`` of what removed other hosts as its target.
        filters: how many hosts each filter removed.
    """

    classes: dict[GuestClass, ClassCount] = {}
    named: tuple[Classified, ...] = ()
    left_out: int = 0
    waves: tuple[Wave, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    reasons: dict[str, str] = {}
    movers: int = 0
    bound: int = 0
    excess: dict[Cause, int] = {}
    cost: Cost | None = None
    other: Cost | None = None
    again: tuple[Assignment, ...] = ()
    clean: tuple[str, ...] = ()
    ruled_out: dict[str, int] = {}
    filters: tuple[dict[str, int], ...] = ()

    @property
    def exposed(self) -> tuple[Skipped, ...]:
        """Hosts that are not done because of guests that stay as they are."""
        return tuple(skipped for skipped in self.skipped if skipped.exposed)


class RebootPlanResult(Record):
    """What came of planning: all that speaks against it, what it would do, and the plan unless something forbids it."""

    findings: tuple[Finding, ...]
    outlook: Outlook
    plan: Plan | None = None


def look_out(fleet: Fleet, classified: Iterable[Classified], schedule: Schedule, reasons: Mapping[str, str]) -> Outlook:
    """Put together what is predicted from the classes of the guests and the schedule."""
    hosts = {host for wave in schedule.waves for host in wave.hosts}
    memory = {guest.id: guest.ram_mb / MIB_PER_GIB for guest in fleet.guests}
    found = [one for one in classified if one.host in hosts or one.kind is GuestClass.BLOCKED]
    classes: dict[GuestClass, ClassCount] = {}
    for one in found:
        before = classes.get(one.kind, ClassCount())
        gib = round(before.gib + memory.get(one.guest, 0.0), 3)
        classes[one.kind] = ClassCount(guests=before.guests + 1, gib=gib)
    special = [one for one in classified if one.host and (one.kind is not GuestClass.LIVE or one.warnings)]
    few = len(schedule.assignments) <= MOST_EXPLAINED
    return Outlook(
        classes=dict(sorted(classes.items(), key=lambda pair: list(GuestClass).index(pair[0]))),
        named=tuple(special[:MOST_NAMED]),
        left_out=max(0, len(special) - MOST_NAMED),
        waves=schedule.waves,
        skipped=schedule.skipped,
        reasons=dict(reasons),
        movers=schedule.movers,
        bound=schedule.bound,
        excess=schedule.excess,
        cost=schedule.cost,
        other=schedule.other,
        clean=tuple(name for name, host in fleet.hosts.items() if _takes(host) and name not in hosts)[:MOST_CLEAN],
        again=tuple(move for move in schedule.assignments if move.cause is not Cause.TURN)[:MOST_NAMED],
        ruled_out={move.guest: move.ruled_out for move in schedule.assignments if move.ruled_out >= 0} if few else {},
        filters=schedule.ruled_out if few else (),
    )


def _takes(host: FleetHost) -> bool:
    return host.state == "up" and host.status == "enabled" and not host.forced_down


def explain_host(outlook: Outlook, host: str) -> str | None:
    """Say what a run does with a host and why; None for a host that it knows nothing of."""
    for skipped in outlook.skipped:
        if skipped.host == host:
            return f"{host} is not done: {skipped.reason}"
    wave = next((wave for wave in outlook.waves if host in wave.hosts), None)
    if wave is None:
        return None
    place = f"{host} is done in wave {wave.index + 1} of {len(outlook.waves)}{', a canary' if wave.canary else ''}"
    lines = [f"{place}, with {', '.join(name for name in wave.hosts if name != host) or 'no other'}"]
    if reason := outlook.reasons.get(host):
        lines.append(f"why: {reason}")
    if wave.needs:
        lines.append(f"it waits for wave {', '.join(str(need + 1) for need in wave.needs)}")
    lines += [
        f"guest {one.name} ({one.guest}): {one.kind.value}, {one.reason}" for one in outlook.named if one.host == host
    ]
    return "\n".join(lines)


def explain_guest(outlook: Outlook, guest: str, moves: Mapping[str, str]) -> str | None:
    """Say how a guest leaves its host, and why it goes where it goes; None for one that the run knows nothing of.

    Args:
        outlook: of the run.
        guest: its id, or its name where something was said of it before.
        moves: by host that it leaves, the planned target of this guest.
    """
    note = next((one for one in outlook.named if guest in (one.guest, one.name)), None)
    if note is None and not moves:
        return None
    id_ = note.guest if note else guest
    lines = []
    if note is not None:
        lines.append(f"guest {note.name} ({note.guest}) on {note.host}: {note.kind.value} ({note.code}), {note.reason}")
        lines += [f"note: {warning}" for warning in note.warnings]
        lines += [f"what would help: {note.remedy}"] if note.remedy else []
    else:
        lines.append(f"guest {guest}: live, nothing keeps it from moving while it runs")
    again = {move.source: move.cause for move in outlook.again if move.guest == id_}
    for source, target in moves.items():
        cause = again.get(source, Cause.TURN)
        lines.append(f"it goes from {source} to {target}: {cause.meaning}")
    if (place := outlook.ruled_out.get(id_)) is not None and place < len(outlook.filters):
        counts = outlook.filters[place]
        removed = ", ".join(f"{number} {_filter(name)}" for name, number in counts.items() if name != _COULD)
        could = f"; {counts[_COULD]} more could have taken it" if counts.get(_COULD) else ""
        lines.append(f"other hosts ruled out: {removed or 'none'}{could}")
    return "\n".join(lines)


def _filter(name: str) -> str:
    words, _, resource = name.partition(":")
    try:
        return Filter(words).meaning + (f" ({resource})" if resource else "")
    except ValueError:
        return f"with too little {name}"


def describe(outlook: Outlook) -> list[str]:
    """Write the outlook as lines of text."""
    lines = [_classes(outlook)]
    if outlook.cost is not None:
        lines += _costs(outlook.cost, outlook)
    lines += [_wave(wave, len(outlook.waves)) for wave in outlook.waves]
    lines += [f"not done: {one.host}: {one.reason}{' (exposed)' if one.exposed else ''}" for one in outlook.skipped]
    lines += [
        f"{one.kind.value}: {one.name} ({one.guest}) on {one.host}: {one.code}, {one.reason}" for one in outlook.named
    ]
    if outlook.left_out:
        lines.append(f"and {outlook.left_out} more guests that do not simply move live")
    return lines


def _classes(outlook: Outlook) -> str:
    counts = (f"{kind.value} {one.guests} ({one.gib:.1f} GiB)" for kind, one in outlook.classes.items())
    return f"guests: {', '.join(counts) or 'none on the hosts that are done'}"


def _costs(cost: Cost, outlook: Outlook) -> list[str]:
    ratio = f", {cost.moves / outlook.movers:.3f} for each" if outlook.movers else ""
    bound = f"no order does with fewer than {outlook.bound}, at most {cost.most} of one guest, {cost.gib:.1f} GiB"
    lines = [f"moves: {cost.moves} of {count(outlook.movers, 'guest')}{ratio}; {bound}"]
    lines += [f"  {number} beyond one each: {cause.meaning}" for cause, number in outlook.excess.items()]
    lines.append(f"time: about {cost.makespan / 60:.0f} min in {count(cost.waves, 'wave')} ({cost.order.value})")
    if outlook.other is not None:
        other = outlook.other
        lines.append(
            f"with order {other.order.value}: {other.moves} moves, about {other.makespan / 60:.0f} min, "
            f"{count(other.waves, 'wave')}" + (", not possible" if other.shortfalls else "")
        )
    return lines


def _wave(wave: Wave, waves: int) -> str:
    canary = ", canary" if wave.canary else ""
    return f"wave {wave.index + 1} of {waves}{canary}: {', '.join(wave.hosts)} ({count(wave.guests, 'guest')})"
