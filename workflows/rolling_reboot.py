"""``RollingReboot``: empties and reboots the hypervisors of a cloud, host by host, while its guests run on."""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from model.base import JsonObject
    from model.control import Abort, GiveWay
    from model.outlook import RebootPlanResult
    from model.plan import Action, Plan, Step
    from model.reboot_spec import RebootRequest
    from model.spec import OnFailure
    from model.status import RunState, StepState
    from workflows import names
    from workflows.fleet_run import FleetRun
    from workflows.ledger import Ledger


@workflow.defn(name="RollingReboot")
class RollingReboot(FleetRun):
    """Empties and reboots the compute hosts of a cloud in waves, and puts each back into service."""

    @workflow.init
    def __init__(self, request: JsonObject) -> None:
        """Begin the record; a request that is not valid is refused in ``run``, with a clear failure."""
        cloud, release = _headline(request)
        super().__init__(Ledger(workflow.info().workflow_id, cloud, release, release, workflow.now()))
        self.ledger.kind = "RollingReboot"
        self._request: RebootRequest | None = None

    @workflow.run
    async def run(self, request: JsonObject) -> JsonObject:
        """Reboot the hosts; the result is one sentence, the whole account is in the ``report`` query."""
        parsed = self._request = self._parse(request)
        workflow.upsert_search_attributes(
            [names.CLOUD_KEY.value_set(parsed.inventory.cloud), names.RELEASE_KEY.value_set(parsed.inventory.release)]
        )
        self.ledger.note(workflow.now(), "start", "run", f"reboot {parsed.spec.reboot.value}", parsed.by)
        self.herald.begin(parsed.inventory, parsed.spec.notify)
        await self.under_lock(parsed.inventory.cloud, lambda: self._reboot(parsed))
        if self.ledger.state is not RunState.COMPLETED:
            raise ApplicationError(self.ledger.message, type="Unfinished", non_retryable=True)
        return {"state": self.ledger.state.value, "message": self.ledger.message}

    async def _reboot(self, request: RebootRequest) -> None:
        plan = await self._plan(request)
        await self.keep_windows(request.spec.windows, plan)
        watch = await self.start_watch(request.inventory, request.spec)
        finished = await self.walk(plan, request.inventory)
        if not finished:
            await self.take_back_hooks(plan, request.inventory)
        await self.end_watch(watch)
        self._conclude(plan, finished=finished)
        await self.write_report()

    # Before anything changes

    def _parse(self, request: JsonObject) -> RebootRequest:
        try:
            return RebootRequest.model_validate(request)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc'])) or 'request'}: {e['msg']}" for e in error.errors()]
            raise self.refusal("; ".join(lines)) from None

    async def _plan(self, request: RebootRequest) -> Plan:
        made = await self.read(names.PLAN_REBOOT, request, RebootPlanResult, f"plan {request.inventory.cloud}'s reboot")
        self.foresee(made.outlook)
        for finding in made.findings:
            self.ledger.note(workflow.now(), finding.severity, finding.subject, finding.sentence)
        if made.plan is None:
            errors = [finding for finding in made.findings if finding.severity == "error"]
            raise self.refusal("; ".join(f"{error.subject}: {error.sentence}" for error in errors), told=True)
        self.ledger.begin(made.plan)
        self.foresee(made.outlook, made.plan, request.spec.limits)
        waves = len(made.outlook.waves)
        self.ledger.note(workflow.now(), "plan", made.plan.hash, f"{len(made.plan.steps)} steps in {waves} waves")
        self.herald.planned({one.guest: one.kind for one in made.outlook.named})
        return made.plan

    # On the way

    def failed(self, steps: Sequence[Step]) -> None:
        """End the run where the spec says so; otherwise wait for a decision."""
        if self._request is None or self._request.spec.on_failure is OnFailure.PAUSE or self.stopping:
            return
        failed = (step for step in steps if self.ledger.steps[step.id].state is StepState.FAILED)
        titles = ", ".join(step.title for step in failed) or steps[0].title
        self.order_end(Abort(by="spec", reason=f"{titles} failed, on_failure: rollback", mode="stop"))

    @property
    def point_passed(self) -> tuple[str, ...]:
        """Nothing: a reboot has no commit point."""
        return ()

    def step_aside(self, order: GiveWay) -> str:
        """Hold between two hosts, and go on when the other run has ended: what is left to do is the same then."""
        return self.lend(order)

    def cancelled(self) -> None:
        """Take a cancellation through Temporal as an order to stop."""
        self.order_end(Abort(by="cancel", reason="cancelled through Temporal", mode="stop"))

    def end_over_budget(self, reason: str) -> None:
        """End the run: hosts that are done stay so, and the others are put back into service."""
        self.order_end(Abort(by="error budget", reason=reason, mode="stop"))

    # The end

    def _conclude(self, plan: Plan, *, finished: bool) -> None:
        ledger, skipped = self.ledger, ", ".join(sorted(self.skipped))
        done, left = self._hosts(plan)
        every = f"{len(done)} of {len(done) + len(left)} hosts of {ledger.cloud} are done and in service"
        exposed = ", ".join(one.host for one in self.foreseen.exposed)
        if finished and not (done or left):
            ledger.message = f"there was nothing to do: no host of {ledger.cloud} is selected, or none needs a reboot"
        elif finished and not skipped:
            ledger.message = every + (f"; left as they are, exposed: {exposed}" if exposed else "")
        elif finished:
            ledger.message = f"finished without {skipped}; {every}"
        else:
            rest = f"; not done: {', '.join(left)}" if left else ""
            ledger.message = f"{ledger.message}; {every}{rest}; guests that were moved stay where they are"
        self.end(RunState.COMPLETED if finished and not skipped else RunState.STOPPED)

    def _hosts(self, plan: Plan) -> tuple[list[str], list[str]]:
        """Return the hosts that are done, and those that are not."""
        done: list[str] = []
        left: list[str] = []
        for step in plan.steps:
            if step.action is Action.ENABLE_COMPUTE:
                state = self.ledger.steps[step.id].state
                (done if state is StepState.DONE else left).append(step.target)
        return done, left


def _headline(request: Any) -> tuple[str, str]:
    """Return cloud and release of a request of any shape, for the record of one that will be refused."""
    inventory = request.get("inventory") if isinstance(request, dict) else None
    known = inventory if isinstance(inventory, dict) else {}
    return str(known.get("cloud", "?")), str(known.get("release", "?"))
