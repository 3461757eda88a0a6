"""Runs within maintenance windows: what begins in them, what waits for the next one, and what knows no windows."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from model.base import JsonObject
from model.status import Report, RunState, UpgradeStatus
from tests.workflows.fake_cloud import PATIENCE, Run, running_worker
from tests.workflows.reboot_cloud import RebootCloud, request, start

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(300)]
ME = {"by": "anna", "reason": "test"}
# Seconds that a window is open, or closed, at least: a run needs some to come that far.
SHORT = 7


def windows(*spans: tuple[int, int], **more: Any) -> JsonObject:
    """Windows from so many seconds from now to so many."""
    now = datetime.now(tz=UTC)
    times = [tuple(f"{now + timedelta(seconds=second):%H:%M:%S}" for second in span) for span in spans]
    return {"open": [{"from": first, "to": last} for first, last in times], **more}


async def short(client: Client) -> int:
    """So many seconds that this machine, busy as it is, carries out a whole run in half of them.

    They are whole ones: a time of day has no smaller ones.
    """
    async with running_worker(client, RebootCloud()) as queue:
        begun = time.monotonic()
        await (await start(client, queue, request())).handle.result()
    return max(SHORT, math.ceil(2 * (time.monotonic() - begun)))


async def until_left(closes: datetime, seconds: float) -> None:
    """Wait until a window is not open for so long any more."""
    while (closes - datetime.now(tz=UTC)).total_seconds() >= seconds:
        await asyncio.sleep(0.05)


async def reason(run: Run) -> str:
    with pytest.raises(WorkflowFailureError) as caught:
        await run.handle.result()
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.message


async def until_closed(run: Run) -> UpgradeStatus:
    """Wait until the window has closed."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        status = await run.status()
        if status.window is not None and not status.window.open:
            return status
        await asyncio.sleep(0.05)
    raise AssertionError(f"still open: {status.window}, {status.state}, {status.events}")


def moments(report: Report, step: str) -> tuple[datetime, datetime]:
    status = next(one for one in report.steps if one.id == step)
    assert status.started
    assert status.ended
    return datetime.fromisoformat(status.started), datetime.fromisoformat(status.ended)


async def test_a_reboot_stops_when_the_window_closes_and_goes_on_in_the_next_by_itself(temporal: Client) -> None:
    cloud, seconds = RebootCloud(hold={"cmp1/drain": asyncio.Event()}), await short(temporal)
    async with running_worker(temporal, cloud) as queue:
        spans = windows((-5, seconds), (2 * seconds, 600), host_takes="1s")
        run = await start(temporal, queue, request(windows=spans, canary={"count": 0}))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        inside = await run.status()
        assert inside.window is not None
        assert inside.window.open
        # What runs ends, whatever the window; what has not begun waits.
        assert (await until_closed(run)).state is RunState.RUNNING
        cloud.hold["cmp1/drain"].set()
        waiting = await run.until(RunState.WAITING)
        assert waiting.window is not None
        assert waiting.window.text.startswith("window closed, opens at ")
        assert [one.what for one in waiting.waiting] == [f"the maintenance window: {waiting.window.text}"]
        assert "cmp1/enable" in cloud.calls
        assert not {"cmp2/disable", "cmp3/disable"} & set(cloud.calls)
        result = await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
    assert result["state"] == "completed"
    told = [event.text.split(" at ")[0].split(" until ")[0] for event in report.events if event.kind == "window"]
    assert told == ["window open", "window closed, opens", "window open"]
    assert waiting.window.until is not None
    for host in ("cmp2", "cmp3"):
        assert moments(report, f"{host}/disable")[0] >= datetime.fromisoformat(waiting.window.until)


async def test_what_a_host_is_said_to_take_is_not_made_less_by_quick_hosts(temporal: Client) -> None:
    cloud, seconds = RebootCloud(hold={"cmp1/drain": asyncio.Event()}), await short(temporal)
    async with running_worker(temporal, cloud) as queue:
        takes, now = 2 * seconds, datetime.now(tz=UTC).replace(microsecond=0)
        spans = windows((-5, 3 * seconds), (5 * seconds, 600), host_takes=f"{takes}s")
        run = await start(temporal, queue, request(windows=spans, canary={"count": 0}))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await until_left(now + timedelta(seconds=3 * seconds), takes)
        cloud.hold["cmp1/drain"].set()
        waiting = await run.until(RunState.WAITING)
        assert "cmp1/enable" in cloud.calls
        assert not {"cmp2/disable", "cmp3/disable"} & set(cloud.calls)
        assert waiting.window is not None
        assert waiting.window.open, "it would fit if this host took as little as the one before"
        await run.handle.result()
