"""Fleet in, steps out: the plan of a rolling reboot."""

from itertools import pairwise
from typing import Any

import pytest

from model.actions import PARAMS
from model.outlook import explain_guest, explain_host
from model.placement.records import Cost, Schedule, Slots, Wave
from model.plan import Action, Phase, Plan, Reversibility
from model.reboot_spec import RebootRequest
from model.rolling import Order
from tests.workflows.reboot_cloud import fleet, guest, plan_of, request
from workflows.group import HostReboot, HostUpgrade, workflow_of
from workflows.reboot_plan import make_reboot_plan

HOOKS = {
    "before_wave": [{"run": "silence", "undo": "unsilence", "at": "ctl1"}],
    "before_drain": [{"run": "mute"}],
    "after_drain": [{"run": "note", "at": "ctl2"}],
    "before_reboot": [{"run": "flash firmware", "timeout": "20m", "retries": 2}],
    "after_reboot": [{"run": "check raid"}],
    "after_wave": [{"run": "unsilence", "at": "ctl1"}],
}


def made(computes: int = 3, there: Any = None, **spec: Any) -> Plan:
    asked = RebootRequest.model_validate(request(computes, cloud="golden", **spec))
    plan = plan_of(asked, there or fleet(computes)).plan
    assert plan is not None
    return plan


def ids(plan: Plan, host: str) -> list[str]:
    return [step.id.removeprefix(f"{host}/") for step in plan.members(f"host/{host}")]


def before(plan: Plan, id_: str) -> set[str]:
    """Everything that must have passed before a step."""
    found: set[str] = set()
    waiting = [id_]
    while waiting:
        for need in plan.by_id[waiting.pop()].needs:
            if need not in found:
                found.add(need)
                waiting.append(need)
    return found


@pytest.mark.parametrize(
    ("spec", "steps"),
    [
        ({}, ["disable", "drain", "reboot", "verify", "enable", "start"]),
        ({"reboot": "never"}, ["disable", "drain", "verify", "enable", "start"]),
        (
            {"hooks": HOOKS},
            [
                "before_drain-1",
                "disable",
                "drain",
                "after_drain-1",
                "before_reboot-1",
                "reboot",
                "verify",
                "after_reboot-1",
                "enable",
                "start",
            ],
        ),
    ],
    ids=["always", "never", "with hooks"],
)
def test_a_host_s_steps(spec: dict[str, Any], steps: list[str]) -> None:
    plan = made(**spec)
    for host in ("cmp1", "cmp2", "cmp3"):
        assert ids(plan, host) == steps
        mine = plan.members(f"host/{host}")
        assert {(step.scope, step.limit) for step in mine[:-1]} == {(host, "hosts")}
        assert (mine[-1].scope, mine[-1].limit) == (None, "hosts")
        assert all(later.needs == (earlier.id,) for earlier, later in pairwise(mine))
        assert workflow_of(mine) is HostReboot


def test_every_step_s_parameters_are_those_of_its_action() -> None:
    for step in made(hooks=HOOKS).steps:
        PARAMS[step.action].model_validate(step.params)
        if step.undo is not None:
            PARAMS[step.undo.action].model_validate(step.undo.params)


def test_what_is_taken_back() -> None:
    plan = made(hooks=HOOKS)
    undo = {step.id: (step.undo.action, step.undo.params.get("command")) for step in plan.steps if step.undo}
    assert undo["cmp1/disable"] == (Action.ENABLE_COMPUTE, None)
    assert undo["cmp1/reboot"] == (Action.RELEASE_HOST, None)
    assert undo["wave/1/before_wave-1"] == (Action.RUN_HOOK, "unsilence")
    assert "cmp1/before_drain-1" not in undo
    reboot = plan.by_id["cmp1/reboot"]
    assert (reboot.retries, reboot.reversibility) == (0, Reversibility.R2)
    assert not {step.reversibility for step in plan.steps} & {Reversibility.R3, Reversibility.R4}


def test_hooks_run_where_they_say_with_what_they_say() -> None:
    plan = made(hooks=HOOKS)
    flash = plan.by_id["cmp2/before_reboot-1"]
    assert (flash.target, flash.timeout, flash.retries) == ("cmp2", 1200.0, 2)
    assert flash.params == {
        "name": "before_reboot 1",
        "command": "flash firmware",
        "host": "cmp2",
        "wave": flash.params["wave"],
    }
    assert (plan.by_id["cmp2/after_drain-1"].target, plan.by_id["cmp2/after_drain-1"].group) == ("ctl2", "host/cmp2")
    wave = plan.by_id["wave/1/before_wave-1"]
    assert (wave.target, wave.group, wave.limit) == ("ctl1", None, None)


def test_the_canary_is_watched_and_its_gate_is_before_all_others() -> None:
    plan = made(canary={"count": 1, "healthy_for": "10m"}, approvals={"plan": "auto", "canary": "manual"})
    canary = plan.by_id["wave/1/health"]
    assert canary.params == {"hosts": [plan.groups[0].removeprefix("host/")], "seconds": 600.0}
    assert canary.timeout > 600
    assert plan.by_id["gate/canary"].params == {"gate": "canary", "automatic": False}
    for group in plan.groups[1:]:
        assert {"gate/canary", "wave/1/health"} <= before(plan, plan.members(group)[0].id)


def test_a_wave_begins_when_those_that_it_needs_are_over() -> None:
    plan = made(6, fleet(6, guests=4), max_unavailable=3, max_per_aggregate=None, hooks=HOOKS)
    waves = {step.params["wave"] for step in plan.steps if step.action is Action.RUN_HOOK}
    assert waves == set(range(1, len(waves) + 1))
    for number in sorted(waves)[1:]:
        assert "gate/canary" in before(plan, f"wave/{number}/before_wave-1")
    assert plan.limits == {"hosts": 3}
    assert plan.steps[-1].id == "finish/hosts"
    assert plan.steps[-1].phase is Phase.FINISH
    assert len(before(plan, "finish/hosts")) == len(plan.steps) - 1


def test_no_more_hosts_of_a_zone_are_out_than_the_schedule_allows() -> None:
    there = fleet(6, zones=2)
    asked = RebootRequest.model_validate(request(6, max_unavailable=6))
    hosts = tuple(there.hosts)
    schedule = Schedule(
        order=Order.FASTEST,
        waves=(Wave(index=0, hosts=hosts),),
        slots=Slots(total=6, zones={"az1": 1, "az2": 2}),
        cost=Cost(order=Order.FASTEST, waves=1, moves=0, most=0, gib=0, makespan=0, utilisation=0),
    )
    plan = make_reboot_plan(asked, there, schedule)
    first = {host: set(plan.members(f"host/{host}")[0].needs) - {"gate/plan"} for host in hosts}
    # cmp2, cmp4 and cmp6 are in az1, one after the other; of the others two may be out at once.
    assert first == {
        "cmp1": set(),
        "cmp2": set(),
        "cmp3": set(),
        "cmp4": {"cmp2/start"},
        "cmp5": {"cmp1/start"},
        "cmp6": {"cmp4/start"},
    }


def test_hosts_that_a_host_waits_for_come_before_it() -> None:
    there, asked = fleet(3), RebootRequest.model_validate(request(3))
    schedule = Schedule(
        order=Order.FASTEST,
        waves=(Wave(index=0, hosts=("cmp1",)), Wave(index=1, hosts=("cmp2", "cmp3"))),
        needs={"cmp3": ("cmp1", "cmp2")},
        slots=Slots(total=3),
        cost=Cost(order=Order.FASTEST, waves=2, moves=0, most=0, gib=0, makespan=0, utilisation=0),
    )
    plan = make_reboot_plan(asked, there, schedule)
    assert plan.by_id["cmp2/disable"].needs == ("gate/plan",)
    assert plan.by_id["cmp3/disable"].needs == ("gate/plan", "cmp1/start", "cmp2/start")


def test_the_same_fleet_gives_the_same_plan() -> None:
    assert made(5, hooks=HOOKS).hash == made(5, hooks=HOOKS).hash
    assert made(5).hash != made(5, reboot="never").hash


def test_blocked_guests_and_missing_room_refuse_it_with_every_reason() -> None:
    there = fleet(3, guests=10)
    there = there.model_copy(update={"guests": (*there.guests, guest("broken", "cmp1", status="ERROR"))})
    result = plan_of(RebootRequest.model_validate(request(2)), there)
    assert result.plan is None
    errors = {finding.subject: finding for finding in result.findings if finding.severity == "error"}
    assert "broken (id-broken)" in errors["guests on cmp1"].problem
    assert errors["cmp2"].problem.startswith("host cmp2 cannot be emptied: ")
    assert errors["cmp2"].remedy.startswith("missing: ")
    assert "MEMORY_MB" in errors["cmp2"].remedy or "VCPU" in errors["cmp2"].remedy


def test_why_a_host_and_a_guest_are_treated_as_they_are() -> None:
    there = fleet(3)
    off = guest("night", "cmp3", status="SHUTOFF", vm_state="stopped", power_state=4)
    result = plan_of(
        RebootRequest.model_validate(request(3)), there.model_copy(update={"guests": (*there.guests, off)})
    )
    text = explain_host(result.outlook, "cmp3")
    assert text is not None
    assert text.startswith("cmp3 is done in wave ")
    assert "guest night (id-night): cold" in text
    assert explain_host(result.outlook, "cmp9") is None
    text = explain_guest(result.outlook, "night", {"cmp3": "cmp1"})
    assert text is not None
    assert text.startswith("guest night (id-night) on cmp3: cold (shutoff-cold)")
    assert "it goes from cmp3 to cmp1" in text
    assert explain_guest(result.outlook, "id-vm1a", {}) is None
    counts = ({"zone": 2, "room:MEMORY_MB": 1, "possible": 4},)
    outlook = result.outlook.model_copy(update={"filters": counts, "ruled_out": {"id-vm1a": 0}})
    text = explain_guest(outlook, "id-vm1a", {"cmp1": "cmp2"})
    assert text is not None
    assert "guest id-vm1a: live" in text
    assert text.endswith(
        "other hosts ruled out: 2 in another zone, 1 with too little room (MEMORY_MB); 4 more could have taken it"
    )


def test_an_upgrade_s_host_is_no_reboot() -> None:
    plan = made()
    upgrade = [step for step in plan.members("host/cmp1") if step.action is not Action.VERIFY_HOST]
    assert workflow_of(tuple(upgrade)) is HostUpgrade


def test_guests_go_back_at_the_end_where_the_spec_says_so() -> None:
    assert not [step for step in made().steps if step.action is Action.RETURN_GUESTS]
    plan = made(rebalance="return")
    returns = {step.target: step for step in plan.steps if step.action is Action.RETURN_GUESTS}
    homes = {host: step.params["guests"] for host, step in returns.items()}
    assert homes == {"cmp1": ["id-vm1a"], "cmp2": ["id-vm2a"], "cmp3": ["id-vm3a"]}
    assert {step.needs for step in returns.values()} == {("finish/hosts",)}
    assert {(step.group, step.limit, step.phase) for step in returns.values()} == {(None, "returns", Phase.FINISH)}
    assert plan.limits["returns"] >= 1
