"""Activities of the way back: whether it is open, and stopping what must not run meanwhile."""

import asyncio
import shlex

from activities.baselines import baseline_path, load_baseline
from activities.context import Toolbox, progress, step_activity
from activities.errors import StackrollError, StepFailed
from activities.objects import WITH_OBJECTS, known_objects
from activities.packaging import packaging_of
from activities.snapshot import missing_dumps
from activities.units import units_of
from activities.work import Hand
from model.actions import CheckRollbackParams, StopParams
from model.baseline import Baseline
from model.inventory import Role
from model.nova_objects import find_newer, find_unmapped
from model.plan import Action
from model.words import count
from model.work import StepResult, Work


class RollbackActivities:
    """The way back as a whole."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.CHECK_ROLLBACK)
    async def check_rollback(self, work: Work, params: CheckRollbackParams) -> StepResult:
        """Check that the way back is open, and name everything that bars it. Nothing is changed."""
        baseline = await load_baseline(self._tools.hosts, work)
        looks = [self._missing(work, host, versions) for host, versions in params.old.items()]
        # The dumps bring back rows in the old versions; only a way back without them has anything to rewrite.
        services = [] if params.restore else [name for name in WITH_OBJECTS if name in params.new]
        looks += [self._objects(work, service, params.new[service], baseline) for service in services]
        if params.restore:
            looks.append(missing_dumps(self._tools.hosts, work, params.databases))
        problems = [problem for found in await asyncio.gather(*looks) for problem in found]
        if problems:
            raise StepFailed(
                f"the way back is barred: {count(len(problems), 'reason')}; nothing was changed",
                tail="\n".join(problems),
                remedy="mend what is listed, then retry the step",
            )
        versions = count(sum(map(len, params.old.values())), "old version")
        whole = [f"{versions} on {count(len(params.old), 'host')}"]
        whole += [f"the dumps of {', '.join(params.databases)}"] if params.restore else []
        return StepResult(summary=f"the way back is open: {' and '.join(whole)} whole")

    @step_activity(Action.STOP_UNITS)
    async def stop_units(self, work: Work, params: StopParams) -> StepResult:
        """Stop units and wait until nothing of them runs; those that are down stay so."""
        names = " and ".join(params.units)
        job = await Hand(self._tools, work).job("stop", units_of().stop(params.units))
        job.check(f"stopping {names} failed", remedy="see what its output names, then retry the step")
        return StepResult(summary=f"{names} on {work.target} stopped", details={"seconds": job.seconds})

    async def _missing(self, work: Work, host: str, versions: dict[str, str]) -> list[str]:
        """Describe the versions that are not wholly installed on a host."""
        packaging = packaging_of(work.inventory)
        progress(f"looking at {host}")

        async def look(service: str, version: str) -> list[str]:
            script = packaging.check(service, version)
            done = await self._tools.hosts.run(work.inventory, host, script, check=False)
            said = " ".join((done.stdout + done.stderr).split())
            return [] if done.status == 0 else [f"{host}: {service} {version} is not there as it should be: {said}"]

        try:
            found = [await look(service, version) for service, version in versions.items()]
        except StackrollError as error:
            return [f"{host}: {error.problem}"]
        return [problem for problems in found for problem in problems]

    async def _objects(self, work: Work, service: str, version: str, baseline: Baseline | None) -> list[str]:
        """Describe what forbids to rewrite a service's stored objects."""
        manifest = baseline.objects.get(service) if baseline else None
        if not manifest:
            place = f"{work.inventory.database.host}:{shlex.quote(baseline_path(work.upgrade))}"
            return [f"no object versions of {service} in the baseline {place}: nobody knows what its old code reads"]
        try:
            new = await known_objects(self._tools.hosts, work.inventory, service, version)
        except StackrollError as error:
            host = work.inventory.with_role(Role.CONTROL)[0]
            return [f"{host}: the code that would rewrite {service}'s objects cannot be used: {error.problem}"]
        unmapped = find_unmapped(manifest, new.versions, new.reachable)
        if not unmapped:
            progress(f"{count(len(find_newer(manifest, new.versions)), 'kind')} of objects can be rewritten")
            return []
        kinds = ", ".join(f"{kind} ({change})" for kind, change in unmapped.items())
        unknown = "has kinds of objects in newer versions of which nobody knows whether it stores them"
        return [f"{service} {version} {unknown}: {kinds}; read its source, and add them to model/nova_objects.py"]
