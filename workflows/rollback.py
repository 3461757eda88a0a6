"""``Rollback``: takes back an upgrade that has ended: completed, stopped, failed or terminated.

Before the commit point it is the way that an upgrade takes back itself. Behind it, only the dumps of the upgrade go
back: the run counts what would be lost, and waits for an approval that names it.
"""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from model.base import JsonObject
    from model.control import Abort, GiveWay, RollbackRequest
    from model.messages import PastUpgrade, RunRecord
    from model.plan import Plan, Step
    from model.rollback import changed_anything
    from model.spec import UpgradeRequest
    from model.status import RunState
    from workflows import names
    from workflows.ledger import Ledger
    from workflows.run import Run


@workflow.defn(name="Rollback")
class Rollback(Run):
    """Takes a cloud back to the release that it had before an upgrade."""

    @workflow.init
    def __init__(self, request: JsonObject) -> None:
        """Begin the record; what is to be rolled back is read in ``run``."""
        del request
        super().__init__(Ledger(workflow.info().workflow_id, "?", "?", "?", workflow.now()))
        self.ledger.kind = "Rollback"

    @workflow.run
    async def run(self, request: JsonObject) -> JsonObject:
        """Roll an upgrade back; the result is one sentence, the whole account is in the ``report`` query."""
        asked = self._parse(request)
        self.ledger.upgrade = asked.upgrade
        self.ledger.note(workflow.now(), "start", "run", f"roll back {asked.upgrade}: {asked.reason}", asked.by)
        past = await self.read(names.READ_UPGRADE, asked, PastUpgrade, f"read what {asked.upgrade} has done")
        if past.refusal or past.request is None or past.plan is None or past.back is None:
            raise self.refusal(past.refusal)
        upgrade, back = past.request, past.back
        self._begin(upgrade, past.plan, back)
        self.herald.begin(upgrade.inventory, upgrade.spec.notify)
        await self.under_lock(past.plan.cloud, lambda: self._roll_back(upgrade, back))
        if self.ledger.state is not RunState.ROLLED_BACK:
            raise ApplicationError(self.ledger.message, type="Unfinished", non_retryable=True)
        return {"state": self.ledger.state.value, "message": self.ledger.message}

    def no_way(self, order: GiveWay) -> str:
        """There is no safe point on the way back: the cloud is between two releases."""
        return super().no_way(order) or f"{self.ledger.run} takes {self.ledger.upgrade} back: let it end"

    def _parse(self, request: JsonObject) -> RollbackRequest:
        try:
            return RollbackRequest.model_validate(request)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc'])) or 'request'}: {e['msg']}" for e in error.errors()]
            raise self.refusal("; ".join(lines)) from None

    def _begin(self, request: UpgradeRequest, plan: Plan, back: Plan) -> None:
        ledger = self.ledger
        ledger.cloud, ledger.source, ledger.target = plan.cloud, plan.target, plan.source
        ledger.begin(back)
        ledger.note(workflow.now(), "plan", back.hash, f"{len(back.steps)} steps")
        workflow.upsert_search_attributes(
            [names.CLOUD_KEY.value_set(plan.cloud), names.RELEASE_KEY.value_set(request.inventory.release)]
        )

    async def _roll_back(self, request: UpgradeRequest, back: Plan) -> None:
        watch = await self.start_watch(request.inventory, request.spec)
        finished = await self.walk(back, request.inventory)
        await self.end_watch(watch)
        self._conclude(back, finished=finished)
        await self.write_report()

    def _conclude(self, back: Plan, *, finished: bool) -> None:
        ledger = self.ledger
        if finished and not self.skipped:
            ledger.message = f"{ledger.cloud} is wholly back at {ledger.target}, verified by an independent read"
        elif finished:
            ledger.message = f"finished without {', '.join(sorted(self.skipped))}: {ledger.cloud} may be mixed"
        elif changed_anything(back, ledger.steps.values()):
            again = f"`stackroll rollback {ledger.upgrade}` goes on"
            ledger.message = f"{ledger.message}; {ledger.cloud} may be mixed: {again}"
        else:
            ledger.message = f"{ledger.message}; nothing was changed"
        self.end(RunState.ROLLED_BACK if finished and not self.skipped else RunState.STOPPED)

    # What Controlled asks for

    def failed(self, steps: Sequence[Step]) -> None:
        """Wait for a decision: there is no way back from a way back."""

    @property
    def point_passed(self) -> tuple[str, ...]:
        """Nothing: a rollback has no commit point of its own."""
        return ()

    @property
    def going_back(self) -> bool:
        """Always: mode rollback asks for what is going on already."""
        return True

    def cancelled(self) -> None:
        """Take a cancellation through Temporal as an order to stop."""
        self.order_end(Abort(by="cancel", reason="cancelled through Temporal", mode="stop"))

    @workflow.query(name="record", description="For a later rollback of the same upgrade: what has been taken back.")
    def record(self) -> RunRecord:
        """Return what has been taken back."""
        return RunRecord(
            upgrade=self.ledger.upgrade,
            back=self.ledger.plan,
            steps=tuple(self.ledger.steps.values()),
            ended=self.ledger.ended is not None,
        )
