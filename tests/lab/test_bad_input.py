"""What cannot be upgraded is refused with one clear error, and nothing has been started or changed.

Files that are wrong in themselves need no lab: tests/cli/test_bad_input.py.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from ruamel.yaml import YAML

from tests.lab.access import LAB, Cloud, addresses, all_job_starts, all_servers, read_yaml, sql, ssh, stackroll
from tests.lab.conftest import Dev
from tests.lab.judge import guests

pytestmark = pytest.mark.usefixtures("lab_any")


@dataclass
class Files:
    """An operator's copy of the lab's files, to be spoilt."""

    folder: Path
    cloud: Any
    upgrade: Any

    @property
    def path(self) -> Path:
        """Write the files, and return the path of ``upgrade.yaml``."""
        for name, content in (("cloud.yaml", self.cloud), ("upgrade.yaml", self.upgrade)):
            with (self.folder / name).open("w") as file:
                YAML().dump(content, file)
        return self.folder / "upgrade.yaml"

    def copy(self, name: str) -> Path:
        """Copy a file of the lab beside the others, and return its path."""
        return Path(shutil.copy(LAB / name, self.folder / name))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    cloud = read_yaml("cloud.yaml")
    for section, key in (("openstack", "clouds_yaml"), ("ssh", "key"), ("ssh", "known_hosts")):
        cloud[section][key] = str(LAB / cloud[section][key])
    return Files(tmp_path, cloud, read_yaml("upgrade.yaml"))


@pytest.fixture(autouse=True)
def nothing_is_changed(shared_dev: Dev) -> Iterator[None]:
    """After each test: no run is open, no job has run on any host, and every service is as it was."""
    before = _services(), guests(), _switches()
    yield
    query = ("--query", "ExecutionStatus = 'Running'", "-o", "json")
    limit = time.monotonic() + 20
    # Of a run that has ended, the lock ends a moment later.
    while open_runs := json.loads(shared_dev.temporal("workflow", "list", *query).stdout):
        assert time.monotonic() < limit, open_runs
    assert all_job_starts() == []
    assert (_services(), guests(), _switches()) == before


def _services() -> list[list[str]]:
    """Return nova's services, and whether each is disabled."""
    return sql("select `binary`, host, disabled, disabled_reason, forced_down from nova.services order by 1, 2")


def _switches() -> list[list[str]]:
    """Return the server rows of the load balancer: name and administrative state."""
    host = next(iter(addresses("load-balancer").values()))
    rows = ssh(host, "echo 'show servers state' | socat stdio /run/haproxy/admin.sock").splitlines()
    return [row.split()[1:7] for row in rows if row[:1].isdigit() and len(row.split()) > 7]


def assert_refused(dev: Dev, files: Files, subject: str, problem: str, remedy: str) -> None:
    """``check`` and ``start`` say exactly this one thing, and end so that scripts see it."""
    checked = stackroll("check", str(files.path), "--json")
    print(checked.stdout)
    assert (checked.returncode, checked.stderr) == (3, "")
    found = json.loads(checked.stdout)["findings"]
    blockers = [one for one in found if one["severity"] == "blocker"]
    assert [(one["subject"], one["problem"], one["remedy"]) for one in blockers] == [(subject, problem, remedy)]
    started = dev.stackroll("start", str(files.path), "--id", files.folder.name, "--wait")
    print(started.stdout)
    assert (started.returncode, started.stderr) == (5, "")
    told = [line for line in started.stdout.splitlines() if re.match(r"\d\d:\d\d:\d\d  (error|refused) ", line)]
    assert [line.split(maxsplit=2)[2] for line in told] == [
        f"{subject}: {problem} ({remedy})",
        "run: nothing was changed",
    ]
    assert started.stdout.count(problem) == 1
    assert dev.status(files.folder.name)["state"] == "refused"


def test_an_entry_that_clouds_yaml_lacks(shared_dev: Dev, files: Files) -> None:
    files.cloud["openstack"]["cloud"] = "nobody"
    path, cloud = files.path, files.folder / "cloud.yaml"
    line = next(n for n, text in enumerate(cloud.read_text().splitlines(), 1) if "nobody" in text)
    error = f"{cloud}:{line}: openstack.cloud: {LAB}/clouds.yaml has no entry 'nobody'; its entries: lab, lab-demo\n"
    for words in (("check",), ("start", "--wait")):
        done = shared_dev.stackroll(words[0], str(path), *words[1:])
        assert (done.returncode, done.stdout, done.stderr) == (2, "", error)


def test_an_entry_that_clouds_yaml_lacks_on_the_worker(shared_dev: Dev, files: Files) -> None:
    """The request was good when it was written; the worker's file has no such entry."""
    credentials = files.copy("clouds.yaml")
    files.cloud["openstack"]["clouds_yaml"] = str(credentials)
    request = files.folder / "upgrade.json"
    assert stackroll("render", str(files.path), "-o", str(request)).returncode == 0
    content = YAML(typ="safe").load(credentials.read_text())
    del content["clouds"]["lab"]
    with credentials.open("w") as file:
        YAML().dump(content, file)
    words = ("workflow", "execute", "--type", "RollingUpgrade", "--task-queue", "stackroll", "--workflow-id", "entry")
    done = shared_dev.temporal(*words, "--input-file", str(request))
    assert done.returncode != 0
    error = (
        f"refused, nothing was changed: keystone: {credentials} has no entry 'lab' "
        "(add it, or set openstack.cloud to one of: lab-demo)"
    )
    assert error in " ".join((done.stdout + done.stderr).split())


def test_a_wrong_ssh_key(shared_dev: Dev, files: Files) -> None:
    key = files.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    files.cloud["ssh"]["key"] = str(key)
    assert_refused(
        shared_dev,
        files,
        "infra1, ctl1, ctl2, cmp1, cmp2, cmp3",
        f"its sshd does not accept the key {key} for user root",
        "add its public half to the user's authorized_keys there, or correct ssh.user and ssh.key",
    )


def test_a_changed_host_key(shared_dev: Dev, files: Files) -> None:
    address = addresses("compute")["cmp2"]
    other = files.folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    public = " ".join(other.with_suffix(".pub").read_text().split()[:2])
    known = files.copy("known_hosts")
    lines = [f"cmp2,{address} {public}" if address in line else line for line in known.read_text().splitlines()]
    known.write_text("\n".join(lines) + "\n")
    files.cloud["ssh"]["known_hosts"] = str(known)
    run = files.folder.name
    assert_refused(
        shared_dev,
        files,
        "cmp2",
        f"the host key of {address} has changed: it is not the one in {known}",
        "if the host was reinstalled, replace its line in the file; otherwise somebody stands in between",
    )
    listed = shared_dev.stackroll("list").stdout
    assert re.search(rf"^{re.escape(run)} +│ refused ", listed, re.MULTILINE), listed


def test_services_that_are_at_the_target_already(shared_dev: Dev, files: Files) -> None:
    files.cloud["release"], files.upgrade["to"] = "2025.2", "2026.1"
    assert_refused(
        shared_dev,
        files,
        "release",
        "is 2025.2 in the inventory, but the whole cloud already runs 2026.1, the target",
        "set release: 2026.1 in the inventory, and a later target",
    )


def test_no_room_to_drain(shared_dev: Dev, files: Files) -> None:
    held = [server["OS-EXT-SRV-ATTR:host"] for server in all_servers()]
    fullest = max(held, key=held.count)
    others = [name for name in addresses("compute") if name != fullest]
    with all_taken(others, "MEMORY_MB"):
        checked = stackroll("check", str(files.path), "--json")
        print(checked.stdout)
        assert (checked.returncode, checked.stderr) == (3, "")
        found = json.loads(checked.stdout)["findings"]
        (blocker,) = (one for one in found if one["check"] == "room")
        assert (blocker["severity"], blocker["subject"]) == ("blocker", fullest)
        assert f"while host {fullest} is out of service, 0.1 GiB of memory too little is left" in blocker["problem"]
        assert re.fullmatch(r"missing: \d+ MiB of MEMORY_MB", blocker["remedy"])
        started = shared_dev.stackroll("start", str(files.path), "--id", files.folder.name, "--wait")
        assert (started.returncode, started.stderr) == (5, "")
        assert blocker["problem"] in started.stdout
        assert shared_dev.status(files.folder.name)["state"] == "refused"
        assert [_free(name, "MEMORY_MB") for name in others] == [0 for _ in others]


@contextmanager
def all_taken(hosts: list[str], resource: str) -> Iterator[None]:
    """Let placement count all of a resource on these hosts as used, for as long as the block runs.

    By consumers that nova does not know: its nova-compute leaves their allocations alone (they may be those of a
    guest that is being made), whereas it takes back a changed inventory when it next looks (every 300 s).
    """
    consumers = {host: str(uuid4()) for host in hosts}
    try:
        for host, consumer in consumers.items():
            resources = {resource: _free(host, resource)}
            body = {
                "allocations": {_provider(host)["uuid"]: {"resources": resources}},
                "consumer_generation": None,
                "project_id": str(uuid4()),
                "user_id": str(uuid4()),
            }
            answer = _placement("PUT", f"/allocations/{consumer}", body)
            assert answer.status_code == 204, answer.text
        yield
    finally:
        for consumer in consumers.values():
            _placement("DELETE", f"/allocations/{consumer}")
            assert _placement("GET", f"/allocations/{consumer}").json()["allocations"] == {}


def _free(host: str, resource: str) -> int:
    path = f"/resource_providers/{_provider(host)['uuid']}"
    inventory = _placement("GET", f"{path}/inventories/{resource}").json()
    used = _placement("GET", f"{path}/usages").json()["usages"][resource]
    return int((inventory["total"] - inventory["reserved"]) * inventory["allocation_ratio"]) - int(used)


def _provider(host: str) -> dict[str, Any]:
    (provider,) = _placement("GET", f"/resource_providers?name={host}").json()["resource_providers"]
    found: dict[str, Any] = provider
    return found


@cache
def _admin() -> Cloud:
    return Cloud()


def _placement(method: str, path: str, body: Any = None) -> httpx.Response:
    cloud = _admin()
    headers = {**cloud.headers, "OpenStack-API-Version": "placement 1.36"}
    return httpx.request(method, cloud.url("placement", path), headers=headers, json=body, timeout=60)
