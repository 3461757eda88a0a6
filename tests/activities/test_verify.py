"""The whole cloud before and after, with the real activities; the hosts' answers and the APIs are arranged."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.context import Toolbox
from activities.ssh import Hosts
from activities.verify import VerifyActivities
from model.actions import BaselineParams, VerifyCloudParams, as_params
from model.base import Record
from model.baseline import Baseline
from model.digest import Digest
from model.inventory import Inventory
from model.plan import Action
from model.releases import find_release
from model.work import StepResult, Work
from tests.activities.fake_hosts import FakeHosts
from tests.activities.fake_openstack import FakeCloud, place_of, serve


class World:
    """A cloud, its hosts, and the activities that look at both."""

    def __init__(self, inventory: Inventory, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.inventory = inventory
        self.hosts = FakeHosts(inventory, tables={"alembic_version": ["nova\thead1", "keystone\tk1", "keystone\tk2"]})
        self.activities = VerifyActivities(Toolbox(hosts=cast("Hosts", self.hosts)), settle=0.0, every=0.01)

    async def run(self, action: Action, release: str = "2026.1", **more: Any) -> StepResult:
        found = find_release(release)
        params: Record
        if action is Action.CAPTURE_BASELINE:
            params = BaselineParams(**more)
        else:
            params = VerifyCloudParams(versions=found.versions, service_version=found.nova_service_version, **more)
        work = Work(
            upgrade="up",
            step=action,
            action=action,
            target="cloud",
            params=as_params(params),
            inventory=self.inventory,
        )
        result: StepResult = await ActivityEnvironment().run(getattr(self.activities, action.value), work)
        return result

    async def problems(self, action: Action, release: str = "2026.1", **more: Any) -> str:
        with pytest.raises(ApplicationError) as raised:
            await self.run(action, release, **more)
        assert raised.value.type == "StepFailed"
        return raised.value.message


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("activities.verify.api_url", place_of)
    monkeypatch.setattr("activities.digest.api_url", place_of)
    monkeypatch.setattr("activities.occupancy.SECOND_LOOK", 0.0)
    cloud = FakeCloud()
    with serve(cloud, tmp_path) as inventory:
        yield World(inventory, cloud)


async def test_a_good_cloud_is_ready(world: World) -> None:
    result = await world.run(Action.CHECK_CLOUD)
    assert result.summary.startswith("all 8 units run keystone 29.0.1, placement 15.0.0, glance 32.0.0, nova 33.0.1")


async def test_everything_that_is_wrong_is_told_at_once(world: World) -> None:
    world.hosts.running["cmp1"]["nova-compute"] = None
    world.hosts.running["ctl1"]["glance"] = "33.0.0"
    world.hosts.balancer = "DOWN"
    world.hosts.tables["nova.services"] = ["nova-compute\tcmp2\t74"]
    world.cloud.services["cmp2"]["state"] = "down"
    world.cloud.failing["image"] = 500
    world.cloud.looks = 99
    world.cloud.begin_migration(world.cloud.boot("a"))
    told = await world.problems(Action.CHECK_CLOUD)
    for problem in (
        "7 problems",
        "nova-compute on cmp1 is not running",
        "glance on ctl1 runs from 33.0.0, not from 32.0.0",
        "the balancer counts keystone/ctl1 as DOWN",
        "nova's record of nova-compute on cmp2 has version 74, not 72",
        "nova counts nova-compute on cmp2 as down",
        "glance answers 500 through the balancer",
        "unfinished: live-migration 1 of guest id-a",
    ):
        assert problem in told


async def test_the_baseline_is_kept_where_every_worker_finds_it(world: World) -> None:
    world.cloud.boot("a")
    result = await world.run(Action.CAPTURE_BASELINE)
    assert result.details["guests"] == [{"id": "id-a", "name": "a", "host": "cmp1", "status": "ACTIVE"}]
    assert result.details["apis"]["nova-api"] == {"v2.1": "2.1 to 2.100"}
    assert result.details["schemas"] == {"nova": ["head1"], "keystone": ["k1", "k2"]}
    assert result.details["counts"]["guests"] == 1
    digest = Digest.from_json(world.hosts.files["/var/lib/stackroll/baselines/up.digest.json"])
    assert digest.hashes == result.details["digest"]
    assert len(world.hosts.files) == 2
    assert result.details["path"] in world.hosts.files


async def test_the_baseline_knows_what_the_old_code_can_read(world: World) -> None:
    world.hosts.objects = {"versions": {"ImageMetaProps": "1.42"}, "reachable": ["ImageMetaProps"]}
    await world.run(Action.CAPTURE_BASELINE, versions={"nova": "33.0.1", "glance": "32.0.0"})
    kept = Baseline.model_validate_json(world.hosts.files["/var/lib/stackroll/baselines/up.json"])
    assert kept.objects == {"nova": {"ImageMetaProps": "1.42"}}


async def test_an_upgraded_cloud_is_proven(world: World) -> None:
    world.cloud.boot("a")
    await world.run(Action.CAPTURE_BASELINE)
    world.hosts.run_release("2026.2")
    world.cloud.servers["id-a"]["OS-EXT-SRV-ATTR:host"] = "cmp2"
    result = await world.run(Action.VERIFY_CLOUD, "2026.2", schema_checks=True)
    assert result.summary.endswith("all 1 guests of the baseline accounted for")
    assert result.details["running"]["cmp1"] == {"nova-compute": "34.0.0"}


async def test_one_old_process_is_no_upgraded_cloud(world: World) -> None:
    world.hosts.run_release("2026.2")
    world.hosts.running["cmp2"]["nova-compute"] = "33.0.1"
    told = await world.problems(Action.VERIFY_CLOUD, "2026.2")
    assert "nova-compute on cmp2 runs from 33.0.1, not from 34.0.0" in told


async def test_a_guest_that_nobody_deleted_is_missed(world: World) -> None:
    for name in ("lost", "deleted", "broken"):
        world.cloud.boot(name)
    await world.run(Action.CAPTURE_BASELINE)
    del world.cloud.servers["id-lost"], world.cloud.servers["id-deleted"]
    world.cloud.servers["id-broken"]["status"] = "ERROR"
    world.hosts.tables["nova.instances"] = ["id-deleted"]
    told = await world.problems(Action.VERIFY_CLOUD)
    assert "2 problems" in told
    assert "guest lost (id-lost) is gone, and nobody deleted it" in told
    assert "guest broken (id-broken) on cmp1 is in ERROR now" in told


async def test_a_host_left_disabled_is_told(world: World) -> None:
    world.cloud.services["cmp2"]["status"] = "disabled"
    await world.run(Action.CAPTURE_BASELINE)
    world.cloud.services["cmp1"] |= {"status": "disabled", "disabled_reason": "stackroll up"}
    told = await world.problems(Action.VERIFY_CLOUD)
    assert "1 problems" in told
    assert "nova-compute on cmp1 is disabled now (stackroll up)" in told


async def test_a_schema_behind_the_code_is_told(world: World) -> None:
    world.hosts.heads = "head2"
    told = await world.problems(Action.VERIFY_CLOUD, schema_checks=True)
    assert "schema nova is at head1, the code expects head2" in told
