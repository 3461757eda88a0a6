"""Room is lost half way, by a host that fails or users who fill the cloud: no guest is lost, and what lacks is said."""

from pathlib import Path
from typing import Any

from temporalio.client import Client

from simulator.catalog import FLAVORS
from simulator.cloud import SimCloud
from tests.simulator.stories.conftest import STORY, drain_of, story, until

pytestmark = STORY


def filled(cloud: SimCloud) -> None:
    """Put guests of 16 GiB onto three hosts that take three each: without cmp1 there is room for one more."""
    for number, host in enumerate(("cmp1", "cmp2", "cmp2", "cmp3", "cmp3"), 1):
        cloud.add_guest(f"big{number}", host, flavor=FLAVORS["xlarge"])


async def test_without_the_reserve_that_is_asked_for_nothing_begins_and_the_amount_missing_is_said(
    temporal: Client, tmp_path: Path
) -> None:
    async with story(temporal, tmp_path, prepare=filled, size={"guests": 0}, reserve_hosts=1) as told:
        reasons = await told.is_refused()
        assert "missing: " in reasons
        assert "GiB" in reasons


async def test_a_second_host_fails_and_the_guests_that_were_to_go_there_go_elsewhere(
    temporal: Client, tmp_path: Path
) -> None:
    size = {"compute": 4, "guests": 8, "resume_guests": True}
    more: dict[str, Any] = {"approvals": {"plan": "manual"}, "limits": {"per_source": 1}, "reserve_hosts": 1}
    async with story(temporal, tmp_path, size=size, **more) as told:
        target = drain_of(await told.waits_for_approval(), "cmp1")[told.guest("guest1").id]
        fails = {"on": "guest1", "at": "migration", "how": "neighbour-gone", "hosts": target}
        lost = told.names_on(target)
        told.arm(fails)
        await told.approve()
        await told.is_over()
        assert (told.moves("guest1")[0].target, told.moves("guest1")[0].status) == (target, "error")
        assert told.names_on("cmp1") == []
        assert told.guest("guest1").host not in {"cmp1", target}
        told.cloud.faults.mend()
        await told.comes_back(target)
        await until(lambda: {told.guest(name).status for name in lost} == {"ACTIVE"})
        # Those that ran on the host that failed have begun anew; none of cmp1's has.
        await told.ends_well("cmp1", restarted=lost, hurt=lost, failed=target)


async def test_users_fill_the_cloud_and_the_run_waits_with_the_amount_that_is_missing(
    temporal: Client, tmp_path: Path
) -> None:
    crowded = {"on": "cmp1", "at": "migration", "how": "crowded", "skip": 1}
    drain = {"allow": ["live"]}
    async with story(temporal, tmp_path, crowded, drain=drain, limits={"per_source": 1}) as told:
        failed = await told.pauses_at("cmp1/drain")
        (left,) = told.names_on("cmp1")
        guest = told.guest(left)
        assert f"guest {left} ({guest.id}): 3 live migrations failed" in failed.error
        assert "No valid host was found" in failed.error
        assert "with too little " in failed.error
        assert "(needs " in failed.error
        assert (guest.status, told.machine(left).restarts) == ("ACTIVE", 0)
        assert (told.reboots("cmp1"), told.in_service("cmp1")) == (0, True)
        for user in [one for one in told.cloud.nova.guests.values() if one.name.startswith("crowd")]:
            told.cloud.delete_guest(user)
        await told.retry("cmp1/drain")
        await told.ends_well()
