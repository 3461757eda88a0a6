"""A robot evacuates hosts that go down unless it is muted: hooks mute it before, and never leave it muted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from temporalio.client import Client

from simulator.cloud import SimCloud
from tests.simulator.stories.conftest import STORY, Story, story

pytestmark = STORY
MUTED, NOOUT = "/var/lib/masakari/on_maintenance", "/var/lib/ceph/noout"
HOOKS = {
    "before_wave": [{"run": f"touch {NOOUT}", "undo": f"rm -f {NOOUT}", "at": "ctl1"}],
    "before_drain": [{"run": f"touch {MUTED}/$STACKROLL_HOST", "undo": f"rm -f {MUTED}/$STACKROLL_HOST", "at": "ctl1"}],
    "after_reboot": [{"run": f"rm -f {MUTED}/$STACKROLL_HOST", "at": "ctl1"}],
    "after_wave": [{"run": f"rm -f {NOOUT}", "at": "ctl1"}],
}


class Robot:
    """Looks at the compute hosts all the time; ``evacuated`` are those that it has found down."""

    def __init__(self, cloud: SimCloud) -> None:
        self._cloud, self.evacuated = cloud, list[str]()

    async def look(self) -> None:
        while True:
            for name in self._cloud.nova.providers:
                host = self._cloud.hosts[name]
                if not host.up and not self.muted(name) and name not in self.evacuated:
                    self.evacuated.append(name)
            await asyncio.sleep(0.01)

    def muted(self, host: str) -> bool:
        return f"{MUTED}/{host}" in self._cloud.hosts["ctl1"].files


@contextlib.asynccontextmanager
async def watched(told: Story) -> AsyncIterator[Robot]:
    robot = Robot(told.cloud)
    task = asyncio.create_task(robot.look())
    yield robot
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def ordered(told: Story) -> list[str]:
    """Return what was ordered of the robots, in order."""
    words = {f"touch {MUTED}": "mute", f"rm -f {MUTED}": "unmute", f"touch {NOOUT}": "noout", f"rm -f {NOOUT}": "out"}
    return [words[command.removesuffix("/$STACKROLL_HOST")] for command, _ in told.cloud.hosts["ctl1"].hooks]


async def test_they_are_muted_while_the_host_is_down_and_not_longer(temporal: Client, tmp_path: Path) -> None:
    async with story(temporal, tmp_path, hooks=HOOKS) as told, watched(told) as robot:
        await told.ends_well()
        assert ordered(told) == ["noout", "mute", "unmute", "out"]
        assert (robot.evacuated, robot.muted("cmp1")) == ([], False)
        assert NOOUT not in told.cloud.hosts["ctl1"].files


async def test_they_hear_again_of_a_host_that_is_given_up_and_are_muted_anew_at_the_retry(
    temporal: Client, tmp_path: Path
) -> None:
    lost = {"on": "guest1", "at": "migration", "how": "error", "times": None}
    drain = {"attempts": 1}
    async with story(temporal, tmp_path, lost, hooks=HOOKS, drain=drain) as told, watched(told) as robot:
        await told.pauses_at("cmp1/drain")
        assert ordered(told) == ["noout", "mute", "unmute"]
        assert (robot.muted("cmp1"), told.in_service("cmp1"), told.reboots("cmp1")) == (False, True, 0)
        told.cloud.faults.mend()
        await told.retry("cmp1/drain")
        await told.ends_well()
        assert ordered(told) == ["noout", "mute", "unmute", "mute", "unmute", "out"]
        assert robot.evacuated == []


async def test_they_stay_muted_as_long_as_a_host_does_not_come_back(temporal: Client, tmp_path: Path) -> None:
    away = {"on": "cmp1", "at": "reboot", "how": "returns-as", "seconds": None}
    async with story(temporal, tmp_path, away, hooks=HOOKS, reboot_timeout=3.0) as told, watched(told) as robot:
        await told.pauses_at("cmp1/reboot")
        assert (robot.muted("cmp1"), robot.evacuated) == (True, [])
        told.cloud.faults.mend()
        await told.comes_back("cmp1")
        await told.retry("cmp1/reboot")
        await told.ends_well()
        assert (robot.muted("cmp1"), robot.evacuated) == (False, [])
        assert ordered(told)[-2:] == ["unmute", "out"]


async def test_an_abort_leaves_nothing_muted(temporal: Client, tmp_path: Path) -> None:
    lost = {"on": "guest1", "at": "migration", "how": "error", "times": None}
    async with story(temporal, tmp_path, lost, hooks=HOOKS, drain={"attempts": 1}) as told, watched(told) as robot:
        await told.pauses_at("cmp1/drain")
        await told.aborts()
        assert ordered(told) == ["noout", "mute", "unmute", "out"]
        assert (robot.muted("cmp1"), NOOUT in told.cloud.hosts["ctl1"].files) == (False, False)
        assert (told.names_on("cmp1"), told.in_service("cmp1"), robot.evacuated) == (["guest1"], True, [])
        assert told.broken() == []
