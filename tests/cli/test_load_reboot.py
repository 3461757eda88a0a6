"""``reboot.yaml``: every complaint names file, line and key; render and schema know it."""

import json
from pathlib import Path

import pytest

from cli.documents import BadInputError
from cli.load import load_any, load_reboot
from model.reboot_spec import RebootMode, RebootRequest
from model.spec import Approval, OnFailure, UpgradeRequest
from tests.cli.cloud import write_files
from tests.cli.conftest import run_main

REBOOT = """\
cloud: cloud.yaml
reboot: if-required
hosts: [compute-1]
max_unavailable: 25%
canary: {count: 1, healthy_for: 5m}
limits: {per_source: 4}
hooks:
  before_wave:
    - {run: "touch /run/quiet", undo: "rm /run/quiet", at: control-1}
on_failure: rollback
approvals: {plan: auto}
"""

BAD = {
    "unknown key": (REBOOT + "reboots: 2\n", ["reboot.yaml:12: reboots: unknown key; did you mean reboot?"]),
    "unknown key below": (
        REBOOT.replace("per_source", "per_sorce"),
        ["reboot.yaml:6: limits.per_sorce: unknown key; did you mean per_source?"],
    ),
    "wrong word": (
        REBOOT.replace("if-required", "if-needed"),
        [
            (
                "reboot.yaml:2: reboot: must be always, if-required or never, is the text 'if-needed'; did you mean "
                "if-required?"
            )
        ],
    ),
    "unknown host": (
        REBOOT.replace("[compute-1]", "[compute-9]"),
        ["reboot.yaml:3: hosts.0: no compute host 'compute-9'; known are: compute-1, compute-2"],
    ),
    "not a host's name": (
        REBOOT.replace("[compute-1]", "[-x]"),
        ["reboot.yaml:3: hosts[0]: must be a host name: letters, digits, dots and hyphens, is the text '-x'"],
    ),
    "unknown place": (
        REBOOT.replace("at: control-1", "at: control-9"),
        [
            (
                "reboot.yaml:9: hooks.before_wave.0.at: no host 'control-9'; write host for the compute host itself, "
                "or one of: infra, control-1, control-2, compute-1, compute-2"
            )
        ],
    ),
    "a wave's hook without a place": (
        REBOOT.replace(", at: control-1", ""),
        [("reboot.yaml:9: hooks.before_wave.0.at: a wave has many hosts; name the host of the inventory to run it on")],
    ),
}


def write_reboot(folder: Path, text: str = REBOOT) -> Path:
    write_files(folder)
    path = folder / "reboot.yaml"
    path.write_text(text)
    return path


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    request = load_reboot(write_reboot(tmp_path), by="anna")
    spec = request.spec
    assert (spec.reboot, spec.hosts.names, spec.max_unavailable) == (RebootMode.IF_REQUIRED, ("compute-1",), "25%")
    assert (spec.canary.healthy_for, spec.limits.per_source, spec.limits.per_target) == (300.0, 4, 2)
    assert (spec.on_failure, spec.approvals.plan, spec.approvals.canary) == (
        OnFailure.ROLLBACK,
        Approval.AUTO,
        Approval.AUTO,
    )
    assert request.by == "anna"


def test_hosts_may_be_zones_and_aggregates(tmp_path: Path) -> None:
    text = REBOOT.replace("[compute-1]", "{zones: [az-b], aggregates: [ssd]}")
    spec = load_reboot(write_reboot(tmp_path, text)).spec
    assert (spec.hosts.names, spec.hosts.zones, spec.hosts.aggregates) == ((), ("az-b",), ("ssd",))
    assert not spec.hosts.everything


@pytest.mark.parametrize(("text", "wanted"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, wanted: list[str]) -> None:
    with pytest.raises(BadInputError) as caught:
        load_reboot(write_reboot(tmp_path, text))
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems] == wanted


def test_either_file_is_known_by_its_keys(tmp_path: Path) -> None:
    assert isinstance(load_any(write_reboot(tmp_path)), RebootRequest)
    assert isinstance(load_any(tmp_path / "upgrade.yaml"), UpgradeRequest)


def test_what_is_rendered_is_what_the_workflow_takes(tmp_path: Path) -> None:
    path = write_reboot(tmp_path)
    ran = run_main("render", str(path), "--by", "anna")
    assert ran.status == 0
    assert RebootRequest.model_validate_json(ran.out) == load_reboot(path, by="anna")


def test_the_schema_has_every_key() -> None:
    schema = json.loads(run_main("schema", "reboot").out)
    assert schema["required"] == ["cloud", "reboot"]
    assert set(schema["properties"]) >= {"cloud", "reboot", "hosts", "kernel", "canary", "limits", "drain", "hooks"}
    assert [kind.get("type", "object") for kind in schema["properties"]["hosts"]["anyOf"]] == ["array", "object"]
