"""``stackroll patch``, the security run: who is exposed, which versions mend it, and a run that rolls them out."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.advisories import load_advisories
from cli.client import Runs, open_runs
from cli.console import By, awaited, out, say
from cli.errors import CliError, Exit
from cli.exposure import Advisories, CloudFile, exit_status, judge, read_cloud, write_account
from cli.exposure_view import show_proof
from cli.load import load_inventory
from cli.orders import Reason
from cli.runs import ApproveNow, Live, default_id, follow, say_started
from model.advisories.exposure import Exposure
from model.advisories.proof import compare
from model.advisories.remedy import Pick, Remedy, choose
from model.control import GiveWay
from model.durations import parse_duration
from model.inventory import Inventory, Role
from model.spec import Approval, Approvals, FailurePolicy, OnFailure, Purpose, UpgradeRequest, UpgradeSpec
from model.words import count

# Of the compute hosts at the same time, where --max-unavailable does not say it.
SHARE = 4
SOAK = 60.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Security")(awaited(patch))


async def patch(
    cloud: CloudFile,
    advisories: Advisories,
    by: By,
    *,
    pick: Annotated[Pick, typer.Option(help="Of the versions that mend most, the lowest or the newest.")] = Pick.LOWEST,
    max_unavailable: Annotated[
        int | None, typer.Option(min=1, help="Compute hosts out of service at a time; by default a quarter.")
    ] = None,
    soak: Annotated[str, typer.Option(help="How long the cloud runs patched before the end.")] = f"{SOAK:g}s",
    on_failure: Annotated[OnFailure, typer.Option(help="What happens when a step fails for good.")] = OnFailure.PAUSE,
    approve: ApproveNow = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; start nothing.")] = False,
    before: Annotated[
        Path | None, typer.Option("--before", help="Keep the account of now here, for `exposure --before`.")
    ] = None,
    reason: Reason = "",
    preempt: Annotated[
        bool,
        typer.Option(help="Ask a routine run of this cloud to give way at a safe point; else a run is in the way."),
    ] = True,
    id_: Annotated[str | None, typer.Option("--id", help="The run's id.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Stay until the run has ended, and prove what it mended.")
    ] = False,
    live: Live = False,
) -> None:
    """Bring exposed services to a point release of the same series that mends them, host by host.

    With --wait the cloud is read again when the run has ended, and the proof is shown: what is gone, advisory by
    advisory and host by host, by what runs; what remains, and why.

    Exit status: 0 nothing is exposed, or the run was started (with --wait: nothing is exposed any more); 3 the
    repository has nothing that mends any of it, or something remains exposed; 1 something cannot be judged; with --wait
    otherwise as `start`.
    """
    known, inventory = load_advisories(advisories), load_inventory(cloud)
    reading = await read_cloud(inventory, known)
    found = judge(inventory, known, reading)
    if before is not None:
        write_account(before, found)
    if not found.exposed:
        _nothing_exposed(found)
        return
    remedy = choose(found, reading.repository, pick)
    _show(remedy)
    if not remedy.versions:
        raise CliError(
            f"the repository of {inventory.release} has no version that mends any of it: put lock files into "
            f"{inventory.packaging.repository}/{inventory.release}/SERVICE/VERSION/requirements.txt on the hosts",
            Exit.FINDINGS,
        )
    request = security_request(inventory, remedy, by=by, max_unavailable=max_unavailable, soak=soak, policy=on_failure)
    if dry_run:
        return
    run = id_ or default_id(inventory.cloud, "security")
    async with open_runs() as runs:
        routine = await runs.holder(inventory.cloud) if preempt else None
        if routine is not None:
            order = GiveWay(by=by, reason=reason or f"{run}: {', '.join(_ids(remedy))}", to=run)
            say(await runs.update(routine, "give_way", order))
        await runs.start(request, run, gives_way=routine)
        what = f"{inventory.cloud} to {request.goal}"
        await say_started(runs, run, what, approve_by=by if approve else None)
        if wait or live:
            await _follow_and_prove(runs, run, found, inventory=inventory, lines=not live)


async def _follow_and_prove(runs: Runs, run: str, before: Exposure, *, inventory: Inventory, lines: bool) -> None:
    """Show the run to its end, then read the cloud again, however the run has ended; exit as both say."""
    status = Exit.OK
    try:
        await follow(runs, run, lines=lines)
    except typer.Exit as ended:
        status = Exit(ended.exit_code)
    after = judge(inventory, before.advisories, await read_cloud(inventory, before.advisories))
    show_proof(compare(before, after), out)
    if status is Exit.OK:
        status = exit_status(after)
    if status is not Exit.OK:
        raise typer.Exit(status)


def security_request(
    inventory: Inventory,
    remedy: Remedy,
    *,
    by: str,
    max_unavailable: int | None = None,
    soak: str = f"{SOAK:g}s",
    policy: OnFailure = OnFailure.PAUSE,
) -> UpgradeRequest:
    """Return the request of a security run: the cloud's own series, a short soak, many hosts at a time, one approval.

    Behind its commit gate nothing is done that a rollback could not take back, so the gate wants no person.

    Raises:
        CliError: the soak is no duration.
    """
    try:
        seconds = parse_duration(soak if soak[-1:].isalpha() else f"{soak}s")
    except ValueError as error:
        raise CliError(f"--soak: {error}", Exit.BAD_INPUT) from None
    computes = len(inventory.with_role(Role.COMPUTE))
    spec = UpgradeSpec.model_validate(
        {
            "to": inventory.release,
            "purpose": Purpose.SECURITY,
            "versions": remedy.versions,
            "max_unavailable": max_unavailable or max(1, computes // SHARE),
            "soak": seconds,
            "on_failure": FailurePolicy(default=policy),
            "approvals": Approvals(plan=Approval.MANUAL, data=Approval.AUTO, commit=Approval.AUTO),
        }
    )
    return UpgradeRequest(spec=spec, inventory=inventory, by=by)


def _ids(remedy: Remedy) -> list[str]:
    """Return the advisories that are mended."""
    return sorted({id_ for several in remedy.mended.values() for id_ in several})


def _nothing_exposed(found: Exposure) -> None:
    if found.certain:
        say(f"{found.cloud} is not exposed to any of {count(len(found.advisories), 'advisory', 'advisories')}")
        return
    say(f"nothing of {found.cloud} is known to be exposed, but not all can be judged: `stackroll exposure` says what")
    raise typer.Exit(Exit.ERROR)


def _show(remedy: Remedy) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("service", "to", "mends"):
        table.add_column(title, no_wrap=title != "mends")
    for service, version in remedy.versions.items():
        table.add_row(service, Text(version, style="bold"), ", ".join(remedy.mended[service]))
    if remedy.versions:
        out.print(table)
    for service, several in remedy.left.items():
        for advisory, why in several.items():
            out.print(Text.assemble(("stays exposed  ", "yellow"), (f"{service}: ", "bold"), f"{advisory} ({why})"))
