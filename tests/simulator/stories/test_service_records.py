"""Records of nova's services are only disabled and enabled: none is deleted, and what others decided stays as it is."""

from pathlib import Path

from temporalio.client import Client

from simulator.cloud import SimCloud
from simulator.faults import Occasion
from tests.simulator.stories.conftest import STORY, story

pytestmark = STORY
OPS = "ops: replace the fan"


def decided(cloud: SimCloud) -> None:
    """Let operators have disabled cmp2, and declared cmp4 down before they evacuate it."""
    row = cloud.nova.record("nova-compute", "cmp2")
    row.disabled, row.reason = True, OPS
    cloud.nova.record("nova-compute", "cmp4").forced_down = True


async def test_what_others_have_disabled_or_declared_down_stays_so(temporal: Client, tmp_path: Path) -> None:
    size, hosts = {"compute": 4, "guests": 8}, ["cmp1", "cmp2"]
    async with story(temporal, tmp_path, prepare=decided, size=size, hosts=hosts) as told:
        await told.ends_well("cmp1", "cmp2")
        assert set(told.asked) == {"GET", "PUT"}
        assert {move.target for move in told.cloud.nova.migrations} <= {"cmp1", "cmp3"}, "the others are out of service"
        assert (told.names_on("cmp2"), told.names_on("cmp4")) == ([], ["guest4", "guest8"])


async def test_who_disables_the_host_meanwhile_keeps_it_disabled(temporal: Client, tmp_path: Path) -> None:
    async with story(temporal, tmp_path) as told:
        row = told.cloud.nova.record("nova-compute", "cmp1")

        def order_repair(occasion: Occasion) -> None:
            if occasion.what == "job" and "reboot" in occasion.names:
                row.reason = OPS

        told.cloud.faults.witnesses.append(order_repair)
        await told.ends_well(disabled={"cmp1": OPS})
        assert (row.disabled, row.reason, told.in_service("cmp1")) == (True, OPS, False)
        assert set(told.asked) == {"GET", "PUT"}


async def test_a_host_that_was_declared_down_is_refused(temporal: Client, tmp_path: Path) -> None:
    async with story(temporal, tmp_path, prepare=decided, size={"compute": 4}, hosts=["cmp1", "cmp4"]) as told:
        reasons = await told.is_refused()
        assert "nova-compute on cmp4: was declared down by somebody (forced_down)" in reasons
        assert "openstack compute service set --up" in reasons
