"""The probe of the APIs: real requests, a real ledger, and workers that die."""

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.testing import ActivityEnvironment

from activities.availability import AvailabilityActivities
from model.availability import AvailabilityResult, WatchRequest
from model.inventory import Inventory
from model.status import ApiAvailability
from tests.activities.fake_openstack import FakeCloud, place_of, serve


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def inventory(cloud: FakeCloud, tmp_path: Path) -> Iterator[Inventory]:
    with serve(cloud, tmp_path) as found:
        yield found


def new_environment() -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(environment.info, scheduled_time=datetime.now(tz=UTC))
    return environment


class Watch:
    """The activity, run as a worker would, until some requests have been sent."""

    def __init__(self, inventory: Inventory, folder: Path) -> None:
        self.path = folder / "up" / "availability.jsonl"
        self.request = WatchRequest(upgrade="up", inventory=inventory, rate=20)
        self.activities = AvailabilityActivities(folder=folder)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    async def until(self, count: int, *, shut_down: bool = False) -> AvailabilityResult:
        environment = new_environment()
        running = asyncio.ensure_future(environment.run(self.activities.watch_availability, self.request))
        before = len(self.lines())
        async with asyncio.timeout(20):
            while len(self.lines()) < before + count and not running.done():
                await asyncio.sleep(0.01)
        environment.cancel(ActivityCancellationDetails(cancel_requested=not shut_down, worker_shutdown=shut_down))
        return await running


def by_name(result: AvailabilityResult) -> dict[str, ApiAvailability]:
    return {api.service: api for api in result.apis}


@pytest.fixture
def watch(inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr("activities.availability.api_url", place_of)
    return Watch(inventory, tmp_path / "state")


async def test_every_api_is_asked_until_told_to_stop(watch: Watch, cloud: FakeCloud) -> None:
    cloud.failing["image"] = 502
    result = await watch.until(40)
    apis = by_name(result)
    assert set(apis) == {"keystone", "placement", "glance", "nova-api"}
    assert all(api.requests >= 8 for api in apis.values())
    assert [name for name, api in apis.items() if api.failed] == ["glance"]
    assert apis["glance"].failed == apis["glance"].requests
    assert "502" in apis["glance"].failures[0]
    assert result.unobserved == 0
    assert result.path == str(watch.path)


async def test_a_keystone_that_gives_no_token_is_a_failure_of_keystone(watch: Watch, cloud: FakeCloud) -> None:
    cloud.keystone_down = True
    apis = by_name(await watch.until(3))
    assert set(apis) == {"keystone"}
    assert apis["keystone"].failed == apis["keystone"].requests
    assert apis["keystone"].failures[0].startswith("no token: ")


async def test_a_worker_that_is_shut_down_hands_on(watch: Watch) -> None:
    with pytest.raises(asyncio.CancelledError):
        await watch.until(3, shut_down=True)


async def test_the_next_worker_continues_the_ledger_and_marks_the_hole(watch: Watch) -> None:
    await watch.until(8)
    lines = watch.lines()
    for line in lines:
        line["at"] -= 100
    torn = '{"at": 17'
    watch.path.write_text("\n".join(json.dumps(line) for line in lines) + "\n" + torn)
    result = await watch_again(watch)
    assert 95 < result.unobserved < 105
    assert sum(api.requests for api in result.apis) > len(lines)


async def watch_again(watch: Watch) -> AvailabilityResult:
    """As ``until``, but the ledger has a torn line that ``lines`` would choke on."""
    environment = new_environment()
    running = asyncio.ensure_future(environment.run(watch.activities.watch_availability, watch.request))
    size = watch.path.stat().st_size
    async with asyncio.timeout(20):
        while watch.path.stat().st_size < size + 2000:
            await asyncio.sleep(0.01)
    environment.cancel(ActivityCancellationDetails(cancel_requested=True))
    return await running
