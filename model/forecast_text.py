"""A forecast as people read it: how long, until when, what decides it, and where it comes from."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from model.experience import FIXED, Basis, Estimates, sources
from model.forecast import Forecast, end_in_windows
from model.plan import Action, Plan, Step
from model.wallclock import local_text
from model.windows import Interval, zone_of
from model.words import count, duration

# What waits or looks needs no window: a night's soak, the approval of a person who works by day.
NO_WINDOW = frozenset({Action.GATE, Action.SOAK, Action.ALERTS, Action.WATCH_HOSTS, Action.VERIFY_CLOUD})
_FROM = {
    Basis.REHEARSAL: "the rehearsal",
    Basis.RUNS: "earlier runs",
    Basis.MODEL: "the guests on the hosts",
    Basis.ASSUMED: "what is assumed of a small cloud",
}
# Of what decides how long it takes, phases with less than this part are not worth a word.
_WORTH = 0.02


def describe_forecast(
    plan: Plan,
    found: Forecast,
    estimates: Estimates,
    start: datetime,
    openings: Sequence[Interval] | None = None,
    timezone: str = "UTC",
) -> tuple[str, ...]:
    """Return the lines that say what a plan is expected to take.

    Args:
        plan: the plan with the estimates in it.
        found: its forecast.
        estimates: where it comes from.
        start: when it would begin.
        openings: its maintenance windows, the first one first; None when it needs none.
        timezone: in which its end is told.
    """
    likely = duration(found.seconds)
    return (
        f"forecast: {likely}, between {duration(found.low)} and {duration(found.high)}; approvals are not counted",
        f"  started now, {_ends(plan, found, start, openings, timezone)}",
        f"  what decides it: {_decides(plan, found)}",
        f"  known from: {_known(plan, estimates)}",
    )


def ends(
    plan: Plan, found: Forecast, start: datetime, openings: Sequence[Interval] | None = None
) -> tuple[datetime | None, datetime | None]:
    """Return when it ends at the earliest and at the latest; None when no known window is left for it.

    Args:
        plan: the plan with the estimates in it.
        found: its forecast.
        start: when it would begin.
        openings: its maintenance windows; None when it needs none.
    """
    if openings is None:
        return start + timedelta(seconds=found.low), start + timedelta(seconds=found.high)
    earliest = end_in_windows(start, _pieces(plan, found, found.low), openings)
    return earliest, end_in_windows(start, _pieces(plan, found, found.high), openings)


def _pieces(plan: Plan, found: Forecast, seconds: float) -> list[tuple[float, bool]]:
    """Return what decides it, node by node, stretched so that it takes so long in all; what is fixed keeps its time."""
    steps = [(plan.by_id[turn.id], turn.end - turn.begin) for turn in found.path]
    fixed = sum(took for step, took in steps if step.action in FIXED)
    stretch = (seconds - fixed) / ((found.seconds - fixed) or 1.0)
    nodes: dict[str, tuple[float, bool]] = {}
    for step, took in steps:
        node = step.group or step.id
        before = nodes.get(node, (0.0, False))
        needs = step.group is not None or step.action not in NO_WINDOW
        nodes[node] = (before[0] + took * (1.0 if step.action in FIXED else stretch), needs)
    return list(nodes.values())


def _ends(plan: Plan, found: Forecast, start: datetime, openings: Sequence[Interval] | None, timezone: str) -> str:
    zone = zone_of(timezone)
    first, last = ends(plan, found, start, openings)
    if first is None:
        return "it does not end within the windows that are known: give longer ones"
    until = local_text(_minute(last, up=True), zone) if last else "a window that is not known yet"
    within = "" if openings is None else " (windows counted)"
    return f"it ends between {local_text(_minute(first), zone)} and {until}{within}"


def _minute(moment: datetime, *, up: bool = False) -> datetime:
    whole = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return whole + timedelta(minutes=1) if up and whole != moment else whole


def _decides(plan: Plan, found: Forecast) -> str:
    """Name the phases on the critical path with their seconds, and the longest of its steps."""
    phases: dict[str, float] = {}
    longest: tuple[float, Step] | None = None
    for turn in found.path:
        step, took = plan.by_id[turn.id], turn.end - turn.begin
        phases[step.phase.value] = phases.get(step.phase.value, 0.0) + took
        if step.action not in FIXED and (longest is None or took > longest[0]):
            longest = took, step
    text = ", ".join(f"{name} {duration(took)}" for name, took in phases.items() if took > _WORTH * found.seconds)
    if longest is not None:
        text += f"; the longest step: {longest[1].title}, {duration(longest[0])}"
    return text or "nothing"


def _known(plan: Plan, estimates: Estimates) -> str:
    found = sources(estimates.of(step) for step in plan.steps)
    names = dict(_FROM) | {Basis.RUNS: count(estimates.runs, "earlier run")}
    return ", ".join(f"{names[basis]} ({count(found[basis], 'step')})" for basis in _FROM if basis in found)
