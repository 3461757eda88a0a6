"""What is read beside the units: the shell really runs, the answers are understood, and a wrong cloud is told."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from activities import manage, readiness
from activities.facts import read_facts
from activities.readiness import parse_state, repository_command, state_command
from activities.ssh import Hosts
from model.inventory import Packaging, Role
from model.spec import UpgradeRequest, UpgradeSpec
from tests.activities.fake_hosts import FakeHosts
from tests.activities.fake_openstack import FakeCloud, serve

CONF = """\
[DEFAULT]
expiration = 1
[token]
# expiration = 3
expiration =  7200{space}
[fernet_tokens]
key_repository = {keys}
"""


@pytest.fixture
def request_(tmp_path: Path) -> Iterator[UpgradeRequest]:
    with serve(FakeCloud(), tmp_path) as served:
        packaging = served.packaging.model_copy(update={"root": str(tmp_path / "opt"), "repository": str(tmp_path)})
        inventory = served.model_copy(update={"packaging": packaging})
        yield UpgradeRequest(spec=UpgradeSpec(to="2026.2"), inventory=inventory)


def test_a_real_shell_prints_what_is_understood(
    request_: UpgradeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf, keys = tmp_path / "keystone.conf", tmp_path / "keys"
    conf.write_text(CONF.format(keys=keys, space="  "))
    keys.mkdir()
    (keys / "0").write_text("secret")
    (keys / "1").write_text("other")
    lock = tmp_path / "2026.2" / "keystone" / "requirements.txt"
    lock.parent.mkdir(parents=True)
    lock.write_text("alembic==1.0\nkeystone==30.0.0 ; python_version > '3'\n")
    for name in ("keystone-29.0.1", "keystone-30.0.0"):
        (tmp_path / "opt" / "venvs" / name).mkdir(parents=True)
    (tmp_path / "opt/venvs/keystone-29.0.1/.complete").touch()
    monkeypatch.setitem(manage.CONFIG_FILES, "keystone", str(conf))
    done = subprocess.run(["sh", "-c", state_command(request_, "ctl1")], capture_output=True, text=True, check=False)
    state = parse_state(done.stdout, request_.inventory)
    assert done.stderr == ""
    assert state.options["keystone token expiration"] == "7200"
    assert (state.whole, state.torsos) == ((("keystone", "29.0.1"),), (("keystone", "30.0.0"),))
    assert state.keys["fernet"][1] == 2
    assert state.pins == {"keystone": "30.0.0"}
    assert "secret" not in done.stdout
    assert set(state.room) == {readiness.DUMP_FOLDER}
    before = state.keys["fernet"][0]
    (keys / "1").write_text("rotated")
    done = subprocess.run(["sh", "-c", state_command(request_, "ctl1")], capture_output=True, text=True, check=False)
    assert parse_state(done.stdout, request_.inventory).keys["fernet"][0] != before


def test_a_lock_file_that_cannot_be_resolved_is_told(request_: UpgradeRequest, tmp_path: Path) -> None:
    lock = tmp_path / "2026.2" / "keystone" / "requirements.txt"
    lock.parent.mkdir(parents=True)
    lock.write_text("keystone==30.0.0\n")
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no version of keystone==30.0.0 >&2\nexit 1\n")
    program.chmod(0o755)
    command = repository_command(request_, ["keystone", "nova"])
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{program.parent}:/bin:/usr/bin"},
    )
    assert done.stdout == "X keystone no version of keystone==30.0.0\n"


async def test_what_is_wrong_is_told_all_at_once(request_: UpgradeRequest) -> None:
    inventory = request_.inventory
    control = inventory.hosts["ctl1"]
    messaging = control.model_copy(update={"roles": (*control.roles, Role.MESSAGING)})
    changes = {"packaging": Packaging(), "hosts": {**inventory.hosts, "ctl1": messaging}}
    request = request_.model_copy(update={"inventory": inventory.model_copy(update=changes)})
    hosts = FakeHosts(request.inventory)
    hosts.balancer = "MAINT"
    hosts.upgrade_check = (2, "| Check: Cells v2 |\n| Result: Failure |\n| Details: none mapped |\n")
    hosts.queues = "Q conductor\t0\nQ scheduler\t1\nQ compute.cmp1\t1\nQ compute.cmp2\t1\n"
    hosts.unresolved = "X nova no such version\n"
    hosts.tables = {
        "information_schema": ["size\tnova\t1000", "record\tnova-compute\tcmp1\t66", "status\twsrep_on\tOFF"]
    }
    hosts.extra = "ID m\nKY fernet a 0\n"
    facts = await read_facts(cast("Hosts", hosts), request)
    checks = {finding.check for finding in facts.findings}
    assert checks >= {"balancer", "upgrade-check", "queues", "repository", "service-records", "keys"}
    assert all(finding.remedy for finding in facts.findings)
