"""What people are told of a run, and when; and that telling them never stands in its way."""

import asyncio

import pytest
from temporalio.client import Client, WorkflowFailureError

from model.notify import Announcement, Occasion
from model.status import Report, RunState
from tests.workflows import reboot_cloud
from tests.workflows.fake_cloud import FakeCloud, request, running_worker, start
from tests.workflows.reboot_cloud import RebootCloud
from tests.workflows.test_windows import windows

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
OPERATORS = {"operators": ["env:OPS"]}
ME = {"by": "anna", "reason": "lunch"}


def occasions(cloud: FakeCloud) -> list[Occasion]:
    return [news.occasion for news in cloud.told]


async def test_a_run_that_nobody_wants_to_hear_of_tells_nobody(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        await run.handle.result()
    assert cloud.told == []


async def test_an_upgrade_tells_from_the_plan_to_its_end(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        asked = request(notify=OPERATORS, approvals={"plan": "manual", "commit": "auto"})
        run = await start(temporal, queue, asked)
        await run.until(RunState.WAITING)
        await cloud.until(lambda: len(cloud.told) == 2)
        await run.handle.execute_update("approve", {"by": "anna", "gate": "plan"})
        await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
    assert occasions(cloud) == [Occasion.PLANNED, Occasion.NEEDS_YOU, Occasion.STARTED, Occasion.DONE]
    assert [one.what for one in cloud.told[1].waiting] == ["approval of plan"]
    assert list(cloud.told[2].hosts) == ["cmp1", "cmp2"]
    assert cloud.told[2].hosts["cmp1"].end <= cloud.told[2].hosts["cmp2"].begin
    assert len({news.id for news in cloud.told}) == 4
    told = [(event.subject, event.text) for event in report.events if event.kind == "notify"]
    assert told == [(one.value, "env:OPS 1") for one in occasions(cloud)]


async def test_a_reboot_tells_when_it_is_paused_and_when_a_step_fails(temporal: Client) -> None:
    cloud = RebootCloud()
    cloud.hold["cmp1/drain"] = asyncio.Event()
    cloud.fail["cmp2/verify"] = 3
    async with running_worker(temporal, cloud) as queue:
        run = await reboot_cloud.start(temporal, queue, reboot_cloud.request(notify=OPERATORS))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await run.handle.signal("pause", ME)
        await run.until(RunState.PAUSED)
        cloud.hold["cmp1/drain"].set()
        await run.handle.signal("resume", ME)
        await run.until(RunState.FAILING)
        await run.handle.execute_update("retry", {**ME, "step": "cmp2/verify"})
        await run.handle.result()
    assert occasions(cloud) == [
        Occasion.PLANNED,
        Occasion.STARTED,
        Occasion.NEEDS_YOU,
        Occasion.NEEDS_YOU,
        Occasion.DONE,
    ]
    paused, failing = cloud.told[2:4]
    assert paused.message == "paused by anna: lunch"
    assert failing.failed == ("verify cmp2: cmp2: it broke; what had been done on it was taken back",)


@pytest.mark.parametrize(("mode", "end"), [("stop", Occasion.FAILED), ("rollback", Occasion.ROLLED_BACK)])
async def test_an_upgrade_that_is_ended_early_says_how(temporal: Client, mode: str, end: Occasion) -> None:
    cloud = FakeCloud()
    cloud.hold["cmp1/drain"] = asyncio.Event()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(notify=OPERATORS))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await run.handle.signal("abort", {**ME, "mode": mode})
        await run.until(RunState.STOPPING)
        cloud.hold["cmp1/drain"].set()
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()
    assert occasions(cloud) == [Occasion.PLANNED, Occasion.STARTED, end]


async def test_what_cannot_be_told_is_in_the_record_and_changes_no_outcome(temporal: Client) -> None:
    cloud = FakeCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(notify={"operators": ["env:DEAF"]}))
        assert (await run.handle.result())["state"] == "completed"
        report = await run.handle.query("report", result_type=Report)
        news = await run.handle.query("announcement", "done", result_type=Announcement)
    warnings = [event.text for event in report.events if (event.kind, event.subject) == ("warning", "notify")]
    assert warnings == [f"{one.value}: env:DEAF: not delivered" for one in occasions(cloud)]
    assert news.occasion is Occasion.DONE


async def test_a_run_that_waits_for_its_window_says_when_it_begins_and_reminds_of_it(temporal: Client) -> None:
    cloud = RebootCloud()
    asked = reboot_cloud.request(
        notify={**OPERATORS, "reminder": "30s"}, windows=windows((45, 600), host_takes="1s"), canary={"count": 0}
    )
    async with running_worker(temporal, cloud) as queue:
        run = await reboot_cloud.start(temporal, queue, asked)
        await cloud.until(lambda: Occasion.REMINDER in occasions(cloud))
        waiting = await run.status()
        await run.handle.execute_update("window", {"by": "anna", "reason": "now", "open_for": 600})
        await run.handle.result()
    assert waiting.window is not None
    assert occasions(cloud) == [
        Occasion.PLANNED,
        Occasion.PLANNED,
        Occasion.REMINDER,
        Occasion.STARTED,
        Occasion.DONE,
    ]
    plan, planned, reminder, started, _ = cloud.told
    assert plan.begin is None
    assert planned.begin == reminder.begin == waiting.window.until
    assert planned.for_users
    assert min(turn.begin for turn in planned.hosts.values()) >= str(planned.begin)
    assert str(started.begin) < started.at < str(planned.begin)
