"""The whole cloud, read independently of what the steps reported: before an upgrade, and after it. Reads only."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from activities import openstack
from activities.balancer import balancer_of
from activities.baselines import load_baseline, save_baseline
from activities.context import Toolbox, progress, remaining, step_activity, wait_for
from activities.databases import check_schemas, lost_guests, revisions, wrong_records
from activities.digest import save_digest
from activities.errors import StackrollError, StepFailed
from activities.objects import WITH_OBJECTS, known_objects
from activities.running import UnitState, read_units
from activities.ssh import Hosts
from model.actions import BaselineParams, VerifyCloudParams
from model.base import JsonObject
from model.baseline import (
    Baseline,
    find_down_services,
    find_newly_disabled,
    find_wrong_versions,
    summarise_versions,
)
from model.components import Component, api_url, apis, components_on
from model.inventory import Inventory
from model.nova import Guest, ServiceRow
from model.plan import Action
from model.work import ServiceRecord, StepResult, Work

# Services that have just been restarted need some seconds before nova and the balancer count on them again.
SETTLE = 60.0
SETTLE_EVERY = 3.0
MOST_GUESTS_IN_DETAILS = 200


@dataclass
class _Reading:
    """One look at the whole cloud, and everything that is wrong with it."""

    units: dict[str, tuple[UnitState, ...]] = field(default_factory=dict)
    services: list[ServiceRow] = field(default_factory=list)
    guests: tuple[Guest, ...] = ()
    problems: list[str] = field(default_factory=list)

    @property
    def running(self) -> dict[str, dict[str, str | None]]:
        return {host: {unit.unit: unit.version for unit in units} for host, units in self.units.items()}


class VerifyActivities:
    """The activities that look at the whole cloud. ``settle`` is how many seconds it may take to be as it should."""

    def __init__(self, toolbox: Toolbox, *, settle: float = SETTLE, every: float = SETTLE_EVERY) -> None:
        self._hosts = toolbox.hosts
        self._settle = settle
        self._every = every

    @step_activity(Action.CHECK_CLOUD)
    async def check_cloud(self, work: Work, params: VerifyCloudParams) -> StepResult:
        """Check that the cloud is whole, at one release, and that nothing is in flight."""
        inventory = work.inventory

        async def look() -> _Reading:
            reading = await self._look(inventory, params)
            moves = await openstack.migrations(inventory)
            reading.problems += await wrong_records(self._hosts, inventory, params.service_version)
            reading.problems += [f"unfinished: {move.text}" for move in moves if move.unfinished]
            return reading

        reading = await self._settled(work, look, "the cloud is not ready for an upgrade")
        return StepResult(summary=_everything(reading, params), details={"running": reading.running})

    @step_activity(Action.CAPTURE_BASELINE)
    async def capture_baseline(self, work: Work, params: BaselineParams) -> StepResult:
        """Keep what must be the same afterwards, and what the old code can read."""
        inventory = work.inventory
        reading = await self._look(inventory, VerifyCloudParams(versions={}))
        baseline = await self._snapshot(inventory, reading, await revisions(self._hosts, inventory))
        objects = {
            service: (await known_objects(self._hosts, inventory, service, params.versions[service])).versions
            for service in WITH_OBJECTS
            if service in inventory.services and service in params.versions
        }
        path = await save_baseline(self._hosts, work, baseline.model_copy(update={"objects": objects}))
        digest = await save_digest(self._hosts, work)
        counts = f"{len(baseline.guests)} guests, {len(baseline.services)} services, {len(baseline.apis)} APIs"
        return StepResult(
            summary=f"kept what is there: {counts}", details={**_shown(baseline), "path": path, "digest": digest.hashes}
        )

    @step_activity(Action.VERIFY_CLOUD)
    async def verify_cloud(self, work: Work, params: VerifyCloudParams) -> StepResult:
        """Prove that the whole cloud is at one release, and that every guest of the baseline is still there."""
        inventory = work.inventory
        baseline = await load_baseline(self._hosts, work)

        async def look() -> _Reading:
            reading = await self._look(inventory, params)
            reading.problems += await wrong_records(self._hosts, inventory, params.service_version)
            if baseline is not None:
                reading.problems += find_newly_disabled(baseline.services, reading.services)
                reading.problems += await lost_guests(self._hosts, inventory, baseline, reading.guests)
            return reading

        reading = await self._settled(work, look, "the cloud is not as it should be")
        schemas = await revisions(self._hosts, inventory)
        if params.schema_checks:
            await check_schemas(self._hosts, inventory, schemas, params.versions)
        after = await self._snapshot(inventory, reading, schemas)
        kept = "" if baseline is None else f"; all {len(baseline.guests)} guests of the baseline accounted for"
        return StepResult(summary=_everything(reading, params) + kept, details=_shown(after))

    async def _snapshot(self, inventory: Inventory, reading: _Reading, schemas: dict[str, tuple[str, ...]]) -> Baseline:
        return Baseline(
            taken=datetime.now(tz=UTC).isoformat(timespec="seconds"),
            guests=tuple(guest.facts for guest in reading.guests),
            services=tuple(_record(row) for row in reading.services),
            running=reading.running,
            started={host: {unit.unit: unit.since for unit in units} for host, units in reading.units.items()},
            apis=await _api_versions(inventory),
            schemas=schemas,
        )

    async def _settled(self, work: Work, look: Callable[[], Awaitable[_Reading]], problem: str) -> _Reading:
        """Look until all is well, or fail with everything that is not."""
        last = _Reading()

        async def well() -> bool:
            nonlocal last
            last = await look()
            if last.problems:
                progress(f"waiting: {last.problems[0]}")
            return not last.problems

        limit = min(self._settle, remaining(work))
        if not await wait_for(well, "the cloud to settle", limit=limit, every=self._every):
            raise StepFailed(
                f"{problem}: {len(last.problems)} problems",
                tail="\n".join(last.problems),
                remedy="repair what is listed, then retry the step",
            )
        return last

    async def _look(self, inventory: Inventory, params: VerifyCloudParams) -> _Reading:
        names = list(inventory.hosts)
        units, services, guests, balancer, answers = await asyncio.gather(
            asyncio.gather(*(self._units(inventory, name) for name in names)),
            openstack.service_records(inventory),
            openstack.guests(inventory),
            _balancer_problems(self._hosts, inventory),
            asyncio.gather(*(_answers(inventory, component) for component in apis(inventory))),
        )
        reading = _Reading(dict(zip(names, units, strict=True)), services, guests)
        reading.problems += find_wrong_versions(reading.running, inventory, params.versions)
        reading.problems += find_down_services(services)
        reading.problems += [*balancer, *(problem for problem in answers if problem)]
        return reading

    async def _units(self, inventory: Inventory, host: str) -> tuple[UnitState, ...]:
        return await read_units(self._hosts, inventory, host, [c.unit for c in components_on(inventory, host)])


def _everything(reading: _Reading, params: VerifyCloudParams) -> str:
    units = sum(len(units) for units in reading.units.values())
    versions = ", ".join(f"{service} {version}" for service, version in params.versions.items())
    return f"all {units} units run {versions}; {len(reading.services)} services up, {len(reading.guests)} guests"


def _record(row: ServiceRow) -> ServiceRecord:
    return ServiceRecord.model_validate(row.model_dump(include=set(ServiceRecord.model_fields)))


def _shown(baseline: Baseline) -> JsonObject:
    """The baseline as the report shows it; a big cloud's guests are only counted, the file on the host has them all."""
    shown = baseline.model_dump(mode="json", exclude={"objects"})
    shown["counts"] = {
        "guests": len(baseline.guests),
        "errors": sum(guest.status == "ERROR" for guest in baseline.guests),
        "services": len(baseline.services),
    }
    keep = {"id", "name", "host", "status"}
    shown["guests"] = [guest.model_dump(include=keep) for guest in baseline.guests[:MOST_GUESTS_IN_DETAILS]]
    return shown


async def _answers(inventory: Inventory, component: Component) -> str | None:
    try:
        scheme, _ = await openstack.transport(inventory)
        status = await openstack.api_get(inventory, f"{api_url(inventory, component, scheme)}{component.probe}")
    except StackrollError as error:
        return f"{component.unit} does not answer through the balancer: {error.problem}"
    return None if status == 200 else f"{component.unit} answers {status} through the balancer"


async def _api_versions(inventory: Inventory) -> dict[str, dict[str, str]]:
    found = {}
    scheme, _ = await openstack.transport(inventory)
    for component in apis(inventory):
        document = await openstack.api_versions(inventory, f"{api_url(inventory, component, scheme)}/")
        found[component.unit] = summarise_versions(document)
    return found


async def _balancer_problems(hosts: Hosts, inventory: Inventory) -> list[str]:
    balancer, place = balancer_of(inventory), inventory.load_balancer.host
    done = await hosts.run(inventory, place, balancer.servers())
    backends = {component.backend for component in apis(inventory)}
    return [
        f"the balancer counts {server.backend}/{server.name} as {server.status}"
        for server in balancer.parse_servers(done.stdout)
        if server.backend in backends and not server.up
    ]
