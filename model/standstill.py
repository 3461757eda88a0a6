"""How long a guest did not run: paused for a moment while it moved live, or off while it was moved or its host done.

The first is known to its hypervisor, the second to nova: what neither tells is not known, and None.
"""

import re

from model.base import JsonObject, Record
from model.words import seconds_between

# A line before what virsh says of each guest.
HEADER = "== "
_FIGURE = re.compile(r"^(?P<name>[^:]+):\s+(?P<value>\d+) +ms\s*$", re.MULTILINE)
_WORD = re.compile(r"^(?P<name>Job type|Operation):\s+(?P<value>\S[^\n]*?)\s*$", re.MULTILINE)
_OF_MIGRATION = frozenset({"Incoming migration", "Outgoing migration"})
# By more than this, handing a guest over takes no time: the clocks of both hosts differ.
_CLOCKS_DIFFER = 1000


class ActionTime(Record):
    """When an action of nova's on a guest was ordered, and when the last thing that it did ended; ISO 8601 in UTC."""

    ordered: str
    ended: str


def parse_pauses(output: str) -> dict[str, float]:
    """Return for how many seconds guests stood still, by id, as far as virsh knows it.

    Args:
        output: for each guest a line of ``==`` and its id, and what ``virsh domjobinfo --completed`` said of it.
    """
    parts = (part.partition("\n") for part in f"\n{output}".split(f"\n{HEADER}")[1:])
    found = {guest.strip(): parse_pause(said) for guest, _, said in parts}
    return {guest: pause for guest, pause in found.items() if pause is not None}


def parse_pause(said: str) -> float | None:
    """Return the seconds that a guest stood still in its last migration, from ``virsh domjobinfo --completed``.

    libvirt counts the total between the clocks of two hosts, and beside it without the time that the last word from
    one to the other took, for which both clocks do not matter: where they differ, this is the one to believe.

    Returns:
        None when virsh knows no migration that was completed, or not how long the guest stood still.
    """
    words = {found["name"]: found["value"] for found in _WORD.finditer(said)}
    if words.get("Job type") != "Completed" or words.get("Operation", "Incoming migration") not in _OF_MIGRATION:
        return None
    figures = {found["name"]: int(found["value"]) for found in _FIGURE.finditer(said)}
    total, without = figures.get("Total downtime"), figures.get("Downtime w/o network")
    if without is not None and (total is None or not 0 <= total - without <= _CLOCKS_DIFFER):
        total = without
    return None if total is None else total / 1000


def action_time(action: JsonObject) -> ActionTime | None:
    """Return when an instance action was ordered and when it ended; None while any part of it goes on, or failed."""
    events = action.get("events") or ()
    if not events or any(event.get("result") != "Success" or not event.get("finish_time") for event in events):
        return None
    return ActionTime(ordered=str(action["start_time"]), ended=max(str(event["finish_time"]) for event in events))


def off_for(down: ActionTime | None, up: ActionTime | None) -> float | None:
    """Return for how many seconds a guest was off, from the order that ended it to the end of that which started it."""
    if down is None or up is None:
        return None
    seconds = seconds_between(down.ordered, up.ended)
    return seconds if seconds is not None and seconds >= 0 else None
