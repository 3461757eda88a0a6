"""What users saw of the APIs while a run went on: the ledger of the probe, one line of JSON for each entry.

Every failed or slow request is an entry of its own, and so is the first good one after a failure; the other good ones
are summed up every few seconds. A beat twice a second says that somebody watched. The ledger is written before anything
is concluded from it. A worker that dies leaves a hole in the beats, which is an entry of its own: time that nobody
watched is never counted as time in which all was well.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from math import ceil, log
from typing import Any

from pydantic import Field, ValidationError

from model.availability_spec import WriteName
from model.base import Record
from model.inventory import Inventory
from model.status import ApiAvailability

# The check of an API that ledgers of earlier versions had alone.
READ = "read"
_STEP = 1.05
_LEAST = 0.0005


class WatchRequest(Record):
    """The input of ``watch_availability``: what to probe until cancelled; the keys as in ``availability`` of the spec.

    ``upgrade``: the run, which is told when something fails.
    """

    upgrade: str
    inventory: Inventory
    rate: float = Field(default=2.0, gt=0, le=20)
    baseline: float = 0.0
    writes: tuple[WriteName, ...] = ()
    canaries: dict[str, str] = {}


class AvailabilityResult(Record):
    """The output of ``watch_availability``, and what it tells with its heartbeats.

    Attributes:
        apis: what the probe saw of each service; all times in seconds.
        path: the ledger on the worker's machine.
        unobserved: seconds in which no worker was there to probe.
        begun: when the watch began, ``ended`` what the ledger knows last (seconds since 1970).
    """

    apis: tuple[ApiAvailability, ...]
    path: str
    unobserved: float = 0.0
    begun: float | None = None
    ended: float | None = None


class Probe(Record):
    """One request: when it was sent (seconds since 1970), how long its answer took, and why it counts as failed.

    Attributes:
        api: the service that was asked.
        check: which of its checks it was.
        request: method and path, or the address.
        slow: whether it took longer than such requests did in the baseline.
        told: whether it is counted in a ``Tally`` too; here it only says that there was a good one at this moment.
    """

    at: float
    api: str
    check: str = READ
    request: str = ""
    seconds: float
    status: int | None = None
    failure: str = ""
    slow: bool = False
    told: bool = False

    @property
    def end(self) -> float:
        """When it was answered or given up."""
        return self.at + self.seconds


class Tally(Record):
    """Good requests of one check, summed up.

    Attributes:
        first: when the first was sent, ``last`` when the last was.
        times: how many took about so long: see ``bucket``.
        longest: the slowest answer, in seconds.
    """

    tally: str
    check: str = READ
    requests: int
    first: float
    last: float
    times: dict[int, int]
    longest: float


class Basis(Record):
    """The baseline is measured: requests that take longer than so many seconds are slow, by service and check."""

    basis: float
    slow_after: dict[str, dict[str, float]]


class Beat(Record):
    """Somebody watches: at this moment, in seconds since 1970.

    ``waiting``: when the oldest request was sent that has no answer yet; None when none waits for long.
    """

    beat: float
    waiting: float | None = None


class Gap(Record):
    """Time that nobody watched: seconds since 1970."""

    gap_from: float
    gap_to: float

    @property
    def seconds(self) -> float:
        """How long."""
        return max(0.0, self.gap_to - self.gap_from)


Entry = Probe | Tally | Basis | Beat | Gap
# The key that only one kind of entry has.
_KINDS: tuple[tuple[str, type[Entry]], ...] = (
    ("beat", Beat),
    ("tally", Tally),
    ("gap_from", Gap),
    ("basis", Basis),
    ("api", Probe),
)


def to_line(entry: Entry) -> str:
    """Return an entry as one line of the ledger."""
    return entry.model_dump_json(exclude_defaults=True) + "\n"


def read_ledger(lines: Iterable[str]) -> Iterator[Entry]:
    """Yield the entries of a ledger. A line that was cut off by a crash is passed over."""
    for line in lines:
        try:
            entry = _entry(json.loads(line))
        except (ValueError, TypeError, ValidationError):
            continue
        if entry is not None:
            yield entry


def _entry(data: Mapping[str, Any]) -> Entry | None:
    kind = next((kind for key, kind in _KINDS if key in data), None)
    return kind.model_validate(data) if kind is not None else None


def bucket(seconds: float) -> int:
    """Return the number of the range that a time belongs to; each ends five in a hundred above the one before."""
    return max(0, ceil(log(max(seconds, _LEAST) / _LEAST, _STEP)))


def seconds_of(number: int) -> float:
    """Return the longest time of a range."""
    return float(_LEAST * _STEP**number)


def quantile(times: Mapping[int, int], share: float) -> float:
    """Return the time within which so large a share of the requests was answered; 0 for none."""
    wanted, seen = ceil(sum(times.values()) * share), 0
    for number in sorted(times):
        seen += times[number]
        if seen >= wanted:
            return seconds_of(number)
    return 0.0
