"""A guest writes its memory faster than it is copied: what the policy says is done, and nothing else."""

from pathlib import Path

from temporalio.client import Client

from tests.simulator.stories.conftest import STORY, story

pytestmark = STORY
SIZE = {"guests": 3}
ENDLESS = {"on": "cmp1", "at": "migration", "how": "never-converges"}
STUCK_AFTER = 2.0


async def test_it_is_aborted_and_tried_again_elsewhere(temporal: Client, tmp_path: Path) -> None:
    drain = {"when_stuck": "abort", "stuck_after": STUCK_AFTER}
    async with story(temporal, tmp_path, ENDLESS, size=SIZE, drain=drain) as told:
        await told.ends_well()
        first, *_, last = told.moves("guest1")
        assert (first.status, last.status) == ("cancelled", "completed")
        assert first.target != last.target == told.guest("guest1").host
        assert {move.kind for move in told.moves("guest1")} == {"live-migration"}


async def test_it_is_completed_by_force(temporal: Client, tmp_path: Path) -> None:
    drain = {"when_stuck": "force-complete", "stuck_after": STUCK_AFTER}
    async with story(temporal, tmp_path, ENDLESS, size=SIZE, drain=drain) as told:
        await told.ends_well()
        assert [move.status for move in told.moves("guest1")] == ["completed"]
        assert [pause.why for pause in told.machine("guest1").pauses] == ["forced live migration"]


async def test_it_is_moved_cold_and_runs_again(temporal: Client, tmp_path: Path) -> None:
    drain = {"attempts": 1, "then_cold": True, "stuck_after": STUCK_AFTER}
    async with story(temporal, tmp_path, {**ENDLESS, "times": None}, size=SIZE, drain=drain) as told:
        await told.ends_well(restarted=["guest1"])
        moves = [(move.kind, move.status) for move in told.moves("guest1")]
        assert moves == [("live-migration", "cancelled"), ("migration", "confirmed")]


async def test_without_a_further_rung_a_person_decides_and_the_guest_runs_on(temporal: Client, tmp_path: Path) -> None:
    drain = {"attempts": 1, "stuck_after": STUCK_AFTER}
    async with story(temporal, tmp_path, {**ENDLESS, "times": None}, size=SIZE, drain=drain) as told:
        failed = await told.pauses_at("cmp1/drain")
        guest = told.guest("guest1")
        assert failed.error.startswith("cmp1: 1 guest cannot be moved")
        assert f"guest guest1 ({guest.id}): 1 live migration failed (migration 1)" in failed.error
        assert f"openstack server event list {guest.id}" in failed.error
        assert (guest.host, guest.status, told.machine("guest1").restarts) == ("cmp1", "ACTIVE", 0)
        assert (told.reboots("cmp1"), told.in_service("cmp1")) == (0, True)
        told.cloud.faults.mend()
        await told.retry("cmp1/drain")
        await told.ends_well()
