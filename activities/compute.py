"""Compute hosts out of service and back: nova's own flag, the guests, and the proof that the host is alive again."""

from datetime import UTC, datetime

from temporalio import activity

from activities import openstack
from activities.context import Toolbox, remaining, step_activity, wait_for
from activities.drain import Drain
from activities.drain_watch import Charge
from activities.errors import StepFailed
from activities.running import UnitState, read_units
from activities.stopped import start_guests
from activities.traffic import Traffic
from activities.work import MOST_RESTARTS
from model.actions import ComputeParams, DrainComputeParams, StartGuestsParams, VerifyComputeParams
from model.components import COMPUTE_UNIT
from model.fleet import GuestClass
from model.inventory import Inventory
from model.moves import Orders
from model.nova import ServiceRow
from model.plan import Action
from model.rolling import DrainPolicy
from model.work import StepResult, Work

# nova's own limit on how long a service may be silent is 60 s (service_down_time), and it reports every 10 s.
REPORT_LIMIT = 120.0
START_LIMIT = 60.0
# So many questions to nova come between two looks at the unit itself.
LOOKS_BETWEEN = 4
REASON_LENGTH = 255
COMPUTE_ID = "/var/lib/nova/compute_id"
LIVE_ONLY = DrainPolicy(allow=(GuestClass.LIVE,), owners=(), when_stuck="wait")


def reason_of(upgrade: str) -> str:
    """Return the reason with which an upgrade disables hosts, by which it knows its own again."""
    return f"stackroll {upgrade}"[:REASON_LENGTH]


class ComputeActivities:
    """The activities of a compute host. ``poll`` and ``rest`` are seconds between looks and after a failed move."""

    def __init__(self, toolbox: Toolbox, *, poll: float = 0.7, rest: float = 5.0) -> None:
        self._hosts = toolbox.hosts
        self._poll = poll
        self._rest = rest
        self._traffic = Traffic(fresh=3 * poll)

    @step_activity(Action.DISABLE_COMPUTE)
    async def disable_compute(self, work: Work, params: ComputeParams) -> StepResult:
        """Keep new guests away from a host; what somebody else has disabled stays theirs."""
        row, reason = await self._service(work.inventory, params.host), reason_of(work.upgrade)
        if row.status == "disabled" and row.disabled_reason == reason:
            return StepResult(summary=f"{params.host} is disabled already, by this upgrade", details={"ours": True})
        if row.status == "disabled":
            other = row.disabled_reason or "no reason given"
            return StepResult(
                summary=f"{params.host} was disabled before ({other}) and is left so",
                details={"ours": False, "by": other},
            )
        await openstack.set_service_status(work.inventory, row.id, enabled=False, reason=reason)
        return StepResult(summary=f"{params.host} takes no new guests", details={"ours": True, "reason": reason})

    @step_activity(Action.ENABLE_COMPUTE)
    async def enable_compute(self, work: Work, params: ComputeParams) -> StepResult:
        """Let new guests onto a host again, if it was this upgrade that kept them away."""
        row = await self._service(work.inventory, params.host)
        if row.status == "enabled":
            return StepResult(summary=f"{params.host} is enabled")
        if row.disabled_reason != reason_of(work.upgrade):
            other = row.disabled_reason or "no reason given"
            return StepResult(
                summary=f"{params.host} stays disabled, as it was before ({other})", details={"by": other}
            )
        await openstack.set_service_status(work.inventory, row.id, enabled=True)
        return StepResult(summary=f"{params.host} takes guests again")

    @step_activity(Action.DRAIN_COMPUTE)
    async def drain_compute(self, work: Work, params: DrainComputeParams) -> StepResult:
        """Empty a host: until nova, placement and its hypervisor have nothing left on it that may not stay."""
        inventory, host = work.inventory, params.host
        limit = min(params.timeout, remaining(work))
        row = await self._wait_until_up(inventory, host, limit=min(limit, REPORT_LIMIT))
        if row.status != "disabled":
            raise StepFailed(
                "it is enabled, so new guests would come while the others leave",
                host=host,
                remedy=f"`openstack compute service set --disable {host} {COMPUTE_UNIT}`, then retry the step",
            )
        drain = Drain(self._charge(work, params), self._hosts, self._traffic)
        await drain.run(limit)
        return await drain.result()

    @step_activity(Action.START_GUESTS)
    async def start_guests(self, work: Work, params: StartGuestsParams) -> StepResult:
        """Start the guests again that this run has stopped on a host."""
        await self._wait_until_up(work.inventory, params.host, limit=min(REPORT_LIMIT, remaining(work)))
        return await start_guests(work, params, poll=self._poll)

    def _charge(self, work: Work, params: DrainComputeParams) -> Charge:
        """Return what a drain is charged with; without a policy it moves guests live or not at all."""
        orders = Orders(
            host=params.host,
            run=work.upgrade,
            since=_ordered_at(),
            policy=params.policy or LIVE_ONLY,
            targets=params.targets,
            spares=params.spares,
        )
        decided = dict.fromkeys(params.stop, GuestClass.STOP) | dict.fromkeys(params.leave, GuestClass.LEAVE)
        return Charge(
            inventory=work.inventory,
            orders=orders,
            parallel=params.limits.per_source if params.limits else params.parallel,
            limits=params.limits,
            decided=decided,
            avoid=params.avoid,
            full=params.policy is not None,
            poll=self._poll,
            rest=self._rest,
        )

    @step_activity(Action.VERIFY_COMPUTE)
    async def verify_compute(self, work: Work, params: VerifyComputeParams) -> StepResult:
        """Prove that a host runs the new version: its processes, and a report to nova since."""
        inventory, host = work.inventory, params.host
        first = await self._wait_for_version(work, params)
        before = await self._service(inventory, host)
        row = await self._wait_for_report(work, params, before, first)
        last = await self._check_steady(inventory, params, first)
        identity = await self._check_identity(inventory, host)
        return StepResult(
            summary=f"{host} runs {params.version} and reports to nova",
            details={"since": last.since, "reported": row.updated_at, "hypervisor": identity},
        )

    async def _wait_for_version(self, work: Work, params: VerifyComputeParams) -> UnitState:
        (last,) = await read_units(self._hosts, work.inventory, params.host, (params.unit,))
        begun = last.restarts

        async def runs() -> bool:
            nonlocal last
            (last,) = await read_units(self._hosts, work.inventory, params.host, (params.unit,))
            return last.version == params.version or last.restarts - begun >= MOST_RESTARTS

        limit = min(START_LIMIT, remaining(work))
        if last.version != params.version:
            await wait_for(runs, f"{params.unit} to run {params.version}", limit=limit, every=self._poll)
        if last.version != params.version:
            raise _not_running(params, last, "is not what should run")
        return last

    async def _check_steady(self, inventory: Inventory, params: VerifyComputeParams, first: UnitState) -> UnitState:
        (last,) = await read_units(self._hosts, inventory, params.host, (params.unit,))
        if (last.version, last.since) != (params.version, first.since):
            raise _not_running(params, last, "did not stay up")
        return last

    async def _check_identity(self, inventory: Inventory, host: str) -> str:
        """A host that has become another one for nova would treat its own guests as evacuated ones."""
        done = await self._hosts.run(inventory, host, f"cat {COMPUTE_ID} 2>/dev/null", check=False)
        own = done.stdout.strip()
        if own and await openstack.host_of(inventory, own) != host:
            known = (await openstack.providers(inventory)).get(host, ())
            raise StepFailed(
                f"its identity has changed: {COMPUTE_ID} says {own}, nova knows {', '.join(known) or 'none'}",
                host=host,
                remedy="stop nova-compute there before anything else, and restore the file",
            )
        return own

    async def _service(self, inventory: Inventory, host: str) -> ServiceRow:
        for row in await openstack.service_records(inventory, binary=COMPUTE_UNIT, host=host):
            return row
        rows = await openstack.service_records(inventory, binary=COMPUTE_UNIT)
        known = ", ".join(sorted(row.host for row in rows)) or "none"
        raise StepFailed(
            f"nova knows no {COMPUTE_UNIT} on it",
            host=host,
            remedy=f"use nova's own name of the host in the inventory; it knows: {known}",
        )

    async def _wait_until_up(self, inventory: Inventory, host: str, *, limit: float) -> ServiceRow:
        """A drain that begins while nova still counts the host as down fails at once: every migration ends in error."""

        async def up() -> ServiceRow | None:
            row = await self._service(inventory, host)
            return row if row.state == "up" else None

        row = await wait_for(up, f"nova to see {COMPUTE_UNIT} on {host} up", limit=limit, every=self._poll)
        if row is None:
            raise _silent(host, limit)
        return row

    async def _wait_for_report(
        self, work: Work, params: VerifyComputeParams, before: ServiceRow, first: UnitState
    ) -> ServiceRow:
        inventory, host, looks = work.inventory, params.host, 0
        limit = min(REPORT_LIMIT, remaining(work))

        async def reported() -> ServiceRow | None:
            nonlocal looks
            looks += 1
            if looks % LOOKS_BETWEEN == 0:
                # What dies of its own code will never report.
                await self._check_steady(inventory, params, first)
            row = await self._service(inventory, host)
            return row if row.state == "up" and row.updated_at != before.updated_at else None

        row = await wait_for(reported, f"a report of {COMPUTE_UNIT} on {host} to nova", limit=limit, every=self._poll)
        if row is None:
            raise _silent(host, limit)
        return row


def _not_running(params: VerifyComputeParams, state: UnitState, problem: str) -> StepFailed:
    found = f"runs from {state.version}" if state.version else f"is {state.active}, with no process of any version"
    return StepFailed(
        f"{params.unit} {problem}: it {found}, started {state.since or 'never'}, and should run from {params.version}",
        host=params.host,
        remedy=f"see `journalctl -u {params.unit}` there, then retry the step",
    )


def _silent(host: str, limit: float) -> StepFailed:
    return StepFailed(
        f"{COMPUTE_UNIT} has not reported to nova within {limit:.0f} s",
        host=host,
        remedy=f"see `journalctl -u {COMPUTE_UNIT}` there; message queue and conductor are the usual causes",
    )


def _ordered_at() -> str:
    """When this try was ordered: the same for every repetition after a worker's death, anew for a retry by a person."""
    at = activity.info().scheduled_time if activity.in_activity() else datetime.now(tz=UTC)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
