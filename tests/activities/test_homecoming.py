"""Guests moved back, with the real activity against a nova over HTTP."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.homecoming import HomecomingActivities
from activities.traffic import Traffic
from model.inventory import Inventory
from model.plan import Action
from model.work import StepResult, Work
from tests.activities.fake_openstack import FakeCloud, serve


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def inventory(cloud: FakeCloud, tmp_path: Path) -> Iterator[Inventory]:
    with serve(cloud, tmp_path) as found:
        yield found


async def go_home(inventory: Inventory, guests: list[str], **params: Any) -> StepResult:
    work = Work(
        upgrade="run",
        step="return/cmp1",
        action=Action.RETURN_GUESTS,
        target="cmp1",
        params={"host": "cmp1", "guests": guests, **params},
        inventory=inventory,
        timeout=20.0,
    )
    environment = ActivityEnvironment()
    now = datetime.now(tz=UTC)
    environment.info = dataclasses.replace(
        environment.info, scheduled_time=now, started_time=now, start_to_close_timeout=timedelta(seconds=20)
    )
    return await environment.run(HomecomingActivities(poll=0.01, traffic=Traffic(fresh=0.0)).return_guests, work)


async def test_guests_go_back_within_the_limits(cloud: FakeCloud, inventory: Inventory) -> None:
    guests = [cloud.boot(name, "cmp2") for name in "abc"]
    there = cloud.boot("there", "cmp1")
    result = await go_home(inventory, [*guests, there], limits={"per_source": 2, "per_target": 1})
    assert set(cloud.hosts_of().values()) == {"cmp1"}
    assert sorted(cloud.asked) == guests
    assert {host for _, _, host in cloud.orders} == {"cmp1"}
    assert cloud.most_at_once == 1
    assert result.summary == "4 of 4 guests back on cmp1"
    again = await go_home(inventory, guests)
    assert (again.summary, len(cloud.asked)) == ("3 of 3 guests back on cmp1", 3)


async def test_who_cannot_go_is_left_and_told(cloud: FakeCloud, inventory: Inventory) -> None:
    off, sick, well = (
        cloud.boot("off", "cmp2", "SHUTOFF"),
        cloud.boot("sick", "cmp2"),
        cloud.boot("well", "cmp2"),
    )
    cloud.refuse = lambda guest: 400 if guest == sick else None
    result = await go_home(inventory, [off, sick, well, "id-gone"], attempts=2)
    assert result.details["back"] == [well]
    left = result.details["left"]
    assert left[off] == "it is SHUTOFF, and only what runs is moved back"
    assert left[sick].startswith("nova refused to begin, last with 400")
    assert left["id-gone"] == "its owner has deleted it"
    assert cloud.asked.count(sick) == 2
    assert result.summary.startswith("1 of 4 guests back on cmp1, 3 left where they are (")
