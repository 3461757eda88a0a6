"""The child that has every API probed from before the first step to after the last."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.availability import AvailabilityResult, WatchRequest
    from workflows.names import STEP_RETRY, WATCH_AVAILABILITY, WATCH_HEARTBEAT, WATCH_TIMEOUT


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
        result: AvailabilityResult = await probe
        return result

    @workflow.signal(name="stop", description="Sent by the run after its last step.")
    def stop(self) -> None:
        """Stop probing."""
        self._stop = True
