"""Activities that change a host: software beside software, commands of a service's own tools, restarts."""

from activities import openstack
from activities.context import Toolbox, remaining, step_activity, wait_for
from activities.database import database_of
from activities.errors import StepFailed, last_lines
from activities.manage import did_check, manage_script
from activities.packaging import packaging_of
from activities.units import units_of
from activities.work import Hand
from model.actions import InstallParams, ManageParams, SwitchParams
from model.inventory import Role
from model.plan import Action
from model.work import StepResult, Work

# The names of nova's service records where they are not the unit's.
_BINARIES = {"nova-api": "nova-osapi_compute"}
_COMPUTE = "nova-compute"
# Seconds that a build, a move or a deletion on a host may still take before its compute service is stopped.
QUIET_LIMIT = 120.0
_CONDUCTOR = "nova-conductor"


class HostActivities:
    """What is done on hosts over SSH."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.INSTALL)
    async def install(self, work: Work, params: InstallParams) -> StepResult:
        """Install a service's version beside what runs; nothing uses it yet."""
        name = f"{params.service} {params.version}"
        script = packaging_of(work.inventory).install(params.service, params.version, params.release)
        job = await Hand(self._tools, work).job("install", script)
        job.check(
            f"installing {name} failed",
            remedy=f"see that the release is in {work.inventory.packaging.repository} on the host, then retry the step",
        )
        return StepResult(summary=f"{name} {_last(job.output_tail)}", details={"seconds": job.seconds})

    @step_activity(Action.UNINSTALL)
    async def uninstall(self, work: Work, params: InstallParams) -> StepResult:
        """Remove a service's version, unless it is active or a process still runs from it."""
        name = f"{params.service} {params.version}"
        script = packaging_of(work.inventory).uninstall(params.service, params.version)
        job = await Hand(self._tools, work).job("uninstall", script)
        job.check(f"removing {name} failed")
        return StepResult(summary=f"{name} {_last(job.output_tail)}")

    @step_activity(Action.RUN_MANAGE)
    async def run_manage(self, work: Work, params: ManageParams) -> StepResult:
        """Run a command of a service's tools with the code of a version, as the services' own user."""
        command = " ".join(params.command)
        job = await Hand(self._tools, work).job("run", manage_script(packaging_of(work.inventory), params))
        output = last_lines(job.output_tail)
        checked = did_check(params, job.output_tail)
        if job.status in params.ok and checked:
            return StepResult(summary=f"{command}: done in {job.seconds:.0f} s", details={"output": output})
        meaning = params.meanings.get(str(job.status), "")
        if job.status in params.warn and checked:
            return StepResult(
                summary=f"{command}: {meaning or 'warnings'}", details={"output": output, "warning": True}
            )
        problem = f"{command} failed" + (f": {meaning}" if meaning else "")
        job.check(
            problem if checked else f"{command} broke off without a result",
            command=command,
            remedy="mend what its output names, then retry the step; nothing has been restarted on the new code by it",
        )
        raise StepFailed(f"{command} ended with 0, and without a result", host=work.target, tail=job.output_tail)

    @step_activity(Action.SWITCH)
    async def switch(self, work: Work, params: SwitchParams) -> StepResult:
        """Make a version the active one and restart units on it; done when their processes run from it."""
        return await switch_units(Hand(self._tools, work), params)

    @step_activity(Action.SWITCH_COMPUTE)
    async def switch_compute(self, work: Work, params: SwitchParams) -> StepResult:
        """Restart a host's compute service on a version; back to an older one, write its record back meanwhile.

        On the way back the host has not been emptied: what nova is doing there is first let come to its end.
        """
        left = await self._let_end(work) if params.record_version is not None else []
        result = await switch_units(Hand(self._tools, work), params)
        still = f"; not waited for any longer: {'; '.join(left)}" if left else ""
        return StepResult(summary=result.summary + still, details=result.details)

    async def _let_end(self, work: Work) -> list[str]:
        """Wait until nova works on nothing at the target; return what still goes on when the wait is over."""
        left: list[str] = []

        async def quiet() -> bool:
            nonlocal left
            left = await openstack.in_flight_on(work.inventory, work.target)
            return not left

        limit = min(QUIET_LIMIT, remaining(work) / 2)
        await wait_for(quiet, f"nova to finish what it does on {work.target}", limit=limit)
        return left


async def switch_units(hand: Hand, params: SwitchParams) -> StepResult:
    """Restart units on a version, with nova's service records written back in between if the step says so.

    nova refuses a service that is older than the lowest version on record, so the records go back while the units are
    down. The conductors keep that lowest version in memory, and would refuse the reports of an older compute service:
    they are told to forget it when it was lowered.
    """
    work = hand.work
    packaging = packaging_of(work.inventory)
    activate = packaging.activate(params.service, params.version)
    names = " and ".join(params.units)
    remedy = f"see `journalctl -u {params.units[0]}` on the host, mend the cause, then retry the step"
    if params.record_version is None:
        job = await hand.job("switch", activate + units_of().restart(params.units))
        job.check(f"restarting {names} at {params.version} failed", remedy=remedy)
    else:
        # What cannot be started again must not be stopped.
        stop = packaging.check(params.service, params.version) + units_of().stop(params.units)
        (await hand.job("stop", stop)).check(f"stopping {names} failed", remedy=remedy)
        await _write_back(hand, params)
        job = await hand.job("start", activate + units_of().start(params.units))
        job.check(f"starting {names} at {params.version} failed", remedy=remedy)
    await hand.wait_running(params.units, params.version)
    verb = "runs" if len(params.units) == 1 else "run"
    summary = f"{names} on {work.target} {verb} from {params.version}"
    return StepResult(summary=summary, details={"seconds": job.seconds})


async def _write_back(hand: Hand, params: SwitchParams) -> None:
    work, version = hand.work, params.record_version
    if version is None:
        return
    database = database_of(work.inventory)
    binaries = [_BINARIES.get(unit, unit) for unit in params.units]
    script = database.record_versions(work.target, binaries, version)
    job = await hand.job("record", script, host=work.inventory.database.host)
    job.check(f"writing version {version} into nova's service records of {work.target} failed")
    records, lowest = database.parse_records(job.output_tail)
    if not records:
        raise StepFailed(
            f"nova has no service record of {' or '.join(binaries)} on {work.target}",
            host=work.inventory.database.host,
            remedy="see `openstack compute service list`; nova must know the host by its name in the inventory",
        )
    if _COMPUTE in params.units and lowest is not None and lowest > version:
        for host in work.inventory.with_role(Role.CONTROL):
            job = await hand.job("forget", units_of().reload_caches(_CONDUCTOR), host=host)
            job.check(f"telling {_CONDUCTOR} to read the service versions anew failed")


def _last(output: str) -> str:
    return output.strip().rpartition("\n")[2] or "done"
