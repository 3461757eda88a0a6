"""The plan: golden text, and what must hold for every plan."""

import os
from pathlib import Path

import pytest

from model.actions import PARAMS
from model.forecast import measured_pace, remaining_seconds
from model.plan import Action, Phase, Plan, Reversibility, Step
from model.render import as_tree
from tests.workflows.clouds import facts, plan_of, upgrade
from tests.workflows.reboot_cloud import fleet
from workflows.dag import Machine
from workflows.nodes import group_nodes, root_nodes
from workflows.plan import make_plan

GOLDEN = Path(__file__).parents[1] / "golden"
PAIRS = [("2025.1", "2025.2"), ("2025.2", "2026.1"), ("2026.1", "2026.2")]


def _plan(source: str = "2026.1", target: str = "2026.2", computes: int = 2) -> Plan:
    return plan_of(upgrade(source, target, computes), fleet(computes))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_golden_plans(source: str, target: str) -> None:
    """To accept a change of the plan: STACKROLL_GOLDEN=write, then read the difference."""
    text = as_tree(_plan(source, target)) + "\n"
    path = GOLDEN / f"plan-{source}-{target}.txt"
    if os.environ.get("STACKROLL_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


def test_same_spec_and_facts_give_the_same_plan_and_hash() -> None:
    assert _plan() == _plan()
    assert _plan().hash == Plan.model_validate_json(_plan().model_dump_json()).hash
    assert _plan().hash != _plan(computes=3).hash


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_step_has_parameters_that_its_action_understands(source: str, target: str) -> None:
    for step in _plan(source, target).steps:
        PARAMS[step.action].model_validate(step.params)
        if step.undo is not None:
            PARAMS[step.undo.action].model_validate(step.undo.params)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_what_changes_something_has_a_compensation_or_a_class_that_says_it_has_none(source: str, target: str) -> None:
    # Guests that have been started may run on.
    for step in _plan(source, target).steps:
        if step.reversibility is Reversibility.R1 and step.action is not Action.START_GUESTS:
            assert step.undo is not None, step.id
        if step.reversibility in (Reversibility.R0, Reversibility.R2, Reversibility.R4):
            assert step.undo is None, step.id


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_expand_comes_before_any_restart_and_the_point_of_no_return_behind_the_commit(source: str, target: str) -> None:
    plan = _plan(source, target)
    above = _above(plan)
    expand = {s.id for s in plan.steps if s.phase is Phase.EXPAND}
    for step in plan.steps:
        if step.phase is Phase.CONTROL:
            assert expand <= above[step.id]
        if step.reversibility in (Reversibility.R3, Reversibility.R4):
            assert "gate/commit" in above[step.id]
        if step.action is not Action.GATE:
            assert "gate/plan" in above[step.id]


def test_services_follow_one_another_as_the_reference_says() -> None:
    above = _above(_plan())
    assert {"keystone/ctl1/enable", "keystone/ctl2/enable"} <= above["placement/ctl1/drain"]
    assert {"placement/ctl2/enable", "glance/ctl2/enable"} <= above["nova-rpc/ctl1/switch"]
    assert "nova-rpc/ctl2/switch" in above["nova-api/ctl1/drain"]
    assert "nova-api/ctl2/enable" in above["cmp1/disable"]
    assert "expand/nova/api-db-sync" in above["expand/nova/db-sync"]


def test_one_control_host_of_a_service_at_a_time() -> None:
    above = _above(_plan())
    for unit in ("keystone", "placement", "glance", "nova-api"):
        assert f"{unit}/ctl1/enable" in above[f"{unit}/ctl2/drain"]


def test_unpinning_is_planned_where_the_releases_differ_in_their_compute_rpc() -> None:
    unpinned = [s.id for s in _plan("2025.2", "2026.1").steps if s.id.startswith("unpin/")]
    assert unpinned[0] == "unpin/nova-rpc/ctl1/switch"
    assert unpinned[-1] == "unpin/nova-api/ctl2/enable"
    assert not [s for s in _plan("2026.1", "2026.2").steps if s.id.startswith("unpin/")]


def test_database_steps_are_never_repeated_by_themselves() -> None:
    for step in _plan().steps:
        if step.action is Action.RUN_MANAGE and step.reversibility is not Reversibility.R0:
            assert step.retries == 0, step.id


def test_the_roots_graph_has_a_node_for_each_group_and_walks_to_its_end() -> None:
    plan = _plan()
    nodes = root_nodes(plan)
    assert {n.id for n in nodes} >= {"service/keystone", "service/nova", "host/cmp1", "host/cmp2"}
    assert sum(len(plan.members(n.id)) or 1 for n in nodes) == len(plan.steps)
    machine = Machine(nodes, plan.limits)
    hosts = 0
    while not machine.finished:
        for id_ in machine.startable():
            machine.start(id_)
        running = [id_ for id_ in nodes if machine.state(id_.id) == "running"]
        hosts = max(hosts, sum(n.limit == "hosts" for n in running))
        machine.succeed(running[0].id)
    assert hosts == 1
    assert group_nodes(plan.members("host/cmp1"))[0].id == "cmp1/install"


def test_the_forecast_respects_limits_and_shrinks() -> None:
    plan = _plan(computes=4)
    whole = remaining_seconds(plan, set())
    first = plan.members("host/cmp1")
    before = {s.id for s in plan.steps[: plan.steps.index(first[0])]}
    per_host = sum(s.estimate for s in first)
    without_one = remaining_seconds(plan, before | {s.id for s in first})
    assert remaining_seconds(plan, before) - without_one == pytest.approx(per_host)
    assert remaining_seconds(plan, {s.id for s in plan.steps}) == 0
    # A slow cloud soaks as long as any other, and its canary is looked at as long.
    waits = sum(s.estimate for s in plan.steps if s.action in (Action.SOAK, Action.WATCH_HOSTS))
    assert remaining_seconds(plan, set(), pace=2.0) == pytest.approx(2 * (whole - waits) + waits, rel=0.01)
    assert measured_pace(plan, {}) == 1.0
    assert measured_pace(plan, {s.id: 3 * s.estimate for s in plan.steps[:40]}) == pytest.approx(3.0)


def _above(plan: Plan) -> dict[str, set[str]]:
    """Every step's needs, and theirs."""
    found: dict[str, set[str]] = {}
    for step in plan.steps:
        found[step.id] = set(step.needs).union(*(found[need] for need in step.needs))
    return found


def test_steps_are_plain_data() -> None:
    for step in _plan().steps:
        assert Step.model_validate_json(step.model_dump_json()) == step


def _within(running: dict[str, str] | None = None, **versions: str) -> Plan:
    """Return the plan for point releases of 2025.1; ``running`` is nova's version by host where it differs."""
    request = upgrade("2025.1", "2025.1", versions=versions, approvals={"commit": "auto"})
    read = facts(request)
    hosts = dict(read.hosts)
    for host, version in (running or {}).items():
        units = {u: version if u.startswith("nova") else v for u, v in hosts[host].running.items()}
        hosts[host] = hosts[host].model_copy(update={"running": units})
    return make_plan(request, read.model_copy(update={"hosts": hosts}))


def test_point_releases_touch_only_their_services() -> None:
    plan = _within(keystone="27.0.1")
    assert {step.service for step in plan.steps if step.service} == {"keystone"}
    assert not [step for step in plan.steps if step.group and step.group.startswith("host/")]
    assert (plan.source, plan.target) == ("2025.1", "2025.1 with keystone 27.0.1")
    after = [step.params["versions"] for step in plan.steps if step.action is Action.VERIFY_CLOUD]
    assert after[-1] == {"keystone": "27.0.1", "placement": "13.0.0", "glance": "30.0.0", "nova": "31.0.0"}


def test_point_releases_never_pass_a_point_of_no_return() -> None:
    plan = _within(keystone="27.0.1", glance="30.2.0", nova="31.3.1")
    assert not [step for step in plan.steps if step.reversibility in (Reversibility.R3, Reversibility.R4)]
    assert not [step for step in plan.steps if step.action is Action.RUN_MANAGE]
    installs = {step.params["version"] for step in plan.steps if step.action is Action.INSTALL}
    assert installs == {"27.0.1", "30.2.0", "31.3.1"}
    assert {step.params["release"] for step in plan.steps if step.action is Action.INSTALL} == {"2025.1"}


def test_hosts_that_run_the_point_release_already_are_left_in_peace() -> None:
    mended = {"ctl1": "31.3.1", "ctl2": "31.3.1", "cmp1": "31.3.1"}
    plan = _within(mended, nova="31.3.1")
    assert {step.group for step in plan.steps if step.group and step.group.startswith("host/")} == {"host/cmp2"}
    before = next(step.params["versions"] for step in plan.steps if step.action is Action.CHECK_CLOUD)
    assert "nova" not in before
    switches = {s.target: s.undo.params["version"] for s in plan.steps if s.action is Action.SWITCH_COMPUTE and s.undo}
    assert switches == {"cmp2": "31.0.0"}


def test_where_alerts_are_a_gate_each_wave_of_hosts_waits_for_quiet_after_the_one_before() -> None:
    gates = {"alerts": {"url": "http://prometheus.example.org:9090"}}
    plan = plan_of(upgrade(computes=3, gates=gates), fleet(3))
    waits = [step.id for step in plan.steps if step.action is Action.ALERTS]
    waves = ["alerts/wave-1", "alerts/wave-2", "alerts/wave-3"]
    assert waits == ["alerts/begin", "alerts/expand", "alerts/control", *waves, "alerts/commit"]
    assert "alerts/wave-2" in plan.by_id["cmp3/install"].needs
