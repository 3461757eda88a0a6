from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities import api, front
from activities.api import ApiActivities
from activities.ssh import Hosts
from model.plan import Action
from tests.activities.conftest import Site
from tests.activities.running_cloud import Cloud, make_cloud


@pytest.fixture
async def cloud(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    found = await make_cloud(site, hosts, monkeypatch)
    yield found
    await found.mine.stop()
    await found.other.stop()


@pytest.fixture
def activities(cloud: Cloud) -> ApiActivities:
    return ApiActivities(cloud.tools)


def params(cloud: Cloud, **more: Any) -> dict[str, Any]:
    return {
        "service": "nova",
        "backend": "nova-api",
        "server": "ctl1",
        "port": cloud.mine.port,
        "probe": "/v2.1/servers",
        "unit": "nova-api",
        **more,
    }


async def test_drain_takes_an_idle_instance_out(cloud: Cloud, activities: ApiActivities) -> None:
    result = await cloud.run(activities.drain_api, Action.DRAIN_API, **params(cloud))
    assert result.summary == "nova-api on ctl1 is out of service, ctl2 serves"
    assert cloud.status("ctl1") == "MAINT"
    assert "x-auth-token: a-token" in cloud.other.requests[0].lower()
    assert cloud.other.requests[0].startswith("GET /v2.1/servers ")


async def test_drain_twice_is_harmless(cloud: Cloud, activities: ApiActivities) -> None:
    for _ in range(2):
        await cloud.run(activities.drain_api, Action.DRAIN_API, **params(cloud))
    assert cloud.status("ctl1") == "MAINT"


async def test_requests_that_do_not_end_bring_it_back(cloud: Cloud, activities: ApiActivities) -> None:
    cloud.servers(sessions=3)
    error = await cloud.fails(activities.drain_api, Action.DRAIN_API, **params(cloud, timeout=0.1))
    assert (error.type, error.non_retryable) == ("StepFailed", True)
    assert "still had 3 request(s)" in str(error)
    assert cloud.status("ctl1") == "UP"


@pytest.mark.parametrize("other", ["MAINT", "DRAIN", "DOWN"])
async def test_the_last_one_in_service_stays(cloud: Cloud, activities: ApiActivities, other: str) -> None:
    cloud.servers(other=other)
    error = await cloud.fails(activities.drain_api, Action.DRAIN_API, **params(cloud))
    assert "no other instance of nova-api can serve" in str(error)
    assert cloud.status("ctl1") == "UP"


async def test_another_one_must_answer_with_a_token(cloud: Cloud, activities: ApiActivities) -> None:
    cloud.other.answers = [503]
    error = await cloud.fails(activities.drain_api, Action.DRAIN_API, **params(cloud))
    assert "ctl2: HTTP 503" in str(error)
    assert cloud.status("ctl1") == "UP"


async def test_an_unknown_name_is_refused(cloud: Cloud, activities: ApiActivities) -> None:
    error = await cloud.fails(activities.drain_api, Action.DRAIN_API, **params(cloud, server="ctl7"))
    assert error.type == "Refused"
    assert "it has: ctl1, ctl2" in str(error)


async def test_verify_waits_until_it_answers_and_is_warm(cloud: Cloud, activities: ApiActivities) -> None:
    (cloud.root / "running" / "nova-api").write_text("nova-34.0.0\n")
    # Not yet up, then the race of freshly started workers in the first round, then all well.
    cloud.mine.answers = [503, 200, *[200, 403, 200, 200, 200, 200, 200, 200]]
    await cloud.run(activities.verify_api, Action.VERIFY_API, **params(cloud, version="34.0.0"))
    assert len(cloud.mine.requests) == 2 + 2 * front.ROUND_SIZE


async def test_verify_fails_on_the_wrong_version(
    cloud: Cloud, activities: ApiActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.work.UNITS_LIMIT", 0.0)
    (cloud.root / "running" / "nova-api").write_text("nova-33.0.1\n")
    error = await cloud.fails(activities.verify_api, Action.VERIFY_API, **params(cloud, version="34.0.0"))
    assert "nova-api is active and runs from 33.0.1, not from 34.0.0" in str(error)
    assert "log of nova-api" in str(error)


async def test_verify_fails_when_nothing_answers(
    cloud: Cloud, activities: ApiActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "ANSWER_LIMIT", 0.0)
    await cloud.mine.stop()
    error = await cloud.fails(activities.verify_api, Action.VERIFY_API, **params(cloud))
    assert error.type == "StepFailed"
    assert "ConnectError" in str(error)


async def test_an_instance_that_never_gets_warm_is_not_put_into_service(
    cloud: Cloud, activities: ApiActivities
) -> None:
    cloud.servers(mine="MAINT")
    cloud.mine.answers = [200] + [403] * 100
    error = await cloud.fails(activities.enable_api, Action.ENABLE_API, **params(cloud))
    assert "HTTP 403" in str(error)
    assert cloud.status("ctl1") == "MAINT"


async def test_enable_puts_it_into_service(cloud: Cloud, activities: ApiActivities) -> None:
    cloud.servers(mine="MAINT")
    result = await cloud.run(activities.enable_api, Action.ENABLE_API, **params(cloud))
    assert result.summary == "nova-api on ctl1 is in service"
    assert cloud.status("ctl1") == "UP"
