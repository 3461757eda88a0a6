"""Runs that began with earlier code go on with the present: their stored histories are replayed, without a server.

A failure here means that upgrades which are under way would break when their workers are updated. Guard the change with
``workflow.patched``; only when no such run can exist any more, record the histories anew:

    .venv/bin/python -m tests.workflows.record_histories
"""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from tests.workflows.record_histories import BATCHED
from workers.registry import WORKFLOWS
from workflows import names

FOLDER = Path(__file__).parent / "histories"
SCENARIOS = ("complete", "retried", "aborted", "returned", "afterwards", "rebooted", "rehearsed", "batched")
_FORTH = {"RollingUpgrade", "HostUpgrade", "ServiceUpgrade", "AvailabilityWatch", "CloudLock"}
_BACK = {"HostRollback", "ServiceRollback"}
_REBOOT = {"RollingReboot", "HostReboot", "AvailabilityWatch", "CloudLock"}
KINDS = {
    "returned": _FORTH | _BACK,
    "afterwards": _FORTH | _BACK | {"Rollback"},
    "rebooted": _REBOOT,
    "rehearsed": {"Rehearsal"},
    "batched": _FORTH | _BACK | {"HostBatch"},
}


def histories(scenario: str) -> list[WorkflowHistory]:
    found = json.loads(gzip.decompress((FOLDER / f"{scenario}.json.gz").read_bytes()))
    return [WorkflowHistory.from_json(id_, history) for id_, history in found.items()]


def types_in(history: WorkflowHistory) -> str:
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_stored_histories_are_replayed(scenario: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if scenario == "batched":
        # Recorded with a few hosts, which are none too many for batches otherwise.
        monkeypatch.setattr(names, "MOST_DIRECT", BATCHED[0])
        monkeypatch.setattr(names, "HOSTS_PER_BATCH", BATCHED[1])
    # The sandbox loads every module anew for every run, and has no say in the order of commands.
    runner = UnsandboxedWorkflowRunner()
    # Without the deadlock detector: how long an activation takes on a busy machine is not what is tested here.
    replayer = Replayer(
        workflows=WORKFLOWS, workflow_runner=runner, data_converter=pydantic_data_converter, debug_mode=True
    )
    stored = histories(scenario)
    results = await replayer.replay_workflows(_each(stored), raise_on_replay_failure=False)
    assert not {run_id: str(failure) for run_id, failure in results.replay_failures.items()}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_corpus_has_the_run_and_every_kind_of_child(scenario: str) -> None:
    stored = histories(scenario)
    assert {types_in(history) for history in stored} == KINDS.get(scenario, _FORTH)
    if scenario == "rehearsed":
        return
    hosts = [history.workflow_id for history in stored if types_in(history) in {"HostUpgrade", "HostReboot"}]
    assert hosts[0] == f"{scenario}/host/cmp1"
    if scenario in {"retried", "rebooted", "batched"}:
        assert len(hosts) > len({id_.partition("#")[0] for id_ in hosts}), "the failed child and its second try"


def test_every_workflow_is_in_the_corpus() -> None:
    found = {types_in(history) for scenario in SCENARIOS for history in histories(scenario)}
    assert found == {workflow.__name__ for workflow in WORKFLOWS}


async def _each(stored: list[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    for history in stored:
        yield history
