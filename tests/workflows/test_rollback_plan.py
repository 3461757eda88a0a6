"""The way back, as plans: what is taken back, in which order, and what a service asks for in between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.actions import CheckRollbackParams, SwitchParams
from model.components import COMPONENTS
from model.inventory import KNOWN_SERVICES, Inventory
from model.plan import Action, Plan
from model.spec import UpgradeRequest
from model.work import Facts
from tests.workflows.fake_cloud import request
from workflows.nodes import root_nodes
from workflows.plan import make_plan
from workflows.restore_plan import make_restore_plan
from workflows.rollback_plan import make_rollback_plan

REQUEST = UpgradeRequest.model_validate(request(computes=3, services=KNOWN_SERVICES))
INVENTORY: Inventory = REQUEST.inventory
PLAN = make_plan(REQUEST, Facts(hosts={}))
IDS = [step.id for step in PLAN.steps]


def up_to(last: str) -> list[str]:
    return IDS[: IDS.index(last) + 1]


def order(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


@pytest.fixture(scope="module")
def whole() -> Plan:
    """The way back of an upgrade that waits for its commit."""
    return make_rollback_plan(PLAN, INVENTORY, up_to("soak/wait"))


def ancestors(plan: Plan, id_: str) -> set[str]:
    found: set[str] = set()
    waiting = [id_]
    while waiting:
        new = set(plan.by_id[waiting.pop()].needs) - found
        found |= new
        waiting += new
    return found


def test_every_step_with_a_compensation_is_taken_back_exactly_once(whole: Plan) -> None:
    undoable = {step.id for step in PLAN.steps if step.undo is not None and step.id in up_to("soak/wait")}
    assert sorted(step.of for step in whole.steps if step.of is not None) == sorted(undoable)


def test_nothing_starts_before_the_check_and_the_proof_comes_last(whole: Plan) -> None:
    others = {step.id for step in whole.steps} - {"back/check"}
    assert all("back/check" in ancestors(whole, id_) for id_ in others)
    assert ancestors(whole, "back/verify") == {step.id for step in whole.steps} - {"back/verify"}


def test_nova_goes_back_computes_then_apis_then_conductors_and_others_after_it(whole: Plan) -> None:
    before_rpc = ancestors(whole, "back/nova-rpc/ctl2/switch")
    assert {"back/cmp1/enable", "back/cmp1/disable", "back/nova-api/ctl1/drain", "back/nova/objects-1"} <= before_rpc
    assert {"back/cmp3/disable"} <= ancestors(whole, "back/nova-api/ctl2/enable")
    assert {"back/nova-rpc/ctl1/switch"} <= ancestors(whole, "back/nova/objects-2")
    assert {"back/nova-rpc/ctl1/switch"} <= ancestors(whole, "back/keystone/ctl2/enable")


def test_the_new_code_stays_until_nothing_has_to_be_rewritten(whole: Plan) -> None:
    assert "back/nova/objects-2" in ancestors(whole, "back/install/nova/ctl1")


def test_each_instance_goes_back_drained_switched_enabled(whole: Plan) -> None:
    switch = whole.by_id["back/glance/ctl1/switch"]
    assert switch.needs == ("back/glance/ctl1/enable",)
    assert whole.by_id["back/glance/ctl1/drain"].needs == ("back/glance/ctl1/switch",)
    assert SwitchParams.model_validate(switch.params).version == "32.0.0"


def test_every_nova_unit_goes_back_with_its_record(whole: Plan) -> None:
    switches = [s for s in whole.steps if s.service == "nova" and s.action.value.startswith("switch")]
    units = {unit for step in switches for unit in SwitchParams.model_validate(step.params).units}
    assert units == {c.unit for c in COMPONENTS if c.service == "nova"}
    assert {SwitchParams.model_validate(step.params).record_version for step in switches} == {72}


def test_the_check_names_every_old_version_by_host_and_the_new_code(whole: Plan) -> None:
    params = CheckRollbackParams.model_validate(whole.by_id["back/check"].params)
    assert params.old["cmp2"] == {"nova": "33.0.1"}
    assert params.old["ctl1"] == {"keystone": "29.0.1", "placement": "15.0.0", "glance": "32.0.0", "nova": "33.0.1"}
    assert params.new["nova"] == "34.0.0"


def test_limits_are_those_of_the_upgrade(whole: Plan) -> None:
    nodes = {node.id: node for node in root_nodes(whole)}
    assert nodes["back/host/cmp1"].limit == "hosts"
    assert whole.limits == PLAN.limits


def test_a_migration_whose_end_nobody_has_seen_is_waited_for_before_anything_is_taken_back() -> None:
    plan = make_rollback_plan(
        PLAN, INVENTORY, up_to("expand/nova/db-sync"), ["expand/nova/db-sync", "install/nova/ctl2"]
    )
    others = {step.id for step in plan.steps} - {"back/check", "back/expand/nova/db-sync"}
    assert all("back/expand/nova/db-sync" in ancestors(plan, id_) for id_ in others)
    assert plan.by_id["back/expand/nova/db-sync"].action is Action.SETTLE


def test_before_any_switch_only_software_is_removed() -> None:
    plan = make_rollback_plan(PLAN, INVENTORY, up_to("expand/nova/db-sync"))
    actions = {step.action for step in plan.steps}
    assert actions == {Action.CHECK_ROLLBACK, Action.UNINSTALL, Action.VERIFY_ROLLBACK}


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(IDS[: IDS.index("gate/commit")])))
def test_whatever_has_happened_the_way_back_is_a_plan_that_can_be_walked(happened: set[str]) -> None:
    plan = make_rollback_plan(PLAN, INVENTORY, happened)
    root_nodes(plan)  # raises for a cycle between groups
    for step in plan.steps:
        if step.of is not None:
            # What happened later is taken back earlier, also when what lay between has not happened.
            later = {other.of for other in plan.steps if other.id in ancestors(plan, step.id) and other.of}
            assert later == {o.of for o in plan.steps if o.of and step.of in ancestors(PLAN, o.of)}


def test_a_restore_asks_before_it_stops_anything_and_starts_keystone_first() -> None:
    plan = make_restore_plan(PLAN, INVENTORY)
    assert order(plan)[:3] == ["restore/check", "restore/losses", "gate/restore"]
    stops = [step.id for step in plan.steps if step.action is Action.STOP_UNITS]
    assert all("gate/restore" in ancestors(plan, id_) for id_ in stops)
    assert set(stops) <= ancestors(plan, "restore/databases")
    starts = [step for step in plan.steps if step.id.startswith("restore/c") and "/start/" in step.id]
    assert {s.target for s in starts} == {"ctl1", "ctl2", "cmp1", "cmp2", "cmp3"}
    assert "restore/ctl2/start/keystone" in ancestors(plan, "restore/ctl1/start/placement")
    assert "restore/ctl2/start/nova" in ancestors(plan, "restore/cmp1/start/nova")
    assert {step.id for step in starts} <= ancestors(plan, "restore/verify")
