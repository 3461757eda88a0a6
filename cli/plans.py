"""Before anything changes: check, plan, render, schema."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.console import AsJson, By, File, awaited, err, out, say
from cli.errors import CliError, Exit
from cli.load import load_any, load_request
from model.base import JsonObject, Record
from model.experience import sources
from model.forecast import forecast
from model.forecast_text import describe_forecast, ends
from model.inventory import Inventory
from model.messages import PlanRequest, PlanResult
from model.outlook import describe
from model.reboot_spec import RebootRequest, RebootSpec
from model.render import COMMIT_LINE, as_dot, as_json, as_mermaid, as_tree
from model.spec import UpgradeRequest, UpgradeSpec
from model.windows import find_openings
from model.words import count
from model.work import Finding

Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.", show_default=False)]
# What is known of windows to come is enough for any upgrade.
_MOST_WINDOWS = 60
_MODELS: dict[str, type[Record]] = {"spec": UpgradeSpec, "reboot": RebootSpec, "cloud": Inventory}
_SEVERITY_STYLES = {"blocker": "bold red", "warning": "yellow", "note": "cyan"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = "Before an upgrade"
    app.command(rich_help_panel=panel)(awaited(check))
    app.command(rich_help_panel=panel)(awaited(plan))
    app.command(rich_help_panel=panel)(render)
    app.command(rich_help_panel=panel)(schema)


async def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="upgrade.yaml or reboot.yaml.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Read the cloud and say all that forbids the upgrade or reboot, and what mends it.

    Changes nothing. Exit status 0 when nothing forbids it (warnings and notes do not), 3 when something does, 2 for bad
    input, 1 when the cloud cannot be read at all.
    """
    request = load_any(file)
    findings = await _findings(request)
    blockers = sum(finding.severity == "error" for finding in findings)
    if as_json:
        hosts = request.inventory.hosts
        say(json.dumps({"ok": not blockers, "findings": [shown(one, hosts) for one in findings]}, indent=2))
    else:
        _print_findings(findings, request)
    if blockers:
        raise typer.Exit(Exit.FINDINGS)


def shown(finding: Finding, hosts: Iterable[str]) -> dict[str, object]:
    """Return a finding as it is written for other programs."""
    about: dict[str, object] = {"severity": finding.word, "check": finding.check}
    about |= {"hosts": finding.hosts_among(hosts), "subject": finding.subject}
    return about | {"problem": finding.problem, "remedy": finding.remedy, "commands": finding.commands}


async def plan(
    file: File,
    form: Annotated[
        Literal["tree", "json", "mermaid", "dot"], typer.Option("--format", "-f", help="The form.")
    ] = "tree",
    full: Annotated[bool, typer.Option("--full", help="In the tree, write the steps of every host.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="In the tree, write how each step is taken back.")] = False,
    output: Output = None,
) -> None:
    """Read the cloud and show the plan: every step, what going back from it costs, and the commit point."""
    request = load_request(file)
    result = await read(request)
    made = result.made
    forms = {"mermaid": as_mermaid, "dot": as_dot}
    outlook = look_ahead(request, result)
    if form == "tree":
        text = as_tree(made, forecast=outlook.lines, seconds=outlook.seconds, full=full, undo=undo)
        if result.outlook.waves:
            text = "\n".join(describe(result.outlook)) + "\n\n" + text
        if output is None:
            print_tree(text)
            _print_errors(result.findings)
            return
    elif form == "json":
        text = as_json(made, outlook.content)
    else:
        text = forms[form](made)
    write(text, output)


@dataclass(frozen=True)
class Outlook:
    """What a plan is expected to take: in lines, as JSON, and by step."""

    lines: tuple[str, ...]
    content: JsonObject
    seconds: dict[str, float]


def look_ahead(request: UpgradeRequest, result: PlanResult) -> Outlook:
    """Say what a plan is expected to take that would begin now."""
    made, estimates = result.made, result.estimates
    timed = estimates.apply(made)
    found, start, windows = forecast(timed, estimates), datetime.now(UTC), request.spec.windows
    openings = find_openings(windows, start, most=_MOST_WINDOWS) if windows else None
    zone = windows.timezone if windows else "UTC"
    first, last = ends(timed, found, start, openings)
    content = {
        "seconds": {"low": round(found.low, 1), "likely": round(found.seconds, 1), "high": round(found.high, 1)},
        "ends": {"earliest": first.isoformat() if first else None, "latest": last.isoformat() if last else None},
        "path": [turn.id for turn in found.path],
        "sources": dict(sources(estimates.of(step) for step in made.steps)),
    }
    return Outlook(
        lines=describe_forecast(timed, found, estimates, start, openings, zone),
        content=content,
        seconds={step.id: step.estimate for step in timed.steps},
    )


def render(file: File, by: By, output: Output = None) -> None:
    """Print the JSON that `temporal workflow start --type RollingUpgrade --input-file` takes, or RollingReboot's."""
    request = load_any(file, by=by)
    write(request.model_dump_json(indent=2, exclude_none=True) + "\n", output)


def schema(
    which: Annotated[
        Literal["spec", "reboot", "cloud"], typer.Argument(help="upgrade.yaml, reboot.yaml or cloud.yaml.")
    ],
) -> None:
    """Print the JSON schema of a file, for editors and for other tools."""
    model = _MODELS[which]
    content: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    if which != "cloud":
        key = {"type": "string", "description": "The path of cloud.yaml, relative to this file."}
        content["properties"] = {"cloud": key, **content["properties"]}
        content["required"] = ["cloud", *content.get("required", [])]
    if which == "reboot":
        # One that is meant as such says so, if only to tell it from an upgrade.yaml.
        content["required"].append("reboot")
        names = content["$defs"]["Selection"]["properties"]["names"]
        content["properties"]["hosts"] = {"anyOf": [names, content["properties"]["hosts"]]}
    if which == "spec":
        # YAML reads an unquoted 2026.1 as a number, and so may the author.
        content["properties"]["to"]["type"] = ["string", "number"]
    say(json.dumps(content, indent=2))


async def read(request: UpgradeRequest) -> PlanResult:
    """Read what the plan and the checks need of the cloud, and make the plan, even of what would be refused."""
    # Imported here: the OpenStack and SSH clients take a second to load, which no other command needs.
    from activities.errors import StackrollError  # noqa: PLC0415
    from activities.facts import read_facts  # noqa: PLC0415
    from activities.ssh import Hosts  # noqa: PLC0415
    from workers.planner import plan_upgrade  # noqa: PLC0415

    hosts = Hosts()
    try:
        with err.status(f"reading {escape(request.inventory.cloud)}"):
            return await plan_upgrade(PlanRequest(request=request, facts=await read_facts(hosts, request)))
    except StackrollError as error:
        raise CliError(str(error)) from None
    finally:
        await hosts.close()


async def _findings(request: UpgradeRequest | RebootRequest) -> tuple[Finding, ...]:
    if isinstance(request, RebootRequest):
        return await _reboot_findings(request)
    order = ("blocker", "warning", "note")
    return tuple(sorted((await read(request)).findings, key=lambda finding: order.index(finding.word)))


async def _reboot_findings(request: RebootRequest) -> tuple[Finding, ...]:
    from activities.errors import StackrollError  # noqa: PLC0415
    from activities.ssh import Hosts  # noqa: PLC0415
    from workers.reboot_planner import plan_reboot  # noqa: PLC0415

    hosts = Hosts()
    try:
        with err.status(f"reading {escape(request.inventory.cloud)}"):
            return (await plan_reboot(hosts, request)).findings
    except StackrollError as error:
        raise CliError(str(error)) from None
    finally:
        await hosts.close()


def _print_findings(findings: tuple[Finding, ...], request: UpgradeRequest | RebootRequest) -> None:
    if findings:
        table = Table(show_edge=False, pad_edge=False, header_style="bold", box=box.SIMPLE_HEAD, show_lines=False)
        table.add_column("severity")
        table.add_column("where", overflow="fold", ratio=1)
        table.add_column("what is wrong, and what mends it", overflow="fold", ratio=3)
        for finding in findings:
            style = _SEVERITY_STYLES.get(finding.word, "")
            mend = Text("→ ", style="dim")
            for place, part in enumerate(finding.remedy.split("`")):
                mend.append(part, style="bold cyan" if place % 2 else "dim")
            text = Text.assemble(finding.problem, "\n", mend)
            table.add_row(Text(finding.word, style=style), Text(finding.subject, style="bold"), text)
        out.print(table)
    numbers = Counter(finding.word for finding in findings)
    blockers = numbers["blocker"]
    told = f"{count(blockers, 'blocker')}, {count(numbers['warning'], 'warning')}, {count(numbers['note'], 'note')}"
    verdict = f"{_headline(request)}: {'no' if blockers else 'ready'}; {told}"
    out.print(Text(verdict, style="bold red" if blockers else "bold green"))


def _headline(request: UpgradeRequest | RebootRequest) -> str:
    inventory = request.inventory
    if isinstance(request, RebootRequest):
        return f"reboot of {inventory.cloud}"
    return f"{inventory.cloud} from {inventory.release} to {request.goal}"


def print_tree(text: str) -> None:
    """Print a plan's tree, with its headings marked."""
    for line in text.splitlines():
        style = ""
        if line == COMMIT_LINE or line.startswith("═"):
            style = "bold yellow"
        elif line and line[0].isalpha():
            style = "bold"
        out.print(Text(line, style=style), soft_wrap=True)


def _print_errors(findings: tuple[Finding, ...]) -> None:
    """The plan is shown in any case; that it would be refused is said behind it."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        err.print(Text(f"\nthis upgrade would be refused now ({count(len(errors), 'error')}):", style="bold red"))
        for finding in errors:
            err.print(Text(f"  {finding.subject}: {finding.problem}; {finding.remedy}"))


def write(text: str, output: Path | None) -> None:
    """Write to a file, or print.

    Raises:
        CliError: the file cannot be written.
    """
    if output is None:
        say(text.rstrip("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{output}: cannot be written: {error.strerror or error}", Exit.BAD_INPUT) from None
    err.print(Text(f"written to {output}"))
