"""Undisturbed runs, one step at a time, that show where the steps of a plan can be hit, forth and back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

from temporalio.client import WorkflowFailureError

from model.spec import Approval
from model.status import RunState, UpgradeStatus
from simulator.faults import Occasion
from simulator.server import Simulation
from tests.chaos.points import Place, Record, point_of
from tests.chaos.trial import Bench, request_of


async def record_run(bench: Bench, sim: Simulation, *, back: bool) -> Record:
    """Run an upgrade, or one that is taken back before its commit point, and return what its steps have met."""
    id_, found, lock = f"record-{uuid4().hex[:8]}", Record(), asyncio.Lock()
    current: list[Place] = []

    def witness(occasion: Occasion) -> None:
        for place in current:
            found.add(place, point_of(occasion, id_))

    @contextlib.asynccontextmanager
    async def around(place: Place) -> AsyncIterator[None]:
        async with lock:
            current.append(place)
            try:
                yield
            finally:
                current.remove(place)

    sim.cloud.faults.witnesses.append(witness)
    bench.placing.around[id_] = around
    asked = request_of(sim, commit=Approval.MANUAL if back else Approval.AUTO)
    content = asked.model_dump(mode="json", exclude_none=True)
    handle = await bench.client.start_workflow("RollingUpgrade", content, id=id_, task_queue=bench.queue)
    ordered = False
    while True:
        status: UpgradeStatus = await handle.query("status", result_type=UpgradeStatus)
        if status.ended:
            break
        if status.state is RunState.FAILING:
            raise AssertionError(f"an undisturbed run fails: {[step.error for step in status.failed]}")
        if back and not ordered and status.state is RunState.WAITING:
            ordered = True
            found.points.clear()
            await handle.signal("abort", {"by": "chaos", "reason": "to see the way back", "mode": "rollback"})
        await asyncio.sleep(0.3)
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
    wanted = RunState.ROLLED_BACK if back else RunState.COMPLETED
    if status.state is not wanted:
        raise AssertionError(f"an undisturbed run ends {status.state.value}: {status.message}")
    del bench.placing.around[id_]
    return found
