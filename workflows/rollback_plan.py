"""The way back as a plan: the compensations of what happened, over the reversed edges, as steps of their own.

Pure: the same plan and the same steps that happened give the same way back.
"""

from collections.abc import Collection

from model.actions import (
    CheckRollbackParams,
    ManageParams,
    SettleParams,
    SwitchParams,
    VerifyCloudParams,
    as_params,
)
from model.inventory import Inventory
from model.plan import Action, Phase, Plan, Reversibility, Step, in_order
from workflows.dag import Node, compensation
from workflows.services import SERVICES
from workflows.services.base import Repair
from workflows.services.builder import back_step
from workflows.steps import ESTIMATES, last_of

BACK = "back/"
CHECK = f"{BACK}check"
VERIFY = f"{BACK}verify"
_SWITCHES = (Action.SWITCH, Action.SWITCH_QUIESCED, Action.SWITCH_COMPUTE)


def make_rollback_plan(
    plan: Plan, inventory: Inventory, happened: Collection[str], unknown: Collection[str] = ()
) -> Plan:
    """Compute the way back before the commit point.

    First a check that the way is open, which changes nothing; then the end of what nobody has seen ending (``unknown``:
    steps that have begun and are not known to have ended); then the compensations, with the repairs that a service asks
    for in between (``Service.repairs``); last the proof that the cloud is wholly at the release before.
    """
    undoable = {id_ for id_ in happened if plan.by_id[id_].undo is not None}
    back = {node.id: node.needs for node in compensation([_node(step) for step in plan.steps], undoable)}
    repairs = [
        repair for name in inventory.services for repair in SERVICES[name].repairs(plan, inventory, frozenset(undoable))
    ]
    what = _what_goes_back(plan, undoable)
    check = back_step(CHECK, "check that the way back is open", Action.CHECK_ROLLBACK, what, phase=Phase.ROLLBACK)
    settled = [_settle(plan.by_id[id_]) for id_ in unknown if plan.by_id[id_].action is Action.RUN_MANAGE]
    steps = [check, *settled]
    first = tuple(step.id for step in settled) or (CHECK,)
    for id_, needs in back.items():
        waits = [repair.step.id for repair in repairs if id_ in repair.before]
        steps.append(_compensation(plan.by_id[id_], (*(f"{BACK}{need}" for need in needs), *waits)))
    for repair in repairs:
        after = tuple(f"{BACK}{id_}" for id_ in repair.after if id_ in back)
        steps.append(repair.step.model_copy(update={"needs": (*repair.step.needs, *after)}))
    steps = [step if step.needs or step is check else step.model_copy(update={"needs": first}) for step in steps]
    proof = f"verify that the whole cloud is back at {plan.source}"
    needs = last_of(steps)
    steps.append(back_step(VERIFY, proof, Action.VERIFY_ROLLBACK, before(plan), phase=Phase.ROLLBACK, needs=needs))
    return Plan(cloud=plan.cloud, source=plan.target, target=plan.source, limits=plan.limits, steps=in_order(steps))


def before(plan: Plan) -> VerifyCloudParams:
    """Return the versions that the cloud ran from before the upgrade, as its plan has them."""
    check = next(step for step in plan.steps if step.action is Action.CHECK_CLOUD)
    return VerifyCloudParams.model_validate(check.params)


def _what_goes_back(plan: Plan, undoable: Collection[str]) -> CheckRollbackParams:
    """Return which versions must be there for the way back, on which host."""
    old: dict[str, dict[str, str]] = {}
    new: dict[str, str] = {}
    for step in plan.steps:
        if step.id in undoable and step.undo is not None and step.undo.action in _SWITCHES:
            back, forth = (SwitchParams.model_validate(params) for params in (step.undo.params, step.params))
            old.setdefault(step.target, {})[back.service] = back.version
            new[forth.service] = forth.version
    return CheckRollbackParams(old=old, new=new)


def _settle(step: Step) -> Step:
    """A database command has no compensation to exclude it: a try that may still run is waited for."""
    known = ManageParams.model_validate(step.params)
    return Step(
        id=f"{BACK}{step.id}",
        title=f"see that no try runs any more: {step.title}",
        phase=Phase.ROLLBACK,
        action=Action.SETTLE,
        target=step.target,
        service=step.service,
        needs=(CHECK,),
        params=as_params(SettleParams(service=known.service, version=known.version)),
        reversibility=Reversibility.R0,
        timeout=step.timeout,
        of=step.id,
    )


def _compensation(step: Step, needs: tuple[str, ...]) -> Step:
    if step.undo is None:
        raise ValueError(f"{step.id} has no compensation")
    return Step(
        id=f"{BACK}{step.id}",
        title=step.undo.title,
        phase=Phase.ROLLBACK,
        action=step.undo.action,
        target=step.target,
        service=step.service,
        group=f"{BACK}{step.group}" if step.group else None,
        needs=needs,
        params=step.undo.params,
        reversibility=Reversibility.R1,
        retries=step.retries,
        timeout=step.undo.timeout,
        heartbeat=step.heartbeat,
        limit=step.limit,
        estimate=ESTIMATES.get(step.undo.action, 2.0),
        of=step.id,
    )


def _node(step: Step) -> Node:
    return Node(step.id, step.needs, step.limit)


__all__ = ["BACK", "CHECK", "VERIFY", "Repair", "before", "make_rollback_plan"]
