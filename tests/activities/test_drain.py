"""Drains by policy, with the real activities against a nova over HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.ssh import Completed
from model.classify import MOVED_BY, STOPPED_BY
from model.fleet import GuestClass
from model.inventory import Inventory
from model.plan import Action
from model.rolling import DrainPolicy, Limits
from model.work import StepResult
from tests.activities.fake_openstack import FakeCloud, serve
from tests.activities.test_compute import Runner

# Of a busy machine: nothing here waits for it.
PATIENCE = 100.0
ALL = DrainPolicy(allow=tuple(GuestClass))
COLD = DrainPolicy(then_cold=True, attempts=1)


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud(hosts=("cmp1", "cmp2", "cmp3", "cmp4"))


@pytest.fixture
def inventory(cloud: FakeCloud, tmp_path: Path) -> Iterator[Inventory]:
    with serve(cloud, tmp_path) as found:
        yield found


class Drainer(Runner):
    """Drains cmp1 by a policy."""

    async def go(self, policy: DrainPolicy = ALL, **params: Any) -> StepResult:
        return await self.drain(policy=policy, seconds=PATIENCE, **params)

    @property
    def mine(self) -> dict[str, Any]:
        """The mark of what this run has stopped."""
        return {"metadata": {STOPPED_BY: self.upgrade}}


@pytest.fixture
def runner(inventory: Inventory) -> Drainer:
    return Drainer(inventory)


def actions(cloud: FakeCloud) -> list[str]:
    return [action for action, _, _ in cloud.orders]


async def test_guests_go_where_the_plan_says(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("a")
    cloud.boot("b")
    result = await runner.go(targets={"id-a": "cmp3", "id-b": "cmp2"})
    assert cloud.hosts_of() == {"a": "cmp3", "b": "cmp2"}
    (a, b) = sorted(result.details["guests"], key=lambda row: str(row["name"]))
    assert (a["class"], a["code"], a["how"], a["from"], a["to"], a["failed"]) == (
        "live", "active", "live", "cmp1", "cmp3", {},
    )  # fmt: skip
    assert b["to"] == "cmp2"
    assert "differs" not in result.details


async def test_a_target_that_fails_is_followed_by_a_spare_and_then_by_the_scheduler(
    cloud: FakeCloud, runner: Drainer
) -> None:
    cloud.boot("a")
    cloud.outcome = lambda number: "error" if number < 3 else "completed"
    result = await runner.go(targets={"id-a": "cmp2"}, spares=("cmp3",))
    assert [host for _, _, host in cloud.orders] == ["cmp2", "cmp3", None]
    assert result.details["guests"][0]["failed"] == {"live": 2}


async def test_what_came_since_the_plan_was_made_is_moved_and_told(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("new")
    result = await runner.go(targets={"id-gone": "cmp2"})
    assert result.details["differs"] == [
        "guest new (id-new) is not in the plan",
        "guest id-gone of the plan is not here any more",
    ]
    assert "differs from the plan: guest new" in result.summary


async def test_what_is_stopped_where_it_is_has_no_target_and_is_nothing_new(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("mover")
    cloud.boot("still", tags=["stackroll:drain=stop"])
    result = await runner.go(targets={"id-mover": "cmp2"})
    assert [row["how"] for row in result.details["guests"]] == ["live", "stop"]
    assert "differs" not in result.details


async def test_a_guest_that_is_off_is_moved_cold_and_stays_off(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("off", status="SHUTOFF")
    result = await runner.go(targets={"id-off": "cmp3"})
    assert cloud.orders == [("migrate", "id-off", "cmp3"), ("confirmResize", "id-off", None)]
    server = cloud.servers["id-off"]
    assert (server["status"], server["OS-EXT-SRV-ATTR:host"], server["metadata"]) == ("SHUTOFF", "cmp3", {})
    assert [(row["how"], row["code"]) for row in result.details["guests"]] == [("cold", "shutoff-cold")]


async def test_cold_follows_live_where_the_policy_says_so(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("a")
    cloud.outcome = lambda number: "error" if number == 1 else "completed"
    result = await runner.go(COLD)
    assert actions(cloud) == ["os-migrateLive", "migrate", "confirmResize"]
    assert result.details["guests"][0]["how"] == "cold"
    assert cloud.servers["id-a"]["status"] == "ACTIVE"


async def test_a_dead_worker_s_cold_move_is_confirmed_and_one_of_others_is_not(
    cloud: FakeCloud, runner: Drainer
) -> None:
    for name, run in (("mine", runner.upgrade), ("theirs", "somebody")):
        guest = cloud.boot(name, metadata={MOVED_BY: run})
        cloud.begin_migration(guest, kind="migration", created="2001-01-01T00:00:00.000000")
    with pytest.raises(ApplicationError, match=r"guest theirs .*waits for a confirmation.*resize confirm id-theirs"):
        await runner.go()
    assert cloud.orders == [("confirmResize", "id-mine", None)]


async def test_stop_class_guests_are_stopped_last_one_by_one_and_started_again(
    cloud: FakeCloud, runner: Drainer
) -> None:
    cloud.boot("mover")
    for name in "ab":
        cloud.boot(name, tags=["stackroll:drain=stop"])
    cloud.boot("asleep", status="SUSPENDED", tags=["stackroll:drain=stop"])
    result = await runner.go(DrainPolicy())
    assert cloud.orders == [("os-migrateLive", "id-mover", None), ("os-stop", "id-a", None), ("os-stop", "id-b", None)]
    assert cloud.servers["id-a"]["metadata"] == {STOPPED_BY: runner.upgrade}
    assert "3 guests stayed, switched off" in result.summary
    assert [row["name"] for row in result.details["guests"] if row["how"] == "stop"] == ["a", "asleep", "b"]
    again = await runner.run(Action.DRAIN_COMPUTE, policy=DrainPolicy())
    assert "1 guest moved, 3 guests stayed" in again.summary

    cloud.orders.clear()
    started = await runner.run(Action.START_GUESTS)
    assert cloud.orders == [("os-start", "id-a", None), ("os-start", "id-b", None)]
    assert started.summary == "2 of 2 guests on cmp1 run again"
    assert [cloud.servers[f"id-{name}"]["metadata"] for name in "ab"] == [{}, {}]
    assert "no guest of cmp1" in (await runner.run(Action.START_GUESTS)).summary


async def test_a_guest_that_does_not_start_does_not_hold_up_the_others(cloud: FakeCloud, runner: Drainer) -> None:
    for name in "ab":
        cloud.boot(name, status="SHUTOFF", **runner.mine)
    cloud.dead.add("id-a")
    result = await runner.run(Action.START_GUESTS, each=3.0)
    assert cloud.servers["id-b"]["status"] == "ACTIVE"
    assert list(result.details["failed"]) == ["id-a"]
    assert "somebody must see to: guest a (id-a): it is SHUTOFF" in result.summary


async def test_a_host_on_which_no_guest_starts_is_not_well(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("a", status="SHUTOFF", **runner.mine)
    cloud.boot("theirs", status="SHUTOFF", metadata={STOPPED_BY: "another"})
    cloud.dead.add("id-a")
    with pytest.raises(ApplicationError, match="none of the guests that this run has stopped"):
        await runner.run(Action.START_GUESTS, each=3.0)
    assert all(guest == "id-a" for _, guest, _ in cloud.orders)


async def test_a_guest_to_be_left_alone_keeps_its_host(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("alone")
    cloud.boot("other")
    with pytest.raises(ApplicationError, match="an operator says leave"):
        await runner.go(leave=("id-alone",))
    assert cloud.orders == []


async def test_a_copy_that_does_not_converge_is_aborted_and_the_next_rung_taken(
    cloud: FakeCloud, runner: Drainer
) -> None:
    cloud.boot("busy")
    cloud.hold = lambda record: record["migration_type"] == "live-migration"
    cloud.copies[1] = [9 << 30]
    policy = DrainPolicy(attempts=1, then_cold=True, stuck_after=0.05)
    result = await runner.go(policy)
    assert actions(cloud) == ["os-migrateLive", "abort", "migrate", "confirmResize"]
    assert result.details["guests"][0]["failed"] == {"live": 1}


async def test_a_copy_that_does_not_converge_is_completed_by_force(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("busy")
    cloud.hold = lambda record: True
    cloud.copies[1] = [9 << 30]
    await runner.go(DrainPolicy(when_stuck="force-complete", stuck_after=0.05))
    assert actions(cloud) == ["os-migrateLive", "force-complete"]


async def test_the_next_attempt_waits_until_the_failed_one_is_cleaned_up(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("a")
    cloud.unclean = True
    cloud.outcome = lambda number: "error" if number == 1 else "completed"
    with pytest.raises(ApplicationError, match="waits until a failed attempt is cleaned up"):
        await runner.go(timeout=4.0)
    assert actions(cloud) == ["os-migrateLive"]
    cloud.clean()
    await runner.run(Action.DRAIN_COMPUTE, policy=ALL)
    assert actions(cloud) == ["os-migrateLive", "os-migrateLive"]


async def test_what_runs_on_the_hypervisor_is_not_gone(
    cloud: FakeCloud, runner: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def run(_inventory: Inventory, host: str, command: str, **_: Any) -> Completed:
        asked.append(command)
        return Completed(0, "5e7c0d1e instance-00000001\n" if len(asked) < 3 else "\n", "")

    monkeypatch.setattr(runner.hosts, "run", run)
    await runner.go()
    assert len(asked) == 3
    assert "virsh" in asked[0]


async def test_a_hypervisor_that_does_not_answer_is_told(
    cloud: FakeCloud, runner: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(*_: Any, **__: Any) -> Completed:
        return Completed(1, "", "failed to connect to the hypervisor")

    monkeypatch.setattr(runner.hosts, "run", run)
    result = await runner.go()
    assert "failed to connect" in result.details["warnings"][0]


async def test_no_more_than_the_limits_move_whoever_began(cloud: FakeCloud, runner: Drainer) -> None:
    for name in "abc":
        cloud.boot(name)
    cloud.boot("x", "cmp2")
    cloud.begin_migration("id-x", target="cmp3")
    await runner.go(limits=Limits(per_source=3, total=2))
    assert cloud.most_at_once == 2
    assert set(cloud.hosts_of().values()) == {"cmp2", "cmp3"}


async def test_members_of_a_spread_group_move_one_after_the_other(cloud: FakeCloud, runner: Drainer) -> None:
    members = [cloud.boot("a"), cloud.boot("b")]
    cloud.groups = [{"id": "g1", "name": "db", "policy": "anti-affinity", "rules": {}, "members": members}]
    result = await runner.go(limits=Limits(per_source=5), targets={"id-a": "cmp2", "id-b": "cmp2"})
    assert cloud.most_at_once == 1
    assert result.details["warnings"] == ["group db has 2 members on cmp2, of at most 1"]


async def test_a_paused_or_locked_guest_goes_live(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("a", status="PAUSED")
    cloud.boot("b", locked=True)
    result = await runner.go()
    assert actions(cloud) == ["os-migrateLive"] * 2
    assert cloud.servers["id-a"]["status"] == "PAUSED"
    assert result.details["warnings"] == ["guest b (id-b): it is locked; administrators may act on it all the same"]


async def test_failures_of_long_ago_count_against_nobody(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("a")
    for _ in range(3):
        cloud.begin_migration("id-a", created="2001-01-01T00:00:00.000000")["status"] = "error"
    cloud.servers["id-a"] |= {"status": "ACTIVE", "OS-EXT-STS:task_state": None}
    await runner.go(DrainPolicy(attempts=1))
    assert cloud.hosts_of() == {"a": "cmp2"}


async def test_a_guest_without_a_valid_target_is_given_one_that_has_room(cloud: FakeCloud, runner: Drainer) -> None:
    for name in "uvwxyz":  # cmp2 is full
        cloud.boot(name, "cmp2")
    cloud.boot("planned")
    cloud.boot("new")
    result = await runner.go(targets={"id-planned": "cmp3"}, spares=("cmp2", "cmp3"), avoid=())
    assert sorted(cloud.orders) == [("os-migrateLive", "id-new", "cmp3"), ("os-migrateLive", "id-planned", "cmp3")]
    assert result.details["warnings"] == ["guest id-new: it has no planned target"]


async def test_a_target_that_failed_is_followed_by_one_that_has_room(cloud: FakeCloud, runner: Drainer) -> None:
    for name in "uvwxyz":  # cmp2 is full
        cloud.boot(name, "cmp2")
    cloud.boot("a")
    cloud.outcome = lambda number: "error" if number == 1 else "completed"
    await runner.go(targets={"id-a": "cmp3"}, spares=("cmp2", "cmp3", "cmp4"))
    assert [host for _, _, host in cloud.orders] == ["cmp3", "cmp4"]


async def test_two_of_a_group_that_two_workers_sent_to_one_host_are_parted(cloud: FakeCloud, runner: Drainer) -> None:
    members = [cloud.boot("theirs", "cmp2"), cloud.boot("mine")]
    cloud.groups = [{"id": "g1", "name": "db", "policy": "anti-affinity", "rules": {}, "members": members}]
    cloud.looks = 6
    theirs = cloud.begin_migration("id-theirs", target="cmp3")
    cloud.begin_migration("id-mine", target="cmp3")
    result = await runner.go(limits=Limits(), targets={"id-mine": "cmp3"}, spares=("cmp2",))
    assert theirs["status"] == "completed"
    assert ("abort", "id-mine", None) in cloud.orders
    assert cloud.hosts_of() == {"theirs": "cmp3", "mine": "cmp2"}
    assert "were to go to cmp3 at once" in result.details["warnings"][0]


async def test_drains_of_one_worker_share_the_limits(cloud: FakeCloud, runner: Drainer) -> None:
    hosts = ("cmp1", "cmp2")
    for host in hosts:
        await runner.run(Action.DISABLE_COMPUTE, host=host)
        for number in range(3):
            cloud.boot(f"{host}-{number}", host)
    targets = {guest: f"cmp{3 + number % 2}" for number, guest in enumerate(cloud.servers)}
    limits = Limits(per_source=3, total=2)
    await asyncio.gather(
        *(
            runner.run(Action.DRAIN_COMPUTE, seconds=PATIENCE, host=host, policy=ALL, limits=limits, targets=targets)
            for host in hosts
        )
    )
    assert cloud.most_at_once == 2
    assert {guest: cloud.servers[guest]["OS-EXT-SRV-ATTR:host"] for guest in targets} == targets


async def test_an_operator_s_wish_that_cannot_be_is_told(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("a", status="PAUSED")
    result = await runner.go(stop=("id-a",))
    assert result.details["warnings"] == [
        "guest a (id-a): an operator says stop, which is not done: it is PAUSED, and stays so"
    ]
