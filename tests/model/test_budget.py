"""The error budget: when it is spent, and what is said then."""

import pytest
from pydantic import ValidationError

from model.availability import AvailabilityResult
from model.availability_news import Teller, brief
from model.availability_spec import Availability, ErrorBudget
from model.budget import Spent, line, overspent, used
from model.status import ApiAvailability, AvailabilityNews, Outage, ServiceNews

NOVA = ServiceNews(
    service="nova-api", failed=6, downtime=1.5, down_since=100.25, last_failure="00:01:41.500 GET /v2.1/servers: 503"
)
GLANCE = ServiceNews(service="glance", failed=1, downtime=0.25, last_failure="00:01:00.000 GET /v2/images: 502")
NEWS = AvailabilityNews(at=102, baseline=True, watched=4, requests=900, down=1.5, services=(NOVA, GLANCE))


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"downtime": "2s"}, ""),
        ({"downtime": "1.5s"}, ""),
        ({"downtime": "1s"}, "nova-api spent: 1.500 s down, 1.000 s allowed."),
        ({"failed_requests": 6}, ""),
        ({"failed_requests": 5}, "nova-api spent: 6 failed requests, 5 allowed."),
        ({"failed_requests": 6, "per": "cloud"}, "all services spent: 7 failed requests, 6 allowed."),
        ({"downtime": "0s", "failed_requests": 5}, "nova-api spent: 1.500 s down, 0.000 s allowed; 6 failed"),
    ],
)
def test_what_goes_beyond_the_budget_is_named_with_time_and_request(budget: dict[str, object], words: str) -> None:
    said = overspent(ErrorBudget.model_validate(budget), NEWS, Spent())
    assert words in said
    assert bool(said) == bool(words)
    if words:
        assert "nova-api: 6 failed requests, down since 00:01:40.250 UTC, the newest 00:01:41.500 GET" in said


def test_what_was_forgiven_does_not_count() -> None:
    budget = ErrorBudget(failed_requests=5)
    forgiven = used(budget, NEWS)
    assert overspent(budget, NEWS, forgiven) == ""
    later = NEWS.model_copy(update={"services": (NOVA.model_copy(update={"failed": 12}),)})
    assert "6 failed requests, 5 allowed" in overspent(budget, later, forgiven)


def test_a_budget_bounds_something() -> None:
    with pytest.raises(ValidationError, match="give downtime"):
        ErrorBudget(when_spent="rollback")


@pytest.mark.parametrize("address", ["10.0.0.1:22", "tcp://10.0.0.1", "udp://10.0.0.1:53", "http://", "tcp://h:99999"])
def test_a_canary_has_an_address(address: str) -> None:
    with pytest.raises(ValidationError, match="address"):
        Availability(canaries={"web1": address})


def test_the_line_of_a_run() -> None:
    assert line(AvailabilityNews(at=1, requests=1200)) == "1,200 requests, none failed"
    said = line(NEWS)
    assert said == "nova-api DOWN since 00:01:40.250, 900 requests, 7 failed, nova-api down 1.500 s in all"
    assert line(AvailabilityNews(at=1, requests=3, unobserved=12)).endswith("not observed for 12 s")


def test_news_are_told_at_once_and_the_more_there_are_the_less_often() -> None:
    teller, told = Teller(), 0
    assert not teller.due(AvailabilityNews(at=0))
    for number in range(4 * 3600):
        news = AvailabilityNews(at=number / 4, baseline=True, services=(NOVA.model_copy(update={"failed": number}),))
        if teller.due(news):
            assert told or number == 0
            teller.told(news)
            told += 1
    assert 50 < told < 200, "an hour in which everything fails is no reason to fill the history of the run"


def test_good_news_are_told_seldom() -> None:
    teller = Teller()
    news = AvailabilityNews(at=0, baseline=True)
    assert teller.due(news)
    teller.told(news)
    assert not teller.due(news.model_copy(update={"at": 100.0, "requests": 800}))
    assert teller.due(news.model_copy(update={"at": 301.0, "requests": 2400}))


def test_what_goes_with_a_heartbeat_is_small() -> None:
    outages = tuple(Outage(start=n, end=n + 0.5) for n in range(20))
    api = ApiAvailability(
        service="a", requests=7, failed=2, median=1, p99=1, longest=1, outages=outages, failures=("x",) * 10
    )
    text, small = brief(AvailabilityResult(apis=(api,), path="p", unobserved=3.0))
    assert text == "7 requests, 2 failed, not observed for 3 s"
    assert (len(small.apis[0].outages), len(small.apis[0].failures)) == (5, 3)
