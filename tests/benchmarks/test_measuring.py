"""What the benchmark says that it measured is what there was."""

import asyncio
import sys
import time
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.history.v1 import (
    ActivityTaskScheduledEventAttributes,
    HistoryEvent,
    WorkflowExecutionStartedEventAttributes,
)

from benchmarks.histories import payload_sizes
from benchmarks.processes import Meter, Process, ProcessError

# It begins when it is told to.
BUSY = """
import os, sys, time
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
until = time.process_time() + 0.5
while time.process_time() < until: pass
print("did it", flush=True)
time.sleep(60)
"""


async def test_cpu_seconds_and_memory_are_those_of_the_process(tmp_path: Path) -> None:
    process = await Process.start("busy", [sys.executable, "-c", BUSY, str(tmp_path / "go")], tmp_path)
    meter = Meter([process])
    meter.look()
    begun = time.time()
    (tmp_path / "go").touch()
    await process.said("did it", 30)
    meter.look()
    assert 0.3 < meter.used("busy", begun, time.time()) < 1.0
    assert meter.used("busy", time.time() + 1, time.time() + 2) == 0
    assert 2 < process.peak() < 200
    await process.end()
    with pytest.raises(ProcessError, match="busy ended with status"):
        process.check()


async def test_a_process_that_does_not_come_up_is_named_with_its_last_words(tmp_path: Path) -> None:
    process = await Process.start("broken", [sys.executable, "-c", "raise SystemExit('no port left')"], tmp_path)
    with pytest.raises(ProcessError, match=r"(?s)broken ended with status 1.*no port left"):
        await asyncio.wait_for(process.said("ready", 30), 30)


def test_payloads_are_found_wherever_they_are_in_an_event() -> None:
    small, big = Payload(data=b"x" * 10), Payload(data=b"y" * 1000)
    begun = WorkflowExecutionStartedEventAttributes(input=Payloads(payloads=[small, big]))
    begun.memo.fields["ticket"].CopyFrom(small)
    event = HistoryEvent(workflow_execution_started_event_attributes=begun)
    assert sorted(payload_sizes(event)) == [small.ByteSize(), small.ByteSize(), big.ByteSize()]
    scheduled = ActivityTaskScheduledEventAttributes(input=Payloads(payloads=[big]))
    assert list(payload_sizes(HistoryEvent(activity_task_scheduled_event_attributes=scheduled))) == [big.ByteSize()]
