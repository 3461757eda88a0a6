"""What a probe writes down: the entries that follow from the result of each request, in the order of the answers.

A run of good requests is summed up. It is broken where a request fails, so that the good ones just before and just
after are known to the millisecond. A failure that is known late, such as a request that nobody answered for a minute,
brings the good ones next to it along.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

from model.account import LONGEST_REQUEST
from model.availability import Basis, Entry, Probe, Tally, bucket, quantile

# A slow request takes this many times what half of the requests took in the baseline, and at least so many seconds.
SLOW_TIMES = 5.0
SLOW_AT_LEAST = 0.5


def slow_after(times: Mapping[int, int]) -> float:
    """Return how long an answer may take that is as fast as in the baseline, whose times these are."""
    return round(max(SLOW_AT_LEAST, SLOW_TIMES * quantile(times, 0.5)), 3)


class Recorder:
    """Turns the results of one check's requests into entries."""

    def __init__(self, service: str, check: str, *, slow: float | None = None, failing: bool = False) -> None:
        """Begin, or go on with what is known from an earlier stretch of the watch.

        Args:
            service: what is asked.
            check: which check of it.
            slow: the seconds after which an answer is slow; None before there is a baseline.
            failing: whether the last request before has failed.
        """
        self.service, self.check, self.slow_after = service, check, slow
        self._good: list[Probe] = []
        self._recent: list[Probe] = []
        self._failed_at: float | None = 0.0 if failing else None

    def take(self, probe: Probe) -> list[Entry]:
        """Return what is to be written now because of this result."""
        if probe.failure:
            return [*self.flush(), *self._fail(probe)]
        is_slow = self.slow_after is not None and probe.seconds > self.slow_after
        recovers = self._failed_at is not None and probe.at > self._failed_at
        if recovers:
            self._failed_at = None
        self._remember(probe)
        if is_slow or recovers:
            return [probe.model_copy(update={"slow": is_slow})]
        self._good.append(probe)
        return []

    def _fail(self, probe: Probe) -> list[Entry]:
        place = bisect_left(self._recent, probe.at, key=lambda one: one.at)
        later = self._recent[place : place + 1]
        if later:
            told = [*self._recent[max(place - 1, 0) : place], *later]
            return [*(one.model_copy(update={"told": True}) for one in told), probe]
        self._failed_at = max(probe.at, self._failed_at or probe.at)
        return [probe]

    def _remember(self, probe: Probe) -> None:
        place = bisect_left(self._recent, probe.at, key=lambda one: one.at)
        self._recent.insert(place, probe)
        oldest = self._recent[-1].at - LONGEST_REQUEST
        if self._recent[0].at < oldest:
            del self._recent[: bisect_left(self._recent, oldest, key=lambda one: one.at)]

    def flush(self) -> list[Entry]:
        """Return the sum of the good requests since the last one."""
        if not self._good:
            return []
        sent = [probe.at for probe in self._good]
        tally = Tally(
            tally=self.service,
            check=self.check,
            requests=len(self._good),
            first=min(sent),
            last=max(sent),
            times=dict(Counter(bucket(probe.seconds) for probe in self._good)),
            longest=max(probe.seconds for probe in self._good),
        )
        self._good = []
        return [tally]


def make_basis(at: float, times: Mapping[str, Mapping[str, Mapping[int, int]]]) -> Basis:
    """Return the baseline from the times of the requests until now, by service and check."""
    return Basis(
        basis=at,
        slow_after={
            service: {check: slow_after(found) for check, found in checks.items()} for service, checks in times.items()
        },
    )
