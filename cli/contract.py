"""``stackroll contract``: what the APIs of a cloud promise, as one document, and what differs in two of them."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.captures import inventory_of, read_capture, write_capture
from cli.console import AsJson, awaited, err, out, say
from cli.errors import CliError, Exit
from model.contract import Contract, ContractError
from model.contract_diff import Comparison, Grade, compare
from model.contract_words import Told, told
from model.words import count, listed

_TITLES = {
    Grade.BREACH: ("breaches: clients that worked before do not any more", "bold red", "✗"),
    Grade.ACCEPTED: ("accepted breaches", "yellow", "~"),
    Grade.NOTED: ("noted: worth a look, breaks nobody by itself", "cyan", "·"),
    Grade.ADDED: ("added", "green", "+"),
}
_MOST_ROWS = 60

app = typer.Typer(help="What the APIs promise: capture it, compare two captures.", no_args_is_help=True)

Cloud = Annotated[Path, typer.Argument(metavar="CLOUD.yaml", help="The cloud.yaml or the upgrade.yaml.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file.", show_default=False)]
Like = Annotated[
    Path | None,
    typer.Option("--like", metavar="FILE", help="Ask the same as this earlier capture did.", show_default=False),
]
Accept = Annotated[
    list[str], typer.Option("--accept", metavar="NAME", help="A breach that is accepted; * stands for anything.")
]


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    app.command()(awaited(capture))
    app.command()(diff)
    parent.add_typer(app, name="contract", rich_help_panel="Before an upgrade")


async def capture(file: Cloud, output: Output = None, like: Like = None, as_json: AsJson = False) -> None:
    """Ask every API its recorded calls, and keep what it promises: versions, catalogue, shapes of answers.

    It only reads. Two captures are best compared when the second was asked the same as the first: --like FIRST.
    """
    # Imported here: the OpenStack clients take a second to load, which no other command needs.
    from activities.contract import capture as ask  # noqa: PLC0415

    inventory, before = inventory_of(file), read_capture(like, "contract", Contract.from_json) if like else None
    name = escape(inventory.cloud)
    with err.status(f"asking {name}") as status:
        found = await ask(inventory, like=before, told=lambda text: status.update(f"asking {name}: {escape(text)}"))
    if output is not None:
        write_capture(output, found.to_json() + "\n")
    if as_json:
        say(found.to_json())
    else:
        _print(found)


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="AFTER", show_default=False)],
    accept: Accept = [],  # noqa: B006 - typer's way to write a list of options
    as_json: AsJson = False,
) -> None:
    """Compare two captures of a cloud.

    Exit status 0: what worked before works. 3: a breach that is not accepted. 2: a file that is no capture.
    """
    first, second = (read_capture(path, "contract", Contract.from_json) for path in (before, after))
    try:
        comparison = compare(first, second, accept)
    except ContractError as error:
        raise CliError(f"{before} and {after}: {error}", Exit.BAD_INPUT) from None
    if as_json:
        content = {"kept": comparison.kept, "summary": comparison.summary, **comparison.model_dump(mode="json")}
        say(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        _print_comparison(comparison)
    if not comparison.kept:
        raise typer.Exit(Exit.FINDINGS)


def _print(found: Contract) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("API", "versions", "asked at", "calls", "of them errors"):
        table.add_column(title, overflow="fold")
    for unit, api in found.apis.items():
        errors = [name for name, answer in api.answers.items() if not answer.good]
        versions = [f"{id_} {one.text}" for id_, one in api.versions.items()]
        shown = listed(versions, 2)
        asked = " and ".join(api.microversions) or "no microversions"
        names = ", ".join(errors[:3]) + (" …" if len(errors) > 3 else "")
        table.add_row(unit, shown, asked, str(len(api.answers)), Text(f"{len(errors)} {names}" if errors else "none"))
    out.print(table)
    out.print()
    failed = [name for name, one in found.sdk.items() if one.error]
    endpoints = sum(len(places) for places in found.catalog.values())
    out.print(f"catalogue: {count(len(found.catalog), 'service')}, {count(endpoints, 'endpoint')}")
    out.print(f"openstacksdk: {count(len(found.sdk), 'operation')}, {len(failed)} failed", style="")
    for name in failed:
        out.print(Text(f"  {name}: {found.sdk[name].error}", style="yellow"))


def _print_comparison(comparison: Comparison) -> None:
    for grade, (title, style, sign) in _TITLES.items():
        if rows := told(comparison.of(grade)):
            out.print(Text(f"{title} ({len(comparison.of(grade))})", style=style))
            out.print(_table(rows, sign))
            if len(rows) > _MOST_ROWS:
                out.print(Text(f"and {len(rows) - _MOST_ROWS} more: --json shows all", style="dim"))
            out.print()
    if comparison.not_compared:
        out.print(Text(f"not compared ({len(comparison.not_compared)})", style="bold"))
        for line in comparison.not_compared[:10]:
            out.print(Text(f"  {line}", style="dim"))
        if len(comparison.not_compared) > 10:
            out.print(Text(f"  and {len(comparison.not_compared) - 10} more: --json shows all", style="dim"))
        out.print()
    out.print(Text(comparison.summary, style="bold green" if comparison.kept else "bold red"))


def _table(rows: tuple[Told, ...], sign: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=3)
    table.add_column(overflow="fold", ratio=2)
    table.add_column(style="dim", no_wrap=True)
    for row in rows[:_MOST_ROWS]:
        table.add_row(sign, Text(row.place), Text(row.text), Text(row.at))
    return table
