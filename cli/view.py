"""What ``watch`` and ``status`` show: pure functions from a run's status to something that rich can print."""

from collections.abc import Sequence
from datetime import UTC, timedelta

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from model.budget import line
from model.render import between
from model.route import fleet_line, way
from model.status import (
    AvailabilityNews,
    Event,
    HostStatus,
    PhaseStatus,
    RunState,
    StepState,
    StepStatus,
    UpgradeStatus,
    Waiting,
)
from model.words import clock, count, duration, elapsed, moment

STATE_STYLES = {
    RunState.PLANNING: "cyan",
    RunState.RUNNING: "blue",
    RunState.PAUSED: "yellow",
    RunState.WAITING: "yellow",
    RunState.FAILING: "red",
    RunState.STOPPING: "yellow",
    RunState.ROLLING_BACK: "magenta",
    RunState.ROLLED_BACK: "magenta",
    RunState.COMPLETED: "green",
    RunState.STOPPED: "red",
    RunState.REFUSED: "red",
}
_STEP_STYLES = {
    StepState.PENDING: "dim",
    StepState.RUNNING: "blue",
    StepState.DONE: "green",
    StepState.FAILED: "bold red",
    StepState.SKIPPED: "yellow",
    StepState.UNDOING: "magenta",
    StepState.UNDONE: "magenta",
}
_BAR = 24
_MOST_HOSTS = 16
_MOST_RUNNING = 12
_MOST_EVENTS = 8


def screen(status: UpgradeStatus, *, now: str | None = None, outage: str = "") -> RenderableType:
    """Return the whole view of a run.

    Args:
        status: the answer of the ``status`` query.
        now: the present time, where it is later than the answer's own.
        outage: since when and why there is no answer, if there is none.
    """
    now = status.ended or now or status.now
    parts: list[RenderableType] = [_header(status, now)]
    if outage:
        parts.append(Text(f"▲ {outage}", style="bold yellow"))
    if status.message:
        parts.append(Text(status.message, style=STATE_STYLES[status.state]))
    parts += _needs_attention(status, now)
    if status.phases:
        parts += [Text(), _phases(status.phases)]
    if status.running:
        parts += [_title("running"), _running(status.running, now)]
    if status.hosts:
        parts += [_title("hosts"), *_hosts(status.hosts, now)]
    if status.events:
        parts += [_title("last events"), *(event_line(event, brief=True) for event in status.events[-_MOST_EVENTS:])]
    return Group(*parts)


def event_line(event: Event, *, brief: bool = False) -> Text:
    """Return an event as one line: when, what, to what, by whom. Brief, it is without the rest of a long error."""
    lines = event.text.splitlines() or [""]
    text = lines[0] if brief else "; ".join(lines)
    line = Text.assemble((clock(event.at), "dim"), "  ", (f"{event.kind:<9}", _kind_style(event.kind)), " ")
    if event.kind in {state.value for state in StepState}:
        # The text of a step's event begins with its title, which says more than its id.
        line.append(text or event.subject)
        line.append(f"  [{event.subject}]", style="dim")
    else:
        line.append(f"{event.subject}: {text}" if text else event.subject)
    if event.by:
        line.append(f"  (by {event.by})", style="cyan")
    return line


def _kind_style(kind: str) -> str:
    if kind in {state.value for state in StepState}:
        return _STEP_STYLES[StepState(kind)]
    return "cyan"


def _header(status: UpgradeStatus, now: str) -> RenderableType:
    first = Text.assemble(
        (f" {status.state.value.upper().replace('_', ' ')} ", f"bold reverse {STATE_STYLES[status.state]}"),
        ("  ", ""),
        (status.upgrade, "bold"),
        f"  {status.cloud} {way(status)}",
    )
    if status.paused and status.state is not RunState.PAUSED:
        first.append("  paused", style="yellow")
    since = f"since {clock(status.started)}"
    until = f"ended {clock(status.ended)} after" if status.ended else "running"
    second = Text(f"{since} · {until} {elapsed(status.started, now)}", style="dim")
    second.append(_ends(status))
    if status.plan_hash:
        second.append(f" · plan {status.plan_hash}")
    lines = [first, second, Text(_progress(status))]
    if status.fleet is not None:
        lines.append(Text(fleet_line(status.fleet)))
    if status.window is not None:
        lines.append(Text(status.window.text, style="" if status.window.open else "yellow"))
    if status.availability is not None and status.availability.baseline:
        lines.append(_apis(status.availability))
    return Group(*lines)


def _apis(news: AvailabilityNews) -> Text:
    failing = any(one.down_since for one in news.services)
    failed = any(one.failed for one in news.services)
    return Text(f"APIs: {line(news)}", style="bold red" if failing else "yellow" if failed else "green")


def _progress(status: UpgradeStatus) -> str:
    total = sum(phase.total for phase in status.phases)
    if not total:
        return "the plan is being made" if status.ended is None else ""
    done = sum(phase.done for phase in status.phases)
    text = f"{done} of {count(total, 'step')} done, {len(status.running)} running, {len(status.failed)} failed"
    if status.ended is None and status.remaining is not None:
        held = status.waiting and not status.running
        text += f" · remaining {between(status.remaining)}" + (" once it goes on" if held else "")
    return text


def _ends(status: UpgradeStatus) -> str:
    """Say when it ends, unless it stands still; of a run with windows that is not known here."""
    now = moment(status.now)
    stands = status.paused or status.ended is not None or (status.waiting and not status.running)
    if now is None or status.remaining is None or stands or status.window is not None:
        return ""
    low, high = (now + timedelta(seconds=seconds) for seconds in (status.remaining.low, status.remaining.high))
    first, last = f"{low.astimezone(UTC):%H:%M}", f"{high.astimezone(UTC):%H:%M}"
    return f" · ends about {last} UTC" if first == last else f" · ends between {first} and {last} UTC"


def _needs_attention(status: UpgradeStatus, now: str) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for waiting in status.waiting:
        parts += [Text(), _waiting(waiting, now)]
        # What can be done about a failed step stands with its failure.
        if not any(step.id in waiting.go_on for step in status.failed):
            parts.append(Text.assemble(("  to go on: ", "yellow"), waiting.go_on))
    for step in status.failed:
        parts += [Text(), *failure(step, status)]
    return parts


def _waiting(waiting: Waiting, now: str) -> Text:
    until = f"until {clock(waiting.until, date=True)}" if waiting.until else "for as long as it takes"
    since = f"since {clock(waiting.since)} ({elapsed(waiting.since, now)}), {until}"
    return Text.assemble(("● waits for ", "bold yellow"), (waiting.what, "bold"), (f"  {since}", "dim"))


def failure(step: StepStatus, status: UpgradeStatus) -> list[RenderableType]:
    """Return a failed step with its full text, and the orders that are possible while the run is open."""
    parts: list[RenderableType] = [
        Text.assemble(
            ("✗ failed ", "bold red"),
            (step.title, "bold"),
            (f"  {count(step.tries, 'try', 'tries')}, at {clock(step.ended)}", "dim"),
        )
    ]
    parts.append(Padding(Text(step.error, style="red"), (0, 0, 0, 2)))
    if status.ended is None:
        orders = (f"retry {status.upgrade} {step.id}", f"skip {status.upgrade} {step.id}", f"abort {status.upgrade}")
        for lead, order in zip(("  to go on: ", "        or: ", "        or: "), orders, strict=True):
            parts.append(Text.assemble((lead, "yellow"), f'stackroll {order} --reason "…"'))
    return parts


def _title(text: str) -> RenderableType:
    return Group(Text(), Rule(escape(text), align="left", style="dim", characters="─"))


def _grid(*ratios: int) -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for ratio in ratios:
        table.add_column(ratio=ratio or None, overflow="fold", no_wrap=not ratio)
    return table


def _phases(phases: Sequence[PhaseStatus]) -> Table:
    table = _grid(0, 0, 0, 0)
    for phase in phases:
        state = _phase_state(phase)
        style = _STEP_STYLES[state]
        table.add_row(
            Text(f"{_MARKS[state]} {phase.phase.value}", style=style),
            _bar(phase, style),
            Text(f"{phase.done} of {count(phase.total, 'step')}"),
            Text(_phase_words(phase), style=style),
        )
    return table


_MARKS = {
    StepState.PENDING: "·",
    StepState.RUNNING: "●",
    StepState.DONE: "✔",
    StepState.FAILED: "✗",
    StepState.SKIPPED: "»",
    StepState.UNDOING: "↩",
    StepState.UNDONE: "↩",
}


def _phase_state(phase: PhaseStatus) -> StepState:
    if phase.failed:
        return StepState.FAILED
    if phase.done == phase.total:
        return StepState.DONE
    return StepState.RUNNING if phase.running or phase.done else StepState.PENDING


def _phase_words(phase: PhaseStatus) -> str:
    words = [f"{phase.running} running"] if phase.running else []
    words += [f"{phase.failed} failed"] if phase.failed else []
    return ", ".join(words)


def _bar(phase: PhaseStatus, style: str) -> Text:
    full = _BAR * phase.done // phase.total if phase.total else 0
    return Text.assemble(("█" * full, style), ("░" * (_BAR - full), "dim"))


def _running(steps: Sequence[StepStatus], now: str) -> Table:
    table = _grid(0, 0, 1)
    for step in steps[:_MOST_RUNNING]:
        style = _STEP_STYLES[step.state]
        again = f"  try {step.tries}" if step.tries > 1 else ""
        table.add_row(
            Text(elapsed(step.started, now), style=style, justify="right"),
            Text(f"{_MARKS[step.state]} {step.title}"),
            Text(f"{step.summary}{again}", style="dim"),
        )
    if len(steps) > _MOST_RUNNING:
        table.add_row("", Text(f"and {len(steps) - _MOST_RUNNING} more", style="dim"), "")
    return table


def _hosts(hosts: Sequence[HostStatus], now: str) -> list[RenderableType]:
    """Show every host of a small cloud; of a big one those that something is happening to, and counts of the rest."""
    busy = [host for host in hosts if host.state not in (StepState.DONE, StepState.PENDING)]
    shown = list(hosts) if len(hosts) <= _MOST_HOSTS else busy[:_MOST_HOSTS]
    table = _grid(0, 0, 0, 1)
    for host in shown:
        style = _STEP_STYLES[host.state]
        table.add_row(
            Text(f"{_MARKS[host.state]} {host.host}", style=style),
            Text(f"{host.done} of {host.total}", justify="right"),
            Text(elapsed(host.since, now), style=style, justify="right"),
            Text(host.doing),
        )
    parts: list[RenderableType] = [table]
    if len(shown) < len(hosts):
        done = sum(host.state is StepState.DONE for host in hosts)
        waiting = sum(host.state is StepState.PENDING for host in hosts)
        hidden = len(busy) - len(shown)
        more = f", {hidden} more in work" if hidden else ""
        parts.append(Text(f"of {count(len(hosts), 'host')}: {done} done, {waiting} not yet or between steps{more}"))
    return parts


def plain_status(status: UpgradeStatus, now: str | None = None) -> str:
    """Return the state of a run in one line, for logs."""
    took = duration(0) if not status.started else elapsed(status.started, status.ended or now or status.now)
    return f"{status.upgrade} {status.state.value} after {took}: {_progress(status)}".rstrip(": ")
