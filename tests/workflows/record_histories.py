"""Record the histories that ``test_replay`` replays, from runs against the fake cloud on a server of their own.

    .venv/bin/python -m tests.workflows.record_histories [SCENARIO...]

They are histories of runs by the present code: record them anew when a workflow is changed in a way that running
upgrades cannot survive, and never to make the test pass without knowing why it failed.
"""

import asyncio
import gzip
import json
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from model.base import JsonObject
from model.inventory import KNOWN_SERVICES
from model.plan import Plan
from model.status import RunState
from tests.workflows.fake_cloud import FakeCloud, Run, request, running_worker
from tests.workflows.reboot_cloud import RebootCloud
from tests.workflows.reboot_cloud import request as reboot_request
from tests.workflows.rehearsal_cloud import STEPS as REHEARSED
from tests.workflows.rehearsal_cloud import RehearsalCloud
from tests.workflows.rehearsal_cloud import request as rehearsal_request
from workers.dev import SEARCH_ATTRIBUTES, temporal_binary
from workflows import names
from workflows.names import batch_id, child_id, lock_id

FOLDER = Path(__file__).parent / "histories"
ME = {"by": "anna", "reason": "test"}
# How many hosts make a fleet, and how many a batch, in the scenario with batches.
BATCHED = (0, 2)
_AS_IT_IS = (names.MOST_DIRECT, names.HOSTS_PER_BATCH)
# What tells of the machine on which it was recorded, and decides nothing in a replay.
_HIDDEN = {"identity": "recorder", "stackTrace": ""}

Scenario = Callable[[FakeCloud, Run], Awaitable[None]]


async def _pause_in_drain(cloud: FakeCloud, run: Run) -> None:
    """Approve the plan, and pause while the first host is drained, which then goes on."""
    await run.until(RunState.WAITING)
    await run.handle.execute_update("approve", {"by": "anna", "gate": "plan"})
    await cloud.until(lambda: "cmp1/drain" in cloud.running)
    await run.handle.signal("pause", ME)
    await run.until(RunState.PAUSED)
    cloud.hold["cmp1/drain"].set()


async def complete(cloud: FakeCloud, run: Run) -> None:
    """Every step passes; on the way it is approved, paused while a host is drained, and resumed."""
    cloud.hold["cmp1/drain"] = asyncio.Event()
    await _pause_in_drain(cloud, run)
    await run.handle.signal("resume", ME)
    await run.handle.result()


async def retried(cloud: FakeCloud, run: Run) -> None:
    """A host fails half way, is taken back and retried; a check that fails is skipped."""
    cloud.fail |= {"cmp1/switch": 3, "cmp2/verify": 3}
    await run.until(RunState.WAITING)
    await run.handle.execute_update("approve", {"by": "anna", "gate": "plan"})
    await run.until(RunState.FAILING)
    await run.handle.execute_update("retry", {**ME, "step": "cmp1/switch"})
    await run.until(RunState.RUNNING)
    await run.until(RunState.FAILING)
    await run.handle.execute_update("skip", {**ME, "step": "cmp2/verify"})
    await _unfinished(run)


async def aborted(cloud: FakeCloud, run: Run) -> None:
    """Aborted while a host is drained, which is then put back."""
    cloud.hold["cmp1/drain"] = asyncio.Event()
    await run.until(RunState.WAITING)
    await run.handle.execute_update("approve", {"by": "anna", "gate": "plan"})
    await cloud.until(lambda: "cmp1/drain" in cloud.running)
    await run.handle.signal("abort", ME)
    await run.until(RunState.STOPPING)
    cloud.hold["cmp1/drain"].set()
    await _unfinished(run)


async def returned(cloud: FakeCloud, run: Run) -> None:
    """Stopped after a first host; rolled back with one compensation that fails and is retried; then once more."""
    cloud.hold["cmp2/drain"] = asyncio.Event()
    cloud.fail |= {"undo glance/ctl1/switch": 3}
    await run.until(RunState.WAITING)
    await run.handle.execute_update("approve", {"by": "anna", "gate": "plan"})
    await cloud.until(lambda: "cmp2/drain" in cloud.running)
    await run.handle.execute_update("abort", {**ME, "mode": "rollback"})
    cloud.hold["cmp2/drain"].set()
    await run.until(RunState.FAILING)
    await run.handle.execute_update("retry", {**ME, "step": "back/glance/ctl1/switch"})
    await _unfinished(run)


async def afterwards(cloud: FakeCloud, run: Run) -> None:
    """Stopped after a first host, and rolled back by a run of its own."""
    cloud.hold["cmp2/drain"] = asyncio.Event()
    await run.until(RunState.WAITING)
    await run.handle.execute_update("approve", {"by": "anna", "gate": "plan"})
    await cloud.until(lambda: "cmp2/drain" in cloud.running)
    await run.handle.signal("abort", ME)
    await run.until(RunState.STOPPING)
    cloud.hold["cmp2/drain"].set()
    await _unfinished(run)


async def rebooted(cloud: FakeCloud, run: Run) -> None:
    """A rolling reboot: paused and limited on its way, one host fails behind its reboot and is retried."""
    cloud.hold["cmp1/drain"] = asyncio.Event()
    cloud.fail |= {"cmp2/verify": 3}
    await _pause_in_drain(cloud, run)
    await run.handle.execute_update("limits", {**ME, "max_unavailable": 2, "per_source": 4})
    await run.handle.signal("resume", ME)
    await run.until(RunState.FAILING)
    await run.handle.execute_update("retry", {**ME, "step": "cmp2/verify"})
    await run.handle.result()


async def batched(cloud: FakeCloud, run: Run) -> None:
    """Hosts are carried out in batches: paused on the way, one fails and is retried, then all is taken back."""
    cloud.hold["cmp1/drain"] = asyncio.Event()
    cloud.fail |= {"cmp2/verify": 3}
    await _pause_in_drain(cloud, run)
    await run.handle.signal("resume", ME)
    await run.until(RunState.FAILING)
    await run.handle.execute_update("retry", {**ME, "step": "cmp2/verify"})
    await run.until(RunState.WAITING)
    await run.handle.execute_update("abort", {**ME, "mode": "rollback"})
    await _unfinished(run)


SCENARIOS: tuple[Scenario, ...] = (complete, retried, aborted, returned, afterwards, rebooted, batched)


async def _unfinished(run: Run) -> None:
    try:
        await run.handle.result()
    except WorkflowFailureError:
        return
    raise AssertionError("it should not have been completed")


async def _record(client: Client, scenario: Scenario) -> dict[str, JsonObject]:
    name = scenario.__name__
    cloud, kind = (RebootCloud(), "RollingReboot") if scenario is rebooted else (FakeCloud(), "RollingUpgrade")
    gates = {"plan": "manual", "commit": "manual" if scenario is batched else "auto"}
    asked = request(cloud=name, services=KNOWN_SERVICES, approvals=gates)
    names.MOST_DIRECT, names.HOSTS_PER_BATCH = BATCHED if scenario is batched else _AS_IT_IS
    if scenario is rebooted:
        asked = reboot_request(cloud=name, approvals={"plan": "manual"})
    async with running_worker(client, cloud) as queue:
        handle = await client.start_workflow(kind, asked, id=name, task_queue=queue)
        await scenario(cloud, Run(handle))
        ids = await _ids(handle)
        if scenario is afterwards:
            asked = {"upgrade": name, **ME}
            handle = await client.start_workflow("Rollback", asked, id=f"{name}/rollback", task_queue=queue)
            await handle.result()
            ids += await _ids(handle)
    found: dict[str, JsonObject] = {}
    for id_ in dict.fromkeys((*ids, lock_id(name))):
        found |= await _histories_of(client, id_)
    return found


async def _ids(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """Return the ids of a run and of its children."""
    plans = [await handle.query(query) for query in ("plan", "way_back")]
    groups = [group for plan in plans if plan is not None for group in Plan.model_validate(plan).groups]
    batches = [batch_id(handle.id, number) for number in range(1, 4)]
    return [handle.id, *(child_id(handle.id, group) for group in ("availability", *groups)), *batches]


async def _histories_of(client: Client, id_: str) -> dict[str, JsonObject]:
    """Return the histories of all runs with this id: a group that is retried runs in a second child of the same id."""
    found: dict[str, JsonObject] = {}
    try:
        handle: WorkflowHandle[Any, Any] = client.get_workflow_handle(id_)
        latest = (await handle.describe()).run_id
    except RPCError:
        return {}  # an aborted run has not come to this group
    async for run in client.list_workflows(f"WorkflowId = '{id_}'"):
        number = "" if run.run_id == latest else f"#{run.run_id[:4]}"
        history = await client.get_workflow_handle(id_, run_id=run.run_id).fetch_history()
        found[id_ + number] = _hide(history.to_json_dict())
    return found


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _HIDDEN.get(key, _hide(inner)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hide(inner) for inner in value]
    # The worker's own queue is named after its process and machine.
    return re.sub(r"^\d+@.*", "recorder", value) if isinstance(value, str) else value


async def rehearsed(client: Client) -> dict[str, JsonObject]:
    """A rehearsal with a step that fails, and a second one that is cancelled."""
    found: dict[str, JsonObject] = {}
    cloud, asked = RehearsalCloud(fail={f"status {REHEARSED[1]}"}), rehearsal_request("rehearsed")
    async with running_worker(client, cloud) as queue:
        handle = await client.start_workflow("Rehearsal", asked, id="rehearsed", task_queue=queue)
        await handle.result()
        found |= await _histories_of(client, "rehearsed")
        cloud.hold["copy nova"] = asyncio.Event()
        cloud.calls.clear()
        handle = await client.start_workflow("Rehearsal", asked, id="cancelled", task_queue=queue)
        while "copy nova" not in cloud.calls:
            await asyncio.sleep(0.05)
        await handle.cancel()
        await handle.result()
        return found | await _histories_of(client, "cancelled")


async def main() -> None:
    extra = [word for name in SEARCH_ATTRIBUTES for word in ("--search-attribute", f"{name}=Keyword")]
    FOLDER.mkdir(exist_ok=True)
    async with await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_extra_args=extra,
    ) as environment:
        recorders: dict[str, Callable[[Client], Awaitable[dict[str, JsonObject]]]] = {
            one.__name__: partial(_record, scenario=one) for one in SCENARIOS
        }
        recorders["rehearsed"] = rehearsed
        for name in (name for name in recorders if not sys.argv[1:] or name in sys.argv[1:]):
            found = await recorders[name](environment.client)
            path = FOLDER / f"{name}.json.gz"
            path.write_bytes(gzip.compress(json.dumps(found).encode(), mtime=0))
            print(f"{path.name}: {len(found)} histories, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # activities that fail are part of the scenarios
    asyncio.run(main())
    # The threads of Temporal's SDK may still call into Python while the interpreter is taken down, and abort it then.
    os._exit(0)
