"""``stackroll schedule``: runs that begin by themselves, such as every second Tuesday of the month."""

import json
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from cli.client import headline
from cli.console import AsJson, By, File, awaited, out, say
from cli.errors import CliError, Exit
from cli.load import load_any
from cli.schedules import CATCH_UP, ScheduleLine, ScheduleView, open_schedules
from model.timetable import Timetable, TimetableError, make_timetable
from model.words import duration

_MOST_TIMES = 3
ScheduleId = Annotated[str, typer.Argument(metavar="ID", help="The schedule's id.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; `schedule list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        help="Runs that begin by themselves: of an upgrade.yaml or a reboot.yaml.", no_args_is_help=True
    )
    for name, command in (
        ("create", create),
        ("list", list_schedules),
        ("show", show),
        ("pause", pause),
        ("resume", resume),
        ("delete", delete),
    ):
        group.command(name)(awaited(command))
    app.add_typer(group, name="schedule", rich_help_panel="Runs")


async def create(
    file: File,
    by: By,
    *,
    id_: Annotated[str | None, typer.Option("--id", help="Its id, with which its runs' ids begin.")] = None,
    on: Annotated[
        str, typer.Option("--on", metavar="DAY", help="second tue, last sun, 15, last (of the month); tue,thu; daily.")
    ] = "",
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="Time of day, such as 22:00.")] = "",
    zone: Annotated[str, typer.Option("--zone", help="Whose clocks show it, such as Europe/Berlin.")] = "UTC",
    cron: Annotated[
        str, typer.Option("--cron", metavar="FIELDS", help="Instead: minute, hour, day of month, month, day of week.")
    ] = "",
    paused: Annotated[bool, typer.Option("--paused", help="Start nothing before it is resumed.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of one with the same id.")] = False,
) -> None:
    """Have a run start again and again, with the file as it is now.

    While one runs no other starts; when one has failed the schedule pauses. A run waits for the approvals that the
    file wants.
    """
    timetable = _timetable(on, at, zone, cron)
    request = load_any(file, by=by)
    name = id_ or f"{request.inventory.cloud}-{'reboot' if request.kind == 'RollingReboot' else 'upgrade'}"
    async with open_schedules() as schedules:
        await schedules.create(name, request, timetable, paused=paused, replace=replace)
        seen = await schedules.show(name)
    say(f"schedule {name}: {headline(request)}, {timetable.text}{' (paused)' if paused else ''}")
    for moment in seen.line.after[:_MOST_TIMES]:
        say(f"  {_local(moment, timetable.zone)}")


def _timetable(on: str, at: str, zone: str, cron: str) -> Timetable:
    if not cron and not (on and at):
        raise CliError("say when: --on DAY and --at TIME, or --cron FIELDS", Exit.BAD_INPUT)
    try:
        return make_timetable(on=on, at=at, zone=zone, cron=cron)
    except TimetableError as error:
        raise CliError(f"--{error.what}: {error}", Exit.BAD_INPUT) from None


async def list_schedules(as_json: AsJson = False) -> None:
    """List schedules, the next to begin first."""
    async with open_schedules() as schedules:
        lines = await schedules.list()
    if as_json:
        say(json.dumps([_as_data(line) for line in lines], indent=2))
        return
    if not lines:
        say("no schedule yet; make one with `stackroll schedule create FILE`")
        return
    table = Table(show_edge=False, pad_edge=False, header_style="bold")
    for column in ("schedule", "what", "when", "next (UTC)", "state"):
        table.add_column(column)
    for line in lines:
        after = f"{line.after[0]:%Y-%m-%d %H:%M}" if line.after and not line.paused else ""
        style = "yellow" if line.paused else "green"
        table.add_row(Text(line.id), Text(line.what), Text(line.when), after, Text(line.state, style=style))
    out.print(table)


async def show(id_: ScheduleId, as_json: AsJson = False) -> None:
    """Show when a schedule starts its next runs, and which it has started."""
    async with open_schedules() as schedules:
        seen = await schedules.show(id_)
    if as_json:
        say(
            json.dumps(_as_data(seen.line) | {"runs": [run for run, _ in seen.runs], "skipped": seen.skipped}, indent=2)
        )
        return
    for text in _lines(seen):
        say(text)


def _lines(seen: ScheduleView) -> list[str]:
    line = seen.line
    texts = [f"{line.id}: {line.what}", f"  when     {line.when}", f"  state    {line.state}"]
    texts += [
        f"  {'next' if not place else '':8} {_local(moment, seen.zone)}" for place, moment in enumerate(line.after[:3])
    ]
    texts.append(f"  started  {seen.started}")
    if seen.skipped:
        texts.append(f"  skipped  {seen.skipped}, since one was still running")
    if seen.missed:
        texts.append(f"  missed   {seen.missed}: Temporal was down for more than {duration(CATCH_UP.total_seconds())}")
    return texts + [f"  {_local(moment, seen.zone)}  stackroll report {run}" for run, moment in seen.runs]


async def pause(id_: ScheduleId, by: By, reason: Reason = "") -> None:
    """Start no more runs until it is resumed; one that runs goes on."""
    async with open_schedules() as schedules:
        await schedules.pause(id_, f"by {by}{f': {reason}' if reason else ''}")
    say(f"{id_} is paused; `stackroll schedule resume {id_}`")


async def resume(id_: ScheduleId, by: By, reason: Reason = "") -> None:
    """Start runs again."""
    async with open_schedules() as schedules:
        await schedules.resume(id_, f"resumed by {by}{f': {reason}' if reason else ''}")
        after = (await schedules.show(id_)).line.after
    say(f"{id_} is active{f'; next at {after[0]:%Y-%m-%d %H:%M} UTC' if after else ''}")


async def delete(id_: ScheduleId) -> None:
    """Forget a schedule; a run that it has started goes on."""
    async with open_schedules() as schedules:
        await schedules.delete(id_)
    say(f"{id_} is deleted")


def _local(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}"


def _as_data(line: ScheduleLine) -> dict[str, object]:
    return {**line._asdict(), "after": [moment.isoformat() for moment in line.after]}
