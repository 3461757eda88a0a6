"""What a cloud's earlier runs and rehearsals took, and what that says of the steps of a plan. All times in seconds.

The sources of an estimate, the best one first:

* steps on the databases: the newest rehearsal with the same target release, then runs with it; another release
  migrates something else;
* drains: the guests that will be on the host by then, at what a guest took in earlier runs, else at what is assumed;
* other steps: earlier runs of this cloud, whatever the release;
* what is assumed of a small cloud, as the plan has it, when nothing was measured.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from statistics import fmean, median
from typing import Literal, Self

from pydantic import Field

from model.base import Record
from model.placement.records import Durations
from model.plan import Action, Plan, Step
from model.rehearsal import RehearsalReport
from model.status import Report, StepState
from model.words import seconds_between
from model.work import HostLoad

# Runs that count, the newest ones; and that are kept, rehearsals among them.
_MOST_RUNS = 5
_MOST_KEPT = 12
# What takes as long as the specification or a person says.
FIXED = frozenset({Action.GATE, Action.SOAK, Action.ALERTS, Action.WATCH_HOSTS})
# Half and double: another cloud's hosts, disks and networks.
_ASSUMED = (0.5, 2.0)
# The copy was alone on its server; production is not.
_REHEARSED = (0.8, 1.6)
_SINGLE_MOVE = Durations()
_DRAIN_ITSELF = 2.0
_MOVED = re.compile(r"\b(\d+) guests? moved\b")
_FASTEST = 0.05


class Basis(StrEnum):
    """Where an estimate comes from."""

    FIXED = "fixed"
    REHEARSAL = "rehearsal"
    RUNS = "runs"
    MODEL = "model"
    ASSUMED = "assumed"


class Estimate(Record):
    """What a step is expected to take: most likely, and the range in which it probably lies."""

    seconds: float
    low: float
    high: float
    basis: Basis

    @property
    def least(self) -> float:
        """The lower end of the range as a part of what is most likely."""
        return self.low / self.seconds if self.seconds else 1.0

    @property
    def most(self) -> float:
        """The upper end of the range as a multiple of what is most likely."""
        return self.high / self.seconds if self.seconds else 1.0

    @classmethod
    def about(cls, seconds: float, basis: Basis, low: float, high: float) -> Self:
        """Return an estimate with a range given as factors."""
        return cls(seconds=round(seconds, 2), low=round(seconds * low, 2), high=round(seconds * high, 2), basis=basis)


class RunTimes(Record):
    """What one run or rehearsal has measured.

    Attributes:
        run: its id.
        ended: when, ISO 8601.
        seconds: by kind of step (``kind_of``), the median of those that passed at their first try.
        per_move: of a drain, per guest that was moved; None when none was.
    """

    run: str
    kind: Literal["upgrade", "rehearsal"]
    target: str
    ended: str
    seconds: dict[str, float]
    per_move: float | None = None


class Experience(Record):
    """What is known of a cloud, the newest last."""

    runs: tuple[RunTimes, ...] = ()

    def learned(self, times: RunTimes) -> "Experience":
        """Return it with one more run; one that is told again takes the place of what was told before."""
        others = [one for one in self.runs if one.run != times.run]
        return Experience(runs=tuple(sorted((*others, times), key=lambda one: one.ended))[-_MOST_KEPT:])

    def newest(self, kind: str, target: str | None = None) -> tuple[RunTimes, ...]:
        """Return the newest of a kind, of those with this target where one is given."""
        found = [one for one in self.runs if one.kind == kind and target in {None, one.target}]
        return tuple(found[-_MOST_RUNS:])


class Estimates(Record):
    """The estimates of a plan's steps, by kind; those of drains by host. Without one, the plan's own counts."""

    kinds: dict[str, Estimate] = {}
    drains: dict[str, Estimate] = {}
    runs: int = Field(default=0, ge=0)

    def of(self, step: Step) -> Estimate:
        """Return the estimate of a step."""
        if step.action in FIXED:
            return Estimate.about(step.estimate, Basis.FIXED, 1.0, 1.0)
        found = self.drains.get(step.target) if step.action is Action.DRAIN_COMPUTE else None
        found = found or self.kinds.get(kind_of(step.id, step.target))
        return found or Estimate.about(step.estimate, Basis.ASSUMED, *_ASSUMED)

    def apply(self, plan: Plan) -> Plan:
        """Return the plan with these estimates in it; for forecasts only, since it has another hash."""
        if not self.kinds and not self.drains:
            return plan
        steps = tuple(step.model_copy(update={"estimate": self.of(step).seconds}) for step in plan.steps)
        return plan.model_copy(update={"steps": steps})


def kind_of(id_: str, target: str) -> str:
    """Return what steps have in common that differ only in their host: their id without it."""
    return "/".join("*" if part == target else part for part in id_.split("/"))


def times_of(report: Report) -> RunTimes | None:
    """Return what a run has measured; None while there is nothing, or of what is no upgrade."""
    if report.status.kind != "RollingUpgrade":
        return None
    took: dict[str, list[float]] = {}
    moves: list[float] = []
    for step in report.steps:
        seconds = seconds_between(step.started, step.ended)
        if seconds is None or step.state is not StepState.DONE or step.tries > 1:
            continue
        took.setdefault(kind_of(step.id, step.target), []).append(seconds)
        moved = _MOVED.search(step.summary)
        if moved and int(moved[1]):
            moves.append(seconds / int(moved[1]))
    if not took:
        return None
    return RunTimes(
        run=report.status.upgrade,
        kind="upgrade",
        target=report.status.target,
        ended=report.status.ended or report.status.now,
        seconds={kind: round(median(several), 2) for kind, several in took.items()},
        per_move=round(median(moves), 2) if moves else None,
    )


def times_of_rehearsal(report: RehearsalReport) -> RunTimes | None:
    """Return what a rehearsal has measured; None when there is nothing."""
    if not report.durations:
        return None
    ended = report.ended or report.started
    return RunTimes(run=report.run, kind="rehearsal", target=report.target, ended=ended, seconds=report.durations)


def estimate_plan(plan: Plan, known: Experience, load: Mapping[str, HostLoad], parallel: int) -> Estimates:
    """Return what the steps of a plan are expected to take.

    Args:
        plan: the plan.
        known: earlier runs and rehearsals of its cloud.
        load: the guests of each compute host; a host that is not named has none that is known.
        parallel: how many guests leave a host at the same time.
    """
    runs = known.newest("upgrade")
    kinds: dict[str, Estimate] = {}
    for step in plan.steps:
        kind = kind_of(step.id, step.target)
        if kind not in kinds and step.action not in FIXED and (found := _measured(step, kind, plan, known)):
            kinds[kind] = found
    hosts = [step.target for step in plan.steps if step.action is Action.DRAIN_COMPUTE]
    per_move = [run.per_move for run in runs if run.per_move is not None]
    drains = estimate_drains(hosts, load, parallel, per_move) if load else {}
    return Estimates(kinds=kinds, drains=drains, runs=len(runs))


def _measured(step: Step, kind: str, plan: Plan, known: Experience) -> Estimate | None:
    rehearsed = [one.seconds[kind] for one in known.newest("rehearsal", plan.target) if kind in one.seconds]
    if rehearsed:
        return Estimate.about(max(rehearsed[-1], _FASTEST), Basis.REHEARSAL, *_REHEARSED)
    runs = known.newest("upgrade", plan.target if step.action is Action.RUN_MANAGE else None)
    samples = [run.seconds[kind] for run in runs if kind in run.seconds]
    return in_range(samples) if samples else None


def in_range(samples: Sequence[float], basis: Basis = Basis.RUNS) -> Estimate:
    """Return the estimate that measured durations give: the more there are, the narrower, never within what was seen.

    Args:
        samples: at least one duration.
        basis: what to call it.
    """
    middle = max(median(samples), _FASTEST)
    doubt = 1 / len(samples) ** 0.5
    low = min(*samples, middle * (1 - 0.25 * doubt))
    high = max(*samples, middle * (1 + 0.5 * doubt))
    return Estimate(seconds=round(middle, 2), low=round(min(low, middle), 2), high=round(high, 2), basis=basis)


def estimate_drains(
    hosts: Sequence[str], load: Mapping[str, HostLoad], parallel: int, per_move: Sequence[float] = ()
) -> dict[str, Estimate]:
    """Return what it takes to empty each of these hosts, one after the other.

    The guests of a host go to all others alike, so that later hosts have more of them, and those that were emptied fill
    up again.

    Args:
        hosts: in the order of their drains.
        load: the guests on each host now.
        parallel: how many leave a host at the same time.
        per_move: measured seconds of a drain per guest, by run; without any, what is assumed of a guest's memory.
    """
    share = 1 / max(1, len(hosts) - 1)
    gib = fmean([one.gib / one.guests for one in load.values() if one.guests] or [0.0])
    assumed = (_SINGLE_MOVE.per_move + _SINGLE_MOVE.seconds_per_gib * gib) / parallel
    rate = in_range(per_move) if per_move else Estimate.about(assumed, Basis.MODEL, *_ASSUMED)
    gathered, found = 0.0, dict[str, Estimate]()
    for host in hosts:
        guests = load[host].guests + gathered if host in load else gathered
        gathered += guests * share
        found[host] = Estimate(
            seconds=round(_DRAIN_ITSELF + guests * rate.seconds, 2),
            low=round(_DRAIN_ITSELF + guests * rate.low, 2),
            high=round(_DRAIN_ITSELF + guests * rate.high, 2),
            basis=Basis.RUNS if per_move else Basis.MODEL,
        )
    return found


def sources(estimates: Iterable[Estimate]) -> dict[Basis, int]:
    """Return how many estimates come from where; what takes no time and what is fixed does not count."""
    found: dict[Basis, int] = {}
    for one in estimates:
        if one.seconds and one.basis is not Basis.FIXED:
            found[one.basis] = found.get(one.basis, 0) + 1
    return found
