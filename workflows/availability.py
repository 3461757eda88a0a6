"""The child that has every API probed from before the first step to after the last."""

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from model.availability import AvailabilityResult, WatchRequest
    from workflows.names import (
        CONCLUDE_AVAILABILITY,
        READ_RETRY,
        REPORT_TIMEOUT,
        STEP_RETRY,
        WATCH_AVAILABILITY,
        WATCH_HEARTBEAT,
        WATCH_TIMEOUT,
    )


@workflow.defn
class AvailabilityWatch:
    """Probes the APIs until it is told to stop, and returns what was seen."""

    def __init__(self) -> None:
        """Begin watching."""
        self._stop = False

    @workflow.run
    async def run(self, request: WatchRequest) -> AvailabilityResult:
        """Probe until stopped."""
        probe = workflow.start_activity(
            WATCH_AVAILABILITY,
            request,
            result_type=AvailabilityResult,
            start_to_close_timeout=WATCH_TIMEOUT,
            heartbeat_timeout=WATCH_HEARTBEAT,
            retry_policy=STEP_RETRY,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"probe every API of {request.inventory.cloud} {request.rate:g} times a second",
        )
        await workflow.wait_condition(lambda: self._stop or probe.done())
        if not probe.done():
            probe.cancel()
        try:
            result: AvailabilityResult = await probe
        except ActivityError:
            if not self._stop or not workflow.patched("conclude-availability"):
                raise
            result = await self._conclude(request)
        return result

    async def _conclude(self, request: WatchRequest) -> AvailabilityResult:
        """Have the ledger read when the worker that wrote it was gone at the end, which is a hole of its own."""
        result: AvailabilityResult = await workflow.execute_activity(
            CONCLUDE_AVAILABILITY,
            request,
            result_type=AvailabilityResult,
            start_to_close_timeout=REPORT_TIMEOUT,
            retry_policy=READ_RETRY,
            summary="read what the probe has seen",
        )
        return result

    @workflow.signal(name="stop", description="Sent by the run after its last step.")
    def stop(self) -> None:
        """Stop probing."""
        self._stop = True
