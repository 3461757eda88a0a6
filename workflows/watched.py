"""A run and the probe of the APIs: it starts and ends it, hears its news, and keeps the error budget."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from model.availability import AvailabilityResult, WatchRequest
    from model.availability_spec import ErrorBudget
    from model.budget import Spent, overspent, used
    from model.control import Abort, Who
    from model.inventory import Inventory
    from model.reboot_spec import RebootSpec
    from model.spec import UpgradeSpec
    from model.status import AvailabilityNews, Waiting
    from workflows import names
    from workflows.availability import AvailabilityWatch
    from workflows.control import Controlled
    from workflows.ledger import iso

Handle = workflow.ChildWorkflowHandle[Any, Any]
_BUDGET = "error budget"


class Watched(Controlled):
    """A run whose cloud is probed. ``seen`` is what the whole watch has come to, once it is over."""

    def __init__(self) -> None:
        """Begin without a watch."""
        self.seen: AvailabilityResult | None = None
        self._budget: ErrorBudget | None = None
        self._forgiven = Spent()

    async def start_watch(self, inventory: Inventory, spec: UpgradeSpec | RebootSpec) -> Handle | None:
        """Have every API probed from now on, if the spec wants it."""
        if not spec.availability.enabled:
            return None
        wanted = spec.availability
        watch = await workflow.start_child_workflow(
            AvailabilityWatch.run,
            WatchRequest(
                upgrade=self.ledger.run,
                inventory=inventory,
                rate=wanted.rate,
                baseline=wanted.baseline,
                writes=wanted.writes,
                canaries=wanted.canaries,
            ),
            id=names.child_id(self.ledger.run, "availability"),
            static_summary=f"availability of {inventory.cloud}",
        )
        self._budget = wanted.budget
        if wanted.baseline and workflow.patched("availability-baseline"):
            await self._await_baseline(wanted.baseline)
        return watch

    async def _await_baseline(self, seconds: float) -> None:
        """Let the cloud be measured as it is before anything happens to it; the run does not hang on that."""
        until = workflow.now() + timedelta(seconds=seconds)
        waiting = Waiting(
            what="the baseline of the availability probe",
            since=iso(workflow.now()),
            until=iso(until),
            go_on="it goes on by itself",
        )
        self.ledger.waiting["availability"] = waiting
        self.changed()
        try:
            await workflow.wait_condition(
                lambda: self.stopping or (self.ledger.availability is not None and self.ledger.availability.baseline),
                timeout=timedelta(seconds=seconds + names.BASELINE_GRACE),
                timeout_summary=waiting.what,
            )
        except TimeoutError:
            self.ledger.note(
                workflow.now(), "warning", "availability", "the baseline was not measured in time; the run goes on"
            )
        finally:
            self.ledger.waiting.pop("availability", None)

    async def end_watch(self, watch: Handle | None) -> None:
        """Stop probing and keep what was seen."""
        if watch is None:
            return
        try:
            await watch.signal(AvailabilityWatch.stop)
            self.seen = await watch
        except FailureError as error:
            # The outcome must not hang on the probe; the report says that nothing was measured.
            self.ledger.note(workflow.now(), "warning", "availability", f"the probe failed: {error.cause or error}")

    @workflow.signal(
        name="availability", description="Not for you: this run's own probe tells what it sees of the APIs."
    )
    def availability(self, news: AvailabilityNews) -> None:
        """Take what the probe has seen, and stop when that is more than the error budget."""
        known = self.ledger.availability
        if known is not None and news.at < known.at:
            return
        self.ledger.availability = news
        if self._budget is not None and not self.ledger.ended:
            self._keep_budget(self._budget, news)
        self.changed()

    def _keep_budget(self, budget: ErrorBudget, news: AvailabilityNews) -> None:
        """Hold the run or take it back when the budget is spent.

        What is spent while the run is held for that is forgiven: who resumes it gives it the whole budget anew.
        """
        if _BUDGET in self.ledger.waiting:
            self._forgiven = used(budget, news)
            return
        reason = "" if self.stopping else overspent(budget, news, self._forgiven)
        if not reason:
            return
        self._forgiven = used(budget, news)
        if self.going_back:
            self.ledger.note(workflow.now(), "warning", "availability", f"{reason}; the way back goes on")
        elif budget.when_spent == "rollback" and not self.point_passed:
            self.end_over_budget(reason)
        else:
            self._hold(reason)

    def _hold(self, reason: str) -> None:
        self.ledger.waiting[_BUDGET] = Waiting(
            what=f"a decision: {reason}",
            since=iso(workflow.now()),
            go_on=f"stackroll resume {self.ledger.run} --reason WHY | stackroll abort {self.ledger.run} --reason WHY",
        )
        self.pause(Who(by=_BUDGET, reason=reason))

    def changed(self) -> None:
        """Bring every view up to date; a run that goes on waits for no decision about its budget any more."""
        if not self.ledger.paused or self.stopping:
            self.ledger.waiting.pop(_BUDGET, None)
        super().changed()

    def end_over_budget(self, reason: str) -> None:
        """Take everything back because the budget is spent."""
        self.order_end(Abort(by=_BUDGET, reason=reason, mode="rollback"))
