"""``stackroll exposure``: which hosts run what advisories say is affected; afterwards, the proof that they do not."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape

from cli.advisories import load_advisories
from cli.console import AsJson, awaited, err, out, say
from cli.documents import BadInputError, Problem
from cli.errors import CliError, Exit
from cli.exposure_view import show_exposure, show_proof
from cli.load import load_inventory
from model.advisories.documents import Advisory
from model.advisories.exposure import Exposure, judge_exposure, products_of
from model.advisories.proof import Proof, compare
from model.advisories.reading import CloudReading
from model.inventory import Inventory

FORMAT = 1

CloudFile = Annotated[Path, typer.Argument(metavar="CLOUD", help="The cloud.yaml.", show_default=False)]
Advisories = Annotated[
    list[Path],
    typer.Option(
        "--advisories", "-a", metavar="DIR|FILE", help="OSSA YAML or OSV JSON; may be repeated.", show_default=False
    ),
]
Before = Annotated[
    Path | None,
    typer.Option("--before", metavar="FILE", help="An earlier account, to prove what has gone.", show_default=False),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the account to this file.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Security")(awaited(exposure))


async def exposure(
    cloud: CloudFile,
    advisories: Advisories,
    before: Before = None,
    output: Output = None,
    everything: Annotated[bool, typer.Option("--all", help="Show what is not affected, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say which hosts run a version that an advisory says is affected, by what is installed and by what runs.

    Exit status: 0 nothing is exposed, and everything could be judged; 3 something is exposed; 1 nothing is known to be
    exposed, but not everything could be judged.
    """
    known = load_advisories(advisories)
    earlier = load_account(before) if before else None
    inventory = load_inventory(cloud)
    if earlier is not None and earlier.cloud != inventory.cloud:
        raise CliError(f"{before} is about the cloud {earlier.cloud}, and this is {inventory.cloud}", Exit.BAD_INPUT)
    reading = await read_cloud(inventory, known)
    found = judge(inventory, known, reading)
    proof = compare(earlier, found) if earlier else None
    if output is not None:
        write_account(output, found)
    if as_json:
        say(as_text(found, proof))
    elif proof is not None:
        show_proof(proof, out)
    else:
        show_exposure(found, out, everything=everything)
    if status := exit_status(found):
        raise typer.Exit(status)


def exit_status(found: Exposure) -> Exit:
    """Return how a command that has judged ends."""
    if found.exposed:
        return Exit.FINDINGS
    return Exit.OK if found.certain else Exit.ERROR


def judge(inventory: Inventory, advisories: tuple[Advisory, ...], reading: CloudReading) -> Exposure:
    """Judge what was read just now."""
    return judge_exposure(inventory, advisories, reading, taken=f"{datetime.now(tz=UTC):%Y-%m-%dT%H:%M:%SZ}")


async def read_cloud(inventory: Inventory, advisories: tuple[Advisory, ...]) -> CloudReading:
    """Read what the advisories are about on every host."""
    # Imported here: the SSH client takes a second to load, which no other command needs.
    from activities.exposure import read_exposure  # noqa: PLC0415
    from activities.ssh import Hosts  # noqa: PLC0415

    hosts = Hosts()
    name = escape(inventory.cloud)
    try:
        with err.status(f"reading {name}") as status:
            return await read_exposure(
                hosts, inventory, products_of(advisories), lambda text: status.update(f"reading {name}: {text}")
            )
    finally:
        await hosts.close()


def as_text(found: Exposure, proof: Proof | None = None) -> str:
    """Return an account as it is written to files."""
    content = {"stackroll_exposure": FORMAT, **found.model_dump(mode="json")}
    if proof is not None:
        content["proof"] = proof.model_dump(mode="json")
    return json.dumps(content, indent=1, ensure_ascii=False)


def load_account(path: Path) -> Exposure:
    """Return the account that ``--output`` or ``--json`` has written.

    Raises:
        BadInputError: it cannot be read, or is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError([Problem(str(path), None, f"cannot be read: {error.strerror or error}")]) from None
    except ValueError as error:
        raise BadInputError([Problem(str(path), None, f"no JSON: {error}")]) from None
    wanted = "`stackroll exposure CLOUD -a ADVISORIES -o FILE` writes one"
    if not isinstance(content, dict) or content.pop("stackroll_exposure", None) != FORMAT:
        raise BadInputError([Problem(str(path), 1, f"JSON, but no account of an exposure: {wanted}")])
    content.pop("proof", None)
    try:
        return Exposure.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInputError([Problem(str(path), None, f"{where}: {first['msg']}; {wanted}")]) from None


def write_account(path: Path, found: Exposure) -> None:
    """Write an account to a file, which ``--before`` takes.

    Raises:
        CliError: it cannot be written.
    """
    try:
        path.write_text(as_text(found) + "\n", encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path}: cannot be written: {error.strerror or error}", Exit.BAD_INPUT) from None
    err.print(f"written to {path}", markup=False)
