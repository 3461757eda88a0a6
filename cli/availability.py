"""``stackroll availability``: what the probe has seen of every service, while a run goes on and afterwards."""

from collections.abc import Sequence

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.client import open_runs
from cli.console import AsJson, NewestRun, awaited, out, say
from model.account import exact_clock
from model.availability import AvailabilityResult
from model.outages import buckets
from model.status import ApiAvailability, SeenState, Verdict
from model.words import count, duration, milliseconds

_BAR = 48
_MARKS = {
    SeenState.GOOD: ("█", "green"),
    SeenState.SLOW: ("▓", "yellow"),
    SeenState.DOWN: ("█", "bold red"),
    SeenState.UNOBSERVED: ("░", "dim"),
}
VERDICT_STYLES = {
    Verdict.ZERO_IMPACT: "bold green",
    Verdict.ZERO_DOWNTIME: "green",
    Verdict.ACCESSIBLE: "yellow",
    Verdict.ROLLING: "red",
}
_MOST_OUTAGES = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("availability", rich_help_panel="Runs")(awaited(availability))


async def availability(run: NewestRun = "", as_json: AsJson = False) -> None:
    """Say what users saw of each API while a run went on: a verdict, every outage, and a bar over time."""
    async with open_runs() as runs:
        id_ = run or await runs.newest()
        seen = await runs.availability(id_)
    if as_json:
        say(seen.model_dump_json(indent=2))
    else:
        out.print(availability_view(id_, seen))


def availability_view(id_: str, seen: AvailabilityResult) -> RenderableType:
    """Return what was seen as something to print."""
    if not seen.apis:
        return Text(f"{id_}: nothing has been probed: too early, or `availability: {{enabled: false}}`")
    parts: list[RenderableType] = [_head(id_, seen), Text(), _table(seen.apis), Text(), _legend()]
    for api in seen.apis:
        parts += _troubles(api)
    return Group(*parts)


def _head(id_: str, seen: AvailabilityResult) -> Text:
    text = Text.assemble((id_, "bold"))
    if seen.begun is not None and seen.ended is not None:
        span = (
            f"{exact_clock(seen.begun)[:8]} to {exact_clock(seen.ended)[:8]} UTC, {duration(seen.ended - seen.begun)}"
        )
        text.append(f"  watched from {span}")
    if seen.unobserved:
        text.append(f"  not observed for {duration(seen.unobserved)} of it", style="bold yellow")
    return text


def _table(apis: Sequence[ApiAvailability]) -> Table:
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in ("service", "verdict", "requests", "failed", "slow", "median", "p99", "longest gap", "over time"):
        right = name in {"requests", "failed", "slow", "median", "p99", "longest gap"}
        table.add_column(name, justify="right" if right else "left", no_wrap=name not in {"service", "verdict"})
    for api in apis:
        table.add_row(
            api.service,
            Text(api.verdict.value, style=VERDICT_STYLES[api.verdict]) if api.verdict else Text("?"),
            f"{api.requests:,}",
            Text(f"{api.failed:,}", style="bold red" if api.failed else "green"),
            Text(f"{api.slow:,}", style="yellow" if api.slow else "green"),
            milliseconds(api.median),
            milliseconds(api.p99),
            Text(f"{api.longest_gap * 1000:,.0f} ms", style="red") if api.longest_gap else Text("none"),
            bar(api),
        )
    return table


def bar(api: ApiAvailability, width: int = _BAR) -> Text:
    """Return the bar of a service over time; the worst that was seen in a stretch gives its colour."""
    return Text.assemble(*(_MARKS[state] for state in buckets(api.track, width)))


def _legend() -> Text:
    parts = [part for state, mark in _MARKS.items() for part in (mark, f" {state.value}  ")]
    return Text.assemble(*parts)


def _troubles(api: ApiAvailability) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if not api.outages:
        return parts
    parts += [Text(), Text(f"{api.service}: down for {duration(api.downtime)} in all", style="bold red")]
    for outage in api.outages[:_MOST_OUTAGES]:
        end = "not over when it was last seen" if outage.open else f"until {exact_clock(outage.end)}"
        parts.append(Text(f"  {outage.seconds * 1000:,.0f} ms from {exact_clock(outage.start)} {end} UTC", style="red"))
    if len(api.outages) > _MOST_OUTAGES:
        parts.append(Text(f"  and {count(len(api.outages) - _MOST_OUTAGES, 'shorter one')}", style="dim"))
    parts += [Text(f"  {line}", style="dim") for line in api.failures[:_MOST_OUTAGES]]
    return parts
