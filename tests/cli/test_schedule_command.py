"""``stackroll schedule`` on a real Temporal server: made, listed, paused, deleted; what runs say of the next one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleDescription,
    ScheduleOverlapPolicy,
    WorkflowFailureError,
)

from cli.errors import Exit
from model.status import Report, RunState
from model.timetable import next_days
from tests.cli.conftest import Stackroll
from tests.workflows.fake_cloud import Run

pytestmark = pytest.mark.asyncio(loop_scope="session")
BERLIN = ("--zone", "Europe/Berlin")
MONTHLY = ("--on", "second tue", "--at", "22:00", *BERLIN)


@pytest.fixture
def id_() -> str:
    return f"s-{uuid4().hex[:8]}"


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """What a look finds, as soon as it finds something: Temporal lists what is new after a moment."""
    for _ in range(300):
        if found := await look():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("nothing was found")


async def described(temporal: Client, id_: str) -> ScheduleDescription:
    return await temporal.get_schedule_handle(id_).describe()


async def test_a_schedule_from_its_making_to_its_end(
    stackroll: Stackroll, temporal: Client, upgrade: Path, id_: str
) -> None:
    made = await stackroll("schedule", "create", str(upgrade), "--id", id_, *MONTHLY, "--by", "anna")
    assert made.status == 0, made.err
    first, *times = made.out.splitlines()
    assert first.endswith("2026.1 to 2026.2, second tue of the month, 22:00 Europe/Berlin")
    assert len(times) == 3
    assert all(time.startswith("  Tue 2") and " 22:00 CE" in time for time in times)
    found = await described(temporal, id_)
    assert found.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert found.schedule.policy.pause_on_failure

    async def listed() -> str:
        lines = (await stackroll("schedule", "list")).out.splitlines()
        return next((line for line in lines if line.startswith(id_)), "")

    assert "active" in await until(listed)
    twice = await stackroll("schedule", "create", str(upgrade), "--id", id_, *MONTHLY)
    assert (twice.status, f"there is a schedule {id_} already" in twice.err) == (Exit.REFUSED, True)
    other = await stackroll("schedule", "create", str(upgrade), "--id", id_, "--cron", "30 1 8 * *", "--replace")
    assert other.status == 0, other.err
    held = await stackroll("schedule", "pause", id_, "--by", "ben", "--reason", "freeze")
    assert held.status == 0, held.err
    shown = await stackroll("schedule", "show", id_)
    assert "state    paused: by ben: freeze" in shown.out
    assert "cron 30 1 8 * *, UTC" in shown.out
    assert "-08 01:30 UTC" in shown.out
    going = await stackroll("schedule", "resume", id_)
    assert (going.status, f"{id_} is active; next at 2" in going.out) == (0, True)
    assert (await stackroll("schedule", "delete", id_)).out == f"{id_} is deleted\n"
    gone = await stackroll("schedule", "show", id_)
    assert (gone.status, f"no schedule '{id_}'; `stackroll schedule list` shows them" in gone.err) == (2, True)


@pytest.mark.parametrize("on", ["last fri", "last", "first mon,thu", "28", "tue"])
async def test_temporal_begins_on_the_days_that_are_meant(
    stackroll: Stackroll, temporal: Client, upgrade: Path, id_: str, on: str
) -> None:
    made = await stackroll("schedule", "create", str(upgrade), "--id", id_, "--on", on, "--at", "23:30", *BERLIN)
    assert made.status == 0, made.err
    zone = ZoneInfo("Europe/Berlin")
    times = [moment.astimezone(zone) for moment in (await described(temporal, id_)).info.next_action_times]
    await temporal.get_schedule_handle(id_).delete()
    before = datetime.now(tz=UTC).astimezone(zone).date()
    # Of today, the time of day may be over.
    expected = [day for day in next_days(on, before, len(times) + 1) if day != before]
    assert len(times) >= 5
    found = [moment.date() for moment in times if moment.date() != before]
    assert found == expected[: len(found)]
    assert {f"{moment:%H:%M}" for moment in times} == {"23:30"}


async def run_of(temporal: Client, id_: str) -> Run:
    """The first run that a schedule has started, which is told to start one now."""
    await temporal.get_schedule_handle(id_).trigger()

    async def started() -> str:
        for recent in (await described(temporal, id_)).info.recent_actions:
            assert isinstance(recent.action, ScheduleActionExecutionStartWorkflow)
            return recent.action.workflow_id
        return ""

    return Run(temporal.get_workflow_handle(await until(started)))


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.mark.usefixtures("fake_cloud")
async def test_a_finished_run_says_when_the_next_one_is_due(
    stackroll: Stackroll, temporal: Client, upgrade: Path, id_: str
) -> None:
    add(upgrade, "approvals: {plan: auto, commit: auto}\n")
    made = await stackroll("schedule", "create", str(upgrade), "--id", id_, *MONTHLY)
    assert made.status == 0, made.err

    async def listed() -> bool:
        lines = json.loads((await stackroll("schedule", "list", "--json")).out)
        return any(line["id"] == id_ for line in lines)

    await until(listed)
    run = await run_of(temporal, id_)
    await run.handle.result()
    due = (await described(temporal, id_)).info.next_action_times[0]
    report = await run.handle.query("report", result_type=Report)
    assert report.next_run == due.isoformat()
    shown = await stackroll("report", run.handle.id)
    assert "next run" in shown.out
    assert f"{due:%Y-%m-%d %H:%M}" in shown.out
    assert run.handle.id in (await stackroll("schedule", "show", id_)).out
    await temporal.get_schedule_handle(id_).delete()


@pytest.mark.usefixtures("fake_cloud")
async def test_after_a_run_that_failed_none_is_due(
    stackroll: Stackroll, temporal: Client, upgrade: Path, id_: str
) -> None:
    await stackroll("schedule", "create", str(upgrade), "--id", id_, *MONTHLY)
    run = await run_of(temporal, id_)
    await run.until(RunState.WAITING)
    await run.handle.signal("abort", {"by": "anna", "reason": "not today", "mode": "stop"})
    with pytest.raises(WorkflowFailureError):
        await run.handle.result()
    report = await run.handle.query("report", result_type=Report)
    assert report.next_run == ""

    async def paused() -> bool:
        return (await described(temporal, id_)).schedule.state.paused

    assert await until(paused)
    await temporal.get_schedule_handle(id_).delete()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "say when: --on DAY and --at TIME, or --cron FIELDS"),
        (("--on", "15"), "say when: --on DAY and --at TIME, or --cron FIELDS"),
        (("--on", "31", "--at", "22:00"), "--on: not every month has a day 31"),
        (("--on", "tewsday", "--at", "22:00"), "--on: 'tewsday' is no day"),
        (("--on", "15", "--at", "25:00"), "--at: '25:00' is no time of day"),
        (
            (*MONTHLY[:4], "--zone", "Europe/Berlni"),
            "--zone: no time zone 'Europe/Berlni'; did you mean Europe/Berlin?",
        ),
        (("--cron", "0 24 1 * *"), "--cron: '0 24 1 * *': '24' is no hour"),
        (("--cron", "monthly"), "--cron: 'monthly' has 1 fields"),
        (("--cron", "0 22 1 * *", "--at", "22:00"), "--cron: it says day and time by itself"),
    ],
)
async def test_bad_input_is_one_clear_message(
    stackroll: Stackroll, upgrade: Path, words: tuple[str, ...], problem: str
) -> None:
    ran = await stackroll("schedule", "create", str(upgrade), *words)
    assert ran.status == Exit.BAD_INPUT
    assert problem in ran.err
    assert ran.err.count("\n") == 1
    assert ran.out == ""


async def test_a_broken_file_is_refused_before_anything_is_made(
    stackroll: Stackroll, upgrade: Path, temporal: Client, id_: str
) -> None:
    add(upgrade, "windows: {timezone: Europe/Berlni, open: [{from: '01:00', to: '05:00'}]}\n")
    ran = await stackroll("schedule", "create", str(upgrade), "--id", id_, *MONTHLY)
    assert ran.status == Exit.BAD_INPUT
    assert "no time zone 'Europe/Berlni'" in ran.err
    assert "no schedule" in (await stackroll("schedule", "show", id_)).err
