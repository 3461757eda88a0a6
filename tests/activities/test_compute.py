"""Compute hosts out of service and back, with the real activities against a nova over HTTP."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.compute import ComputeActivities
from activities.context import Toolbox
from activities.ssh import Hosts
from model.actions import PARAMS, as_params
from model.inventory import Inventory
from model.plan import Action
from model.work import StepResult, Work
from tests.activities.fake_hosts import FakeHosts
from tests.activities.fake_openstack import FakeCloud, serve


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def inventory(cloud: FakeCloud, tmp_path: Path) -> Iterator[Inventory]:
    with serve(cloud, tmp_path) as found:
        yield found


class Runner:
    """Runs activities as a worker would."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.upgrade = f"up-{uuid.uuid4().hex[:8]}"
        self.hosts = FakeHosts(inventory)
        self.activities = ComputeActivities(Toolbox(hosts=cast("Hosts", self.hosts)), poll=0.01, rest=0.02)
        self.beats: list[Any] = []

    async def run(self, action: Action, *, seconds: float = 20, **params: Any) -> StepResult:
        made = PARAMS[action].model_validate({"host": "cmp1", **params})
        work = Work(
            upgrade=self.upgrade,
            step=f"{action}-cmp1",
            action=action,
            target="cmp1",
            params=as_params(made),
            inventory=self.inventory,
            timeout=seconds,
        )
        environment = ActivityEnvironment()
        limit = timedelta(seconds=seconds)
        now = datetime.now(tz=UTC)
        environment.info = replace(environment.info, scheduled_time=now, started_time=now, start_to_close_timeout=limit)
        environment.on_heartbeat = lambda *details: self.beats.extend(details)
        result: StepResult = await environment.run(getattr(self.activities, action.value), work)
        return result

    async def drain(self, parallel: int = 2, **params: Any) -> StepResult:
        await self.run(Action.DISABLE_COMPUTE)
        return await self.run(Action.DRAIN_COMPUTE, parallel=parallel, **params)


@pytest.fixture
def runner(inventory: Inventory) -> Runner:
    return Runner(inventory)


async def test_disable_and_enable_bring_back_what_was(cloud: FakeCloud, runner: Runner) -> None:
    for _ in range(2):
        assert (await runner.run(Action.DISABLE_COMPUTE)).details["ours"]
        assert cloud.services["cmp1"]["status"] == "disabled"
        assert cloud.services["cmp1"]["disabled_reason"] == f"stackroll {runner.upgrade}"
    for _ in range(2):
        await runner.run(Action.ENABLE_COMPUTE)
        assert cloud.services["cmp1"]["status"] == "enabled"
    assert cloud.services["cmp2"]["status"] == "enabled"


async def test_a_host_that_somebody_else_disabled_stays_so(cloud: FakeCloud, runner: Runner) -> None:
    cloud.services["cmp1"] |= {"status": "disabled", "disabled_reason": "disk is dying"}
    result = await runner.run(Action.DISABLE_COMPUTE)
    assert not result.details["ours"]
    assert "disk is dying" in result.summary
    await runner.run(Action.ENABLE_COMPUTE)
    assert cloud.services["cmp1"]["status"] == "disabled"
    assert cloud.services["cmp1"]["disabled_reason"] == "disk is dying"


async def test_a_drain_moves_every_guest(cloud: FakeCloud, runner: Runner) -> None:
    for name in "abcde":
        cloud.boot(name)
    cloud.boot("elsewhere", "cmp2")
    result = await runner.drain()
    assert set(cloud.hosts_of().values()) == {"cmp2"}
    assert sorted(cloud.asked) == [f"id-{name}" for name in "abcde"]
    assert cloud.most_at_once == 2
    assert result.summary == "cmp1 is empty: 5 guests moved"
    assert {move["to"] for move in result.details["moved"]} == {"cmp2"}


async def test_an_empty_host_is_drained_at_once(cloud: FakeCloud, runner: Runner) -> None:
    assert (await runner.drain()).summary == "cmp1 is empty: no guest was on it"


async def test_a_drain_adopts_migrations_that_a_dead_worker_began(cloud: FakeCloud, runner: Runner) -> None:
    guests = [cloud.boot(name) for name in "abc"]
    cloud.begin_migration(guests[0])
    cloud.begin_migration(guests[1])
    result = await runner.drain()
    assert cloud.asked == [guests[2]]
    assert len(result.details["moved"]) == 3


async def test_a_guest_deleted_on_its_way_is_fine(cloud: FakeCloud, runner: Runner) -> None:
    cloud.boot("a")
    cloud.boot("b")
    cloud.outcome = lambda number: "deleted" if number == 1 else "completed"
    result = await runner.drain(parallel=1)
    assert cloud.hosts_of() == {"b": "cmp2"}
    assert len(result.details["moved"]) == 1


async def test_a_failed_migration_is_tried_again(cloud: FakeCloud, runner: Runner) -> None:
    cloud.boot("a")
    cloud.outcome = lambda number: "error" if number <= 2 else "completed"
    await runner.drain()
    assert len(cloud.asked) == 3
    assert cloud.hosts_of() == {"a": "cmp2"}


async def test_a_guest_that_fails_for_good_is_named_and_its_neighbours_leave(cloud: FakeCloud, runner: Runner) -> None:
    bad = cloud.boot("bad")
    cloud.boot("good")
    cloud.outcome = lambda number: "error" if cloud.migrations[number - 1]["instance_uuid"] == bad else "completed"
    with pytest.raises(ApplicationError, match=r"guest bad \(id-bad\): 3 live migrations failed") as raised:
        await runner.drain()
    assert raised.value.type == "StepFailed"
    assert raised.value.non_retryable
    assert cloud.asked.count(bad) == 3
    assert cloud.hosts_of() == {"bad": "cmp1", "good": "cmp2"}


async def test_a_guest_that_nova_refuses_to_move_is_named_with_nova_s_words(cloud: FakeCloud, runner: Runner) -> None:
    cloud.boot("a")
    cloud.refuse = lambda guest: 400
    with pytest.raises(ApplicationError, match="400: will not move id-a"):
        await runner.drain()
    assert len(cloud.asked) == 3


async def test_a_conflict_is_read_again_not_failed(cloud: FakeCloud, runner: Runner) -> None:
    cloud.boot("a")
    answers = iter([409, 409])
    cloud.refuse = lambda guest: next(answers, None)
    await runner.drain()
    assert cloud.hosts_of() == {"a": "cmp2"}


async def test_a_stopped_guest_is_refused_by_name_with_what_to_do(cloud: FakeCloud, runner: Runner) -> None:
    cloud.boot("a", status="SHUTOFF")
    with pytest.raises(ApplicationError, match=r"guest a \(id-a\): it is SHUTOFF.*openstack server start id-a"):
        await runner.drain()
    assert cloud.asked == []


async def test_a_host_that_takes_guests_is_not_drained(cloud: FakeCloud, runner: Runner) -> None:
    cloud.boot("a")
    with pytest.raises(ApplicationError, match="it is enabled"):
        await runner.run(Action.DRAIN_COMPUTE, parallel=1)
    assert cloud.asked == []


async def test_an_orphan_allocation_is_named_when_time_is_over(cloud: FakeCloud, runner: Runner) -> None:
    cloud.allocations["provider-cmp1"]["nobody"] = {"VCPU": 1}
    with pytest.raises(ApplicationError, match=r"(?s)allocation of nobody.*placement audit"):
        await runner.drain(timeout=0.1)


async def test_a_host_whose_service_is_down_is_not_drained(cloud: FakeCloud, runner: Runner) -> None:
    cloud.boot("a")
    cloud.services["cmp1"]["state"] = "down"
    with pytest.raises(ApplicationError, match="has not reported to nova"):
        await runner.drain(timeout=0.1)
    assert cloud.asked == []


async def test_nova_away_is_temporal_s_to_try_again(cloud: FakeCloud, runner: Runner) -> None:
    await runner.run(Action.DISABLE_COMPUTE)
    cloud.failing["compute"] = 503
    with pytest.raises(ApplicationError) as raised:
        await runner.run(Action.DRAIN_COMPUTE, parallel=1)
    assert (raised.value.type, raised.value.non_retryable) == ("Unreachable", False)


async def test_a_host_is_alive_when_it_runs_the_version_and_has_reported(cloud: FakeCloud, runner: Runner) -> None:
    cloud.reports = True
    runner.hosts.files["/var/lib/nova/compute_id"] = "provider-cmp1"
    result = await runner.run(Action.VERIFY_COMPUTE, version="33.0.1")
    assert result.summary == "cmp1 runs 33.0.1 and reports to nova"
    assert result.details["hypervisor"] == "provider-cmp1"


@pytest.mark.parametrize(
    ("running", "told"),
    [("33.0.1", r"it runs from 33.0.1, .* and should run from 34.0.0"), (None, r"it is failed, with no process")],
)
async def test_a_host_that_runs_something_else_is_not_alive(runner: Runner, running: str | None, told: str) -> None:
    runner.hosts.running["cmp1"]["nova-compute"] = running
    with pytest.raises(ApplicationError, match=told):
        await runner.run(Action.VERIFY_COMPUTE, version="34.0.0", seconds=1)


async def test_a_host_that_does_not_report_is_not_alive(runner: Runner) -> None:
    with pytest.raises(ApplicationError, match="has not reported to nova within"):
        await runner.run(Action.VERIFY_COMPUTE, version="33.0.1", seconds=1)


async def test_a_host_that_is_another_one_for_nova_is_not_accepted(cloud: FakeCloud, runner: Runner) -> None:
    cloud.reports = True
    runner.hosts.files["/var/lib/nova/compute_id"] = "somebody-else"
    with pytest.raises(ApplicationError, match="its identity has changed"):
        await runner.run(Action.VERIFY_COMPUTE, version="33.0.1")
