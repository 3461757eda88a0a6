"""What follows from a ledger, and that the ledger says as much as every single request would."""

import random
from collections.abc import Iterable

import pytest

from model.account import Account, describe, guest_service, judge
from model.availability import Basis, Beat, Entry, Gap, Probe, Tally, read_ledger, to_line
from model.outages import Point, find_outages
from model.recorder import Recorder, make_basis, slow_after
from model.status import ApiAvailability, SeenState, Verdict


def probe(at: float, *, seconds: float = 0.1, failure: str = "", api: str = "nova-api", check: str = "read") -> Probe:
    return Probe(at=at, api=api, check=check, request="GET /v2.1/servers", seconds=seconds, failure=failure)


def probes(outcomes: str, *, api: str = "nova-api", every: float = 0.5) -> list[Probe]:
    """One request per character: ``.`` is a good answer, ``x`` a failure."""
    return [probe(100 + n * every, api=api, failure="502" if one == "x" else "") for n, one in enumerate(outcomes)]


def recorded(results: Iterable[Probe], *, slow: float | None = None, sums: int = 7) -> Account:
    """The account of a ledger that was written of these results, in the order of their answers, and read back."""
    recorder, entries = Recorder("nova-api", "read", slow=slow), list[Entry]()
    for number, result in enumerate(sorted(results, key=lambda one: one.end), 1):
        entries += recorder.take(result)
        if number % sums == 0:
            entries += recorder.flush()
    entries += recorder.flush()
    return Account(read_ledger([to_line(entry) for entry in entries]))


def only(account: Account) -> ApiAvailability:
    (found,) = account.result().apis
    return found


def test_counts_times_and_outages() -> None:
    found = only(recorded(probes("...xx...")))
    assert (found.requests, found.failed, found.longest) == (8, 2, 0.1)
    assert found.median == found.p99 == 0.1
    assert (found.longest_gap, found.downtime) == (1.1, 1.1)
    assert [(one.start, one.end) for one in found.outages] == [(101.5, 102.6)]
    assert [one.state for one in found.track] == [SeenState.GOOD, SeenState.DOWN, SeenState.GOOD]


def test_a_failure_is_told_with_time_request_and_reason() -> None:
    found = only(recorded(probes(".x.")))
    assert found.failures == ("00:01:40.500 GET /v2.1/servers: 502",)
    assert describe(probe(0.25, failure="503 no server")) == "00:00:00.250 GET /v2.1/servers: 503 no server"


def test_only_the_first_failures_are_told() -> None:
    found = only(recorded(probes("x" * 30)))
    assert found.failed == 30
    assert len(found.failures) == 10


def test_a_request_that_nobody_answered_for_a_minute_is_an_outage_to_the_next_good_one() -> None:
    """It is known long after the good ones that were sent after it have been summed up."""
    results = [*probes("." * 400), probe(150.2, seconds=60.0, failure="no answer within 60 s")]
    (outage,) = only(recorded(results)).outages
    assert (outage.start, outage.end, outage.last_good) == (150.2, 150.6, 150.0)


@pytest.mark.parametrize("seed", range(100))
def test_the_ledger_tells_the_same_outages_as_every_single_request(seed: int) -> None:
    """Random outcomes and lengths; answers come in another order than the requests were sent in."""
    chance = random.Random(seed)
    results = []
    for number in range(300):
        failure = "502" if chance.random() < 0.15 else ""
        seconds = chance.choice([0.01, 0.05, 0.2]) if not failure else chance.choice([0.01, 0.05, 3.0, 30.0])
        results.append(probe(1000 + number * 0.25, seconds=seconds, failure=failure))
    account = recorded(results)
    wanted = find_outages(Point(one.at, one.end, not one.failure) for one in results)
    found = account.seen["nova-api"]["read"].outages([], 0.0)
    assert [(one.start, one.end, one.open) for one in found] == [(one.start, one.end, one.open) for one in wanted]
    assert only(account).requests == 300
    assert only(account).failed == sum(bool(one.failure) for one in results)


def test_checks_of_a_service_are_one_service() -> None:
    entries: list[Entry] = [probe(100, failure="502"), probe(100.2, failure="502", check="health")]
    entries += [probe(101, check="health"), probe(102)]
    found = only(Account(entries))
    assert (found.requests, found.failed, len(found.outages), found.downtime) == (4, 2, 1, 2.1)


def test_a_hole_is_admitted_and_is_no_time_in_which_all_was_well() -> None:
    result = Account([Beat(beat=100), *probes("..x"), Gap(gap_from=102, gap_to=112.5), probe(113)]).result()
    (found,) = result.apis
    assert result.unobserved == 10.5
    assert found.downtime == 1.0
    assert found.outages[0].open
    assert [(one.start, one.end) for one in found.track if one.state is SeenState.UNOBSERVED] == [(102, 112.5)]


def test_the_end_of_what_is_known() -> None:
    assert Account().known_until is None
    assert Account(probes("..")).known_until == 100.6
    assert Account([*probes(".."), Gap(gap_from=101, gap_to=111)]).known_until == 111
    assert Account([*probes(".."), Beat(beat=120, waiting=118.5)]).known_until == 118.5, "a request had no answer yet"
    assert Account([Beat(beat=120, waiting=118.5), Beat(beat=120.5)]).known_until == 120.5


def test_slow_is_what_takes_longer_than_in_the_baseline() -> None:
    baseline = Tally(tally="glance", requests=20, first=90, last=99, times={148: 20}, longest=0.7)
    basis = make_basis(100, {"glance": {"read": baseline.times}})
    recorder = Recorder("glance", "read", slow=basis.slow_after["glance"]["read"])
    entries: list[Entry] = [baseline, basis]
    for seconds in (0.7, 3.4, 3.5):
        entries += recorder.take(probe(100 + seconds, seconds=seconds, api="glance"))
    found = only(Account([*entries, *recorder.flush()]))
    assert 3.3 < (found.slow_after or 0) < 3.5
    assert (found.requests, found.slow, found.failed) == (23, 1, 0)
    assert found.verdict is Verdict.ZERO_DOWNTIME
    assert found.track[-1].state is SeenState.SLOW
    assert slow_after({}) == slow_after({10: 5}) == 0.5, "below half a second nobody calls it slow"


@pytest.mark.parametrize(
    ("failed", "slow", "compared", "accessible", "verdict"),
    [
        (0, 0, True, False, Verdict.ZERO_IMPACT),
        (0, 0, False, True, Verdict.ZERO_DOWNTIME),
        (0, 3, True, True, Verdict.ZERO_DOWNTIME),
        (1, 0, True, True, Verdict.ACCESSIBLE),
        (1, 0, True, False, Verdict.ROLLING),
    ],
)
def test_the_ladder(failed: int, slow: int, compared: bool, accessible: bool, verdict: Verdict) -> None:
    assert judge(failed=failed, slow=slow, compared=compared, accessible=accessible) is verdict


def test_an_api_that_failed_while_every_guest_was_reached_was_accessible() -> None:
    guest = guest_service("web1")
    well: list[Entry] = [*probes(".x."), *probes("...", api=guest), Basis(basis=100, slow_after={})]
    assert {api.service: api.verdict for api in Account(well).result().apis}["nova-api"] is Verdict.ACCESSIBLE
    lost: list[Entry] = [*probes(".x."), *probes(".x.", api=guest)]
    assert {api.verdict for api in Account(lost).result().apis} == {Verdict.ROLLING}


def test_news_name_what_fails_and_since_when() -> None:
    account = Account([*probes("...", api="glance"), *probes("..xx")])
    news = account.news(102.0)
    (service,) = news.services
    assert (news.watched, news.requests, news.baseline) == (2, 7, False)
    assert (service.service, service.failed, service.down_since) == ("nova-api", 2, 101.0)
    assert service.last_failure.startswith("00:01:41.500 GET")
    account.add(probe(102.0))
    (service,) = account.news(102.5).services
    assert (service.down_since, service.downtime) == (None, 1.1)
    assert account.news(102.5).down == 1.1
