import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from activities import quiesce
from activities.quiesce import QuiesceActivities
from activities.ssh import Hosts
from model.nova import Migration
from model.plan import Action
from tests.activities.conftest import Site
from tests.activities.running_cloud import Cloud, make_cloud

SESSION = "0x1: proto=tcpv4 src=10.0.0.1:5 fe=nova-api be=nova-api srv={server} ts=00 age={age} calls=1\n"


@pytest.fixture
async def cloud(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    for name, value in (
        ("MIGRATIONS_LIMIT", 0.0),
        ("QUIET_LIMIT", 0.0),
        ("SETTLE_LIMIT", 0.2),
        ("REST", 0.0),
        ("REPORT_LIMIT", 0.5),
    ):
        monkeypatch.setattr(quiesce, name, value)
    found = await make_cloud(site, hosts, monkeypatch)
    found.installed("33.0.1", "34.0.0")
    (found.root / "balancer" / "map-nova-api").write_text("0\n")
    yield found
    await found.mine.stop()
    await found.other.stop()


@pytest.fixture
def activities(cloud: Cloud) -> QuiesceActivities:
    return QuiesceActivities(cloud.tools)


def params(**more: Any) -> dict[str, Any]:
    units = ("nova-conductor", "nova-scheduler")
    return {"service": "nova", "version": "34.0.0", "units": units, "hold": "nova-api", **more}


def held(cloud: Cloud) -> list[str]:
    """What the hold of nova-api was set to, in order."""
    lines = (cloud.root / "balancer" / "log").read_text().splitlines()
    return [line.rsplit(" ", 1)[1] for line in lines if line.startswith("set map")]


async def test_writes_are_held_while_the_units_restart(cloud: Cloud, activities: QuiesceActivities) -> None:
    result = await cloud.run(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert cloud.log == ["restart nova-conductor", "restart nova-scheduler"]
    until, end = held(cloud)
    assert 0 < int(until) - time.time() <= quiesce.HOLD_SECONDS
    assert end == "0"
    assert "writes were held for" in result.summary
    assert result.details["lapsed"] is False


async def test_a_frontend_that_the_map_does_not_know_is_added(cloud: Cloud, activities: QuiesceActivities) -> None:
    (cloud.root / "balancer" / "map-nova-api").unlink()
    await cloud.run(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert (cloud.root / "balancer" / "map-nova-api").read_text() == "0\n"


async def test_without_a_frontend_nothing_is_held(cloud: Cloud, activities: QuiesceActivities) -> None:
    cloud.nova.busy = ["guest vm0 is in spawning"]
    result = await cloud.run(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params(hold=None))
    assert held(cloud) == []
    assert cloud.log == ["restart nova-conductor", "restart nova-scheduler"]
    assert "held" not in result.summary


@pytest.mark.parametrize(
    ("busy", "session", "named"),
    [
        (["guest vm0 is in spawning"], "", "guest vm0 is in spawning"),
        ([], SESSION.format(server="ctl1", age="90s"), "a request of 90 s at nova-api/ctl1"),
    ],
)
async def test_nothing_restarts_while_something_is_in_flight(
    cloud: Cloud, activities: QuiesceActivities, busy: list[str], session: str, named: str
) -> None:
    cloud.nova.busy = busy
    (cloud.root / "balancer" / "sessions").write_text(session)
    error = await cloud.fails(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert error.type == "StepFailed"
    assert named in str(error)
    assert cloud.log == []
    assert held(cloud)[1::2] == ["0"] * quiesce.TRIES


async def test_a_migration_is_let_end_before_writes_are_held(
    cloud: Cloud, activities: QuiesceActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiesce, "MIGRATIONS_LIMIT", 30.0)
    going = Migration(id=7, guest="vm0", kind="live-migration", status="running", source="cmp1", target="cmp2")
    cloud.nova.moves = [[going], [going], []]
    await cloud.run(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert cloud.nova.moves == []
    assert cloud.log == ["restart nova-conductor", "restart nova-scheduler"]


async def test_requests_that_the_hold_keeps_waiting_do_not_count(cloud: Cloud, activities: QuiesceActivities) -> None:
    (cloud.root / "balancer" / "sessions").write_text(SESSION.format(server="<none>", age="30s"))
    await cloud.run(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert cloud.log == ["restart nova-conductor", "restart nova-scheduler"]


async def test_one_quiet_look_is_not_enough(
    cloud: Cloud, activities: QuiesceActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nova shows a server as done a moment before its last call to a conductor has been answered."""
    monkeypatch.setattr(quiesce, "SETTLE_LIMIT", 60.0)
    looks: list[bool] = []

    def asked() -> None:
        if not cloud.log:
            # Seen before the hold: quiet. Under it: quiet, busy, then quiet for good.
            cloud.nova.busy = ["guest vm0 is in DELETED"] if len(looks) == 2 else []
            looks.append(bool(cloud.nova.busy))

    cloud.nova.asked = asked
    await cloud.run(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert looks == [False, False, True, False, False]


async def test_a_later_try_succeeds_when_it_has_come_to_rest(cloud: Cloud, activities: QuiesceActivities) -> None:
    cloud.nova.busy = ["guest vm0 is in spawning"]

    def asked() -> None:
        if "0" in held(cloud):
            cloud.nova.busy = []

    cloud.nova.asked = asked
    await cloud.run(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert len(held(cloud)) == 4


async def test_a_service_that_stays_silent_is_named_and_the_hold_ends(
    cloud: Cloud, activities: QuiesceActivities
) -> None:
    cloud.nova.silent = True
    error = await cloud.fails(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert "nova-compute on cmp1, nova-conductor on ctl1" in str(error)
    assert "cmp2" not in str(error)
    assert held(cloud)[-1] == "0"


async def test_a_restart_that_fails_ends_the_hold(cloud: Cloud, activities: QuiesceActivities) -> None:
    (cloud.root / "broken-nova-scheduler").touch()
    error = await cloud.fails(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert "restarting nova-conductor and nova-scheduler at 34.0.0 failed" in str(error)
    assert held(cloud)[-1] == "0"


async def test_the_hold_is_renewed(
    cloud: Cloud, activities: QuiesceActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiesce, "RENEW_EVERY", 0.02)
    await cloud.run(activities.switch_quiesced, Action.SWITCH_QUIESCED, **params())
    assert len(held(cloud)) > 3
    assert held(cloud)[-1] == "0"
