"""The report in the terminal: what changed, where and when, what users saw of it, and who did what."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.view import event_line, failure
from model.comparison import GuestRow, HostVersions
from model.reboot_report import FleetReport
from model.report import Fact, Page, Tone, make_page
from model.status import ApiAvailability, Report, StepState
from model.words import count, duration, milliseconds

_MOST_ROWS = 40
_NUMBERS = {"requests", "failed", "median", "p99", "slowest", "longest gap"}
_NUMBERS |= {"moves", "took", "longest pause", "off for", "restarts", "failed attempts"}
TONE_STYLES = {Tone.GOOD: "green", Tone.WARN: "yellow", Tone.BAD: "red", Tone.OPEN: "blue"}


def summary(report: Report) -> RenderableType:
    """Return the summary of a run."""
    page = make_page(report)
    parts: list[RenderableType] = [_headline(page), _facts(page.facts)]
    for step in report.steps:
        if step.state is StepState.FAILED:
            parts += [Text(), *failure(step, report.status)]
    if page.fleet is not None and page.fleet.hosts:
        parts += [Text(), _fleet(page.fleet)]
    if page.fleet is not None and page.fleet.guests:
        parts += [Text(), _moved(page.fleet)]
    if page.hosts:
        parts += [Text(), _versions(page.hosts)]
    if lost := [api for api in page.apis if api.lost]:
        parts += [Text(), *(Text(f"{api.api} offers {api.version} no more", style="bold red") for api in lost)]
    if report.availability:
        parts += [Text(), _availability(report.availability)]
    if troubled := [guest for guest in page.guests if guest.trouble]:
        parts += [Text(), _guests(troubled)]
    if page.acts:
        parts += [Text(), Text("who did what", style="bold"), *(event_line(act) for act in page.acts)]
    return Group(*parts)


def _headline(page: Page) -> Panel:
    text = Text(page.headline, style=f"bold {TONE_STYLES[page.tone]}")
    if page.text:
        text.append(f"\n{page.text}", style="not bold default")
    return Panel(text, border_style=TONE_STYLES[page.tone], expand=False)


def _facts(facts: Sequence[Fact]) -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for fact in facts:
        style = "" if fact.tone is Tone.OPEN else TONE_STYLES[fact.tone]
        table.add_row(
            Text(fact.label, style="dim"), Text(fact.value, style=f"bold {style}".strip()), Text(fact.note, style="dim")
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for name in columns:
        right = name in _NUMBERS
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _versions(hosts: Sequence[HostVersions]) -> Table:
    table = _table("host", "unit", "before", "after")
    for host in hosts:
        for number, row in enumerate(host.rows):
            after = Text(row.after or "not read", style="green" if row.changed else "dim")
            table.add_row(Text("" if number else host.host), row.unit, Text(row.before), after)
    return table


def _availability(apis: Sequence[ApiAvailability]) -> Group:
    table = _table("API", "requests", "failed", "median", "p99", "slowest", "longest gap")
    failures: list[RenderableType] = []
    for api in apis:
        table.add_row(
            Text(api.service),
            f"{api.requests:,}",
            Text(f"{api.failed:,}", style="bold red" if api.failed else "green"),
            milliseconds(api.median),
            milliseconds(api.p99),
            milliseconds(api.longest),
            duration(api.longest_gap) if api.longest_gap else "none",
        )
        failures += [Text(f"  {api.service}: {line}", style="red") for line in api.failures]
    return Group(table, *failures)


def _fleet(fleet: FleetReport) -> Group:
    table = _table("host", "wave", "state", "moved", "drain", "reboot", "verify", "in all")
    for host in fleet.hosts[:_MOST_ROWS]:
        took = (duration(host.seconds[part]) if part in host.seconds else "" for part in ("drain", "reboot", "verify"))
        away = duration(host.away) if host.away is not None else ""
        table.add_row(Text(host.host), str(host.wave), host.state.value, str(host.guests), *took, away)
    parts: list[RenderableType] = [table]
    if len(fleet.hosts) > _MOST_ROWS:
        parts.append(Text(f"and {count(len(fleet.hosts) - _MOST_ROWS, 'more host')}", style="dim"))
    parts += [
        Text(f"not done: {one.host}: {one.reason}", style="yellow" if one.exposed else "dim")
        for one in fleet.skipped[:_MOST_ROWS]
    ]
    return Group(*parts)


def _moved(fleet: FleetReport) -> Group:
    shown = fleet.guests[:_MOST_ROWS]
    restarts, failed = any(guest.restarts for guest in shown), any(guest.failed for guest in shown)
    more = [*(["restarts"] if restarts else []), *(["failed attempts"] if failed else [])]
    table = _table("guest", "moves", "how", "way", "took", "longest pause", "off for", *more)
    for guest in shown:
        unknown = Text("not known" if "live" in guest.how else "", style="dim")
        table.add_row(
            Text(guest.name or guest.guest),
            str(guest.moves),
            ", ".join(dict.fromkeys(guest.how)),
            Text(" → ".join(guest.path)),
            duration(sum(guest.seconds)) if guest.seconds else "",
            unknown if guest.paused is None else milliseconds(guest.paused),
            "" if guest.off is None else duration(guest.off),
            *([str(guest.restarts or "")] if restarts else []),
            *([Text(str(guest.failed or ""), style="yellow")] if failed else []),
        )
    left = len(fleet.guests) - len(shown) + fleet.left_out
    return Group(table, *([Text(f"and {count(left, 'more guest')}", style="dim")] if left else []))


def _guests(guests: Sequence[GuestRow]) -> Table:
    table = _table("guest", "was on", "is on", "trouble")
    for guest in guests:
        table.add_row(Text(guest.name), Text(guest.before), Text(guest.after), Text(guest.trouble, style="red"))
    return table
