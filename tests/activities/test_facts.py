"""What is read before planning: everything at once, and what cannot be read as findings."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from activities.errors import Refused, Unreachable
from activities.facts import host_command, parse_host, read_facts
from activities.ssh import Hosts
from model.spec import UpgradeRequest, UpgradeSpec
from model.work import Facts
from tests.activities.fake_hosts import FakeHosts
from tests.activities.fake_openstack import FakeCloud, serve

NOW = 1700000000.0


class World:
    def __init__(self, request: UpgradeRequest, cloud: FakeCloud) -> None:
        self.request = request
        self.cloud = cloud
        self.hosts = FakeHosts(request.inventory)

    async def read(self) -> Facts:
        return await read_facts(cast("Hosts", self.hosts), self.request)

    async def told(self) -> dict[str, str]:
        return {finding.subject: finding.problem for finding in (await self.read()).findings}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr("activities.facts.time.time", lambda: NOW)
    cloud = FakeCloud()
    with serve(cloud, tmp_path) as inventory:
        yield World(UpgradeRequest(spec=UpgradeSpec(to="2026.2"), inventory=inventory), cloud)


async def test_a_good_cloud_is_read_without_findings(world: World) -> None:
    world.cloud.boot("a")
    facts = await world.read()
    assert facts.findings == ()
    assert facts.hosts["cmp1"].running == {"nova-compute": "33.0.1"}
    assert facts.hosts["cmp1"].boot_id == "boot-cmp1"
    assert {row.host for row in facts.services} == {"cmp1", "cmp2"}
    assert facts.capacity["cmp1"].used == {"VCPU": 1.0}
    assert Facts.model_validate_json(facts.model_dump_json()) == facts


async def test_of_the_guests_only_those_are_kept_that_preflight_may_speak_of(world: World) -> None:
    world.cloud.boot("plain")
    world.cloud.boot("off", status="SHUTOFF")
    facts = await world.read()
    assert [guest.name for guest in facts.guests] == ["off"]


async def test_every_host_that_cannot_be_read_is_told_and_the_others_are_read(world: World) -> None:
    world.hosts.unreachable["cmp1"] = Refused("the host key has changed", host="cmp1", remedy="look")
    world.hosts.unreachable["cmp2"] = Unreachable("no connection", host="cmp2", remedy="look")
    facts = await world.read()
    assert {f.subject: f.problem for f in facts.findings} == {
        "cmp1": "the host key has changed",
        "cmp2": "no connection",
    }
    assert {finding.severity for finding in facts.findings} == {"error"}
    assert list(facts.hosts) == ["ctl1"]


async def test_what_is_the_same_everywhere_is_told_once(world: World) -> None:
    for host in world.request.inventory.hosts:
        world.hosts.unreachable[host] = Refused("the SSH key does not exist", host=host, remedy="put it there")
    assert await world.told() == {"ctl1, cmp1, cmp2": "the SSH key does not exist"}


async def test_no_token_is_one_finding(world: World) -> None:
    world.cloud.keystone_down = True
    told = await world.told()
    assert list(told) == ["keystone"]
    assert "credentials" in told["keystone"]


async def test_an_api_that_is_away_is_one_finding(world: World) -> None:
    world.cloud.failing["compute"] = 503
    assert list(await world.told()) == ["nova"]


async def test_orphan_allocations_and_unfinished_migrations_are_told(world: World) -> None:
    world.cloud.allocations["provider-cmp2"]["nobody"] = {"VCPU": 1}
    world.cloud.looks = 99
    world.cloud.begin_migration(world.cloud.boot("a"))
    told = await world.told()
    assert "nobody" in told["cmp2"]
    assert "running" in told["guest id-a"]


async def test_missing_files_and_programs_are_told(world: World) -> None:
    world.hosts.extra = "R /srv/openstack/2026.2/nova/requirements.txt\nM mariadb mysql\n"
    assert [(finding.subject, finding.problem) for finding in (await world.read()).findings] == [
        ("ctl1, cmp1, cmp2", "/srv/openstack/2026.2/nova/requirements.txt is missing"),
        ("ctl1, cmp1, cmp2", "the program mariadb or mysql is missing"),
    ]


async def test_a_wrong_clock_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.facts.time.time", lambda: NOW + 60)
    ((where, problem),) = (await world.told()).items()
    assert set(where.split(", ")) == {"ctl1", "cmp1", "cmp2"}
    assert "-60 s" in problem


def test_each_host_is_asked_for_what_it_needs(world: World) -> None:
    control, compute = host_command(world.request, "ctl1"), host_command(world.request, "cmp1")
    assert "/srv/openstack/2026.2/keystone/requirements.txt" in control
    assert "missing socat" in control
    assert "/srv/openstack/2026.2/nova/requirements.txt" in compute
    assert "keystone" not in compute
    assert "socat" not in compute


def test_an_answer_that_makes_no_sense_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="makes no sense: 'Welcome"):
        parse_host("Welcome to cmp1!", world.request.inventory, NOW, NOW)
