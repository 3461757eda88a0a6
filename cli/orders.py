"""Orders to a run: pause, resume, abort, approve, retry, skip, window. Each says who gives it; the run records it."""

from typing import Annotated, Literal

import typer

from cli.client import open_runs
from cli.console import By, RunId, awaited, say
from cli.errors import CliError, Exit, NoAnswerError
from model.base import Record
from model.control import Abort, Approve, StepOrder, Who, WindowOrder
from model.durations import parse_duration

Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it stays in the record of the run.")]
StepId = Annotated[str, typer.Argument(metavar="STEP", help="The step's id, as `status` shows it.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (pause, resume, abort, approve, retry, skip, window):
        app.command(rich_help_panel="Orders to a run")(awaited(command))


async def pause(run: RunId, by: By, reason: Reason = "") -> None:
    """Let running steps finish, and start no other."""
    await _signal(run, "pause", Who(by=by, reason=reason))
    say(f"{run} pauses: running steps finish, none starts; `stackroll resume {run}` goes on")


async def resume(run: RunId, by: By, reason: Reason = "") -> None:
    """Go on after a pause."""
    await _signal(run, "resume", Who(by=by, reason=reason))
    say(f"{run} goes on")


async def abort(
    run: RunId,
    by: By,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stays in the record.", show_default=False)],
    mode: Annotated[
        Literal["stop", "rollback"], typer.Option(help="End where it is, or take back what was done.")
    ] = "stop",
) -> None:
    """End a run: running steps finish, hosts in work are put back into service, nothing more starts.

    With --mode rollback all that the upgrade has done is taken back then, unless the commit point is passed.
    """
    order = Abort(by=by, reason=reason, mode=mode)
    async with open_runs() as runs:
        try:
            say(await runs.update(run, "abort", order))
        except NoAnswerError:
            # An order to end must not be lost because no worker is there to accept it: Temporal keeps a signal.
            await runs.signal(run, "abort", order)
            say(f"no worker answers; {run} gets the order when one does")
    say(f"`stackroll watch {run}` shows it")


async def approve(
    run: RunId,
    by: By,
    gate: Annotated[
        str, typer.Option("--gate", "-g", help="The gate: plan, canary, data, commit or restore.", show_default=False)
    ],
    plan_hash: Annotated[str | None, typer.Option(help="Approve only if the run's plan has this hash.")] = None,
) -> None:
    """Open a gate that waits for a person."""
    await _update(run, "approve", Approve(by=by, gate=gate, plan_hash=plan_hash))


async def retry(run: RunId, step: StepId, by: By, reason: Reason = "") -> None:
    """Run a failed step again."""
    await _update(run, "retry", StepOrder(by=by, step=step, reason=reason))


async def skip(
    run: RunId,
    step: StepId,
    by: By,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it stays in the record.", show_default=False)],
) -> None:
    """Go on without a failed step; the upgrade then counts as unfinished."""
    await _update(run, "skip", StepOrder(by=by, step=step, reason=reason))


async def window(
    run: RunId,
    by: By,
    open_for: Annotated[
        str, typer.Option("--open-for", help="Open the maintenance window for so long from now, such as 1h.")
    ] = "",
    *,
    close: Annotated[bool, typer.Option("--close", help="End what was opened by hand.")] = False,
    reason: Reason = "",
) -> None:
    """Let a run go on outside of its maintenance windows, for a time."""
    if bool(open_for) == close:
        raise CliError("say either --open-for DURATION, such as --open-for 1h, or --close", Exit.BAD_INPUT)
    await _update(run, "window", WindowOrder(by=by, reason=reason, open_for=0.0 if close else _seconds(open_for)))


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise CliError(f"--open-for: {error}", Exit.BAD_INPUT) from None
    if not isinstance(seconds, float) or seconds <= 0:
        raise CliError(f"--open-for: must be more than nothing, is {text}", Exit.BAD_INPUT)
    return seconds


async def _signal(run: str, name: str, order: Record) -> None:
    async with open_runs() as runs:
        await runs.signal(run, name, order)


async def _update(run: str, name: str, order: Record) -> None:
    async with open_runs() as runs:
        say(await runs.update(run, name, order))
