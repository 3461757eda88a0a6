"""The way back behind the commit point: everything stops, the dumps are restored, the release before starts again.

Pure. It loses what was written since the dumps, so it counts that first and waits for an approval that names it; and
it is an outage, which no other plan of this project is.
"""

from functools import partial

from model.actions import (
    CheckRollbackParams,
    GateParams,
    InstallParams,
    LossParams,
    RestoreParams,
    StopParams,
    SwitchParams,
)
from model.components import DATABASES, components_on
from model.inventory import Inventory
from model.plan import Action, Phase, Plan, Reversibility, Step
from workflows.rollback_plan import before
from workflows.services.builder import back_step
from workflows.steps import last_of

# Most hosts that are stopped or started at the same time.
_AT_ONCE = 10
_step = partial(back_step, phase=Phase.RESTORE, limit="restore")


def make_restore_plan(plan: Plan, inventory: Inventory) -> Plan:
    """Compute the way back that restores the dumps of an upgrade.

    Control hosts stop first, so that nobody writes while the compute services stop; keystone starts first, since the
    others validate their tokens with it, and the compute hosts start last.
    """
    versions = before(plan)
    databases = {service: DATABASES[service] for service in inventory.services}
    old = {host: dict(versions.versions) for host in inventory.hosts if components_on(inventory, host)}
    old = {host: {s: v for s, v in known.items() if s in _services(inventory, host)} for host, known in old.items()}
    check = CheckRollbackParams(old=old, restore=True, databases=databases)
    losses = _step("restore/losses", "count what would be lost", Action.COUNT_LOSSES, LossParams(databases=databases))
    steps = [
        _step("restore/check", "check that the dumps are whole", Action.CHECK_ROLLBACK, check),
        losses,
        _step(
            "gate/restore",
            "approval of restore",
            Action.GATE,
            GateParams(gate="restore", automatic=False, losses=losses.id),
        ),
    ]
    steps = _chain(steps)
    steps += _stops(inventory, (steps[-1].id,))
    restore = _step(
        "restore/databases",
        "restore the dumps",
        Action.RESTORE_DATABASES,
        RestoreParams(databases=databases),
        needs=last_of(steps),
        reversibility=Reversibility.R4,
        retries=0,
        timeout=7200.0,
    )
    steps.append(restore)
    steps += _starts(inventory, old, (restore.id,))
    steps += _removals(plan, last_of(steps))
    verify = _step(
        "restore/verify",
        f"verify that the whole cloud is back at {plan.source}",
        Action.VERIFY_ROLLBACK,
        versions,
        needs=last_of(steps),
    )
    steps.append(verify)
    limits = {"restore": _AT_ONCE}
    return Plan(cloud=plan.cloud, source=plan.target, target=plan.source, limits=limits, steps=tuple(steps))


def _services(inventory: Inventory, host: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(component.service for component in components_on(inventory, host)))


def _stops(inventory: Inventory, needs: tuple[str, ...]) -> list[Step]:
    steps: list[Step] = []
    control = [host for host in inventory.hosts if any(c.is_api for c in components_on(inventory, host))]
    for host in sorted(inventory.hosts, key=lambda host: host not in control):
        units = tuple(component.unit for component in components_on(inventory, host))
        if units:
            after = needs if host in control else tuple(f"restore/{name}/stop" for name in control)
            steps.append(
                _step(
                    f"restore/{host}/stop",
                    f"stop {', '.join(units)} on {host}",
                    Action.STOP_UNITS,
                    StopParams(units=units),
                    target=host,
                    needs=after or needs,
                )
            )
    return steps


def _starts(inventory: Inventory, old: dict[str, dict[str, str]], needs: tuple[str, ...]) -> list[Step]:
    """Every service of every host at the old version, service by service in the order of dependence."""
    steps: list[Step] = []
    for service in inventory.services:
        mine: list[Step] = []
        late: list[Step] = []
        for host in inventory.hosts:
            units = tuple(c.unit for c in components_on(inventory, host) if c.service == service)
            if not units:
                continue
            params = SwitchParams(service=service, version=old[host][service], units=units)
            compute = not any(c.is_api for c in components_on(inventory, host))
            step = _step(
                f"restore/{host}/start/{service}",
                f"start {', '.join(units)} on {host} at {params.version}",
                Action.SWITCH_COMPUTE if compute else Action.SWITCH,
                params,
                target=host,
                needs=needs,
                service=service,
            )
            (late if compute else mine).append(step)
        if mine:
            needs = tuple(step.id for step in mine)
        steps += [*mine, *(step.model_copy(update={"needs": needs}) for step in late)]
    return steps


def _removals(plan: Plan, needs: tuple[str, ...]) -> list[Step]:
    """What the upgrade has installed, removed again."""
    return [
        _step(
            f"restore/{step.id}",
            step.undo.title,
            Action.UNINSTALL,
            InstallParams.model_validate(step.params),
            target=step.target,
            needs=needs,
        )
        for step in plan.steps
        if step.action is Action.INSTALL and step.undo is not None
    ]


def _chain(steps: list[Step]) -> list[Step]:
    chained = steps[:1]
    for step in steps[1:]:
        chained.append(step.model_copy(update={"needs": (chained[-1].id,)}))
    return chained
