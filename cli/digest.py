"""``stackroll digest``: the state of a cloud as one document with hashes, and what differs in two of them."""

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
from model.digest import TOLERATED, Difference, Digest, DigestError, Kind
from model.digest_words import Namer, brief, namer, place, short
from model.inventory import Inventory
from model.verdict import Concern, Verdict, judge

_TITLES = {
    Concern.SYSTEM: ("system: must be equal after a rollback", "bold red"),
    Concern.TOLERATED: ("tolerated: may differ after a rollback", "yellow"),
    Concern.USERS: ("users': made, deleted or changed by those who went on working", "cyan"),
}
_SIGNS = {Kind.ADDED: "+", Kind.REMOVED: "-", Kind.CHANGED: "~"}
_MOST_ROWS = 200

Cloud = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="The upgrade.yaml or the cloud.yaml.", show_default=False)
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the digest to this file.", show_default=False)
]
Diff = Annotated[
    tuple[Path, Path] | None,
    typer.Option("--diff", metavar="BEFORE AFTER", help="Compare two such files.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Before an upgrade")(awaited(digest))


async def digest(file: Cloud = None, output: Output = None, diff: Diff = None, as_json: AsJson = False) -> None:
    """Read the state of the cloud, and print its hashes or write it to a file; or compare two such files.

    Exit status 1: a part could not be read. With --diff, 3: something differs that a rollback must bring back.
    """
    if (file is None) == (diff is None):
        raise CliError("give either FILE, whose cloud is read, or --diff BEFORE AFTER", Exit.BAD_INPUT)
    if diff is not None:
        _compare(*diff, as_json=as_json)
    elif file is not None:
        await _read(inventory_of(file), output, as_json=as_json)


async def _read(inventory: Inventory, output: Path | None, *, as_json: bool) -> None:
    # Imported here: the OpenStack and SSH clients take a second to load, which no other command needs.
    from activities.digest import read_digest  # noqa: PLC0415
    from activities.ssh import Hosts  # noqa: PLC0415

    hosts = Hosts()
    try:
        name = escape(inventory.cloud)
        with err.status(f"reading {name}") as status:
            found = await read_digest(hosts, inventory, lambda text: status.update(f"reading {name}: {text}"))
    finally:
        await hosts.close()
    if output is not None:
        write_capture(output, found.to_json())
    if as_json:
        say(found.to_json().rstrip("\n"))
    else:
        _print(found)
    for part, why in found.unread.items():
        err.print(Text(f"{part} could not be read: {why}", style="bold red"))
    if found.unread:
        raise typer.Exit(Exit.ERROR)


def _print(found: Digest) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("section", "hash", "what there is"):
        table.add_column(title)
    counts = found.counts()
    for section, hash_ in found.section_hashes.items():
        mark = " (not in the state hash)" if section in TOLERATED else ""
        words = "not read" if section in found.unread else counts[section]
        table.add_row(section, hash_, Text.assemble(words, (mark, "dim")))
    out.print(table)
    out.print()
    out.print(Text.assemble(("all     ", "dim"), (found.hash, "bold"), "  everything"))
    without = " and ".join(TOLERATED)
    out.print(
        Text.assemble(
            ("state   ", "dim"), (found.state_hash, "bold"), f"  all but {without}, which a rollback may change"
        )
    )
    out.print(Text.assemble(("system  ", "dim"), (found.system_hash, "bold"), "  only what users have no part in"))


def _compare(first: Path, second: Path, *, as_json: bool) -> None:
    before, after = (read_capture(path, "digest", Digest.from_json) for path in (first, second))
    try:
        verdict = judge(before, after)
    except DigestError as error:
        raise CliError(f"{first} and {second}: {error}", Exit.BAD_INPUT) from None
    if as_json:
        say(json.dumps(_as_json(before, after, verdict), indent=2, ensure_ascii=False))
    else:
        _print_verdict(before, after, verdict)
    if not verdict.whole:
        raise typer.Exit(Exit.FINDINGS)


def _as_json(before: Digest, after: Digest, verdict: Verdict) -> dict[str, object]:
    return {
        "equal": verdict.equal,
        "whole": verdict.whole,
        "summary": verdict.summary,
        "problems": verdict.problems,
        "not_compared": verdict.not_compared,
        "hashes": {"before": before.hashes, "after": after.hashes},
        "differences": {
            concern.value: [difference.model_dump(mode="json") for difference in verdict.of(concern)]
            for concern in Concern
        },
    }


def _print_verdict(before: Digest, after: Digest, verdict: Verdict) -> None:
    for concern in Concern:
        if found := verdict.of(concern):
            title, style = _TITLES[concern]
            out.print(Text(f"{title} ({len(found)})", style=style))
            out.print(_table(found, namer(after, before)))
            if len(found) > _MOST_ROWS:
                out.print(Text(f"and {len(found) - _MOST_ROWS} more: --json shows all", style="dim"))
            out.print()
    for problem in verdict.problems:
        out.print(Text(f"✗ {problem}", style="red"))
    states = f"{before.state_hash} → {after.state_hash}" if before.state_hash != after.state_hash else after.state_hash
    out.print(Text(f"state {states}", style="dim"))
    word = "the same state" if verdict.equal else verdict.summary
    out.print(Text(word, style="bold green" if verdict.whole else "bold red"))


def _table(found: tuple[Difference, ...], name: Namer) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", ratio=3)
    table.add_column(overflow="fold", ratio=2)
    for one in found[:_MOST_ROWS]:
        match one.kind:
            case Kind.ADDED:
                text = brief(one.after)
            case Kind.REMOVED:
                text = brief(one.before)
            case Kind.CHANGED:
                text = f"{short(one.before)} → {short(one.after)}"
        table.add_row(_SIGNS[one.kind], one.section.value, Text(place(one, name)), Text(text))
    return table
