"""The lock of a cloud: while this workflow runs, a run of the cloud is going on. Its id is the cloud's name.

The server refuses a second workflow with the same id, so the lock holds whoever starts a run and however; it is a
child of the run, so it ends with the run, however that ends.
"""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.messages import LockRequest


@workflow.defn
class CloudLock:
    """Held by a run for as long as it works on a cloud."""

    def __init__(self) -> None:
        """Begin locked."""
        self._released = False

    @workflow.run
    async def run(self, request: LockRequest) -> str:
        """Wait until the run lets go."""
        workflow.set_current_details(f"`{request.upgrade}` works on **{request.cloud}**.")
        await workflow.wait_condition(lambda: self._released)
        return f"released by {request.upgrade}"

    @workflow.signal(name="release", description="Sent by the run when it has ended.")
    def release(self) -> None:
        """Let go."""
        self._released = True
