"""What users saw of the APIs while an upgrade ran: a ledger of probes, one line each, and what follows from it.

The ledger is written before anything is concluded from it. A worker that dies leaves a hole in the observation, which
is a line of its own: time that nobody watched is never counted as time in which all was well.
"""

import json
from collections.abc import Iterable, Iterator
from statistics import median

from pydantic import Field, ValidationError

from model.base import Record
from model.inventory import Inventory
from model.status import ApiAvailability

FAILURES_SHOWN = 10


class WatchRequest(Record):
    """The input of ``watch_availability``: probe each API so many times a second until cancelled."""

    upgrade: str
    inventory: Inventory
    rate: float = Field(default=2.0, gt=0, le=20)


class AvailabilityResult(Record):
    """The output of ``watch_availability``.

    Attributes:
        apis: what the probes of each API saw; all times in seconds.
        path: the ledger on the worker's machine.
        unobserved: seconds in which no worker was there to probe.
    """

    apis: tuple[ApiAvailability, ...]
    path: str
    unobserved: float = 0.0


class Probe(Record):
    """One request: when it was sent (seconds since 1970), how long its answer took, and why it counts as failed."""

    at: float
    api: str
    seconds: float
    status: int | None = None
    failure: str = ""


class Gap(Record):
    """Time that nobody watched: seconds since 1970."""

    gap_from: float
    gap_to: float

    @property
    def seconds(self) -> float:
        """How long."""
        return max(0.0, self.gap_to - self.gap_from)


def to_line(entry: Probe | Gap) -> str:
    """Return an entry as one line of the ledger."""
    return entry.model_dump_json(exclude_defaults=True) + "\n"


def read_ledger(lines: Iterable[str]) -> Iterator[Probe | Gap]:
    """Yield the entries of a ledger. A line that was cut off by a crash is passed over."""
    for line in lines:
        try:
            data = json.loads(line)
            yield Gap.model_validate(data) if "gap_from" in data else Probe.model_validate(data)
        except (ValueError, TypeError, ValidationError):
            continue


def ends_at(entries: Iterable[Probe | Gap]) -> float | None:
    """Return the last moment of which a ledger knows anything (seconds since 1970); None for an empty one."""
    return max((e.gap_to if isinstance(e, Gap) else e.at + e.seconds for e in entries), default=None)


def summarise(entries: Iterable[Probe | Gap]) -> tuple[tuple[ApiAvailability, ...], float]:
    """Return what the probes of each API saw, and the seconds in which nobody watched."""
    probes: dict[str, list[Probe]] = {}
    unobserved = 0.0
    for entry in entries:
        if isinstance(entry, Gap):
            unobserved += entry.seconds
        else:
            probes.setdefault(entry.api, []).append(entry)
    return tuple(_summary(api, found) for api, found in probes.items()), round(unobserved, 3)


def _summary(api: str, probes: list[Probe]) -> ApiAvailability:
    probes = sorted(probes, key=lambda probe: probe.at)
    times = sorted(probe.seconds for probe in probes)
    failures = [probe for probe in probes if probe.failure]
    return ApiAvailability(
        service=api,
        requests=len(probes),
        failed=len(failures),
        median=round(median(times), 4),
        p99=round(times[max(0, -(-len(times) * 99 // 100) - 1)], 4),
        longest=round(times[-1], 4),
        longest_gap=round(_longest_gap(probes), 4),
        failures=tuple(probe.failure for probe in failures[:FAILURES_SHOWN]),
    )


def _longest_gap(probes: list[Probe]) -> float:
    """Return the longest time from the last success before a failure to the first one after it, by when they were sent.

    An API that failed first or last was away at least from its first or until its last probe.
    """
    longest, last_success, failing = 0.0, None, False
    for probe in probes:
        if last_success is None:
            last_success = probe.at
        if failing:
            longest = max(longest, probe.at - last_success)
        if not probe.failure:
            last_success = probe.at
        failing = bool(probe.failure)
    if failing and last_success is not None:
        longest = max(longest, probes[-1].at + probes[-1].seconds - last_success)
    return longest
