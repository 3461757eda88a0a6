"""``stackroll rehearse``: the migrations of an upgrade on a copy of the databases, the plan on a simulator."""

import asyncio
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from cli.client import Runs, open_runs
from cli.console import AsJson, By, File, awaited, err, out, say
from cli.errors import CliError, Exit, NoAnswerError
from cli.load import load_request
from cli.view import event_line
from model.rehearsal import Measured, RehearsalReport, RehearsalRequest, describe
from model.words import count, duration

_LOOK_EVERY = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rehearse", rich_help_panel="Before an upgrade")(awaited(rehearse))


async def rehearse(
    file: File,
    by: By,
    *,
    host: Annotated[
        str, typer.Option("--host", help="Where the scratch server runs.", show_default="the database host")
    ] = "",
    simulate: Annotated[
        bool, typer.Option("--simulate/--no-simulate", help="Run the whole plan on a simulated cloud afterwards.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Run the target's migrations on a fresh copy of the databases, and the plan on a simulator.

    Production is only read; the copy lives in a database server of its own, and is removed at the end. Exit status 0
    when nothing speaks against the upgrade, 3 when something failed, 1 when the rehearsal itself broke off.
    """
    request = load_request(file, by=by)
    if host and host not in request.inventory.hosts:
        raise CliError(f"--host {host}: no such host; known: {', '.join(request.inventory.hosts)}", Exit.BAD_INPUT)
    id_ = f"{request.inventory.cloud}-{request.spec.to}-rehearsal"
    async with open_runs() as runs:
        await runs.rehearse(RehearsalRequest(request=request, host=host, simulate=simulate), id_)
        err.print(Text(f"started {id_}; it goes on when this command is interrupted"))
        report = await _follow(runs, id_, quiet=as_json)
    if as_json:
        say(report.model_dump_json(indent=2))
    else:
        show(report)
    if not report.ok:
        raise typer.Exit(Exit.FINDINGS)


async def _follow(runs: Runs, id_: str, *, quiet: bool) -> RehearsalReport:
    """Print what happens until the rehearsal has ended, and return its account."""
    told = 0
    while True:
        closed = await runs.closed(id_)
        try:
            events = await runs.timeline(id_)
        except NoAnswerError as error:
            err.print(Text(str(error), style="yellow"))
            events = []
        for event in [] if quiet else events[told:]:
            out.print(event_line(event))
        told = max(told, len(events))
        if closed is not None:
            report = await runs.rehearsed(id_)
            if closed != "completed":
                raise CliError(f"the rehearsal ended as {closed}: {'; '.join(report.problems) or 'see the web UI'}")
            return report
        await asyncio.sleep(_LOOK_EVERY)


def show(report: RehearsalReport) -> None:
    """Print the account of a rehearsal."""
    table = Table(show_edge=False, pad_edge=False, header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("", width=1)
    table.add_column("step", overflow="fold")
    table.add_column("took", justify="right")
    table.add_column("locked", justify="right")
    table.add_column("what it does", overflow="fold")
    for copied in report.copies:
        took = duration(copied.dump_seconds + copied.restore_seconds)
        size = f"{count(copied.tables, 'table')}, {copied.bytes / 1e6:.1f} MB compressed"
        table.add_row(Text("✔", style="green"), f"copy {copied.service}", took, "", size)
    for step in report.steps:
        table.add_row(*_row(step))
    out.print(table)
    for step in report.steps:
        if not step.ok:
            out.print(Text(f"\n{step.title}", style="bold red"))
            out.print(Text(step.output, style="red"), soft_wrap=True)
    for problem in report.problems:
        out.print(Text(f"\n{problem}", style="red"), soft_wrap=True)
    out.print(Text(_verdict(report), style="bold green" if report.ok else "bold red"))


def _row(step: Measured) -> tuple[Text, ...]:
    mark = Text("✔", style="green") if step.ok else Text("✗", style="bold red")
    locked = duration(step.longest) if step.longest else ""
    style = "yellow" if step.locks else ""
    return mark, Text(step.title), Text(duration(step.seconds)), Text(locked, style=style), Text(describe(step))


def _verdict(report: RehearsalReport) -> str:
    total = sum(step.seconds for step in report.steps)
    failed = sum(not step.ok for step in report.steps)
    parts = [f"{count(len(report.steps), 'step')} in {duration(total)} on a copy, {failed} failed"]
    if report.simulated is not None:
        parts.append(f"the plan on a simulator: {report.simulated.state} ({count(report.simulated.steps, 'step')})")
    parts.append("production was only read" if report.untouched else "production's schemas were not found as they were")
    parts.append("nothing is left" if report.removed else f"not removed from {report.host}")
    return f"{report.cloud} to {report.target}: {'fit' if report.ok else 'not fit'}; {'; '.join(parts)}"
