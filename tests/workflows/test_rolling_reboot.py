"""What a rolling reboot does, seen at the boundary of its activities, on a real Temporal server."""

import pytest
from temporalio.client import Client

from model.plan import Plan
from model.status import Report, StepState
from tests.workflows.fake_cloud import running_worker
from tests.workflows.reboot_cloud import RebootCloud, request, start

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal]
ME = {"by": "anna", "reason": "test"}
HOST = ("disable", "drain", "reboot", "verify", "enable")


async def test_every_host_is_done_in_order_and_the_canary_first(temporal: Client) -> None:
    cloud = RebootCloud()
    async with running_worker(temporal, cloud) as queue:
        run = await start(temporal, queue, request())
        result = await run.handle.result()
        plan = await run.handle.query("plan", result_type=Plan)
        report = await run.handle.query("report", result_type=Report)
    assert result == {"state": "completed", "message": f"3 of 3 hosts of {plan.cloud} are done and in service"}
    for host in ("cmp1", "cmp2", "cmp3"):
        assert [call for call in cloud.calls if call.startswith(f"{host}/")] == [f"{host}/{step}" for step in HOST]
    for step in plan.steps:
        for need in step.needs:
            if need in cloud.calls and step.id in cloud.calls:
                assert cloud.calls.index(need) < cloud.calls.index(step.id)
    canary = plan.members(plan.groups[0])[0].target
    others = [call for call in cloud.calls if call.endswith("/disable") and not call.startswith(canary)]
    assert cloud.calls.index("wave/1/health") < min(cloud.calls.index(call) for call in others)
    assert {step.state for step in report.steps} == {StepState.DONE}
    assert report.status.kind == "RollingReboot"
