"""The contract of a cloud's APIs, captured by asking them what clients ask, and compared. Reads only."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from activities import openstack as nova
from activities.baselines import BASELINES, keep_file, kept_file, upgrade_slug
from activities.clouds import Cloud, call
from activities.context import Toolbox, progress, step_activity
from activities.contract_sdk import OPERATIONS, connect, operate
from activities.errors import StepFailed
from activities.ssh import Hosts
from model.actions import CheckContractParams, NoParams
from model.base import JsonObject
from model.calls import RECORDED, Call, Recorded
from model.components import Component, api_url, apis, find_component
from model.contract import (
    Answer,
    ApiContract,
    Contract,
    ContractError,
    Parsed,
    catalog_of,
    microversions,
    number,
    offers,
)
from model.contract_diff import Comparison, Grade, compare
from model.contract_shape import shape_of
from model.inventory import Inventory
from model.plan import Action
from model.work import StepResult, Work

Told = Callable[[str], None]
# An answer that is not the one of before is asked for again: what has just been restarted may not be warm yet.
TRIES = 3
AGAIN_AFTER = 1.0
ASK_TIMEOUT = 60.0
# What a step tells of differences; the whole comparison is beside the baseline.
MOST_TOLD = 40


class ContractActivities:
    """The steps that keep the contract, and hold the new release to it."""

    def __init__(self, tools: Toolbox) -> None:
        self._hosts = tools.hosts

    @step_activity(Action.CAPTURE_CONTRACT)
    async def capture_contract(self, work: Work, params: NoParams) -> StepResult:  # noqa: ARG002
        """Capture the contract before anything changes, and keep it beside the baseline."""
        found = await capture(work.inventory, told=progress)
        path = contract_path(work.upgrade)
        await keep_file(self._hosts, work, path, found.to_json())
        apis = f"{len(found.apis)} APIs, {found.calls} calls"
        return StepResult(summary=f"kept what the APIs promise: {apis}", details={"path": path, "calls": found.calls})

    @step_activity(Action.CHECK_CONTRACT)
    async def check_contract(self, work: Work, params: CheckContractParams) -> StepResult:
        """Compare the APIs, or one instance of one, with the contract of before; a breach is a failure."""
        before = await load_contract(self._hosts, work)
        unit = find_component(params.unit) if params.unit else None
        host = work.target if unit is not None else ""
        after = await capture(work.inventory, like=before, unit=unit, host=host, told=progress)
        comparison = compare(before, after, params.accept)
        path = f"{BASELINES}/{upgrade_slug(f'{work.upgrade}.{work.step}')}.contract-diff.json"
        await keep_file(self._hosts, work, path, comparison.model_dump_json(indent=1))
        if not comparison.kept:
            raise _broken(work, comparison, path)
        return StepResult(summary=comparison.summary, details=_told(comparison, path))


def _broken(work: Work, comparison: Comparison, path: str) -> StepFailed:
    breaches = comparison.of(Grade.BREACH)
    # The last lines of an output are kept, and here the first ones matter.
    shown = [f"{one.name}: {one.text}" for one in breaches[:8]]
    more = [f"and {len(breaches) - 8} more"] if len(breaches) > 8 else []
    where = f"{work.target} breaks" if work.target != "cloud" else "the APIs break"
    noun = "1 breach" if len(breaches) == 1 else f"{len(breaches)} breaches"
    return StepFailed(
        f"{where} the contract of before the upgrade: {noun}",
        tail="\n".join([*shown, *more]),
        remedy=f"go back; or accept them by their names (contract: accept: in upgrade.yaml), or skip the step with a "
        f"reason; {path} on {work.inventory.database.host} has everything",
    )


def _told(comparison: Comparison, path: str) -> JsonObject:
    told: JsonObject = {"summary": comparison.summary, "compared": comparison.compared, "path": path}
    for grade in (Grade.ACCEPTED, Grade.NOTED, Grade.ADDED):
        found = comparison.of(grade)
        told[grade.value] = [f"{one.name}: {one.text}" for one in found[:MOST_TOLD]]
        told[f"{grade.value}_in_all"] = len(found)
    return told


def contract_path(upgrade: str) -> str:
    """Return where an upgrade's contract lies on the database host."""
    return f"{BASELINES}/{upgrade_slug(upgrade)}.contract.json"


async def load_contract(hosts: Hosts, work: Work) -> Contract:
    """Return the contract that an upgrade has kept.

    Raises:
        StepFailed: it has kept none, or the file cannot be read.
    """
    path, place = contract_path(work.upgrade), work.inventory.database.host
    text = await kept_file(hosts, work, path)
    if text is None:
        raise StepFailed(
            f"there is no contract to compare with: {path} is missing",
            host=place,
            remedy="put the file back; where the step that captures it was skipped, skip this one, too",
        )
    try:
        return Contract.from_json(text)
    except ContractError as error:
        raise StepFailed(
            f"{path} cannot be read: {error}", host=place, remedy="put the file back from a copy, then retry the step"
        ) from None


async def capture(
    inventory: Inventory,
    *,
    like: Contract | None = None,
    unit: Component | None = None,
    host: str = "",
    told: Told = lambda _: None,
) -> Contract:
    """Capture the contract of a cloud through its load balancer, or that of one instance past it.

    Args:
        inventory: the cloud.
        like: an earlier capture: it is asked the same again, at the same microversions and of the same objects.
        unit: the one component to ask.
        host: the host whose instance of it is asked.
        told: is told what is being asked.

    Raises:
        Refused, Unreachable: as of ``activities.clouds.call``.
    """
    scheme, _ = await nova.transport(inventory)
    found: dict[str, ApiContract] = {}
    for component in [unit] if unit is not None else apis(inventory):
        # Instances speak plain HTTP behind the balancer.
        base = f"http://{_at(inventory, host)}:{component.port}" if host else api_url(inventory, component, scheme)
        before = like.apis.get(component.unit) if like else None
        found[component.unit] = await _Asker(inventory, RECORDED[component.unit], base, before, told).read()
    catalog: dict[str, dict[str, str]] = {}
    sdk: dict[str, Parsed] = {}
    if unit is None:
        address = f"{api_url(inventory, find_component('keystone'), scheme)}/v3/auth/catalog"
        catalog = catalog_of((await _get(inventory, address, {}))[1] or {})
        sdk = await _sdk(inventory, like, told)
    now = datetime.now(tz=UTC).isoformat(timespec="seconds")
    return Contract(cloud=inventory.cloud, taken=now, via=host, apis=found, catalog=catalog, sdk=sdk)


def _at(inventory: Inventory, host: str) -> str:
    address = inventory.hosts[host].address
    return f"[{address}]" if ":" in address else address


@dataclass
class _Asker:
    """Asks one API its recorded calls."""

    inventory: Inventory
    recorded: Recorded
    base: str
    before: ApiContract | None
    told: Told
    answers: dict[str, Answer] = field(default_factory=dict)
    picks: dict[str, str] = field(default_factory=dict)

    async def read(self) -> ApiContract:
        offered = offers(await nova.api_versions(self.inventory, f"{self.base}/"))
        versions = microversions(offered, self.before.microversions if self.before else ())
        for version in versions or ("",):
            for one in self.recorded.calls:
                if _exists(one, version):
                    await self._ask(one, version)
        return ApiContract(versions=offered, microversions=versions, answers=self.answers, picks=self.picks)

    async def _ask(self, one: Call, version: str) -> None:
        end = f"@{version}" if version else ""
        ids = {name.partition("@")[0]: id_ for name, id_ in self.picks.items() if name.endswith(end)}
        try:
            path = one.path.format(**ids)
            query = {key: value.format(**ids) for key, value in one.query.items()}
        except KeyError:
            # There is nothing of which it could be asked.
            return
        name = f"{one.name}{end}"
        self.told(f"{self.recorded.unit}: {name}")
        status, body = await self._get(path, query, version, name, subject=one.subject)
        good = status < 400
        if good and one.pick is not None:
            self._pick(one, body, end)
        start = (one.shows,) if one.shows else ()
        shape = shape_of(body, self.recorded.rules, start) if good and body is not None else None
        self.answers[name] = Answer(status=status, shape=shape, members=_members(one, body) if good else ())

    async def _get(
        self, path: str, query: dict[str, str], version: str, name: str, *, subject: bool
    ) -> tuple[int, Any]:
        headers = _microversion(self.recorded.service_type, version)
        expected = self.before.answers.get(name) if self.before else None
        answer: tuple[int, Any] = (0, None)
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(AGAIN_AFTER)
            answer = await _get(self.inventory, self.base + path, headers, query, subject=subject)
            if (
                answer[0] < 400
                or (expected is not None and not expected.good)
                or (expected is None and answer[0] < 500)
            ):
                break
        return answer

    def _pick(self, one: Call, body: Any, end: str) -> None:
        if one.pick is None or not isinstance(body, dict):
            return
        rows = body.get(one.pick.rows)
        ids = [str(row[one.pick.field]) for row in rows or [] if isinstance(row, dict) and one.pick.field in row]
        name = f"{one.pick.name}{end}"
        last = self.before.picks.get(name) if self.before else None
        if ids:
            self.picks[name] = last if last in ids else ids[0]


def _exists(one: Call, version: str) -> bool:
    since, until = one.since, one.until
    return (not since or number(version) >= number(since)) and (not until or number(version) <= number(until))


def _members(one: Call, body: Any) -> tuple[str, ...]:
    key, _, name = one.members.partition(".")
    if not key or not isinstance(body, dict):
        return ()
    return tuple(sorted(str(row[name]) for row in body.get(key, []) if name in row))


def _microversion(service_type: str, version: str) -> dict[str, str]:
    return {"OpenStack-API-Version": f"{service_type} {version}"} if version else {}


async def _get(
    inventory: Inventory,
    address: str,
    headers: dict[str, str],
    query: dict[str, str] | None = None,
    *,
    subject: bool = False,
) -> tuple[int, Any]:
    """Return the status of an authenticated GET and its body; None for a body that is no JSON."""

    def read(cloud: Cloud) -> tuple[int, Any]:
        own = {"X-Subject-Token": str(cloud.session.get_token())} if subject else {}
        response = cloud.session.get(
            address,
            params=query or {},
            headers={"Accept": "application/json", **headers, **own},
            raise_exc=False,
            connect_retries=2,
            timeout=ASK_TIMEOUT,
        )
        try:
            return int(response.status_code), response.json()
        except ValueError:
            return int(response.status_code), None

    return await call(inventory, address, read)


async def _sdk(inventory: Inventory, like: Contract | None, told: Told) -> dict[str, Parsed]:
    """Have openstacksdk do what its users do; what it cannot do now and could before is tried again."""
    connection = await call(inventory, "openstacksdk", connect)
    found: dict[str, Parsed] = {}
    for name, operation in OPERATIONS.items():
        told(f"openstacksdk: {name}")
        before = like.sdk.get(name) if like else None
        act = partial(operate, connection=connection, operation=operation)
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(AGAIN_AFTER)
            found[name] = await call(inventory, name, act)
            if not found[name].error or before is None or before.error:
                break
    return found
