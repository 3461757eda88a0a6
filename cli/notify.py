"""``stackroll notify``: show or send what people are told; try an address."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.rule import Rule
from rich.text import Text

from cli import plans, reboot
from cli.client import open_runs
from cli.console import awaited, err, out, say
from cli.errors import CliError, Exit
from cli.load import load_any
from model.fleet import GuestClass
from model.forecast import remaining_seconds
from model.notify import Announcement, Expected, Occasion, Told, is_reference
from model.plan import Plan
from model.reboot_spec import RebootRequest
from model.spec import UpgradeRequest
from model.words import moment
from workflows.forecast import expected_turns

_NOBODY = "nobody is to be told: name addresses in `notify` of the specification (docs/people.md)"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("notify", rich_help_panel="Runs")(awaited(notify))


async def notify(
    about: Annotated[
        str, typer.Argument(metavar="[RUN|FILE]", help="A run, or an upgrade.yaml or reboot.yaml.", show_default=False)
    ] = "",
    occasion: Annotated[Occasion, typer.Option("--on", help="What is told.")] = Occasion.PLANNED,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="When it is to begin: ISO 8601, in UTC without an offset."),
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show every text, send none, look up no address.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also those who have been told already.")] = False,
    test: Annotated[
        str | None, typer.Option("--test", metavar="REFERENCE", help="Send a test to env:NAME or file:/PATH.")
    ] = None,
) -> None:
    """Tell people of a run, or that one is planned: operators, users, and each project of its own guests.

    A run with `notify` in its specification does so by itself. Given again, it tells whom it could not tell before.
    Exit status: 0 told, 1 somebody could not be told.
    """
    if test:
        await _try(test)
        return
    if not about:
        raise CliError("name a run or a file, or an address with --test", Exit.BAD_INPUT)
    begin, file = _moment(at), _file(about)
    if begin and file is None:
        raise CliError(f"--at is for files: {about} is a run, and knows when it began", Exit.BAD_INPUT)
    news = await (_of_file(file, occasion, begin) if file else _of_run(about, occasion))
    if again:
        news = news.model_copy(update={"id": f"{news.id}/{datetime.now(tz=UTC):%Y%m%dT%H%M%SZ}"})
    await (_show(news) if dry_run else _send(news))


def _file(about: str) -> Path | None:
    path = Path(about)
    return path if path.is_file() or path.suffix in {".yaml", ".yml", ".json"} else None


def _moment(at: str | None) -> datetime | None:
    found = moment(at)
    if at and found is None:
        raise CliError(
            f"--at: {at!r} is no time; write it as 2026-12-01T22:00 (UTC), or with an offset", Exit.BAD_INPUT
        )
    return found


async def _of_run(run: str, occasion: Occasion) -> Announcement:
    async with open_runs() as runs:
        news = await runs.announcement(run, occasion)
    if news is None or not news.notify.anybody:
        raise CliError(f"{run}: {_NOBODY}", Exit.BAD_INPUT)
    return news


async def _of_file(path: Path, occasion: Occasion, begin: datetime | None) -> Announcement:
    request = load_any(path)
    if not request.spec.notify.anybody:
        raise CliError(f"{path}: {_NOBODY}", Exit.BAD_INPUT)
    if begin is None and occasion in {Occasion.PLANNED, Occasion.REMINDER}:
        raise CliError(f"people must know when it begins: --on {occasion.value} needs --at TIME", Exit.BAD_INPUT)
    plan, treatment = await _plan_of(request)
    first = begin or datetime.now(tz=UTC)
    turns = expected_turns(plan)
    return Announcement(
        id=f"{plan.cloud}/{plan.hash}/{first:%Y%m%dT%H%M%SZ}-{occasion.value}",
        occasion=occasion,
        run="",
        kind=request.kind,
        cloud=plan.cloud,
        source=plan.source,
        target=plan.target,
        plan_hash=plan.hash,
        at=datetime.now(tz=UTC).isoformat(),
        begin=first.isoformat(),
        end=_after(first, remaining_seconds(plan, frozenset())),
        hosts={
            host: Expected(begin=_after(first, start), end=_after(first, end)) for host, (start, end) in turns.items()
        },
        treatment=treatment,
        notify=request.spec.notify,
        inventory=request.inventory,
    )


async def _plan_of(request: UpgradeRequest | RebootRequest) -> tuple[Plan, dict[str, GuestClass]]:
    if isinstance(request, UpgradeRequest):
        upgrade = await plans.read(request)
        return upgrade.made, {one.guest: one.kind for one in upgrade.outlook.named}
    made = await reboot.read(request)
    if made.plan is None:
        raise CliError("there is no plan to tell of: `stackroll reboot plan` says what forbids it", Exit.FINDINGS)
    return made.plan, {one.guest: one.kind for one in made.outlook.named}


def _after(first: datetime, seconds: float) -> str:
    return (first + timedelta(seconds=seconds)).isoformat()


async def _show(news: Announcement) -> None:
    # Imported here: the OpenStack client takes a second to load, which no other command needs.
    from activities.errors import StackrollError  # noqa: PLC0415
    from activities.letters import TemplateError  # noqa: PLC0415
    from activities.notify import Post  # noqa: PLC0415

    try:
        mails = [mail for mail, _ in await Post(news, blind=True).mails()]
    except (StackrollError, TemplateError) as error:
        raise CliError(str(error)) from None
    for mail in mails:
        out.print(Rule(Text(f"{mail.reference}{f', project {mail.project}' if mail.project else ''}"), align="left"))
        say(f"Subject: {mail.subject}\n\n{mail.body}")
    say(f"{len(mails)} texts; none was sent")


async def _send(news: Announcement) -> None:
    from activities.errors import StackrollError  # noqa: PLC0415
    from activities.letters import TemplateError  # noqa: PLC0415
    from activities.notify import Post  # noqa: PLC0415

    try:
        told = await Post(news).send()
    except (StackrollError, TemplateError) as error:
        raise CliError(str(error)) from None
    _say_told(told)


async def _try(reference: str) -> None:
    from activities.notify import send_test  # noqa: PLC0415

    if not is_reference(reference):
        # What was written is probably the address with its password: it must not be repeated.
        raise CliError("--test takes env:NAME or file:/PATH, not the address itself", Exit.BAD_INPUT)
    _say_told(await send_test(reference))


def _say_told(told: Told) -> None:
    say(f"told: {told.text}")
    for failure in told.failed:
        err.print(failure, markup=False, soft_wrap=True)
    if told.failed:
        raise typer.Exit(Exit.ERROR)
