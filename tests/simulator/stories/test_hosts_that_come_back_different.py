"""A host comes back as another one for nova, or not at all: nothing is made worse, and it is said what to do."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from simulator.cloud import COMPUTE_ID
from tests.simulator.stories.conftest import STORY, story

pytestmark = STORY
OTHER = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("comes_back", "said"),
    [
        ({"hostname": "localhost"}, "localhost"),
        ({"compute_id": OTHER}, OTHER),
        ({"compute_id": ""}, "No local node identity found"),
    ],
)
async def test_nova_compute_does_not_run_on_it_until_it_is_itself_again(
    temporal: Client, tmp_path: Path, comes_back: dict[str, Any], said: str
) -> None:
    returns = {"on": "cmp1", "at": "reboot", "how": "returns-as", **comes_back}
    async with story(temporal, tmp_path, returns) as told:
        cmp1, starts = told.cloud.hosts["cmp1"], told.cloud.hosts["cmp1"].units["nova-compute"].starts
        failed = await told.pauses_at("cmp1/verify")
        assert failed.error.startswith("cmp1: ")
        assert said in failed.error
        assert "next: " in failed.error
        assert (cmp1.units["nova-compute"].starts, cmp1.units["nova-compute"].running) == (starts, False)
        assert (told.in_service("cmp1"), told.reboots("cmp1"), told.names_on("cmp1")) == (False, 1, [])
        cmp1.hostname, cmp1.files[COMPUTE_ID] = "cmp1", told.cloud.nova.providers["cmp1"]
        await told.retry("cmp1/verify")
        await told.ends_well()


async def test_a_host_that_stays_away_keeps_the_others_waiting_and_its_guests_run_elsewhere(
    temporal: Client, tmp_path: Path
) -> None:
    away = {"on": "cmp1", "at": "reboot", "how": "returns-as", "seconds": None}
    more: dict[str, Any] = {
        "hosts": ["cmp1", "cmp2"],
        "canary": {"hosts": ["cmp1"], "healthy_for": 0},
        "reboot_timeout": 10.0,
    }
    async with story(temporal, tmp_path, away, **more) as told:
        failed = await told.pauses_at("cmp1/reboot")
        assert failed.error.startswith("cmp1: it has not come back within 10 s after its reboot")
        assert "next: look at its console; when it answers, retry the step: it is not rebooted a second time" in (
            failed.error
        )
        assert (told.names_on("cmp1"), told.in_service("cmp1")) == ([], False)
        assert (told.reboots("cmp2"), told.in_service("cmp2")) == (0, True)
        assert {told.guest(name).status for name in ("guest1", "guest4")} == {"ACTIVE"}
        assert (told.machine("guest1").restarts, told.machine("guest4").restarts) == (0, 0)
        told.cloud.faults.mend()
        await told.comes_back("cmp1")
        await told.retry("cmp1/reboot")
        await told.ends_well("cmp1", "cmp2")
