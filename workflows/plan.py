"""From spec and facts to a plan. Pure: the same request and the same facts give the same plan and the same hash."""

from model.actions import BaselineParams, DumpParams, NoParams, SoakParams, VerifyCloudParams
from model.base import Record
from model.components import COMPONENTS, DATABASES
from model.fleet import Fleet
from model.inventory import Role
from model.placement.leaving import drain_seconds
from model.placement.limits import resolve
from model.placement.records import Durations, Schedule
from model.plan import Action, Phase, Plan, Reversibility, Step, in_order
from model.spec import UpgradeRequest
from model.work import Facts
from workflows.drains import RETURNS, Drains
from workflows.services import SERVICES, Context, Service
from workflows.services.builder import Sequencer, check_contract_step, install_step
from workflows.steps import CLOUD, StepWriter, alert_steps, gate_step, last_of
from workflows.waves import Waves

_R0 = Reversibility.R0
# Of a compute host on the lab, from the last guest's leave until it takes guests again.
DURATIONS = Durations(reboot=20.0)


def hosts_to_empty(request: UpgradeRequest, facts: Facts) -> tuple[str, ...]:
    """Return the compute hosts that an upgrade works on: none where it does not touch nova."""
    return Context(request, facts, Drains(request.spec)).old_computes if "nova" in request.services else ()


def make_plan(
    request: UpgradeRequest, facts: Facts, fleet: Fleet | None = None, schedule: Schedule | None = None
) -> Plan:
    """Compute the whole upgrade as a DAG of steps.

    The phases follow one another; inside a phase, what does not need each other may run side by side within the
    limits: ``control`` one control host of one service at a time, ``hosts`` as many compute hosts as the spec allows,
    ``database`` and ``install`` two at a time.

    Args:
        request: what is wanted.
        facts: what was read.
        fleet: hosts and guests, where they could be read.
        schedule: in which order the hosts are emptied. Without both, hosts come in the order of the inventory, and
            nova's scheduler chooses where their guests go.
    """
    seconds = drain_seconds(request.spec, fleet, schedule, DURATIONS) if fleet and schedule else None
    context = Context(request, facts, Drains(request.spec, schedule, seconds))
    services = [SERVICES[name] for name in request.services]
    steps = _before(context)
    ready = last_of(steps)
    expand = _expand(context, services, ready)
    expand += alert_steps(Phase.EXPAND, request.spec.gates, "expand", last_of(expand))
    control = _control(context, services, last_of(expand))
    control += alert_steps(Phase.CONTROL, request.spec.gates, "control", last_of(control))
    gate_data = gate_step(Phase.DATA, "data", request.spec.approvals.data, last_of(control))
    data = [gate_data, *_data(context, services, fleet, (gate_data.id,))]
    soak = _soak(context, last_of(data))
    commit = gate_step(Phase.COMMIT, "commit", request.spec.approvals.commit, last_of(soak))
    quiet = alert_steps(Phase.COMMIT, request.spec.gates, "commit", (commit.id,))
    # A series has one format of messages, too: there is nothing that only the newer version may do.
    closing = [] if request.within_series else services
    finish = [*quiet, *_finish(context, closing, last_of([commit, *quiet]))]
    return Plan(
        cloud=request.inventory.cloud,
        source=context.source.id,
        target=request.goal,
        limits={"control": 1, "database": 2, "install": 2, **_limits(context)},
        steps=in_order([*steps, *expand, *control, *data, *soak, commit, *finish]),
    )


def _before(context: Context) -> list[Step]:
    """Approval, checks, the baseline and the dumps: nothing of this changes the cloud."""
    spec = context.request.spec
    gate = gate_step(Phase.PREFLIGHT, "plan", spec.approvals.plan, ())
    quiet = alert_steps(Phase.PREFLIGHT, spec.gates, "begin", (gate.id,), at_once=True)
    writer = Sequencer(context, Phase.PREFLIGHT, last_of([gate, *quiet]))
    _cloud_step(writer, "preflight/cloud", "check the cloud", Action.CHECK_CLOUD, _versions(context, old=True))
    writer.phase = Phase.BASELINE
    _cloud_step(
        writer,
        "baseline/cloud",
        "capture what must be the same afterwards",
        Action.CAPTURE_BASELINE,
        BaselineParams(versions=_read_versions(context)),
    )
    _cloud_step(writer, "baseline/contract", "capture what the APIs promise", Action.CAPTURE_CONTRACT, NoParams())
    steps = [gate, *quiet, *writer.steps]
    for service in context.request.services:
        dump = Sequencer(context, Phase.SNAPSHOT, writer.needs, service=service, limit="database")
        databases = DATABASES[service]
        dump.add(
            f"snapshot/{service}",
            f"dump {', '.join(databases)}",
            Action.DUMP_DATABASES,
            context.inventory.database.host,
            DumpParams(service=service, databases=databases, keep=context.request.spec.snapshots.keep),
            _R0,
            timeout=7200.0,
        )
        steps += dump.steps
    return steps


def _expand(context: Context, services: list[Service], needs: tuple[str, ...]) -> list[Step]:
    """The new code beside the old on every control host, and the schemas made to serve both.

    A series has one schema, which is left alone: migrations are not backported
    (https://docs.openstack.org/project-team-guide/stable-branches.html).
    """
    steps: list[Step] = []
    for host in context.control:
        for service in services:
            writer = Sequencer(context, Phase.EXPAND, needs, limit="install")
            install_step(writer, service.name, host, f"install/{service.name}/{host}")
            steps += writer.steps
    first = context.control[0]
    for service in [] if context.request.within_series else services:
        steps += service.expand(context, (f"install/{service.name}/{first}",))
    return steps


def _control(context: Context, services: list[Service], needs: tuple[str, ...]) -> list[Step]:
    last: dict[str, tuple[str, ...]] = {}
    steps: list[Step] = []
    for service in services:
        before = tuple(id_ for name in service.after if name in last for id_ in last[name])
        own = service.control(context, before or needs)
        last[service.name] = last_of(own)
        steps += own
    writer = Sequencer(context, Phase.CONTROL, last_of(steps))
    check_contract_step(writer, "control/contract", "hold the APIs to the contract, at the new release")
    return steps + writer.steps


def _limits(context: Context) -> dict[str, int]:
    """Return how many compute hosts may be out of service, and to how many guests may return, at the same time."""
    spec, schedule = context.request.spec, context.drains.schedule
    hosts = schedule.slots.total if schedule else resolve(spec.max_unavailable, len(context.compute))
    return {"hosts": max(1, hosts), **({"returns": RETURNS} if spec.rebalance == "return" else {})}


def _data(context: Context, services: list[Service], fleet: Fleet | None, needs: tuple[str, ...]) -> list[Step]:
    """The compute hosts, wave by wave; then the guests go home, where that is wanted."""

    def write(host: str, needs: tuple[str, ...]) -> list[Step]:
        return [step for service in services for step in service.data(context, host, needs)]

    schedule, spec = context.drains.schedule, context.request.spec
    if fleet is None or schedule is None:
        return [step for host in context.old_computes for step in write(host, needs)]
    waves = Waves(spec, fleet, schedule, write, spec.gates)
    steps = waves.write(needs, spec.approvals.canary)
    end = last_of(steps)
    for host in waves.hosts:
        writer = StepWriter(Phase.DATA, end)
        context.drains.returns(writer, host)
        steps += writer.steps
    return steps


def _soak(context: Context, needs: tuple[str, ...]) -> list[Step]:
    writer = Sequencer(context, Phase.SOAK, needs)
    _cloud_step(
        writer,
        "soak/verify",
        "verify that the whole cloud runs the new release",
        Action.VERIFY_CLOUD,
        _versions(context),
    )
    seconds = context.request.spec.soak
    _cloud_step(writer, "soak/wait", f"soak for {seconds:g} s", Action.SOAK, SoakParams(seconds=seconds), seconds)
    check_contract_step(writer, "soak/contract", "hold the APIs to the contract, before the commit")
    return writer.steps


def _finish(context: Context, services: list[Service], needs: tuple[str, ...]) -> list[Step]:
    steps = [step for service in services for step in service.finish(context, needs)]
    writer = Sequencer(context, Phase.FINISH, last_of(steps) or needs)
    final = _versions(context, schema=True)
    _cloud_step(writer, "finish/verify", "verify the cloud against the baseline", Action.VERIFY_CLOUD, final)
    return steps + writer.steps


def _cloud_step(
    writer: Sequencer, id_: str, title: str, action: Action, params: Record, estimate: float | None = None
) -> None:
    more = {} if estimate is None else {"estimate": estimate}
    writer.add(id_, title, action, CLOUD, params, _R0, **more)


def _read_versions(context: Context) -> dict[str, str]:
    """Return what each service runs on the first control host, as it was read: any version of the release."""
    first = context.control[0]
    control = [c for c in COMPONENTS if c.role is Role.CONTROL and c.service in context.inventory.services]
    return {component.service: context.old_version(component, first) for component in control}


def _versions(context: Context, *, old: bool = False, schema: bool = False) -> VerifyCloudParams:
    release = context.source if old else context.target
    versions: dict[str, str] = {name: release.versions[name] for name in context.inventory.services}
    if old or context.request.within_series:
        versions = _read_versions(context)
    if context.request.within_series:
        mixed = context.mixed
        # Hosts that an earlier run has left out must not keep this one from reaching them.
        versions = {name: one for name, one in versions.items() if name not in mixed}
    if context.request.within_series and not old:
        versions |= {name: context.new_version(name) for name in context.request.services}
    return VerifyCloudParams(
        versions=versions,
        service_version=release.nova_service_version,
        schema_checks=schema,
    )
