"""How long guests did not run, as drains and starts tell it: from virsh at the target, and from nova."""

from typing import Any

import pytest

from activities.errors import Unreachable
from activities.ssh import Completed
from model.inventory import Inventory
from model.plan import Action
from model.rolling import DrainPolicy
from tests.activities.fake_openstack import FakeCloud

# pytest finds fixtures by their names here.
from tests.activities.test_drain import COLD, Drainer, cloud, inventory, runner

__all__ = ["cloud", "inventory", "runner"]

SAID = "Job type:         Completed   \nOperation:        Incoming migration\nTotal downtime:   {}          ms\n\n"


class Virsh:
    """Answers for hypervisors: by host, how many milliseconds each guest stood still."""

    def __init__(self, **downtimes: dict[str, int]) -> None:
        self.downtimes = downtimes
        self.asked: list[str] = []

    async def run(self, _: Inventory, host: str, command: str, **__: Any) -> Completed:
        if "domjobinfo" not in command:
            return Completed(127, "", "")
        self.asked.append(f"{host} {command}")
        if host not in self.downtimes:
            raise Unreachable("no route to it", host=host)
        known = self.downtimes[host].items()
        return Completed(0, "".join(f"== {guest}\n{SAID.format(ms)}" for guest, ms in known), "")


def times(rows: list[dict[str, Any]]) -> dict[str, tuple[float | None, float | None]]:
    return {str(row["name"]): (row.get("paused"), row.get("off")) for row in rows}


def done(action: str, begun: str, ended: str) -> dict[str, Any]:
    return {
        "action": action,
        "request_id": f"req-{action}",
        "message": None,
        "start_time": f"2026-11-23T{begun}.000000",
        "events": [{"event": "e", "result": "Success", "finish_time": f"2026-11-23T{ended}.000000"}],
    }


async def test_the_targets_are_asked_how_long_guests_stood_still(
    cloud: FakeCloud, runner: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        cloud.boot(name)
    virsh = Virsh(cmp2={"id-a": 238}, cmp3={"id-c": 1900})
    monkeypatch.setattr(runner.hosts, "run", virsh.run)
    result = await runner.go(targets={"id-a": "cmp2", "id-b": "cmp2", "id-c": "cmp3"})
    assert times(result.details["guests"]) == {"a": (0.238, None), "b": (None, None), "c": (1.9, None)}
    first, second = sorted(virsh.asked)
    assert first.startswith("cmp2")
    assert "in id-a id-b;" in first
    assert "in id-c;" in second
    assert "warnings" not in result.details


async def test_a_host_without_libvirt_tells_nothing(cloud: FakeCloud, runner: Drainer) -> None:
    cloud.boot("a")
    result = await runner.go()
    assert times(result.details["guests"]) == {"a": (None, None)}


async def test_a_target_that_does_not_answer_fails_no_drain(
    cloud: FakeCloud, runner: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.boot("a")
    monkeypatch.setattr(runner.hosts, "run", Virsh().run)
    result = await runner.go(targets={"id-a": "cmp3"})
    assert times(result.details["guests"]) == {"a": (None, None)}
    assert "cmp3 could not be asked how long guests stood still" in result.details["warnings"][0]


async def test_a_guest_that_ran_is_off_while_it_is_moved_cold(cloud: FakeCloud, runner: Drainer) -> None:
    for name in ("on", "off"):
        cloud.boot(name, status="ACTIVE" if name == "on" else "SHUTOFF", tags=["stackroll:drain=cold"])
        cloud.actions[f"id-{name}"] = [
            done("confirmResize", "10:01:00", "10:01:01"),
            done("migrate", "10:00:00", "10:00:31"),
            done("migrate", "09:00:00", "09:30:00"),
        ]
    result = await runner.go(COLD)
    assert times(result.details["guests"]) == {"on": (None, 31.0), "off": (None, None)}


async def test_a_stopped_guest_is_off_from_the_order_until_it_runs_again(cloud: FakeCloud, runner: Drainer) -> None:
    for name in "ab":
        cloud.boot(name, tags=["stackroll:drain=stop"])
    await runner.go(DrainPolicy())
    cloud.actions["id-a"] = [done("start", "10:01:30", "10:01:35"), done("stop", "10:00:00", "10:00:20")]
    started = await runner.run(Action.START_GUESTS)
    assert started.details["started"] == ["id-a", "id-b"]
    assert started.details["off"] == {"id-a": 95.0}


async def test_a_start_that_nova_has_not_yet_written_down_is_waited_for(
    cloud: FakeCloud, runner: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.boot("a", tags=["stackroll:drain=stop"])
    await runner.go(DrainPolicy())
    start = done("start", "10:01:30", "10:01:35")
    ended = start["events"][0]["finish_time"]
    start["events"][0]["finish_time"] = None
    cloud.actions["id-a"] = [start, done("stop", "10:00:00", "10:00:20")]

    def looked(text: str) -> None:
        if "write down the start of guest id-a" in text:
            start["events"][0]["finish_time"] = ended

    monkeypatch.setattr("activities.context.progress", looked)
    started = await runner.run(Action.START_GUESTS)
    assert started.details["off"] == {"id-a": 95.0}
