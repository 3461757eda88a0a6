"""What a rolling reboot does, seen at the boundary of its activities, on a real Temporal server."""

import asyncio
from functools import partial
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from model.outlook import Outlook
from model.plan import Plan
from model.status import Event, Report, RunState, StepState
from tests.workflows.fake_cloud import Run, running_worker
from tests.workflows.reboot_cloud import RebootCloud, fleet, guest, request, start

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
ME = {"by": "anna", "reason": "test"}
HOST = ("disable", "drain", "reboot", "verify", "enable", "start")
HOOKS = {
    "before_wave": [{"run": "silence", "undo": "unsilence", "at": "ctl1"}],
    "before_drain": [{"run": "mute", "undo": "unmute"}],
    "after_wave": [{"run": "unsilence", "at": "ctl1"}],
}


def of(cloud: RebootCloud, host: str) -> list[str]:
    """What was asked of a host, in order."""
    return [call.replace(f"{host}/", "") for call in cloud.calls if f"{host}/" in call]


async def reason(run: Run) -> str:
    with pytest.raises(WorkflowFailureError) as caught:
        await run.handle.result()
    assert isinstance(caught.value.cause, ApplicationError)
    return caught.value.cause.message


async def test_every_host_is_done_in_order_and_the_canary_first(temporal: Client) -> None:
    cloud = RebootCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        result = await run.handle.result()
        plan = await run.handle.query("plan", result_type=Plan)
        report = await run.handle.query("report", result_type=Report)
    assert result == {"state": "completed", "message": f"3 of 3 hosts of {plan.cloud} are done and in service"}
    for host in ("cmp1", "cmp2", "cmp3"):
        assert of(cloud, host) == list(HOST)
    for step in plan.steps:
        for need in step.needs:
            if need in cloud.calls and step.id in cloud.calls:
                assert cloud.calls.index(need) < cloud.calls.index(step.id)
    canary = plan.members(plan.groups[0])[0].target
    others = [call for call in cloud.calls if call.endswith("/disable") and not call.startswith(canary)]
    assert cloud.calls.index("wave/1/health") < min(cloud.calls.index(call) for call in others)
    assert {step.state for step in report.steps} == {StepState.DONE}
    assert report.status.kind == "RollingReboot"


async def test_no_more_hosts_than_max_unavailable_are_out_and_limits_changes_that(temporal: Client) -> None:
    cloud = RebootCloud(fleet=fleet(6))
    gates = {f"cmp{number}/drain": asyncio.Event() for number in range(1, 7)}
    cloud.hold.update(gates)
    asked = request(6, max_unavailable=2, max_per_aggregate=None, canary={"count": 0}, order="fastest")
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, asked)
        await cloud.until(lambda: len(cloud.running & gates.keys()) == 2)
        answer = await run.handle.execute_update("limits", {**ME, "max_unavailable": 1, "per_source": 7})
        assert answer == "from now on: max_unavailable 1, per_source 7"
        for name in list(cloud.running & gates.keys()):
            gates[name].set()
        await cloud.until(lambda: cloud.calls.count("cmp1/enable") + cloud.calls.count("cmp2/enable") >= 1)
        for _ in range(4):
            await cloud.until(lambda: bool({name for name in gates if name in cloud.running}))
            running = [name for name in gates if name in cloud.running]
            assert len(running) == 1
            gates[running[0]].set()
            await cloud.until(partial(cloud.was_asked, running[0].replace("drain", "enable")))
        await run.handle.result()
        events = await run.handle.query("timeline", result_type=list[Event])
    assert [(event.text, event.by) for event in events if event.kind == "limits"] == [
        ("max_unavailable 1, per_source 7: test", "anna")
    ]
    limits = {work.step: work.params["limits"]["per_source"] for work in cloud.works if "limits" in work.params}
    assert sorted(limits.values()) == [2, 2, 7, 7, 7, 7]


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ({}, "no limit is given: max_unavailable, per_source, per_target, per_zone, total"),
        ({"per_source": 99}, "per_source must be at least 1 and at most 50, is 99"),
        ({"max_unavailable": 0}, "max_unavailable must be at least 1, is 0"),
    ],
)
async def test_limits_that_make_no_sense_are_refused(temporal: Client, order: dict[str, Any], text: str) -> None:
    cloud = RebootCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        with pytest.raises(WorkflowUpdateFailedError) as caught:
            await run.handle.execute_update("limits", {**ME, **order})
        assert text in str(caught.value.cause)
        cloud.hold["cmp1/drain"].set()
        await run.handle.result()


async def test_a_pause_reaches_the_host_in_work(temporal: Client) -> None:
    cloud = RebootCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        await run.handle.signal("pause", ME)
        await run.until(RunState.PAUSED)
        await run.told(temporal, "host/cmp1", lambda status: status.paused)
        cloud.hold["cmp1/drain"].set()
        await run.told(temporal, "host/cmp1", lambda status: status.steps[1].state is StepState.DONE)
        assert of(cloud, "cmp1") == ["disable", "drain"]
        await run.handle.signal("resume", ME)
        await run.handle.result()
    assert of(cloud, "cmp1") == list(HOST)


async def test_a_host_that_fails_behind_its_reboot_is_put_back_and_a_retry_goes_on(temporal: Client) -> None:
    cloud = RebootCloud(fail={"cmp1/verify": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        status = await run.until(RunState.FAILING)
        assert [step.id for step in status.failed] == ["cmp1/verify"]
        assert "taken back" in status.failed[0].error
        assert of(cloud, "cmp1") == [
            "disable",
            "drain",
            "reboot",
            *["verify"] * 3,
            "undo reboot",
            "undo drain",
            "undo disable",
        ]
        before = len(cloud.calls)
        await run.handle.execute_update("retry", {**ME, "step": "cmp1/verify"})
        await run.handle.result()
    assert [call for call in cloud.calls[before:] if call.startswith("cmp1")] == [f"cmp1/{step}" for step in HOST]
    assert len(cloud.keys) == len(set(cloud.keys)), "a try would find the jobs of an earlier one"


async def test_a_host_that_must_not_start_nova_stays_out_of_service(temporal: Client) -> None:
    """What puts it back fails, as when its identity has changed: so nothing before it is taken back either."""
    cloud = RebootCloud(fail={"cmp1/verify": 3, "undo cmp1/reboot": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        status = await run.until(RunState.FAILING)
        assert "undo cmp1/disable" not in cloud.calls
        assert {step.id for step in status.failed} == {"cmp1/verify", "cmp1/reboot"}
        await run.handle.signal("abort", ME)
        assert "cmp1" in await reason(run)


async def test_a_reboot_that_fails_is_not_ordered_again_by_itself(temporal: Client) -> None:
    cloud = RebootCloud(fail={"cmp1/reboot": 1})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        await run.until(RunState.FAILING)
        assert cloud.calls.count("cmp1/reboot") == 1
        await run.handle.execute_update("skip", {**ME, "step": "cmp1/reboot"})
        assert "finished without cmp1/reboot" in await reason(run)


async def test_an_abort_puts_the_host_in_work_back_and_touches_no_other(temporal: Client) -> None:
    cloud = RebootCloud(hold={"cmp1/drain": asyncio.Event()})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(hooks=HOOKS))
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        answer = await run.handle.execute_update("abort", {**ME, "mode": "rollback"})
        assert "ends after what runs now" in answer
        cloud.hold["cmp1/drain"].set()
        text = await reason(run)
    assert of(cloud, "cmp1") == [
        "before_drain-1",
        "disable",
        "drain",
        "undo drain",
        "undo disable",
        "undo before_drain-1",
    ]
    assert not [call for call in cloud.calls if "cmp2" in call or "cmp3" in call]
    assert "0 of 3 hosts" in text
    assert "guests that were moved stay where they are" in text
    assert cloud.calls[-1] == "undo wave/1/before_wave-1", "what was silenced for the wave is heard again"


async def test_on_failure_rollback_ends_the_run_by_itself(temporal: Client) -> None:
    cloud = RebootCloud(fail={"cmp1/verify": 3})
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(on_failure="rollback"))
        text = await reason(run)
    assert "verify cmp1 failed, on_failure: rollback" in text
    assert "undo cmp1/disable" in cloud.calls
    assert "cmp2/disable" not in cloud.calls


async def test_the_canary_s_gate_waits_for_a_person_where_the_spec_says_so(temporal: Client) -> None:
    cloud = RebootCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(approvals={"plan": "auto", "canary": "manual"}))
        status = await run.until(RunState.WAITING)
        assert status.waiting[0].what == "approval of canary"
        assert "wave/1/health" in cloud.calls
        assert "cmp2/disable" not in cloud.calls
        await run.handle.execute_update("approve", {"by": "anna", "gate": "canary"})
        await run.handle.result()


async def test_a_fleet_that_cannot_be_emptied_is_refused_with_every_reason(temporal: Client) -> None:
    there = fleet(2)
    sick = (guest("sick", "cmp1", status="ERROR"), guest("lost", "cmp2", status="RESCUE"))
    cloud = RebootCloud(fleet=there.model_copy(update={"guests": (*there.guests, *sick)}))
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(2))
        text = await reason(run)
        outlook = await run.handle.query("outlook", result_type=Outlook)
        why = await run.handle.query("why", "sick", result_type=str)
    assert text.startswith("refused, nothing was changed: ")
    assert "sick (id-sick)" in text
    assert "lost (id-lost)" in text
    assert cloud.calls == []
    assert {one.name for one in outlook.named} == {"sick", "lost"}
    assert "blocked (error), it is in ERROR" in why


async def test_a_request_that_makes_no_sense_is_refused(temporal: Client) -> None:
    cloud = RebootCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(hosts=["cmp9"]))
        assert "spec.hosts.0: no compute host 'cmp9'" in await reason(run)
        run = await start(temporal, queue, request(reboots="always"))
        assert "spec.reboots: Extra inputs are not permitted" in await reason(run)


async def test_two_runs_of_a_cloud_exclude_each_other(temporal: Client) -> None:
    cloud = RebootCloud(hold={"cmp1/drain": asyncio.Event()})
    asked = request()
    async with running_worker(temporal, cloud) as queue:
        first = await start(temporal, queue, asked)
        await cloud.until(lambda: "cmp1/drain" in cloud.running)
        second = await start(temporal, queue, asked)
        assert "another run of cloud" in await reason(second)
        cloud.hold["cmp1/drain"].set()
        await first.handle.result()


async def test_hooks_run_around_each_wave_and_host(temporal: Client) -> None:
    cloud = RebootCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request(hooks=HOOKS))
        await run.handle.result()
        plan = await run.handle.query("plan", result_type=Plan)
    first = plan.groups[0].removeprefix("host/")
    assert cloud.calls[:2] == ["wave/1/before_wave-1", f"{first}/before_drain-1"]
    assert cloud.calls.index("wave/1/health") < cloud.calls.index("wave/1/after_wave-1")
    assert cloud.calls.index("wave/1/after_wave-1") < cloud.calls.index("wave/2/before_wave-1")
    commands = {work.step: work.params["command"] for work in cloud.works if "command" in work.params}
    assert (commands["wave/1/before_wave-1"], commands["cmp2/before_drain-1"]) == ("silence", "mute")
