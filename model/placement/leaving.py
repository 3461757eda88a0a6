"""How long it takes until the guests of each host have left it, by a schedule."""

from model.fleet import Fleet
from model.placement.records import Durations, Schedule
from model.rolling import Rolling


def drain_seconds(rolling: Rolling, fleet: Fleet, schedule: Schedule, durations: Durations) -> dict[str, float]:
    """Return the seconds that each host's guests are expected to take to leave it."""
    guests = {guest.id: guest for guest in fleet.guests}
    found: dict[str, float] = {}
    for move in schedule.assignments:
        took = durations.of_guest(guests[move.guest]) / rolling.limits.per_source
        found[move.source] = found.get(move.source, 0.0) + took
    return found
