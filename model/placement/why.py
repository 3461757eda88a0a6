"""Why a guest goes where it goes, and why a host is done when it is: sentences from the recorded schedule."""

from collections.abc import Mapping

from model.fleet import Fleet, FleetGuest
from model.placement.records import Assignment, Cause, Filter, Schedule
from model.words import count, duration, listed


def why_guest(schedule: Schedule, fleet: Fleet, guest: str) -> tuple[str, ...]:
    """Say where a guest goes and what ruled out the other hosts, move by move.

    Args:
        schedule: as it was made.
        fleet: the cloud that it was made for.
        guest: its id or its name.
    """
    known = next((each for each in fleet.guests if guest in {each.id, each.name}), None)
    if known is None:
        return (f"there was no guest {guest} when the schedule was made",)
    moves = [move for move in schedule.assignments if move.guest == known.id]
    if not moves:
        return (_stays(schedule, known),)
    sentences = []
    for move in moves:
        wave = f"wave {move.wave + 1} of {len(schedule.waves)}"
        again = "" if move.cause is Cause.TURN else f" ({move.cause.value}: {move.cause.meaning})"
        sentences.append(f"{known.name or known.id} moves from {move.source} to {move.target} in {wave}{again}")
        if 0 <= move.ruled_out < len(schedule.ruled_out):
            sentences.append(ruled_out_text(schedule.ruled_out[move.ruled_out]))
    return tuple(sentences)


def ruled_out_text(counts: Mapping[str, int]) -> str:
    """Write what ruled out how many hosts: ``150 in another zone, 23 with too little VCPU; 19 were possible, ...``."""
    parts = [
        f"{number} {_what(key)}"
        for key, number in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        if key != Filter.POSSIBLE
    ]
    possible = counts.get(Filter.POSSIBLE, 0)
    left = "it was the only one possible" if possible <= 1 else f"{possible} were possible, and it suited best"
    return f"of the other hosts {', '.join(parts)}; {left}" if parts else left


def why_host(schedule: Schedule, fleet: Fleet, host: str) -> tuple[str, ...]:
    """Say in which wave a host is and why then, what it waits for, and who waits for it; or why it is skipped.

    Args:
        schedule: as it was made.
        fleet: the cloud that it was made for.
        host: its name.
    """
    skipped = next((each for each in schedule.skipped if each.host == host), None)
    if skipped is not None:
        return (f"{host} is not done: {skipped.reason}",)
    wave = schedule.wave_of(host)
    if wave is None:
        known = "it was not asked for, and may take guests" if host in fleet.hosts else "nova knows no such host"
        return (f"{host} is in no wave: {known}",)
    others = count(len(wave.hosts) - 1, "other host")
    kind = ", the canary" if wave.canary else ""
    sentences = [f"{host} is in wave {wave.index + 1} of {len(schedule.waves)}{kind}, with {others}"]
    leaving = [move for move in schedule.assignments if move.source == host]
    sentences.append(_emptied(leaving))
    sentences += _waits(schedule, host, leaving)
    waiting = sorted(name for name, needs in schedule.needs.items() if host in needs)
    if waiting:
        sentences.append(f"waited for by {count(len(waiting), 'host')}: {listed(waiting)}")
    sentences.append(f"its wave takes about {duration(wave.seconds)}")
    return tuple(sentences)


def _stays(schedule: Schedule, guest: FleetGuest) -> str:
    name = guest.name or guest.id
    host = guest.host or ""
    if any(skipped.host == host for skipped in schedule.skipped):
        return f"{name} stays on {host}, which is not done"
    if schedule.wave_of(host) is not None:
        return f"{name} stays on {host} while it is done"
    return f"{name} is on {host or 'no host'}, which is none of those to be done"


def _emptied(leaving: list[Assignment]) -> str:
    if not leaving:
        return "no guest leaves it, so it needs no room elsewhere"
    hasty = [move for move in leaving if move.cause is not Cause.TURN]
    targets = len({move.target for move in leaving})
    text = f"emptied of {count(len(leaving), 'guest')}, which go to {count(targets, 'host')}"
    if hasty:
        cause = hasty[0].cause
        text += f"; {len(hasty)} of them will move once more ({cause.value}: {cause.meaning})"
    return text


def _waits(schedule: Schedule, host: str, leaving: list[Assignment]) -> list[str]:
    """Tell apart what each host that it waits for is waited for."""
    canaries = {name for wave in schedule.waves if wave.canary for name in wave.hosts}
    needs = schedule.needs.get(host, ())
    room = {move.target for move in leaving if move.cause is Cause.TURN}
    givers = {move.source for move in schedule.assignments if move.target == host and move.cause is not Cause.TURN}
    kinds: dict[str, list[str]] = {}
    for need in needs:
        if need in room:
            kind = "its guests need the room of"
        elif need in givers:
            kind = "it must have received its guests from"
        elif need in canaries:
            kind = "the canary comes first:"
        else:
            kind = "it shares a server group, or scarce traits, with"
        kinds.setdefault(kind, []).append(need)
    return [
        f"it waits for {count(len(names), 'host')}: {kind} {listed(names)}" for kind, names in sorted(kinds.items())
    ]


def _what(key: str) -> str:
    """Write a filter: ``room:VCPU`` is one by resource class."""
    name, _, resource = key.partition(":")
    meaning = Filter(name).meaning
    return f"with too little {resource}" if resource else meaning
