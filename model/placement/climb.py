"""Drafts that are tried one after another, each a little different from the best so far.

Which host is begun when is a matter of ranks, and a small change of one may save a slot from waiting, or cost an hour:
so some are tried. What is changed is drawn from the hosts' names: the same fleet gives the same schedule.
"""

import hashlib
from collections.abc import Callable, Sequence

from model.placement.board import Task
from model.placement.draft import Draft
from model.placement.fastest import Way, fastest
from model.placement.ranks import services
from model.placement.records import Durations

# In each try, this part of the hosts that were waited for is begun earlier, and so many others earlier or later.
_OF_THOSE_WAITED_FOR = 0.5
_BY_CHANCE = 3

Price = Callable[[Draft], tuple[float, ...]]


def climb(task: Task, durations: Durations, ways: Sequence[Way], price: Price, tries: int) -> Draft | None:
    """Return the draft of the lowest price: the best of the ways, changed again and again; None without a way.

    Args:
        task: what is asked.
        durations: what moves and reboots are expected to take.
        ways: where to begin.
        price: what is to be low.
        tries: how many changes are tried.
    """
    made = [(way, fastest(task, durations, way)) for way in ways]
    if not made:
        return None
    way, best = min(made, key=lambda pair: price(pair[1]))
    here = best
    seconds = services(task, durations)
    step = sum(seconds.values()) / max(1, len(seconds))
    for number in range(tries):
        urgent = dict(way.urgent)
        for host in waited_for(here):
            if (part := _drawn("waited for", number, host)) < _OF_THOSE_WAITED_FOR:
                urgent[host] = urgent.get(host, 0.0) + 2 * step * part / _OF_THOSE_WAITED_FOR
        for host in sorted(task.dirty, key=lambda each: _drawn("any", number, each))[:_BY_CHANCE]:
            urgent[host] = urgent.get(host, 0.0) + step * (2 * _drawn("seconds", number, host) - 1)
        again = way._replace(urgent=urgent)
        found = fastest(task, durations, again)
        # Among equals the search goes on from the new one, but the first is kept.
        if price(found) <= price(here):
            way, here = again, found
        best = min(best, here, key=price)
    return best


def waited_for(draft: Draft) -> list[str]:
    """Return the host that was back last, the one that it waited for longest, and so on until one waited for a slot."""
    needs, times = draft.needs(), draft.times
    found: list[str] = []
    host = max(times, key=lambda each: times[each].done, default=None)
    while host is not None:
        found.append(host)
        last = max(needs[host], key=lambda each: times[each].done, default=None)
        host = last if last is not None and times[last].done >= times[host].start else None
    return found


def _drawn(what: str, number: int, host: str) -> float:
    """Return something from 0 to 1 that is as good as by chance, and the same each time."""
    return int.from_bytes(hashlib.sha256(f"{what} {number} {host}".encode()).digest()[:6]) / 2**48
