"""Placement goes on to hold room of a host for who is not there: it is not called empty, and who it is, is said."""

from pathlib import Path

import pytest
from temporalio.client import Client

from simulator.cloud import SimCloud
from simulator.guests import Guest, Migration
from tests.simulator.stories.conftest import STORY, story, until

pytestmark = STORY


async def test_what_a_finished_migration_left_is_named_with_the_remedy(temporal: Client, tmp_path: Path) -> None:
    orphan = {"on": "guest1", "at": "migration", "how": "orphan"}
    async with story(temporal, tmp_path, orphan, drain_timeout=12.0) as told:
        failed = await told.pauses_at("cmp1/drain")
        (move,) = told.moves("guest1")
        assert (move.status, told.names_on("cmp1")) == ("completed", [])
        assert f"placement still has an allocation of {move.uuid}" in failed.error
        assert "nova-manage placement audit" in failed.error
        assert (told.reboots("cmp1"), told.in_service("cmp1")) == (0, True)
        del told.cloud.nova.allocations[told.cloud.nova.providers["cmp1"]][move.uuid]
        await told.retry("cmp1/drain")
        await told.ends_well()


async def test_what_a_failed_migration_left_keeps_its_guest_from_a_further_attempt(
    temporal: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.ladder.CLEANUP", 1.0)
    fails = {"on": "guest1", "at": "migration", "how": "error"}
    async with story(temporal, tmp_path, fails, prepare=forgetful) as told:
        failed = await told.pauses_at("cmp1/drain")
        (move,) = told.moves("guest1")
        guest = told.guest("guest1")
        assert f"guest guest1 ({guest.id}): a failed attempt left behind" in failed.error
        assert f"placement holds room for migration {move.id}" in failed.error
        assert "nova-manage placement heal_allocations" in failed.error
        assert (move.status, guest.status, told.names_on("cmp1")) == ("error", "ACTIVE", ["guest1"])
        assert (told.reboots("cmp1"), told.in_service("cmp1")) == (0, True)
        del told.cloud.nova.allocations[told.cloud.nova.providers["cmp1"]][move.uuid]
        await told.retry("cmp1/drain")
        await told.ends_well()


def forgetful(cloud: SimCloud) -> None:
    """Let nova forget to give back what failed migrations hold of the source."""
    give_back = cloud.ground.give_back

    def forget(guest: Guest, move: Migration) -> None:
        give_back(guest, move)
        cloud.nova.allocations[cloud.nova.providers[move.source]][move.uuid] = guest.resources

    cloud.ground.give_back = forget  # type: ignore[method-assign]


async def test_what_the_migration_of_a_guest_held_that_its_user_deleted_on_its_way_is_taken_back(
    temporal: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.drain_watch.FORSAKEN", 0.5)
    endless = {"on": "guest1", "at": "migration", "how": "never-converges"}
    async with story(temporal, tmp_path, endless) as told:
        await until(lambda: [move.status for move in told.moves("guest1")] == ["running"])
        (move,) = told.moves("guest1")
        # Of a migration that it knows to be running, a drain asks how far the copy is.
        await until(lambda: told.guest("guest1").id in told.copies)
        told.cloud.delete_guest(told.guest("guest1"))
        await told.is_completed()
        assert (move.status, told.names_on("cmp1"), told.reboots("cmp1")) == ("error", [], 1)
        assert told.cloud.nova.allocations[told.cloud.nova.providers["cmp1"]] == {}
        report = await told.run.handle.query("report")
        assert f"its migration {move.uuid} held here was taken back" in str(report["steps"])
