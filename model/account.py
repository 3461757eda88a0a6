"""What follows from a ledger, entry by entry: counts, times, outages, verdicts.

Whoever probes keeps one of these in step with what it writes; read back from the file it comes to the same.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain

from model.availability import AvailabilityResult, Basis, Beat, Entry, Gap, Probe, Tally, bucket, quantile
from model.outages import Point, Span, compact, find_outages, make_track, merge_outages, total
from model.status import ApiAvailability, AvailabilityNews, Outage, ServiceNews, Verdict

FAILURES_SHOWN = 10
OUTAGES_SHOWN = 20
GUEST = "guest "
# No request is on its way for longer; what was sent earlier than this is known in order.
LONGEST_REQUEST = 180.0
_MANY_POINTS = 2_000
_ROUNDING = 0.01


def guest_service(name: str) -> str:
    """Return how a canary is called among the services."""
    return f"{GUEST}{name}"


def exact_clock(moment: float) -> str:
    """Write seconds since 1970 as ``09:12:07.250`` in UTC."""
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%H:%M:%S.%f")[:-3]


def describe(probe: Probe) -> str:
    """Say when what failed, and how."""
    return f"{exact_clock(probe.at)} {f'{probe.request}: ' if probe.request else ''}{probe.failure}"


class Seen:
    """What is known of one check of a service."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.requests = self.failed = 0
        self.times: Counter[int] = Counter()
        self.longest = 0.0
        self.first: float | None = None
        self.slow: list[Span] = []
        self.failures: list[tuple[float, str]] = []
        self.newest: tuple[float, str] | None = None
        self.slow_after: float | None = None
        self._points: list[Point] = []
        self._outages: tuple[float, int, list[Outage]] | None = None
        self._version = 0

    def add(self, entry: Probe | Tally) -> None:
        """Take one entry."""
        self._version += 1
        if isinstance(entry, Tally):
            self._count(entry.requests, entry.first, entry.longest)
            self.times.update(entry.times)
            self._points += [Point(entry.first, entry.first, ok=True), Point(entry.last, entry.last, ok=True)]
        else:
            self._points.append(Point(entry.at, entry.end, ok=not entry.failure))
            if not entry.told:
                self._take(entry)
        if len(self._points) > _MANY_POINTS:
            newest = max(point.at for point in self._points)
            self._points = compact(self._points, newest - LONGEST_REQUEST)

    @property
    def failing(self) -> bool:
        """Whether the newest request has failed."""
        return bool(self._points) and not max(self._points).ok

    def _take(self, probe: Probe) -> None:
        self._count(1, probe.at, probe.seconds)
        self.times[bucket(probe.seconds)] += 1
        if probe.slow:
            self.slow.append(Span(probe.at, probe.end))
        if probe.failure:
            self.failed += 1
            said = (probe.at, describe(probe))
            self.newest = max(said, self.newest or said)
            self.failures = sorted([*self.failures, said])[:FAILURES_SHOWN]

    def _count(self, requests: int, at: float, longest: float) -> None:
        self.requests += requests
        self.first = at if self.first is None else min(self.first, at)
        self.longest = max(self.longest, longest)

    def outages(self, holes: Sequence[Span], until: float) -> list[Outage]:
        """Return its outages; one that goes on lasts until the end of the watch."""
        known = self._outages
        if known and known[0] == len(holes) and known[1] == self._version and not any(one.open for one in known[2]):
            return known[2]
        found = find_outages(self._points, holes, until)
        self._outages = (len(holes), self._version, found)
        return found


class Account:
    """Everything that a ledger says."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Begin with these entries."""
        self.seen: dict[str, dict[str, Seen]] = {}
        self.holes: list[Span] = []
        self.begun: float | None = None
        self.ends: float | None = None
        self.basis: Basis | None = None
        self._waiting: float | None = None
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take one entry."""
        match entry:
            case Beat():
                self._know(entry.beat, entry.beat)
                self._waiting = entry.waiting
            case Gap():
                self._know(entry.gap_from, entry.gap_to)
                self.holes.append(Span(entry.gap_from, entry.gap_to))
            case Basis():
                self.basis = entry
                for service, checks in entry.slow_after.items():
                    for check, seconds in checks.items():
                        self.of(service, check).slow_after = seconds
            case Tally():
                self._know(entry.first, entry.last)
                self.of(entry.tally, entry.check).add(entry)
            case Probe():
                self._know(entry.at, entry.end)
                self.of(entry.api, entry.check).add(entry)

    def of(self, service: str, check: str) -> Seen:
        """Return what is known of one check."""
        return self.seen.setdefault(service, {}).setdefault(check, Seen())

    def _know(self, first: float, last: float) -> None:
        self.begun = first if self.begun is None else min(self.begun, first)
        self.ends = last if self.ends is None else max(self.ends, last)

    @property
    def known_until(self) -> float | None:
        """Until when everything is known: whoever beat last may have waited for an answer that nobody will read."""
        return self.ends if self._waiting is None or self.ends is None else min(self.ends, self._waiting)

    @property
    def unobserved(self) -> float:
        """Seconds in which nobody watched."""
        return round(total(self.holes), 3)

    def result(self, path: str = "") -> AvailabilityResult:
        """Return what has been seen, with a verdict for each service."""
        outages = {service: self._outages(service) for service in self.seen}
        guests = [service for service in self.seen if service.startswith(GUEST)]
        accessible = bool(guests) and not any(outages[service] for service in guests)
        return AvailabilityResult(
            apis=tuple(
                self._summary(service, outages[service], accessible=accessible)
                for service, checks in self.seen.items()
                if any(seen.requests for seen in checks.values())
            ),
            path=path,
            unobserved=self.unobserved,
            begun=self.begun,
            ended=self.ends,
        )

    def _outages(self, service: str) -> tuple[Outage, ...]:
        found = (seen.outages(self.holes, self.ends or 0.0) for seen in self.seen[service].values())
        return merge_outages(chain.from_iterable(found))

    def _summary(self, service: str, outages: tuple[Outage, ...], *, accessible: bool) -> ApiAvailability:
        checks = self.seen[service].values()
        times = sum((seen.times for seen in checks), Counter[int]())
        failures = sorted(failure for seen in checks for failure in seen.failures)[:FAILURES_SHOWN]
        failed, slow = sum(seen.failed for seen in checks), sum(len(seen.slow) for seen in checks)
        thresholds = [seen.slow_after for seen in checks if seen.slow_after is not None]
        firsts = [seen.first for seen in checks if seen.first is not None]
        longest = max(seen.longest for seen in checks)
        down = [Span(one.start, one.end) for one in outages]
        return ApiAvailability(
            service=service,
            requests=sum(seen.requests for seen in checks),
            failed=failed,
            median=round(min(quantile(times, 0.5), longest), 4),
            p99=round(min(quantile(times, 0.99), longest), 4),
            longest=round(longest, 4),
            longest_gap=round(max((one.seconds for one in outages), default=0.0), 3),
            failures=tuple(text for _, text in failures),
            verdict=judge(failed=failed, slow=slow, compared=bool(thresholds), accessible=accessible),
            slow=slow,
            slow_after=round(max(thresholds), 3) if thresholds else None,
            downtime=round(total(down), 3),
            outages=tuple(sorted(outages, key=lambda one: -one.seconds)[:OUTAGES_SHOWN]),
            track=make_track(
                Span(self.begun or 0.0, self.ends or 0.0),
                first=min(firsts, default=None),
                slow=chain.from_iterable(seen.slow for seen in checks),
                down=down,
                holes=self.holes,
            ),
        )

    def news(self, at: float) -> AvailabilityNews:
        """Return what a run is told: what failed or was slow, and how much was asked."""
        outages = {service: self._outages(service) for service in self.seen}
        troubled = tuple(
            news for service in self.seen if (news := self._service_news(service, outages[service])) is not None
        )
        return AvailabilityNews(
            at=round(at, 3),
            baseline=self.basis is not None,
            watched=len(self.seen),
            requests=sum(seen.requests for checks in self.seen.values() for seen in checks.values()),
            down=round(total(Span(one.start, one.end) for found in outages.values() for one in found), 3),
            unobserved=self.unobserved,
            services=troubled,
        )

    def _service_news(self, service: str, outages: tuple[Outage, ...]) -> ServiceNews | None:
        checks = self.seen[service].values()
        failed, slow = sum(seen.failed for seen in checks), sum(len(seen.slow) for seen in checks)
        if not (failed or slow):
            return None
        newest = max((seen.newest for seen in checks if seen.newest), default=None)
        going_on = [one.start for one in outages if one.open and one.end >= (self.ends or 0.0) - _ROUNDING]
        return ServiceNews(
            service=service,
            failed=failed,
            slow=slow,
            downtime=round(sum(one.seconds for one in outages), 3),
            down_since=min(going_on, default=None),
            last_failure=newest[1][:200] if newest else "",
        )


def judge(*, failed: int, slow: int, compared: bool, accessible: bool) -> Verdict:
    """Return how far up the ladder a service came.

    The requirements are those of the assert tags that OpenStack's governance had until 2022: zero impact wants no
    outliers of response times compared with normal operations, zero downtime no failed request even for a moment,
    accessible that what users have is reached all the time; rolling is what is left.

    Args:
        failed: its failed requests.
        slow: its requests that took longer than in the baseline.
        compared: whether there is a baseline to compare with.
        accessible: whether canary guests were probed, and all of them answered all the time.
    """
    if failed:
        return Verdict.ACCESSIBLE if accessible else Verdict.ROLLING
    return Verdict.ZERO_IMPACT if compared and not slow else Verdict.ZERO_DOWNTIME
