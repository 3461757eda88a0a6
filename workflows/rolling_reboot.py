"""``RollingReboot``: empties and reboots the hypervisors of a cloud, host by host, while its guests run on."""

from collections.abc import Sequence
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from model.base import JsonObject
    from model.control import Abort, GiveWay, LimitsOrder
    from model.inventory import Inventory
    from model.outlook import Outlook, RebootPlanResult, explain_guest, explain_host
    from model.plan import Action, Plan, Step
    from model.reboot_report import guest_line, report_fleet, tell_guest
    from model.reboot_spec import RebootRequest
    from model.rolling import Limits
    from model.spec import OnFailure
    from model.status import FleetStatus, Report, RunState, StepState
    from model.work import Finding
    from workflows import names
    from workflows.executor import Executor, StepError
    from workflows.ledger import Ledger
    from workflows.reboot_plan import FleetView, open_hooks, spares_for
    from workflows.run import Run


@workflow.defn(name="RollingReboot")
class RollingReboot(Run):
    """Empties and reboots the compute hosts of a cloud in waves, and puts each back into service."""

    @workflow.init
    def __init__(self, request: JsonObject) -> None:
        """Begin the record; a request that is not valid is refused in ``run``, with a clear failure."""
        cloud, release = _headline(request)
        super().__init__(Ledger(workflow.info().workflow_id, cloud, release, release, workflow.now()))
        self.ledger.kind = "RollingReboot"
        self.ledger.fleet = self._fleet
        self._request: RebootRequest | None = None
        self._outlook = Outlook()
        self._limits = Limits()
        self._view: FleetView | None = None

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
            await self._take_back_hooks(plan, request.inventory)
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
        self._outlook = made.outlook
        for finding in made.findings:
            self.ledger.note(workflow.now(), finding.severity, finding.subject, _reason(finding))
        if made.plan is None:
            errors = [finding for finding in made.findings if finding.severity == "error"]
            raise self.refusal("; ".join(f"{error.subject}: {_reason(error)}" for error in errors), told=True)
        self._limits = request.spec.limits
        self.ledger.begin(made.plan)
        self._view = FleetView(made.plan, made.outlook)
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

    async def _take_back_hooks(self, plan: Plan, inventory: Inventory) -> None:
        """Take back what was ordered around the waves that are not over; that it fails keeps nothing from its end."""
        executor = Executor(self.ledger.upgrade, inventory, self.take, tries=self._tries)
        for step in open_hooks(plan, self.ledger.steps):
            executor.steps[step.id] = self.ledger.steps[step.id]
            try:
                await executor.undo(step)
            except StepError as error:
                self.ledger.note(workflow.now(), "warning", step.id, f"it could not be taken back: {error}")

    # The end

    def _conclude(self, plan: Plan, *, finished: bool) -> None:
        ledger, skipped = self.ledger, ", ".join(sorted(self.skipped))
        done, left = self._hosts(plan)
        every = f"{len(done)} of {len(done) + len(left)} hosts of {ledger.cloud} are done and in service"
        exposed = ", ".join(one.host for one in self._outlook.exposed)
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

    # What may happen at the same time

    @workflow.update(
        name="limits",
        description="Change what may happen at the same time, from now on; what is not given stays as it is. Payload: "
        '{"by": "you", "max_unavailable": 3, "per_source": 4, "per_target": 2, "per_zone": 20, "total": 40}',
    )
    def limits(self, order: LimitsOrder) -> str:
        """Change limits of hosts and migrations."""
        changed = order.given
        if order.max_unavailable is not None and self.machine is not None:
            self.machine.limit("hosts", order.max_unavailable)
        self._limits = self._limits.model_copy(update={k: v for k, v in changed.items() if k in Limits.model_fields})
        text = ", ".join(f"{name} {number}" for name, number in changed.items())
        self.ledger.note(
            workflow.now(), "limits", "run", f"{text}{f': {order.reason}' if order.reason else ''}", order.by
        )
        self.changed()
        return f"from now on: {text}"

    @limits.validator
    def _may_limit(self, order: LimitsOrder) -> None:
        if self.machine is None:
            raise _no("the run has no plan yet; set the limits when it waits for an approval")
        if self.ledger.ended:
            raise _no("the run has ended already")
        if order.problem:
            raise _no(order.problem)

    def steps_of(self, plan: Plan, node: str) -> tuple[Step, ...]:
        """Return the steps that are about to begin, with the limits and the finished hosts of now."""
        return tuple(self._as_of_now(plan, step) for step in super().steps_of(plan, node))

    def _as_of_now(self, plan: Plan, step: Step) -> Step:
        if step.action is Action.RETURN_GUESTS:
            return step.model_copy(update={"params": {**step.params, "limits": self._limits.model_dump(mode="json")}})
        if step.action is not Action.DRAIN_COMPUTE:
            return step
        spares = spares_for(plan, self.ledger.steps, self._outlook, step.target)
        now = {"limits": self._limits.model_dump(mode="json"), "spares": list(spares)}
        return step.model_copy(update={"params": {**step.params, **now}})

    def _fleet(self) -> FleetStatus | None:
        """How far the fleet is."""
        return self._view.status(self.ledger.steps) if self._view is not None else None

    def make_report(self) -> Report:
        """Return the report as far as the run has come, with its hosts and guests."""
        report, plan = super().make_report(), self.ledger.plan
        if plan is None:
            return report
        told = report_fleet(plan, self.ledger.steps, self.ledger.details, self._outlook)
        return report.model_copy(update={"fleet": told.model_dump(mode="json")})

    # What operators ask and order, beside what they may of any run

    @workflow.query(name="outlook", description="What was predicted: classes of guests, waves, moves, hosts left out.")
    def outlook(self) -> Outlook:
        """Return what was predicted."""
        return self._outlook

    @workflow.query(name="why", description="Why a host or a guest is treated as it is. Argument: its name or id.")
    def why(self, subject: str) -> str:
        """Explain one host or guest."""
        if text := explain_host(self._outlook, subject):
            return text
        named = (one.guest for one in self._outlook.named if subject in (one.guest, one.name))
        id_ = next(named, subject)
        drains = (
            (step for step in self.ledger.plan.steps if step.action is Action.DRAIN_COMPUTE) if self.ledger.plan else ()
        )
        moves = {s.target: s.params["targets"][id_] for s in drains if id_ in s.params.get("targets", {})}
        planned = explain_guest(self._outlook, subject, moves)
        done = guest_line(self.ledger.plan, self.ledger.details, id_) if self.ledger.plan else None
        return "\n".join([*([planned] if planned else []), *([tell_guest(done)] if done else [])])


def _headline(request: Any) -> tuple[str, str]:
    """Return cloud and release of a request of any shape, for the record of one that will be refused."""
    inventory = request.get("inventory") if isinstance(request, dict) else None
    known = inventory if isinstance(inventory, dict) else {}
    return str(known.get("cloud", "?")), str(known.get("release", "?"))


def _no(message: str) -> ApplicationError:
    return ApplicationError(message, type="Refused", non_retryable=True)


def _reason(finding: Finding) -> str:
    return f"{finding.problem} ({finding.remedy})"
