"""Somebody restarts nova-compute while a guest is on its way: the guest is in one place, and leaves all the same."""

from pathlib import Path

import pytest
from temporalio.client import Client

from tests.simulator.stories.conftest import STORY, story, until

pytestmark = STORY


@pytest.mark.parametrize("side", ["source", "target"])
async def test_the_guest_runs_in_one_place_and_leaves_at_the_next_attempt(
    temporal: Client, tmp_path: Path, side: str
) -> None:
    restart = {"on": "guest1", "at": "migration", "how": "compute-restarted", "side": side}
    async with story(temporal, tmp_path, restart) as told:
        await told.ends_well()
        first, *_, last = told.moves("guest1")
        assert (first.status, last.status, last.target) == ("error", "completed", told.guest("guest1").host)
        assert told.names_on("cmp1") == []


async def test_a_host_is_not_rebooted_while_a_migration_of_somebody_else_goes_on(
    temporal: Client, tmp_path: Path
) -> None:
    async with story(temporal, tmp_path, approvals={"plan": "manual"}) as told:
        await told.waits_for_approval()
        # An administrator moves a guest to the host that is about to be emptied, and it takes its time.
        told.arm({"on": "guest2", "at": "migration", "how": "never-converges"})
        move = told.cloud.migrate(told.guest("guest2"), "cmp1")
        await told.approve()
        await until(lambda: move.status == "running" and told.names_on("cmp1") == [])
        assert (move.status, told.reboots("cmp1")) == ("running", 0)
        told.cloud.faults.mend()
        await told.ends_well()
        assert [one.status for one in told.moves("guest2")] == ["completed", "completed"]
