"""Compute hosts booted anew: ordered exactly once, looked at before nova may act on them, watched while they settle."""

from datetime import UTC, datetime

from temporalio import activity

from activities import openstack
from activities.boot import boot_command, parse_boot, reboot_script, record_of, release_script
from activities.context import Toolbox, progress, remaining, step_activity, wait_for
from activities.errors import JobLost, OutcomeUnknown, Refused, StackrollError, StepFailed, Unreachable
from activities.ssh import Hosts
from activities.work import Hand
from model.actions import ComputeParams, RebootHostParams, VerifyHostParams, WatchHostsParams
from model.components import COMPUTE_UNIT
from model.inventory import Inventory
from model.nova import ServiceRow
from model.plan import Action
from model.reboot import HostBoot, judge_need, judge_return
from model.work import StepResult, Work

# nova's compute service reports every 10 s, and counts as down after 60 s without a report.
REPORT_LIMIT = 150.0
# A host that is to be put back must answer within this time, or it stays out of service.
ANSWER_LIMIT = 60.0
# Within so many seconds a reboot is ordered; the host may be gone before it has answered.
ORDER_LIMIT = 90.0
# So many looks in a row must find a host down before it counts as not healthy: one report may come late.
LOOKS_UNTIL_DOWN = 3
_BOOTING = ("initializing", "starting")


async def read_boot(hosts: Hosts, inventory: Inventory, host: str, record: str = "/nonexistent") -> HostBoot:
    """Read what matters to a reboot on a host. Changes nothing.

    Raises:
        Unreachable, Refused: no connection, or an answer that makes no sense.
    """
    done = await hosts.run(inventory, host, boot_command(record), timeout=30.0)
    return parse_boot(done.stdout)


class RebootActivities:
    """The activities of a reboot. ``poll`` is the seconds between two looks."""

    def __init__(self, toolbox: Toolbox, *, poll: float = 1.0) -> None:
        self._tools = toolbox
        self._hosts = toolbox.hosts
        self._poll = poll

    @step_activity(Action.REBOOT_HOST)
    async def reboot_host(self, work: Work, params: RebootHostParams) -> StepResult:
        """Have a host booted anew, and wait until it answers; done once, however often it is tried."""
        record = record_of(work.upgrade, work.step)
        boot = await self._read(work, record)
        if boot.rebooted and not judge_need(boot, params.kernel).required:
            return StepResult(summary=f"{params.host} was rebooted by this step before", details=_shown(boot))
        await self._order(work, record, boot)
        back = await self._wait_rebooted(work, record, params)
        return StepResult(summary=f"{params.host} runs boot {back.boot_id[:8]}, {_kernel(back)}", details=_shown(back))

    @step_activity(Action.VERIFY_HOST)
    async def verify_host(self, work: Work, params: VerifyHostParams) -> StepResult:
        """Prove that a host is the one it was and works, then let its compute service report to nova."""
        record = record_of(work.upgrade, params.reboot) if params.reboot else "/nonexistent"
        boot = await self._wait_units(work, record, params)
        if problems := judge_return(boot, params.kernel):
            raise StepFailed(
                f"it is not as it should be after its reboot: {'; '.join(problems)}",
                host=params.host,
                remedy="mend that, then retry the step; nova-compute has not been started there",
            )
        await self._check_identity(work.inventory, params.host, boot)
        row = await self._start_compute(work, params.host)
        return StepResult(
            summary=f"{params.host} is back: {_kernel(boot)}, its units run, nova-compute reports",
            details={**_shown(boot), "reported": row.updated_at},
        )

    @step_activity(Action.RELEASE_HOST)
    async def release_host(self, work: Work, params: ComputeParams) -> StepResult:
        """Let a host's compute service run again, if the host answers and is the one it was."""
        boot = await self._read(work, record_of(work.upgrade, work.step), limit=ANSWER_LIMIT)
        if boot.before and boot.before != boot.hostname:
            raise _changed(params.host, f"its name was {boot.before}, and is {boot.hostname or 'empty'} now")
        await self._check_identity(work.inventory, params.host, boot)
        await self._start_compute(work, params.host)
        return StepResult(summary=f"{COMPUTE_UNIT} runs on {params.host}", details=_shown(boot))

    @step_activity(Action.WATCH_HOSTS)
    async def watch_hosts(self, work: Work, params: WatchHostsParams) -> StepResult:
        """Look at hosts that have come back until they have been up for long enough."""
        begun, down = _ordered_at(), dict.fromkeys(params.hosts, 0)

        async def over() -> bool:
            rows = {row.host: row for row in await openstack.service_records(work.inventory, binary=COMPUTE_UNIT)}
            for host in params.hosts:
                up = host in rows and rows[host].state == "up"
                down[host] = 0 if up else down[host] + 1
                if down[host] >= LOOKS_UNTIL_DOWN:
                    raise _unhealthy(host, rows.get(host))
            waited = (datetime.now(tz=UTC) - begun).total_seconds()
            return waited >= params.seconds and not any(down.values())

        names = ", ".join(params.hosts)
        every = max(self._poll, min(5.0, params.seconds / 10))
        await wait_for(over, f"{names} to stay up for {params.seconds:g} s", limit=remaining(work), every=every)
        stayed = f" and stayed so for {params.seconds:g} s" if params.seconds else ""
        return StepResult(summary=f"{names} up{stayed}", details={"hosts": list(params.hosts)})

    async def _order(self, work: Work, record: str, boot: HostBoot) -> None:
        """Order the reboot; whether it was begun when no answer comes any more shows when the host is back."""
        short = work.model_copy(update={"timeout": work.timeout - max(0.0, remaining(work) - ORDER_LIMIT)})
        try:
            job = await Hand(self._tools, short).job("reboot", reboot_script(record, boot.boot_id))
        except (JobLost, OutcomeUnknown, Unreachable) as error:
            progress(f"no answer from {work.target} since it was told to reboot: {error.problem}")
            return
        job.check("the reboot could not be ordered", remedy="see its last output, mend the cause, then retry the step")

    # Reading

    async def _read(self, work: Work, record: str, *, limit: float | None = None) -> HostBoot:
        """Read a host that should answer; one that does not is waited for.

        Raises:
            Unreachable, Refused: it does not within the limit.
        """
        return await self._back(work, record, remaining(work) if limit is None else limit)

    async def _back(self, work: Work, record: str, limit: float) -> HostBoot:
        last: StackrollError | None = None

        async def answers() -> HostBoot | None:
            nonlocal last
            try:
                return await read_boot(self._hosts, work.inventory, work.target, record)
            except (Unreachable, Refused) as error:
                # A host that boots may refuse logins for a while.
                last = error
                return None

        boot = await wait_for(answers, f"{work.target} to answer", limit=limit, every=self._poll)
        if boot is None:
            raise OutcomeUnknown(
                f"it has not answered for {limit:.0f} s ({last.problem if last else 'no answer'})",
                host=work.target,
                remedy="look at its console; when it answers, retry the step: it is not rebooted a second time",
            )
        return boot

    async def _wait_rebooted(self, work: Work, record: str, params: RebootHostParams) -> HostBoot:
        seen: HostBoot | None = None

        async def rebooted() -> HostBoot | None:
            nonlocal seen
            try:
                seen = await read_boot(self._hosts, work.inventory, work.target, record)
            except (Unreachable, Refused):
                seen = None
                return None
            return seen if seen.rebooted else None

        limit = min(params.timeout, remaining(work))
        boot = await wait_for(rebooted, f"{params.host} to come back", limit=limit, every=self._poll)
        if boot is not None:
            return boot
        if seen is None:
            raise OutcomeUnknown(
                f"it has not come back within {limit:.0f} s after its reboot",
                host=params.host,
                remedy="look at its console; when it answers, retry the step: it is not rebooted a second time",
            )
        raise await self._still_there(work, limit)

    async def _still_there(self, work: Work, limit: float) -> StepFailed:
        command = "systemctl list-jobs --no-pager --no-legend; systemd-inhibit --list --no-pager --no-legend"
        done = await self._hosts.run(work.inventory, work.target, command, check=False)
        return StepFailed(
            f"it answers, and has not been rebooted {limit:.0f} s after the order",
            host=work.target,
            tail=done.stdout,
            remedy="end what holds its shutdown (jobs and inhibitors are listed), then retry the step",
        )

    # What nova counts on

    async def _wait_units(self, work: Work, record: str, params: VerifyHostParams) -> HostBoot:
        boot = await self._read(work, record)

        async def whole() -> bool:
            nonlocal boot
            boot = await self._read(work, record)
            return not boot.down and boot.state not in _BOOTING

        limit = min(params.timeout, remaining(work) / 2)
        if await wait_for(whole, f"the units of {params.host}", limit=limit, every=self._poll):
            return boot
        problem = f"{', '.join(boot.down)} ran before and do not run" if boot.down else "its boot does not end"
        raise StepFailed(
            f"{problem}, {limit:.0f} s after it came back",
            host=params.host,
            remedy="see `systemctl list-jobs` and `systemctl status` there, mend the cause, then retry the step",
        )

    async def _check_identity(self, inventory: Inventory, host: str, boot: HostBoot) -> None:
        """A host that has become another one for nova would treat its own guests as evacuated ones."""
        if boot.compute_id and await openstack.host_of(inventory, boot.compute_id) != host:
            known = (await openstack.providers(inventory)).get(host, ())
            raise _changed(host, f"its compute_id is {boot.compute_id}, and nova knows {', '.join(known) or 'none'}")

    async def _start_compute(self, work: Work, host: str) -> ServiceRow:
        """Start the compute service, and wait until it has reported to nova twice."""
        before = (await self._service(work.inventory, host)).updated_at
        job = await Hand(self._tools, work).job("start", release_script())
        job.check(f"starting {COMPUTE_UNIT} failed", remedy=f"see `journalctl -u {COMPUTE_UNIT}`, then retry the step")
        reports = {before}

        async def reported() -> ServiceRow | None:
            row = await self._service(work.inventory, host)
            if row.state == "up":
                reports.add(row.updated_at)
            return row if len(reports) > 2 else None

        limit = min(REPORT_LIMIT, remaining(work))
        row = await wait_for(reported, f"{COMPUTE_UNIT} on {host} to report twice", limit=limit, every=self._poll)
        if row is None:
            raise StepFailed(
                f"{COMPUTE_UNIT} has reported to nova {len(reports) - 1} times within {limit:.0f} s, not twice",
                host=host,
                remedy=f"see `journalctl -u {COMPUTE_UNIT}` there; message queue and conductor are the usual causes",
            )
        return row

    async def _service(self, inventory: Inventory, host: str) -> ServiceRow:
        for row in await openstack.service_records(inventory, binary=COMPUTE_UNIT, host=host):
            return row
        raise StepFailed(
            f"nova knows no {COMPUTE_UNIT} on it",
            host=host,
            remedy="use nova's own name of the host in the inventory: `openstack compute service list`",
        )


def _shown(boot: HostBoot) -> dict[str, object]:
    return {"boot": boot.boot_id, "before": boot.ordered, "kernel": boot.kernel}


def _kernel(boot: HostBoot) -> str:
    return f"kernel {boot.kernel}" if boot.kernel else "its kernel is not known"


def _changed(host: str, problem: str) -> StepFailed:
    return StepFailed(
        f"its identity has changed: {problem}",
        host=host,
        remedy=f"restore the host's name and nova's compute_id file before {COMPUTE_UNIT} is started there, or it "
        "takes its guests for somebody else's; then retry the step",
    )


def _unhealthy(host: str, row: ServiceRow | None) -> StepFailed:
    state = "is not in nova's list of services" if row is None else f"is {row.state}, last report {row.updated_at}"
    return StepFailed(
        f"it did not stay up: its {COMPUTE_UNIT} {state}",
        host=host,
        remedy=f"see `journalctl -u {COMPUTE_UNIT}` there, mend the cause, then retry the step",
    )


def _ordered_at() -> datetime:
    """When this try was ordered: the same for every repetition after a worker's death."""
    at = activity.info().scheduled_time if activity.in_activity() else datetime.now(tz=UTC)
    return at.astimezone(UTC)
