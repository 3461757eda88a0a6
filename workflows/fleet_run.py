"""What runs have in common that take hypervisors out of service: limits, forecasts and the account of their guests."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from model.control import LimitsOrder
    from model.inventory import Inventory
    from model.outlook import Outlook, explain_guest, explain_host
    from model.plan import Action, Plan, Step
    from model.reboot_report import guest_line, report_fleet, tell_guest
    from model.rolling import Limits
    from model.status import FleetStatus, Report
    from workflows.control import not_allowed
    from workflows.executor import Executor, StepError
    from workflows.fleet_view import FleetView, open_hooks, spares_for
    from workflows.ledger import Ledger
    from workflows.run import Run


class FleetRun(Run):
    """A run that empties compute hosts."""

    def __init__(self, ledger: Ledger) -> None:
        """Begin without a forecast."""
        super().__init__(ledger)
        self.ledger.fleet = self._fleet
        self.foreseen = Outlook()
        self._limits = Limits()
        self._view: FleetView | None = None

    def foresee(self, outlook: Outlook, plan: Plan | None = None, limits: Limits | None = None) -> None:
        """Take what was predicted, and with the plan what may happen at the same time."""
        self.foreseen = outlook
        if plan is not None:
            self._view = FleetView(plan, outlook)
        if limits is not None:
            self._limits = limits

    async def take_back_hooks(self, plan: Plan, inventory: Inventory) -> None:
        """Take back what was ordered around the waves that are not over; that it fails keeps nothing from its end."""
        executor = Executor(self.ledger.upgrade, inventory, self.take, tries=self._tries)
        for step in open_hooks(plan, self.ledger.steps):
            executor.steps[step.id] = self.ledger.steps[step.id]
            try:
                await executor.undo(step)
            except StepError as error:
                self.ledger.note(workflow.now(), "warning", step.id, f"it could not be taken back: {error}")

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
            raise not_allowed("the run has no plan yet; set the limits when it waits for an approval")
        if self.ledger.ended:
            raise not_allowed("the run has ended already")
        if order.problem:
            raise not_allowed(order.problem)

    def steps_of(self, plan: Plan, node: str) -> tuple[Step, ...]:
        """Return the steps that are about to begin, with the limits and the finished hosts of now."""
        return tuple(self._as_of_now(plan, step) for step in super().steps_of(plan, node))

    def _as_of_now(self, plan: Plan, step: Step) -> Step:
        if step.action is Action.RETURN_GUESTS:
            return step.model_copy(update={"params": {**step.params, "limits": self._limits.model_dump(mode="json")}})
        if step.action is not Action.DRAIN_COMPUTE or "policy" not in step.params:
            return step  # a plan from before there were policies
        spares = spares_for(plan, self.ledger.steps, self.foreseen, step.target)
        now = {"limits": self._limits.model_dump(mode="json"), "spares": list(spares)}
        return step.model_copy(update={"params": {**step.params, **now}})

    def _fleet(self) -> FleetStatus | None:
        """How far the fleet is."""
        return self._view.status(self.ledger.steps) if self._view is not None else None

    def make_report(self) -> Report:
        """Return the report as far as the run has come, with its hosts and guests."""
        report, plan = super().make_report(), self.ledger.plan
        if plan is None or self._view is None:
            return report
        told = report_fleet(plan, self.ledger.steps, self.ledger.details, self.foreseen)
        return report.model_copy(update={"fleet": told.model_dump(mode="json")})

    # What operators ask and order, beside what they may of any run

    @workflow.query(name="outlook", description="What was predicted: classes of guests, waves, moves, hosts left out.")
    def outlook(self) -> Outlook:
        """Return what was predicted."""
        return self.foreseen

    @workflow.query(name="why", description="Why a host or a guest is treated as it is. Argument: its name or id.")
    def why(self, subject: str) -> str:
        """Explain one host or guest."""
        if text := explain_host(self.foreseen, subject):
            return text
        named = (one.guest for one in self.foreseen.named if subject in (one.guest, one.name))
        id_ = next(named, subject)
        drains = (
            (step for step in self.ledger.plan.steps if step.action is Action.DRAIN_COMPUTE) if self.ledger.plan else ()
        )
        moves = {s.target: s.params["targets"][id_] for s in drains if id_ in s.params.get("targets", {})}
        planned = explain_guest(self.foreseen, subject, moves)
        done = guest_line(self.ledger.plan, self.ledger.details, id_) if self.ledger.plan else None
        return "\n".join([*([planned] if planned else []), *([tell_guest(done)] if done else [])])
