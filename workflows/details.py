"""The Markdown that the web UI shows of a run and of its children: small tables, and what is waited for.

The web UI draws tables without room between the columns, so every cell but the first begins with room of its own.
"""

from collections.abc import Sequence

from model.budget import line
from model.route import fleet_line, way
from model.status import HostStatus, StepState, StepStatus, UpgradeStatus, Waiting
from model.words import clock, count

_MOST_FAILURES_SHOWN = 5
_MOST_LINES_SHOWN = 20
_MOST_HOSTS_SHOWN = 20
_MOST_CHARACTERS_SHOWN = 1_000
_MOST_CHARACTERS = 15_000  # the server refuses more than 20,000 bytes
_ROOM = "\u00a0\u00a0"  # a line may not be broken after it


def current_details(status: UpgradeStatus) -> str:
    """Return the Markdown of a run's status."""
    ended = f", ended {clock(status.ended)}" if status.ended else ""
    lines = [
        f"### {status.cloud}: {way(status, to='to')}: {status.state.value}"
        + (" (paused)" if status.paused and status.state.value != "paused" else ""),
        "",
        f"plan `{status.plan_hash or 'not made yet'}`, started {clock(status.started, date=True)}{ended} UTC",
        "",
    ]
    if status.fleet is not None:
        lines += [fleet_line(status.fleet), ""]
    if status.window is not None:
        lines += [status.window.text, ""]
    if status.availability is not None and status.availability.baseline:
        lines += [f"APIs: {line(status.availability)}", ""]
    if status.message:
        lines += [status.message, ""]
    # What somebody must do comes first: the panel is not wide, and nobody scrolls.
    lines += [_waiting(waiting) for waiting in status.waiting[:_MOST_LINES_SHOWN]]
    lines += [f"- **failed: {step.title}**: {_inline(step.error)}" for step in status.failed[:_MOST_FAILURES_SHOWN]]
    lines += [
        f"- runs: {step.title}, since {clock(step.started)}{_again(step)}"
        for step in status.running[:_MOST_LINES_SHOWN]
    ]
    lines.append("")
    if status.phases:
        rows = [(p.phase.value, f"{p.done} of {p.total}", _some(p.running), _some(p.failed)) for p in status.phases]
        lines += _table(("phase", "steps done", "running", "failed"), rows)
    if status.hosts:
        lines += ["", *_hosts(status.hosts)]
    return "\n".join(lines)[:_MOST_CHARACTERS]


def group_details(upgrade: str, steps: Sequence[StepStatus], *, paused: bool) -> str:
    """Return the Markdown of the steps of one child."""
    rows = [
        (step.title, step.state.value, clock(step.started), _inline(step.error or step.summary) + _again(step))
        for step in steps
    ]
    lines = [f"Orders go to the run: `{upgrade}`" + (" (**paused**)" if paused else ""), ""]
    return "\n".join(lines + _table(("step", "state", "since (UTC)", "what came of it"), rows))[:_MOST_CHARACTERS]


def batch_details(run: str, what: str, open_: Sequence[str], given: int, ended: int, *, paused: bool) -> str:
    """Return the Markdown of a batch of hosts: how many there have been, and those in work."""
    counts = f"{what}: {count(given, 'host')}, {ended} ended, {len(open_)} in work"
    lines = [f"Orders go to the run: `{run}`" + (" (**paused**)" if paused else ""), "", counts, ""]
    return "\n".join([*lines, *(f"- {group.removeprefix('back/').removeprefix('host/')}" for group in open_)])


def _waiting(waiting: Waiting) -> str:
    until = f" until {clock(waiting.until)}" if waiting.until else ""
    return f"- **waits for {waiting.what}** since {clock(waiting.since)}{until}: {_orders(waiting.go_on)}"


def _orders(go_on: str) -> str:
    """Write commands so that they can be copied; words stay words."""
    parts = go_on.split(" | ")
    return " or ".join(f"`{part}`" if part.startswith("stackroll ") else part for part in parts)


def _hosts(hosts: Sequence[HostStatus]) -> list[str]:
    """Every host of a small cloud; of a big one those in work, and counts of the rest."""
    shown = hosts if len(hosts) <= _MOST_HOSTS_SHOWN else [h for h in hosts if h.doing or h.state is StepState.FAILED]
    rows = [(host.host, f"{host.done} of {host.total}", _doing(host)) for host in shown[:_MOST_HOSTS_SHOWN]]
    lines = _table(("host", "steps done", "now"), rows) if rows else []
    if len(rows) < len(hosts):
        done = sum(host.state is StepState.DONE for host in hosts)
        lines += ["", f"of {count(len(hosts), 'host')}: {done} done"]
    return lines


def _doing(host: HostStatus) -> str:
    if host.state is StepState.PENDING:
        return "between two steps" if host.done else "not begun"
    if host.doing:
        return f"{host.doing}, since {clock(host.since)}"
    return f"**{host.state.value}**" if host.state is StepState.FAILED else host.state.value


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    rule = "|" + "---|" * len(head)
    return [_row(head), rule, *(_row(row) for row in rows)]


def _row(cells: tuple[str, ...]) -> str:
    first, *rest = (cell.replace("|", "\\|") for cell in cells)
    return f"| {first} | " + " | ".join(_ROOM + cell for cell in rest) + " |"


def _inline(text: str) -> str:
    """Write a text of several lines on one, and of a long one the beginning."""
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARACTERS_SHOWN else line[:_MOST_CHARACTERS_SHOWN] + " …"


def _again(step: StepStatus) -> str:
    return f" (try {step.tries})" if step.tries > 1 else ""


def _some(number: int) -> str:
    return str(number) if number else ""
