"""Rolling reboots: plan, start, limits; and why a run treats a host or a guest as it does."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.text import Text

from cli.client import open_runs
from cli.console import By, RunId, awaited, err, say
from cli.errors import CliError, Exit
from cli.load import load_reboot
from cli.orders import Reason
from cli.plans import Output, print_tree, write
from cli.runs import ApproveNow, Live, Wait, default_id, follow, say_started
from model.control import LimitsOrder
from model.forecast import forecast
from model.outlook import RebootPlanResult, describe
from model.reboot_spec import RebootRequest
from model.render import as_dot, as_mermaid, as_tree
from model.words import count

RebootFile = Annotated[Path, typer.Argument(metavar="FILE", help="The reboot.yaml.", show_default=False)]
_STYLES = {"error": "bold red", "warning": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    reboots = typer.Typer(
        help="Empty and reboot hypervisors in waves, while their guests run on.", no_args_is_help=True
    )
    reboots.command("plan")(awaited(plan))
    reboots.command("start")(awaited(start))
    app.add_typer(reboots, name="reboot", rich_help_panel="Runs")
    app.command("why", rich_help_panel="Runs")(awaited(why))
    app.command("limits", rich_help_panel="Orders to a run")(awaited(limits))


async def plan(
    file: RebootFile,
    form: Annotated[
        Literal["tree", "json", "mermaid", "dot"], typer.Option("--format", "-f", help="The form.")
    ] = "tree",
    full: Annotated[bool, typer.Option("--full", help="In the tree, write the steps of every host.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="In the tree, write how each step is taken back.")] = False,
    output: Output = None,
) -> None:
    """Read the fleet and show what a reboot would do: to guests, to hosts, in which order, at what cost.

    Changes nothing. Exit status 3 when it would be refused; all reasons are given.
    """
    made = await read(load_reboot(file))
    forms = {"mermaid": as_mermaid, "dot": as_dot}
    if form == "json":
        write(made.model_dump_json(indent=2, exclude_none=True) + "\n", output)
    elif form == "tree":
        _show(made, output, full=full, undo=undo)
    elif made.plan is not None:
        write(forms[form](made.plan), output)
    _print_findings(made)
    if made.plan is None:
        raise typer.Exit(Exit.FINDINGS)


async def start(
    file: RebootFile,
    by: By,
    *,
    id_: Annotated[
        str | None, typer.Option("--id", help="The run's id; by default made of cloud, reboot, time.")
    ] = None,
    wait: Wait = False,
    live: Live = False,
    approve: ApproveNow = False,
) -> None:
    """Start a rolling reboot. Exit status with --wait: 0 completed, 4 stopped or failed, 5 refused."""
    request = load_reboot(file, by=by)
    run = id_ or default_id(request.inventory.cloud, "reboot")
    async with open_runs() as runs:
        await runs.start(request, run)
        what = f"reboot of {request.inventory.cloud}'s hypervisors"
        await say_started(runs, run, what, approve_by=by if approve else None)
        if wait or live:
            await follow(runs, run, lines=not live)


async def why(
    run: RunId,
    subject: Annotated[str, typer.Argument(metavar="HOST|GUEST", help="A host's name, or a guest's id or name.")],
) -> None:
    """Say why a run treats a host or a guest as it does: its class, its order, its target and what ruled out others."""
    async with open_runs() as runs:
        answer = await runs.why(run, subject)
    if not answer:
        raise CliError(f"{run} knows nothing of {subject!r}; give a host's name or a guest's id", Exit.BAD_INPUT)
    say(answer)


async def limits(
    run: RunId,
    by: By,
    reason: Reason = "",
    *,
    max_unavailable: Annotated[int | None, typer.Option(help="Hosts out of service.", show_default=False)] = None,
    per_source: Annotated[int | None, typer.Option(help="Migrations from one host.", show_default=False)] = None,
    per_target: Annotated[int | None, typer.Option(help="Migrations to one host.", show_default=False)] = None,
    per_zone: Annotated[int | None, typer.Option(help="Migrations within a zone.", show_default=False)] = None,
    total: Annotated[int | None, typer.Option(help="Migrations in all.", show_default=False)] = None,
) -> None:
    """Change what a rolling reboot may do at the same time, while it runs; what is not given stays as it is."""
    given = {
        "max_unavailable": max_unavailable,
        "per_source": per_source,
        "per_target": per_target,
        "per_zone": per_zone,
        "total": total,
    }
    order = LimitsOrder(by=by, reason=reason, **given)
    if order.problem:
        raise CliError(order.problem, Exit.BAD_INPUT)
    async with open_runs() as runs:
        say(await runs.update(run, "limits", order))


async def read(request: RebootRequest) -> RebootPlanResult:
    """Read the fleet and plan its reboot."""
    # Imported here: the OpenStack and SSH clients take a second to load, which no other command needs.
    from activities.errors import StackrollError  # noqa: PLC0415
    from activities.ssh import Hosts  # noqa: PLC0415
    from workers.reboot_planner import plan_reboot  # noqa: PLC0415

    hosts = Hosts()
    try:
        with err.status(f"reading {escape(request.inventory.cloud)}"):
            return await plan_reboot(hosts, request)
    except StackrollError as error:
        raise CliError(str(error)) from None
    finally:
        await hosts.close()


def _show(made: RebootPlanResult, output: Path | None, *, full: bool, undo: bool) -> None:
    text = "\n".join(describe(made.outlook)) + "\n"
    if made.plan is not None:
        text += "\n" + as_tree(made.plan, forecast(made.plan).remaining, full=full, undo=undo)
    if output is None:
        print_tree(text)
    else:
        write(text, output)


def _print_findings(made: RebootPlanResult) -> None:
    for finding in made.findings:
        text = f"{finding.severity}: {finding.subject}: {finding.problem}; {finding.remedy}"
        err.print(Text(text, style=_STYLES.get(finding.severity, "")))
    if made.plan is None:
        errors = sum(finding.severity == "error" for finding in made.findings)
        err.print(Text(f"this reboot would be refused now ({count(errors, 'error')})", style="bold red"))
