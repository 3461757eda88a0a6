"""A plan in every form that people and tools read."""

import json
from itertools import pairwise

import pytest

from model.plan import Action, Phase, Plan, Reversibility, Step, Undo
from model.render import as_dot, as_json, as_mermaid, as_tree, commit_point
from model.status import Remaining

R = Reversibility


def step(id_: str, phase: Phase, reversibility: Reversibility = R.R0, **more: object) -> Step:
    content = {"id": id_, "title": id_, "phase": phase, "action": Action.CHECK_CLOUD, "target": "cloud"}
    return Step.model_validate({**content, "reversibility": reversibility, **more})


def host_steps(host: str, extra: str = "") -> list[Step]:
    common = {"group": f"host/{host}", "target": host, "limit": "hosts"}
    undo = Undo(action=Action.ENABLE_COMPUTE, title=f"enable {host} again")
    drain = step(f"{host}/drain", Phase.DATA, R.R1, title=f"drain {host}{extra}", undo=undo, estimate=25, **common)
    return [drain, step(f"{host}/switch", Phase.DATA, R.R1, title=f"restart {host}", needs=(drain.id,), **common)]


def make_plan(*, gate: bool = True) -> Plan:
    check = step("check", Phase.PREFLIGHT, title='check the "cloud"', estimate=5)
    commit = step(
        "gate/commit", Phase.COMMIT, action=Action.GATE, params={"gate": "commit"}, title="approval of commit"
    )
    steps = [
        check,
        *host_steps("cmp1"),
        *host_steps("cmp2"),
        *host_steps("cmp3", extra=" slowly"),
        *([commit] if gate else []),
        step("contract", Phase.FINISH, R.R4, title="contract the schema", estimate=90),
    ]
    return Plan(cloud="lab", source="2026.1", target="2026.2", limits={"hosts": 2}, steps=tuple(steps))


TREE = """\
lab  2026.1 to 2026.2   plan HASH   9 steps
at the same time at most: hosts 2
estimate: 2:00 min to 3:20 min, approvals not counted

preflight  1 step
└─ check the "cloud"       R0  5 s

data  6 steps
├─ host/cmp1  2 steps
│  ├─ drain cmp1           R1  25 s
│  └─ restart cmp1         R1  2 s
├─ host/cmp2  2 steps, like host/cmp1
└─ host/cmp3  2 steps
   ├─ drain cmp3 slowly    R1  25 s
   └─ restart cmp3         R1  2 s

commit  1 step
└─ approval of commit      R0  2 s

══════════════════════════════════════════════════════════════════════════════════════════════════════════
COMMIT POINT  before this line rollback loses no data; behind it only a restore of the databases goes back
══════════════════════════════════════════════════════════════════════════════════════════════════════════

finish  1 step
└─ contract the schema     R4  1:30 min

R0  changes nothing (2 steps)
R1  exact inverse exists (6 steps)
R4  only a database restore goes back (1 step)
"""


def test_tree() -> None:
    plan = make_plan()
    assert as_tree(plan, Remaining(low=120, high=200)) == TREE.replace("HASH", plan.hash)


def test_full_tree_writes_every_host_and_how_it_is_taken_back() -> None:
    lines = as_tree(make_plan(), full=True, undo=True).splitlines()
    drain = next(number for number, line in enumerate(lines) if "drain cmp2" in line)
    assert lines[drain + 1] == "│  │    taken back by: enable cmp2 again"
    assert not any("like host" in line for line in lines)


def test_without_a_gate_the_commit_point_is_before_the_first_step_that_stays() -> None:
    plan = make_plan(gate=False)
    assert commit_point(plan) == "contract"
    lines = as_tree(plan).splitlines()
    assert lines.index("finish  1 step") - 3 == next(n for n, line in enumerate(lines) if line.startswith("COMMIT"))


def test_a_plan_that_can_always_go_back_has_no_commit_point() -> None:
    plan = Plan(cloud="lab", source="a", target="b", steps=(step("check", Phase.PREFLIGHT),))
    assert commit_point(plan) is None
    assert "COMMIT" not in as_tree(plan)


def test_json_is_the_plan_with_its_hash() -> None:
    plan = make_plan()
    content = json.loads(as_json(plan))
    assert content.pop("hash") == plan.hash
    assert Plan.model_validate(content) == plan


def test_mermaid() -> None:
    lines = [line.strip() for line in as_mermaid(make_plan()).splitlines()]
    assert lines[:4] == [
        "flowchart LR",
        'subgraph preflight_phase["preflight"]',
        "s0[\"check the 'cloud'\"]:::R0",
        "end",
    ]
    assert 's7{{"approval of commit"}}:::R0' in lines
    assert "s1 --> s2" in lines
    assert sum(line.startswith("subgraph") for line in lines) == sum(line == "end" for line in lines)


def test_dot_has_every_step_once_and_every_edge() -> None:
    plan = make_plan()
    text = as_dot(plan)
    assert r'"check" [label="check the \"cloud\"", fillcolor="#eef2f5"];' in text
    assert text.count("[label=") == len(plan.steps)
    assert text.count(" -> ") == sum(len(s.needs) for s in plan.steps)
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("form", [as_tree, as_json, as_mermaid, as_dot])
def test_phases_come_in_the_order_of_the_design(form: object) -> None:
    assert callable(form)
    text = form(make_plan())
    places = [text.index(phase) for phase in ("preflight", "data", "commit", "finish")]
    assert all(before < after for before, after in pairwise(places))
