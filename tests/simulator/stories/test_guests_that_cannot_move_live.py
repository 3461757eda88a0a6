"""Devices and secrets bind guests to their host: that is known before anything changes, and the policy decides."""

from pathlib import Path

from temporalio.client import Client

from model.outlook import Outlook
from simulator.catalog import Flavor
from simulator.cloud import SimCloud
from tests.simulator.stories.conftest import STORY, Story, story

pytestmark = STORY
SPECS = {
    "pci": {"pci_passthrough:alias": "nic:1"},
    "vgpu": {"resources:VGPU": "1"},
    "vtpm": {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"},
    "sev": {"hw:mem_encryption": "true"},
}


def bound(cloud: SimCloud) -> None:
    """Put a guest of each kind onto cmp1; its name is the kind."""
    for number, (name, specs) in enumerate(SPECS.items(), 10):
        cloud.add_guest(name, "cmp1", flavor=Flavor(str(number), name, 1, 512, 1, specs))


async def classes(told: Story) -> dict[str, tuple[str, str]]:
    """Return class and code of the guests of which something is said in the plan."""
    outlook = await told.run.handle.query("outlook", result_type=Outlook)
    return {one.name: (one.kind.value, one.code) for one in outlook.named}


async def test_where_only_live_is_allowed_nothing_begins_and_all_are_named(temporal: Client, tmp_path: Path) -> None:
    async with story(temporal, tmp_path, prepare=bound, drain={"allow": ["live"]}) as told:
        reasons = await told.is_refused()
        for name in SPECS:
            assert f"({name}: " in reasons
            assert f"{name} ({told.guest(name).id})" in reasons
        assert "drain.allow: cold" in reasons
        assert await classes(told) == {name: ("blocked", name) for name in SPECS}
        assert told.cloud.nova.migrations == []


async def test_where_cold_is_allowed_each_is_moved_cold_once(temporal: Client, tmp_path: Path) -> None:
    async with story(temporal, tmp_path, prepare=bound, drain={"allow": ["live", "cold"]}) as told:
        await told.ends_well(restarted=SPECS)
        assert await classes(told) == {name: ("cold", name) for name in SPECS}
        for name in SPECS:
            assert [(move.kind, move.status) for move in told.moves(name)] == [("migration", "confirmed")]
        assert {move.kind for name in ("guest1", "guest4") for move in told.moves(name)} == {"live-migration"}


async def test_where_they_may_be_stopped_they_wait_on_their_host_and_run_again(
    temporal: Client, tmp_path: Path
) -> None:
    drain = {"allow": ["live", "stop"], "then_stop": True}
    async with story(temporal, tmp_path, prepare=bound, drain=drain) as told:
        await told.ends_well(restarted=SPECS)
        assert await classes(told) == {name: ("stop", name) for name in SPECS}
        assert told.names_on("cmp1") == sorted(SPECS)
        assert [told.moves(name) for name in SPECS] == [[], [], [], []]


async def test_a_host_whose_guest_is_to_be_left_alone_stays_as_it_is_and_is_called_exposed(
    temporal: Client, tmp_path: Path
) -> None:
    def one_stays(cloud: SimCloud) -> None:
        bound(cloud)
        (guest,) = (guest for guest in cloud.nova.guests.values() if guest.name == "vgpu")
        guest.tags = ["stackroll:drain=leave"]

    drain = {"allow": ["live", "cold", "leave"], "owners": ["leave"]}
    async with story(temporal, tmp_path, prepare=one_stays, hosts=["cmp1", "cmp2"], drain=drain) as told:
        # Guests of cmp2 may come to cmp1: it is not out of service.
        status = await told.ends_well("cmp2")
        assert "left as they are, exposed: cmp1" in status.message
        assert status.fleet is not None
        assert status.fleet.exposed == ("cmp1",)
        assert [told.moves(name) for name in SPECS] == [[], [], [], []]
