"""How long a plan, or what remains of it, will take: its critical path within the limits, with a range.

The walk starts what ``workflows.dag.Machine`` would start. That looks at every node for each that starts, which would
take minutes for a fleet; an operator asks every second. All times in seconds.
"""

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from model.experience import FIXED, Basis, Estimate, Estimates
from model.plan import Plan, Step
from model.status import Remaining
from model.windows import Interval

# However well everything is known: two runs are never alike.
_LEAST_DOUBT = 0.1
# How much of the doubt about what is assumed the pace of a run takes away, once all but nothing is left.
_PACE_TELLS = 0.8
# Before so much of it has ended, a run's pace is chance.
_PACE_AFTER = 10.0
_SLOWEST, _FASTEST = 5.0, 0.2
_NOTHING = Estimates()


@dataclass(frozen=True)
class Turn:
    """A step's turn: its begin and end in seconds from now, and the step whose end it waited for."""

    id: str
    begin: float
    end: float
    after: str | None


def walk(
    steps: Mapping[str, Step],
    limits: Mapping[str, int],
    passed: AbstractSet[str],
    elapsed: Mapping[str, float] | None = None,
    pace: float = 1.0,
) -> Iterator[Turn]:
    """Yield the turn of each step that has not passed, in the order of the ends.

    Args:
        steps: in the order of the plan.
        limits: how many steps with this limit may run at the same time.
        passed: ids of the steps that have passed.
        elapsed: for the running steps, for how many seconds they have been running.
        pace: measured over estimated duration; what the specification fixes keeps its own.
    """
    elapsed = elapsed or {}
    order = {id_: (id_ not in elapsed, place) for place, id_ in enumerate(steps)}
    missing = {id_: sum(need not in passed for need in step.needs) for id_, step in steps.items() if id_ not in passed}
    after: dict[str, list[str]] = {}
    for id_ in missing:
        for need in steps[id_].needs:
            after.setdefault(need, []).append(id_)
    room: dict[str | None, float] = {None: math.inf}
    room.update(limits)
    ready: dict[str | None, list[tuple[tuple[bool, int], str]]] = {limit: [] for limit in room}
    for id_ in (id_ for id_, needs in missing.items() if not needs):
        heapq.heappush(ready[steps[id_].limit], (order[id_], id_))
    now, ended, ends, begins = 0.0, None, list[tuple[float, str]](), dict[str, tuple[float, str | None]]()
    while True:
        for limit, waiting in ready.items():
            while waiting and room[limit] > 0:
                _, id_ = heapq.heappop(waiting)
                room[limit] -= 1
                begins[id_] = (now, ended)
                heapq.heappush(ends, (now + _left(steps[id_], pace, elapsed), id_))
        if not ends:
            return
        now, ended = heapq.heappop(ends)
        yield Turn(ended, begins[ended][0], now, begins[ended][1])
        room[steps[ended].limit] += 1
        for id_ in after.get(ended, ()):
            missing[id_] -= 1
            if not missing[id_]:
                heapq.heappush(ready[steps[id_].limit], (order[id_], id_))


def _left(step: Step, pace: float, elapsed: Mapping[str, float]) -> float:
    return max(0.0, step.estimate * (1.0 if step.action in FIXED else pace) - elapsed.get(step.id, 0.0))


def remaining_seconds(
    plan: Plan, passed: AbstractSet[str], elapsed: Mapping[str, float] | None = None, pace: float = 1.0
) -> float:
    """Return the seconds until every step has passed if each takes ``pace`` times its estimate; as ``walk``."""
    return max((turn.end for turn in walk(plan.by_id, plan.limits, passed, elapsed, pace)), default=0.0)


def critical_path(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Return the chain of turns that decides when all has ended, from the first to the last."""
    by_id = {turn.id: turn for turn in turns}
    last = max(by_id.values(), key=lambda turn: turn.end, default=None)
    path: list[Turn] = []
    while last is not None:
        path.append(last)
        last = by_id[last.after] if last.after is not None else None
    return tuple(reversed(path))


def measured_pace(plan: Plan, durations: Mapping[str, float], *, everything: bool = False) -> float:
    """Return measured over estimated duration of the steps that have ended; 1 before anything is known.

    What the specification or a person fixes tells nothing of it; ``everything`` counts that, too.
    """
    counted = [id_ for id_ in durations if everything or plan.by_id[id_].action not in FIXED]
    estimated = sum(plan.by_id[id_].estimate for id_ in counted)
    if estimated < _PACE_AFTER:
        return 1.0
    return max(_FASTEST, min(_SLOWEST, sum(durations[id_] for id_ in counted) / estimated))


@dataclass(frozen=True)
class Forecast:
    """How long it will take.

    Attributes:
        seconds: what is most likely; it lies between ``low`` and ``high``.
        path: the chain of steps that decides it.
    """

    low: float
    seconds: float
    high: float
    path: tuple[Turn, ...] = field(default=(), compare=False)

    @property
    def remaining(self) -> Remaining:
        """The same, as a status tells it."""
        return Remaining(low=round(self.low, 1), high=round(self.high, 1), likely=round(self.seconds, 1))


def forecast(
    plan: Plan,
    estimates: Estimates = _NOTHING,
    passed: AbstractSet[str] = frozenset(),
    elapsed: Mapping[str, float] | None = None,
    durations: Mapping[str, float] | None = None,
) -> Forecast:
    """Return how long what remains of a plan will take.

    What was measured errs now this way, now that way, so its doubts add up as their squares do; what is assumed errs
    the same way everywhere, and the less of the run remains, the more its own pace tells of that.

    Args:
        plan: the plan with the estimates in it (``Estimates.apply``).
        estimates: where they come from.
        passed: ids of the steps that have passed.
        elapsed: for the running steps, for how many seconds they have been running.
        durations: measured seconds of the steps that have ended.
    """
    durations = durations or {}
    pace = measured_pace(plan, durations)
    path = critical_path(walk(plan.by_id, plan.limits, passed, elapsed, pace))
    if not path:
        return Forecast(0.0, 0.0, 0.0)
    known = sum(plan.by_id[id_].estimate for id_ in durations) / (sum(s.estimate for s in plan.steps) or 1.0)
    trust = 1 - _PACE_TELLS * min(1.0, known)
    below, above, fixed = _Doubt(), _Doubt(), 0.0
    for turn in path:
        estimate, step = estimates.of(plan.by_id[turn.id]), plan.by_id[turn.id]
        took = turn.end - turn.begin
        if estimate.basis is Basis.FIXED or not step.estimate:
            fixed += took
            continue
        below.add(took * (1 - estimate.least), estimate)
        above.add(took * (estimate.most - 1), estimate)
    seconds = path[-1].end
    least = _LEAST_DOUBT * (seconds - fixed)
    low = max(fixed, seconds - max(least, below.total(trust)))
    return Forecast(min(low, seconds), seconds, seconds + max(least, above.total(trust)), path)


@dataclass
class _Doubt:
    """How far off several estimates may be together."""

    squares: float = 0.0
    straight: float = 0.0

    def add(self, seconds: float, estimate: Estimate) -> None:
        if estimate.basis in {Basis.RUNS, Basis.REHEARSAL}:
            self.squares += seconds**2
        else:
            self.straight += seconds

    def total(self, trust: float) -> float:
        return math.sqrt(self.squares) + self.straight * trust


def end_in_windows(
    start: datetime, pieces: Sequence[tuple[float, bool]], openings: Sequence[Interval]
) -> datetime | None:
    """Return when a chain of work ends of which some may be done in maintenance windows only.

    Args:
        start: when it begins.
        pieces: seconds of each, and whether it needs a window; nothing begins that would not end before one closes.
        openings: the windows to come, the first one first.

    Returns:
        None when it does not end within them.
    """
    now = start
    for seconds, needs_window in pieces:
        took = timedelta(seconds=seconds)
        if needs_window:
            begins = (max(now, one.opens) for one in openings if max(now, one.opens) + took <= one.closes)
            begin = next(begins, None)
            if begin is None:
                return None
            now = begin
        now += took
    return now
