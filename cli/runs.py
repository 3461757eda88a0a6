"""Runs: start, watch, status, list."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.client import Runs, open_runs
from cli.console import AsJson, By, File, NewestRun, awaited, err, out, say
from cli.errors import Exit, NoAnswerError
from cli.load import load_request
from cli.summary import summary
from cli.view import screen
from cli.watch import Glance, utc_now, watch
from model.control import Approve, RollbackRequest
from model.status import RunState
from model.words import clock, elapsed

_PLAN_EVERY = 0.5
_PLAN_LIMIT = 300.0
Wait = Annotated[bool, typer.Option("--wait", help="Stay until the run has ended; the exit status says how.")]
Live = Annotated[bool, typer.Option("--watch", help="As --wait, with a live view instead of lines.")]
ApproveNow = Annotated[bool, typer.Option("--approve", help="Approve the plan as soon as it is made.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (
        ("start", start),
        ("rollback", rollback),
        ("watch", watch_run),
        ("status", status),
        ("list", list_runs),
    ):
        app.command(name, rich_help_panel="Runs")(awaited(command))


async def start(
    file: File,
    by: By,
    *,
    id_: Annotated[
        str | None, typer.Option("--id", help="The run's id; by default made of cloud, release, time.")
    ] = None,
    wait: Wait = False,
    live: Live = False,
    approve: ApproveNow = False,
) -> None:
    """Start an upgrade. Exit status with --wait: 0 completed, 4 stopped or failed, 5 refused, 6 rolled back."""
    request = load_request(file, by=by)
    run = id_ or default_id(request.inventory.cloud, request.spec.to)
    async with open_runs() as runs:
        await runs.start(request, run)
        what = f"{request.inventory.cloud} from {request.inventory.release} to {request.goal}"
        await say_started(runs, run, what, approve_by=by if approve else None)
        if wait or live:
            await follow(runs, run, lines=not live)


async def rollback(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The upgrade that has ended.", show_default=False)],
    by: By,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stays in the record.")] = "",
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the rollback has ended; the exit status says how.")
    ] = False,
    live: Live = False,
) -> None:
    """Take back an upgrade that has ended: completed, stopped, failed or terminated.

    Before its commit point nothing is lost. Behind it only restoring its dumps goes back: the rollback then counts what
    that would lose, and waits for `stackroll approve RUN/rollback --gate restore`.
    Exit status with --wait: 0 rolled back, 4 stopped or failed, 5 refused.
    """
    id_ = f"{run}/rollback"
    async with open_runs() as runs:
        await runs.roll_back(RollbackRequest(upgrade=run, by=by, reason=reason), id_)
        await say_started(runs, id_)
        if wait or live:
            await follow(runs, id_, lines=not live)


def default_id(cloud: str, target: str) -> str:
    """Return an id that says what the run is, and when it was started."""
    return f"{cloud}-{target}-{datetime.now(tz=UTC):%Y%m%d-%H%M%S}"


def how_to_follow(runs: Runs, run: str) -> list[str]:
    """Say how a run is watched."""
    host = runs.client.service_client.config.target_host
    lines = [f"  watch it with  stackroll watch {run}"]
    if host.partition(":")[0] in {"localhost", "127.0.0.1"}:
        port = int(host.partition(":")[2] or 7233) + 1000
        lines.append(f"  in a browser   http://localhost:{port}/namespaces/{runs.client.namespace}/workflows/{run}")
    return lines


async def say_started(runs: Runs, run: str, what: str = "", *, approve_by: str | None = None) -> None:
    """Say that a run was started and how it is watched; approve its plan as soon as it is there, if somebody does."""
    say(f"started {run}: {what}" if what else f"started {run}")
    for line in how_to_follow(runs, run):
        say(line)
    if approve_by is not None:
        await approve_plan(runs, run, approve_by)


async def approve_plan(runs: Runs, run: str, by: str) -> None:
    """Wait for the plan, and approve exactly that one."""
    for _ in range(int(_PLAN_LIMIT / _PLAN_EVERY)):
        try:
            now = await runs.status(run)
        except NoAnswerError as error:
            err.print(Text(str(error), style="yellow"), soft_wrap=True)
            now = None
        if now and now.ended:
            return
        if now and now.plan_hash:
            say(await runs.update(run, "approve", Approve(by=by, gate="plan", plan_hash=now.plan_hash)))
            return
        await asyncio.sleep(_PLAN_EVERY)
    raise NoAnswerError(
        f"{run} has no plan after {_PLAN_LIMIT:g} s; approve it with `stackroll approve {run} --gate plan`"
    )


async def watch_run(run: NewestRun = "") -> None:
    """Show a run until it has ended: phases, hosts, what it waits for, failures. Exits as `start --wait` does."""
    async with open_runs() as runs:
        await follow(runs, run or await runs.newest(), lines=False)


async def status(run: NewestRun = "", as_json: AsJson = False) -> None:
    """Show where a run is."""
    async with open_runs() as runs:
        now = await runs.status(run or await runs.newest())
    if as_json:
        say(now.model_dump_json(indent=2))
    else:
        out.print(screen(now, now=utc_now()))


async def list_runs(limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 20) -> None:
    """List runs, the newest first."""
    async with open_runs() as runs:
        lines = await runs.recent(limit)
    if not lines:
        say("no run yet")
        return
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for column in ("run", "state", "started (UTC)", "took"):
        table.add_column(column)
    for line in lines:
        took = elapsed(line.started, line.ended or utc_now())
        table.add_row(Text(line.id), line.state, clock(line.started, date=True), took)
    out.print(table)


async def follow(runs: Runs, run: str, *, lines: bool) -> None:
    """Show a run to its end; exits as it ended."""
    try:
        glance = await watch(runs, run, out, lines=lines)
    except asyncio.CancelledError:
        say(f"\n{run} goes on; watch it again with `stackroll watch {run}`")
        raise
    # The lines of a refused run have told everything there is.
    if not (lines and glance.status and glance.status.state is RunState.REFUSED):
        await _print_summary(runs, run, glance)
    if glance.exit is not Exit.OK:
        raise typer.Exit(glance.exit)


async def _print_summary(runs: Runs, run: str, glance: Glance) -> None:
    try:
        out.print(summary(await runs.report(run)))
    except NoAnswerError:
        say(f"{run} ended: {glance.ended}; `stackroll report {run}` tells more when a worker answers")
