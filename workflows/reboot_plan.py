"""From a schedule of hosts to a plan of steps. Pure: the same request and schedule give the same plan and hash.

Each host is emptied, booted anew, looked at, put back.
"""

from model.actions import RebootHostParams, VerifyHostParams, WatchHostsParams
from model.fleet import Fleet
from model.placement.leaving import drain_seconds
from model.placement.records import Durations, Schedule
from model.plan import Action, Phase, Plan, Reversibility, Step, Undo, in_order
from model.reboot_spec import RebootMode, RebootRequest, RebootSpec
from workflows.drains import MARGIN, RETURNS, Drains
from workflows.steps import ESTIMATES, StepWriter, alert_steps, gate_step, last_of
from workflows.waves import Waves, watch_step

_DURATIONS = Durations()


def make_reboot_plan(request: RebootRequest, fleet: Fleet, schedule: Schedule) -> Plan:
    """Compute the whole reboot as a DAG of steps."""
    spec = request.spec
    drains = Drains(spec, schedule, drain_seconds(spec, fleet, schedule, _DURATIONS))
    gate = gate_step(Phase.PREFLIGHT, "plan", spec.approvals.plan, ())
    begin = [gate, *alert_steps(Phase.PREFLIGHT, spec.gates, "begin", (gate.id,), at_once=True)]
    waves = Waves(spec, fleet, schedule, lambda host, needs: _host(spec, drains, host, needs), spec.gates)
    steps = [*begin, *waves.write(last_of(begin), spec.approvals.canary)]
    steps += _finish(drains, waves.hosts, last_of(steps))
    release = request.inventory.release
    return Plan(
        cloud=request.inventory.cloud,
        source=release,
        target=release,
        limits={"hosts": max(1, schedule.slots.total), **({"returns": RETURNS} if spec.rebalance == "return" else {})},
        steps=in_order(steps),
    )


def _host(spec: RebootSpec, drains: Drains, host: str, needs: tuple[str, ...]) -> list[Step]:
    """Write the steps of a host: in its group, undone with the others of its host, counted against the limit."""
    writer = StepWriter(Phase.DATA, needs, group=f"host/{host}", scope=host, limit="hosts")
    drains.out_of_service(writer, host)
    drains.reboot_hooks(writer, "before_reboot", host)
    rebooted = None if spec.reboot is RebootMode.NEVER else _reboot(writer, spec, host).id
    verify = VerifyHostParams(host=host, reboot=rebooted, kernel=spec.kernel)
    writer.add(f"{host}/verify", f"verify {host}", Action.VERIFY_HOST, host, verify, Reversibility.R1, timeout=900.0)
    drains.reboot_hooks(writer, "after_reboot", host)
    drains.back_in_service(writer, host)
    return writer.steps


def _reboot(writer: StepWriter, spec: RebootSpec, host: str) -> Step:
    return writer.add(
        f"{host}/reboot",
        f"reboot {host}",
        Action.REBOOT_HOST,
        host,
        RebootHostParams(host=host, kernel=spec.kernel, timeout=spec.reboot_timeout),
        Reversibility.R2,
        undo=Undo(
            action=Action.RELEASE_HOST,
            title=f"let nova-compute run on {host} again",
            params={"host": host},
            timeout=300.0,
        ),
        # A host that has not come back is looked at by a person, not rebooted again.
        retries=0,
        timeout=spec.reboot_timeout + 2 * MARGIN,
        estimate=max(0.0, _DURATIONS.of_host(host) - ESTIMATES[Action.VERIFY_HOST]),
    )


def _finish(drains: Drains, hosts: tuple[str, ...], needs: tuple[str, ...]) -> list[Step]:
    """Write the last look at everything that was done, and the way home of the guests."""
    if not hosts:
        return []
    writer = StepWriter(Phase.FINISH, needs)
    end = watch_step(
        writer, "finish/hosts", "see that every host that was rebooted is up", WatchHostsParams(hosts=hosts)
    )
    for host in hosts:
        writer.needs = (end.id,)
        drains.returns(writer, host)
    return writer.steps
