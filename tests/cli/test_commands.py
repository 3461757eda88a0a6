"""The commands that need no Temporal, from the words that an operator types to what is written."""

import json
from pathlib import Path

import pytest

from cli.errors import Exit
from model.inventory import Inventory
from model.spec import UpgradeRequest
from tests.cli.cloud import UPGRADE, write_files
from tests.cli.conftest import run_main
from tests.workflows.fake_cloud import VERSIONS, FakeCloud


def test_bad_input_is_told_line_by_line(tmp_path: Path) -> None:
    path = write_files(tmp_path, upgrade=UPGRADE + "soaks: 1\nzone: x\n")
    for command in ("check", "plan", "render", "start"):
        ran = run_main(command, str(path))
        assert ran.status == Exit.BAD_INPUT
        lines = ran.err.splitlines()
        assert lines[0] == f"{path}:5: soaks: unknown key; did you mean soak?"
        assert len(lines) == 2


def test_render_gives_what_the_workflow_takes(upgrade: Path, tmp_path: Path) -> None:
    shown = run_main("render", str(upgrade), "--by", "anna")
    target = tmp_path / "request.json"
    assert run_main("render", str(upgrade), "--by", "anna", "-o", str(target)).status == 0
    assert json.loads(shown.out) == json.loads(target.read_text())
    request = UpgradeRequest.model_validate_json(shown.out)
    assert (request.by, request.spec.to, request.inventory.ssh.key) == ("anna", "2026.2", str(tmp_path / "id_ed25519"))


def test_schema_describes_the_files() -> None:
    spec, cloud = (json.loads(run_main("schema", which).out) for which in ("spec", "cloud"))
    assert set(spec["required"]) == {"cloud", "to"}
    assert spec["additionalProperties"] is False
    assert set(cloud["properties"]) == set(Inventory.model_fields)


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    """What is read of the cloud, without one."""
    cloud = FakeCloud()

    async def read_facts(hosts: object, request: UpgradeRequest) -> object:
        return await cloud.read_facts(request)

    monkeypatch.setattr("activities.facts.read_facts", read_facts)
    monkeypatch.setattr("workers.planner.read_fleet", cloud.read_fleet)
    return cloud


def test_check_of_a_cloud_that_is_ready(facts: FakeCloud, upgrade: Path) -> None:
    ran = run_main("check", str(upgrade))
    assert ran.status == 0, ran
    assert "from 2026.1 to 2026.2: ready" in ran.out
    assert json.loads(run_main("check", str(upgrade), "--json").out)["ok"] is True


def test_check_of_a_cloud_at_another_release(facts: FakeCloud, upgrade: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERSIONS, "keystone", "25.0.0")
    ran = run_main("check", str(upgrade))
    assert ran.status == Exit.FINDINGS
    assert "blocker" in ran.out
    assert "the whole cloud already runs 2024.1" in ran.out
    as_json = run_main("check", str(upgrade), "--json")
    assert as_json.status == Exit.FINDINGS
    assert json.loads(as_json.out)["findings"][0]["severity"] == "blocker"
    planned = run_main("plan", str(upgrade))
    assert planned.status == 0
    assert "this upgrade would be refused now" in planned.err


@pytest.mark.parametrize(
    ("form", "begins"), [("tree", "c"), ("json", "{"), ("mermaid", "flowchart LR"), ("dot", "digraph plan {")]
)
def test_plan_in_every_form(facts: FakeCloud, upgrade: Path, tmp_path: Path, form: str, begins: str) -> None:
    shown = run_main("plan", str(upgrade), "--format", form)
    assert shown.status == 0, shown
    assert shown.out.startswith(begins)
    target = tmp_path / "plan.txt"
    run_main("plan", str(upgrade), "--format", form, "-o", str(target))
    written = target.read_text()
    if form == "json":
        # When it would end depends on when it is asked.
        first, second = ({**json.loads(text), "forecast": None} for text in (written, shown.out))
        assert first == second
    else:
        assert written.rstrip("\n") == shown.out.rstrip("\n")


def test_every_command_explains_itself() -> None:
    shown = run_main("--help").out
    for command in ("check", "plan", "render", "schema", "start", "watch", "status", "list", "report", "demo", "lab"):
        assert command in shown
        assert run_main(command, "--help").status == 0
