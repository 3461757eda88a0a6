"""The plan of a rolling reboot as an activity: the fleet is read, judged and put in order once, and that stays so.

Which hosts need a reboot is read on the hosts themselves, and only where the specification asks for it.
"""

import asyncio

from temporalio import activity

from activities.context import Toolbox, errors_mapped, heartbeats
from activities.errors import StackrollError
from activities.fleet import read_fleet
from activities.reboot import read_boot
from activities.ssh import Hosts
from model.classify import classify_all
from model.fleet import Fleet
from model.inventory import Inventory
from model.outlook import Outlook, RebootPlanResult, look_out
from model.placement import Skipped, schedule
from model.reboot import RebootNeed, judge_need
from model.reboot_preflight import judge_reboot
from model.reboot_spec import RebootMode, RebootRequest
from model.work import Finding
from workflows.names import PLAN_REBOOT
from workflows.reboot_plan import make_reboot_plan

_HOSTS_AT_ONCE = 32


class RebootPlanner:
    """The activity that plans a rolling reboot."""

    def __init__(self, toolbox: Toolbox) -> None:
        """Take the clients to read with."""
        self._hosts = toolbox.hosts

    @activity.defn(name=PLAN_REBOOT)
    async def plan_reboot(self, request: RebootRequest) -> RebootPlanResult:
        """Read the fleet, and plan its reboot unless something forbids it."""
        async with errors_mapped(), heartbeats("reading the fleet"):
            return await plan_reboot(self._hosts, request)


async def plan_reboot(hosts: Hosts, request: RebootRequest) -> RebootPlanResult:
    """Read the fleet, judge it, and make the plan unless something forbids the reboot.

    Raises:
        Unreachable, Refused: nova or placement cannot be asked.
    """
    spec, inventory = request.spec, request.inventory
    fleet = await read_fleet(inventory)
    selected = select(request, fleet)
    needs, findings = await _needs(hosts, inventory, selected, request)
    dirty = [host for host in selected if host not in needs or needs[host].required]
    classified = classify_all(fleet, spec.drain)
    classes = {one.guest: one.kind for one in classified}
    known = [host for host in dirty if host in fleet.hosts]
    # Of many hosts it takes seconds, in which the worker has other things to do as well.
    made = await asyncio.to_thread(schedule, fleet, classes, request.spec, hosts=known)
    findings += judge_reboot(inventory, fleet, dirty, classified, made)
    reasons = {host: needs[host].text for host in dirty if host in needs}
    outlook = _with_skipped(look_out(fleet, classified, made, reasons), needs)
    findings.sort(key=lambda finding: finding.severity != "error")
    forbidden = any(finding.severity == "error" for finding in findings)
    plan = None if forbidden else make_reboot_plan(request, fleet, made)
    return RebootPlanResult(findings=tuple(findings), outlook=outlook, plan=plan)


def select(request: RebootRequest, fleet: Fleet) -> list[str]:
    """Return the compute hosts that the specification is about, in the order of the inventory."""
    wanted = request.spec.hosts
    if wanted.everything:
        return list(request.compute_hosts)

    def matches(name: str) -> bool:
        host = fleet.hosts.get(name)
        if name in wanted.names or host is None:
            return name in wanted.names
        return host.zone in wanted.zones or bool(set(host.aggregates) & set(wanted.aggregates))

    return [name for name in request.compute_hosts if matches(name)]


async def _needs(
    hosts: Hosts, inventory: Inventory, selected: list[str], request: RebootRequest
) -> tuple[dict[str, RebootNeed], list[Finding]]:
    """Read which hosts need a reboot; nothing is known, and nothing asked, where that does not matter."""
    if request.spec.reboot is not RebootMode.IF_REQUIRED:
        return {}, []
    room, findings = asyncio.Semaphore(_HOSTS_AT_ONCE), list[Finding]()

    async def read(host: str) -> RebootNeed | None:
        async with room:
            try:
                return judge_need(await read_boot(hosts, inventory, host), request.spec.kernel)
            except StackrollError as error:
                problem = f"whether it needs a reboot cannot be read: {error.problem}"
                findings.append(Finding(severity="error", subject=host, problem=problem, remedy=error.remedy))
                return None

    found = await asyncio.gather(*(read(host) for host in selected))
    return {host: need for host, need in zip(selected, found, strict=True) if need is not None}, findings


def _with_skipped(outlook: Outlook, needs: dict[str, RebootNeed]) -> Outlook:
    """Say of the hosts that need nothing why they are not done."""
    fine = tuple(Skipped(host=host, reason=need.text) for host, need in needs.items() if not need.required)
    return outlook.model_copy(update={"skipped": (*fine, *outlook.skipped)})
