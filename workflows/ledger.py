"""What has happened in a run, and every view of it. Plain data: it is told the time, and it does nothing by itself."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal

from model.base import JsonObject
from model.experience import Estimates
from model.forecast import forecast
from model.plan import Action, Plan, Step
from model.status import (
    AvailabilityNews,
    Event,
    FleetStatus,
    Remaining,
    RunState,
    StepState,
    StepStatus,
    UpgradeStatus,
    Waiting,
)
from model.window_clock import WindowStatus
from workflows.tally import ACTIVE, PASSED, Tally

_MOST_EVENTS_SHOWN = 12


def iso(moment: datetime) -> str:
    """Return a moment as this project writes times."""
    return moment.isoformat(timespec="milliseconds")


class Ledger:
    """The record of a run: the state of each step, and the events in order."""

    def __init__(self, run: str, cloud: str, source: str, target: str, started: datetime) -> None:
        """Begin the record of a run; the upgrade that it works on is itself, unless it is told of another one."""
        self.run = self.upgrade = run
        self.cloud, self.source, self.target = cloud, source, target
        self.kind: Literal["RollingUpgrade", "Rollback", "RollingReboot"] = "RollingUpgrade"
        self.started = iso(started)
        self.ended: str | None = None
        self.state = RunState.PLANNING
        self.message = ""
        self.paused = False
        self.window: WindowStatus | None = None
        self.plan: Plan | None = None
        self.back: Plan | None = None
        self.estimates = Estimates()
        self.timed: Plan | None = None
        self._tally = Tally()
        self.events: list[Event] = []
        self.waiting: dict[str, Waiting] = {}
        self.durations: dict[str, float] = {}
        self.undecided: set[str] = set()
        self.details: dict[str, JsonObject] = {}
        self.availability: AvailabilityNews | None = None
        self.fleet: Callable[[], FleetStatus | None] = lambda: None

    def begin(self, plan: Plan, estimates: Estimates | None = None) -> None:
        """Take the plan: every step is pending. ``timed`` is the plan with what was measured before in it."""
        self.plan = plan
        self.estimates = estimates or self.estimates
        self.timed = self.estimates.apply(plan)
        self._expect(plan)

    def begin_back(self, plan: Plan) -> None:
        """Take the way back: its steps are added to those of the upgrade."""
        self.back = self.timed = plan
        self._expect(plan)
        self.durations = {}

    def _expect(self, plan: Plan) -> None:
        """Note that the steps of a plan are pending; the hosts are shown by them from now on."""
        steps = [pending(step) for step in plan.steps]
        for status in steps:
            self._tally.put(status)
        self._tally.show_hosts(steps)

    @property
    def steps(self) -> Mapping[str, StepStatus]:
        """Every step, in plan order; ``put`` changes them."""
        return self._tally.steps

    def find(self, step: str) -> Step | None:
        """Return a step of the plan, or of the way back."""
        plans = (plan for plan in (self.back, self.plan) if plan is not None)
        return next((plan.by_id[step] for plan in plans if step in plan.by_id), None)

    def note(self, at: datetime, kind: str, subject: str, text: str = "", by: str = "") -> Event:
        """Append an event and return it."""
        event = Event(at=iso(at), kind=kind, subject=subject, text=text, by=by)
        self.events.append(event)
        return event

    def put(self, status: StepStatus) -> None:
        """Take the new state of a step."""
        self._tally.put(status)
        self._take_back(status)
        if status.state is StepState.DONE and status.started and status.ended:
            took = datetime.fromisoformat(status.ended) - datetime.fromisoformat(status.started)
            self.durations[status.id] = took.total_seconds()

    def _take_back(self, status: StepStatus) -> None:
        """Mark a step of the upgrade as taken back once its compensation has been carried out."""
        step = self.back.by_id.get(status.id) if self.back is not None else None
        if step is None or step.of is None or step.action is Action.SETTLE:
            return
        if step.of in self.steps and status.state is StepState.DONE:
            marks = {"state": StepState.UNDONE, "undone": True}
            self._tally.put(self.steps[step.of].model_copy(update=marks))

    def in_state(self, *states: StepState) -> tuple[StepStatus, ...]:
        """Return the steps in any of these states, in plan order."""
        return self._tally.in_state(*states)

    def status(self, now: datetime, *, outlook: bool = True) -> UpgradeStatus:
        """Return what an operator sees; without the forecast it costs little, whatever the fleet's size."""
        running = self.in_state(*ACTIVE)
        failed = tuple(step for step in self.in_state(StepState.FAILED) if self._is_current(step))
        return UpgradeStatus(
            kind=self.kind,
            upgrade=self.run,
            cloud=self.cloud,
            source=self.source,
            target=self.target,
            state=self.state,
            paused=self.paused,
            plan_hash=self.plan.hash if self.plan else None,
            started=self.started,
            ended=self.ended,
            now=iso(now),
            phases=self._tally.phases,
            hosts=self._tally.hosts,
            fleet=self.fleet(),
            running=running,
            failed=failed,
            waiting=(*self.waiting.values(), *self._decisions(failed)),
            remaining=self._remaining(running, now) if outlook else None,
            events=tuple(self.events[-_MOST_EVENTS_SHOWN:]),
            message=self.message,
            window=None if self.ended else self.window,
            availability=self.availability,
        )

    def _decisions(self, failed: tuple[StepStatus, ...]) -> tuple[Waiting, ...]:
        if self.ended:
            return ()
        return tuple(
            Waiting(
                what=f"a decision about {step.title}",
                since=step.ended or self.started,
                go_on=f"stackroll retry {self.run} {step.id} | stackroll skip {self.run} {step.id} "
                f"--reason WHY | stackroll abort {self.run} --reason WHY",
            )
            for step in failed
            if (step.group or step.id) in self.undecided
        )

    def _remaining(self, running: tuple[StepStatus, ...], now: datetime) -> Remaining | None:
        plan = self.timed
        if plan is None or self.ended:
            return None
        passed = {step.id for step in self.in_state(*PASSED)}
        elapsed = {s.id: (now - datetime.fromisoformat(s.started)).total_seconds() for s in running if s.started}
        took = {id_: seconds for id_, seconds in self.durations.items() if id_ in plan.by_id}
        return forecast(plan, self.estimates, passed, elapsed, took).remaining

    def _is_current(self, step: StepStatus) -> bool:
        """Whether a step belongs to what the run walks now: on the way back, the upgrade's own failures are history."""
        return self.back is None or step.id in self.back.by_id


def pending(step: Step) -> StepStatus:
    """Return the state of a step that has not begun."""
    return StepStatus(
        id=step.id,
        title=step.title,
        phase=step.phase,
        target=step.target,
        group=step.group,
        state=StepState.PENDING,
    )
