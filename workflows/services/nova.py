"""nova: ``doc/source/admin/upgrades.rst``.

Schema first (API database before the cells: cell mappings live there), then conductors and schedulers, then the APIs,
then the compute hosts. ``[upgrade_levels] compute=auto`` keeps the messages readable for the oldest compute service.
"""

from model.actions import (
    ComputeParams,
    RewriteParams,
    SwitchParams,
    VerifyComputeParams,
    as_params,
)
from model.components import find_component
from model.inventory import Inventory, Role
from model.plan import Action, Phase, Plan, Reversibility, Step, Undo
from workflows.services.base import Repair
from workflows.services.builder import (
    Context,
    Manage,
    Sequencer,
    api_steps,
    install_step,
    manage_steps,
    upgrade_check,
)

_RPC_UNITS = ("nova-conductor", "nova-scheduler")
_EXPAND = (
    Manage("api-db-sync", "expand nova's API schema", ("nova-manage", "api_db", "sync"), Reversibility.R2),
    Manage("db-sync", "expand nova's cell schemas", ("nova-manage", "db", "sync"), Reversibility.R2),
    upgrade_check("nova"),
)
_FINISH = (
    Manage(
        "online-data-migrations",
        "migrate nova's data",
        ("nova-manage", "db", "online_data_migrations", "--max-count", "50"),
        Reversibility.R4,
        again=(1,),
        meanings={
            "1": "some data was migrated, and there may be more",
            "2": "the remaining migrations raise errors; see nova-manage's output and nova's documentation",
        },
    ),
)


class Nova:
    """The Compute service."""

    name = "nova"
    after: tuple[str, ...] = ("keystone", "placement", "glance")

    def expand(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """Additive schema of the API database and of every mapped cell; then nova's own check."""
        writer = Sequencer(context, Phase.EXPAND, needs, service=self.name, limit="database")
        manage_steps(writer, self.name, "expand", _EXPAND)
        return writer.steps

    def control(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """Conductors and schedulers of every control host, then every API."""
        writer = Sequencer(context, Phase.CONTROL, needs, service=self.name, group="service/nova", limit="control")
        return self._restart_control(context, writer, "")

    def data(self, context: Context, host: str, needs: tuple[str, ...]) -> list[Step]:
        """One compute host: installed beside, disabled, drained, switched, verified, enabled, its guests started."""
        writer = Sequencer(
            context, Phase.DATA, needs, service=self.name, group=f"host/{host}", scope=host, limit="hosts"
        )
        install_step(writer, self.name, host, f"{host}/install")
        context.drains.out_of_service(writer, host)
        _switch_compute(writer, host)
        disable = as_params(ComputeParams(host=host))
        undo = Undo(action=Action.DISABLE_COMPUTE, title=f"disable {host}", params=disable)
        context.drains.back_in_service(writer, host, undo=undo)
        return writer.steps

    def finish(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """Unpin the compute RPC where the releases differ in it, then the data migrations."""
        steps: list[Step] = []
        if context.source.nova_compute_rpc != context.target.nova_compute_rpc:
            # The pin is computed when a process starts: only a restart takes it away (bug 1833069).
            unpin = Sequencer(context, Phase.FINISH, needs, service=self.name, group="unpin/nova", limit="control")
            steps = self._restart_control(context, unpin, "unpin/")
            needs = (steps[-1].id,)
        writer = Sequencer(context, Phase.FINISH, needs, service=self.name, limit="database")
        manage_steps(writer, self.name, "finish", _FINISH)
        return steps + writer.steps

    def repairs(self, plan: Plan, inventory: Inventory, undone: frozenset[str]) -> list[Repair]:
        """Rewrite what the new release has stored in object versions that the old one does not read.

        Twice: when every API is old, so that the conductors and schedulers that go back find nothing newer; and when
        every conductor is old, since a new one may have written until then. The way back is computes, APIs, conductors
        and schedulers: an old scheduler does not read what a new API or conductor puts into its messages.
        """
        mine = [step for step in plan.steps if step.id in undone and step.service == self.name]
        switches = [step for step in mine if step.action in (Action.SWITCH, Action.SWITCH_QUIESCED)]
        if not switches:
            return []
        group = switches[0].group
        apis = frozenset(step.id for step in mine if step.group == group and "/nova-api/" in f"/{step.id}")
        rpc = frozenset(step.id for step in mine if step.action is Action.SWITCH_QUIESCED)
        new = SwitchParams.model_validate(switches[0].params).version
        host = inventory.with_role(Role.CONTROL)[0]
        code = frozenset(step.id for step in mine if step.action is Action.INSTALL and step.target == host)
        first, second = (_rewrite(f"back/nova/objects-{number}", host, new, group) for number in (1, 2))
        return [Repair(first, apis, rpc), Repair(second, apis | rpc, code)]

    def _restart_control(self, context: Context, writer: Sequencer, prefix: str) -> list[Step]:
        for host in context.control:
            writer.scope = f"{prefix}nova-rpc@{host}"
            _switch_rpc(writer, host, prefix)
        api = find_component("nova-api")
        for host in context.control:
            writer.scope = f"{prefix}{api.unit}@{host}"
            api_steps(
                writer,
                api,
                host,
                prefix=prefix,
                record_version=context.source.nova_service_version,
                reversibility=_class(prefix),
            )
        return writer.steps


def _rewrite(id_: str, host: str, version: str, group: str | None) -> Step:
    return Step(
        id=id_,
        title="rewrite what the new nova has stored for the old one",
        phase=Phase.ROLLBACK,
        action=Action.REWRITE_OBJECTS,
        target=host,
        service="nova",
        group=f"back/{group}" if group else None,
        params=as_params(RewriteParams(service="nova", version=version)),
        reversibility=Reversibility.R1,
        limit="control",
        timeout=7200.0,
        estimate=5.0,
    )


def _class(prefix: str) -> Reversibility:
    """Once messages are unpinned, an older compute service no longer reads them: that restart is a ratchet."""
    return Reversibility.R3 if prefix else Reversibility.R1


def _switch_rpc(writer: Sequencer, host: str, prefix: str) -> None:
    """Conductor and scheduler of a host, while no write is in flight: a stopping one loses the calls it holds."""
    context = writer.context
    new, old = context.new_version("nova"), context.old_version(find_component("nova-conductor"), host)
    record: int | None = context.source.nova_service_version
    if prefix:
        old, record = new, None
    hold = "nova-api" if context.inventory.load_balancer.hold_map else None
    params = SwitchParams(service="nova", version=new, units=_RPC_UNITS, hold=hold)
    back = params.model_copy(update={"version": old, "record_version": record})
    writer.add(
        f"{prefix}nova-rpc/{host}/switch",
        f"restart nova-conductor and nova-scheduler on {host} at {new}",
        Action.SWITCH_QUIESCED,
        host,
        params,
        _class(prefix),
        undo=Undo(
            action=Action.SWITCH_QUIESCED,
            title=f"restart nova-conductor and nova-scheduler on {host} at {old}",
            params=as_params(back),
        ),
    )


def _switch_compute(writer: Sequencer, host: str) -> None:
    context = writer.context
    component = find_component("nova-compute")
    new, old = context.new_version("nova"), context.old_version(component, host)
    back = SwitchParams(
        service="nova",
        version=old,
        units=(component.unit,),
        record_version=context.source.nova_service_version,
    )
    writer.add(
        f"{host}/switch",
        f"restart {component.unit} on {host} at {new}",
        Action.SWITCH_COMPUTE,
        host,
        SwitchParams(service="nova", version=new, units=(component.unit,)),
        Reversibility.R1,
        undo=Undo(
            action=Action.SWITCH_COMPUTE,
            title=f"restart {component.unit} on {host} at {old}",
            params=as_params(back),
        ),
    )
    writer.add(
        f"{host}/verify",
        f"verify {host}",
        Action.VERIFY_COMPUTE,
        host,
        VerifyComputeParams(host=host, version=new, unit=component.unit),
        Reversibility.R0,
    )


NOVA = Nova()
