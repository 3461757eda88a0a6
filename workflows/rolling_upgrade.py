"""``RollingUpgrade``: the root that an operator starts. It makes the plan, walks it, takes it back if it must."""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from model.base import JsonObject
    from model.control import Abort, GiveWay
    from model.messages import PlanRequest, PlanResult, RollbackPlanRequest, RunRecord
    from model.plan import Plan, Step
    from model.rollback import changed_anything, committed
    from model.spec import OnFailure, Purpose, UpgradeRequest
    from model.status import RunState, StepState
    from model.work import Facts
    from workflows import names
    from workflows.fleet_run import FleetRun
    from workflows.ledger import Ledger


# Seconds that a security run waits for a routine one to reach a safe point.
GIVE_WAY_LIMIT = 7200.0


@workflow.defn(name="RollingUpgrade")
class RollingUpgrade(FleetRun):
    """Rolls a whole cloud from one release to the next, host by host, while its users work on."""

    @workflow.init
    def __init__(self, request: JsonObject) -> None:
        """Begin the record; a request that is not valid is refused in ``run``, with a clear failure."""
        cloud, source, target = _headline(request)
        super().__init__(Ledger(workflow.info().workflow_id, cloud, source, target, workflow.now()))
        self._request: UpgradeRequest | None = None

    @workflow.run
    async def run(self, request: JsonObject) -> JsonObject:
        """Upgrade the cloud; the result is one sentence, the whole account is in the ``report`` query."""
        parsed = self._request = self._parse(request)
        workflow.upsert_search_attributes(
            [names.CLOUD_KEY.value_set(parsed.inventory.cloud), names.RELEASE_KEY.value_set(parsed.spec.to)]
        )
        self.ledger.target = parsed.goal
        self.ledger.note(workflow.now(), "start", "run", f"to {parsed.goal}", parsed.by)
        self.herald.begin(parsed.inventory, parsed.spec.notify)
        patience = GIVE_WAY_LIMIT if parsed.spec.purpose is Purpose.SECURITY else 0.0
        await self.under_lock(parsed.inventory.cloud, lambda: self._upgrade(parsed), patience=patience)
        if self.ledger.state is RunState.ROLLED_BACK:
            raise ApplicationError(self.ledger.message, type="RolledBack", non_retryable=True)
        if self.ledger.state is not RunState.COMPLETED:
            raise ApplicationError(self.ledger.message, type="Unfinished", non_retryable=True)
        return {"state": self.ledger.state.value, "message": self.ledger.message}

    async def _upgrade(self, request: UpgradeRequest) -> None:
        plan = await self._plan(request)
        await self.keep_windows(request.spec.windows, plan)
        watch = await self.start_watch(request.inventory, request.spec)
        finished = await self.walk(plan, request.inventory)
        back = await self._roll_back(request, plan) if not finished and self.mode == "rollback" else None
        if not finished and back is None:
            await self.take_back_hooks(plan, request.inventory)
        await self.end_watch(watch)
        self._conclude(plan, finished=finished, back=back)
        await self.write_report()

    def no_way(self, order: GiveWay) -> str:
        """Between two releases there is no safe point: what has begun must end, or be taken back."""
        if reason := super().no_way(order):
            return reason
        run, plan = self.ledger.run, self.ledger.plan
        if self._request is not None and self._request.spec.purpose is Purpose.SECURITY:
            return f"{run} is a security run itself"
        if plan is not None and changed_anything(plan, self.ledger.steps.values()):
            return (
                f"{run} is on its way from {self.ledger.source} to {self.ledger.target}, and has changed the cloud: "
                f"let it end, or take it back with `stackroll abort {run} --mode rollback --reason …`"
            )
        return ""

    # Before anything changes

    def _parse(self, request: JsonObject) -> UpgradeRequest:
        try:
            return UpgradeRequest.model_validate(request)
        except ValidationError as error:
            lines = [f"{'.'.join(map(str, e['loc'])) or 'request'}: {e['msg']}" for e in error.errors()]
            raise self.refusal("; ".join(lines)) from None

    async def _plan(self, request: UpgradeRequest) -> Plan:
        facts = await self.read(names.READ_FACTS, request, Facts, f"read {request.inventory.cloud}")
        asked = PlanRequest(request=request, facts=facts)
        made = await self.read(names.MAKE_PLAN, asked, PlanResult, "make the plan")
        self.foresee(made.outlook)
        for finding in made.findings:
            self.ledger.note(workflow.now(), finding.severity, finding.subject, finding.sentence)
        if made.plan is None:
            errors = [finding for finding in made.findings if finding.severity == "error"]
            raise self.refusal("; ".join(f"{error.subject}: {error.sentence}" for error in errors), told=True)
        self.ledger.begin(made.plan, made.estimates)
        if any(group.startswith("host/") for group in made.plan.groups):
            self.foresee(made.outlook, made.plan, request.spec.limits)
        self.ledger.note(workflow.now(), "plan", made.plan.hash, f"{len(made.plan.steps)} steps")
        self.herald.planned({one.guest: one.kind for one in made.outlook.named})
        return made.plan

    # The way back

    def failed(self, steps: Sequence[Step]) -> None:
        """Go back at once where the spec says so; what runs is first brought to its end."""
        policy = self._request.spec.on_failure if self._request else None
        if policy is None or self.stopping or self.going_back or self.point_passed:
            return
        if policy.of(steps[0].phase) is OnFailure.ROLLBACK:
            failed = (step for step in steps if self.ledger.steps[step.id].state is StepState.FAILED)
            titles = ", ".join(step.title for step in failed) or steps[0].title
            self.order_end(Abort(by="spec", reason=f"{titles} failed, on_failure: rollback", mode="rollback"))

    async def _roll_back(self, request: UpgradeRequest, plan: Plan) -> bool:
        """Take back what has happened; return whether all of it was."""
        steps = tuple(self.ledger.steps.values())
        if not changed_anything(plan, steps):
            return False
        asked = RollbackPlanRequest(plan=plan, inventory=request.inventory, steps=steps)
        try:
            back = await self._plan_back(asked)
        except ActivityError as error:
            self.ledger.message += f"; the way back could not be planned: {error.cause or error}"
            return False
        self.ledger.begin_back(back)
        self.ledger.note(workflow.now(), "rollback", back.hash, f"{len(back.steps)} steps, {self.ledger.message}")
        self.stopping = self.ledger.paused = False
        return await self.walk(back, request.inventory)

    async def _plan_back(self, asked: RollbackPlanRequest) -> Plan:
        """Have the way back planned; like the plan, it stays in the history as it was made."""
        made: Plan = await workflow.execute_activity(
            names.MAKE_ROLLBACK_PLAN,
            asked,
            result_type=Plan,
            start_to_close_timeout=names.READ_TIMEOUT,
            summary="plan the way back",
        )
        return made

    @property
    def point_passed(self) -> tuple[str, ...]:
        """The steps behind the commit point that have begun."""
        return committed(self.ledger.plan, self.ledger.steps) if self.ledger.plan else ()

    # The end

    def _conclude(self, plan: Plan, *, finished: bool, back: bool | None) -> None:
        ledger, skipped = self.ledger, ", ".join(sorted(self.skipped))
        state = RunState.STOPPED
        if ledger.back is not None and back and not skipped:
            ledger.message = f"{ledger.message}; {ledger.cloud} is wholly back at {ledger.source}, {_PROVEN}"
            state = RunState.ROLLED_BACK
        elif ledger.back is not None:
            left = f"without {skipped}" if back else f"not to its end: `stackroll rollback {ledger.run}` goes on"
            ledger.message = f"{ledger.message}; rolled back {left}; {ledger.cloud} may be mixed"
        elif finished and not skipped:
            ledger.message = f"{ledger.cloud} runs {ledger.target}, {_PROVEN}"
            state = RunState.COMPLETED
        elif finished:
            ledger.message = f"finished without {skipped}: {ledger.cloud} may be mixed"
        elif changed_anything(plan, ledger.steps.values()):
            ledger.message = f"{ledger.message}; the upgrade is not complete, and {ledger.cloud} may be mixed"
        else:
            ledger.message = f"{ledger.message}; nothing was changed"
        self.end(state)

    @workflow.query(name="record", description="For a later rollback: what was asked, the plans, and every step.")
    def record(self) -> RunRecord:
        """Return all that a later rollback needs to know."""
        return RunRecord(
            upgrade=self.ledger.run,
            request=self._request,
            plan=self.ledger.plan,
            back=self.ledger.back,
            steps=tuple(self.ledger.steps.values()),
            ended=self.ledger.ended is not None,
        )


_PROVEN = "verified by an independent read"


def _headline(request: Any) -> tuple[str, str, str]:
    """Return cloud, source and target of a request of any shape, for the record of one that will be refused."""
    outer = request if isinstance(request, dict) else {}
    inventory, spec = outer.get("inventory"), outer.get("spec")
    known = inventory if isinstance(inventory, dict) else {}
    wanted = spec if isinstance(spec, dict) else {}
    return str(known.get("cloud", "?")), str(known.get("release", "?")), str(wanted.get("to", "?"))
