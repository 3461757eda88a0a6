"""``stackroll demo``: a real cloud on this machine, upgraded under Temporal, with guests running on it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import typer
from rich.rule import Rule
from rich.text import Text

from activities.files import state_folder
from cli.client import Runs, open_runs
from cli.console import operator, out, say
from cli.errors import CliError, Exit, NoAnswerError
from cli.load import load_request
from cli.plans import look_ahead, read
from cli.reports import write_html
from cli.runs import default_id, how_to_follow
from cli.summary import summary
from cli.watch import watch
from deploy.lab import record as records
from deploy.lab import states, status
from deploy.lab.cloud import Lab
from deploy.lab.errors import LabError
from deploy.lab.progress import Progress
from deploy.lab.settings import LabSpec, Paths, pristine_name
from model.render import as_tree
from model.spec import UpgradeRequest

_STAGES = 5
_START_LIMIT = 90.0
_END_LIMIT = 40.0


async def run_demo() -> None:
    """Make a cloud on this machine, upgrade it while guests run on it, and show what came of it."""
    _stage(1, "a cloud: OpenStack in machines of its own, with guests")
    paths = Paths.from_environment()
    anew = await asyncio.to_thread(ready_lab, paths)
    request = load_request(paths.state / "upgrade.yaml", by=operator())
    _stage(2, f"the plan: from {request.inventory.release} to {request.spec.to}")
    await _show_plan(request)
    _stage(3, "Temporal and a worker")
    async with _temporal() as runs:
        why = "its cloud is not there any more: the demo has made another one"
        if anew and (left := await runs.forget(request.inventory.cloud, why)):
            say(f"{left} was left by a demo that was broken off; it has been ended")
        await _upgrade(runs, request)


def ready_lab(paths: Paths) -> bool:
    """Bring the lab up as it was before any upgrade, and tell whether it is another one than before.

    What is up and untouched is taken as it is.
    """
    lab = Lab(paths, Progress(out))
    try:
        current = records.load(paths)
        spec = current.spec if current else LabSpec()
        if current and current.complete and _is_untouched(paths, spec):
            say(f"the lab is up: {spec.describe()}")
            return False
        if states.exists(paths, pristine_name(spec)):
            lab.restore(pristine_name(spec))
        else:
            if current and current.complete:
                lab.down()
            lab.up(spec)
    except LabError as error:
        raise CliError(f"the lab: {error}") from None
    return True


def _is_untouched(paths: Paths, spec: LabSpec) -> bool:
    try:
        found = status.gather(paths)
    except LabError:
        return False
    running = [unit.release for host in found.hosts for unit in host.units.values() if unit.version]
    return found.well and all(release.startswith(f"{spec.release} ") for release in running)


async def _show_plan(request: UpgradeRequest) -> None:
    result = await read(request)
    say(as_tree(result.made, forecast=look_ahead(request, result).lines))


@asynccontextmanager
async def _temporal() -> AsyncIterator[Runs]:
    """Run ``stackroll dev`` for as long as the demo lasts; beside a Temporal that answers already, only a worker."""
    command = "worker" if await _answers() else "dev"
    log = state_folder() / f"{command}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.main", command, stdout=file, stderr=file, start_new_session=True
        )
    try:
        runs = await _answering(process, log)
        say(f"`stackroll {command}` runs (log: {log})")
        yield runs
    finally:
        await _end(process)


async def _answers() -> bool:
    try:
        async with open_runs():
            return True
    except NoAnswerError:
        return False


async def _answering(process: asyncio.subprocess.Process, log: Path) -> Runs:
    """Wait until Temporal answers."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _START_LIMIT
    while process.returncode is None and loop.time() < until:
        try:
            async with open_runs() as runs:
                return runs
        except NoAnswerError:
            await asyncio.sleep(0.5)
    raise CliError(f"Temporal and its worker did not come up; their last words ({log}):\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_LIMIT)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _upgrade(runs: Runs, request: UpgradeRequest) -> None:
    _stage(4, "the upgrade")
    run = default_id(request.inventory.cloud, request.spec.to)
    await runs.start(request, run)
    for line in (f"started {run}", *how_to_follow(runs, run)):
        say(line)
    glance = await watch(runs, run, out)
    _stage(5, "what came of it")
    report = await runs.report(run)
    out.print(summary(report))
    path = state_folder() / "reports" / f"{run}.html"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_html(report, path)
    say(f"the report as a page: {path}")
    if glance.exit is not Exit.OK:
        raise typer.Exit(glance.exit)


def _stage(number: int, title: str) -> None:
    out.print()
    out.print(Rule(Text(f"{number} of {_STAGES}  {title}", style="bold"), align="left", style="cyan"))
