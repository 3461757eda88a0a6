"""Every complaint about a file names file, line and key, and what would be right."""

import json
from pathlib import Path

import pytest

from cli.documents import BadInputError
from cli.load import load_inventory, load_request
from tests.cli.cloud import CLOUD, UPGRADE, write_files

MANY = "upgrade.yaml:3: max_unavailable: must be a number of hosts, at least 1, or a part of them such as 20%, is FOUND"
BAD_UPGRADES = {
    "unknown key": (
        UPGRADE + "max_unavailabel: 2\n",
        ["upgrade.yaml:5: max_unavailabel: unknown key; did you mean max_unavailable?"],
    ),
    "unknown key, nothing like it": (
        UPGRADE + "zzz: 2\n",
        [
            (
                "upgrade.yaml:5: zzz: unknown key; known are: max_unavailable, max_per_zone, max_per_aggregate, "
                "max_per_group, order, canary, reserve_hosts, limits, drain, drain_timeout, hooks, rebalance, to, "
                "purpose, versions, migrations_per_host, on_failure, approvals, availability, snapshots, contract, "
                "soak, windows, notify, gates"
            )
        ],
    ),
    "unknown key below": (
        UPGRADE + "approvals:\n  comit: auto\n",
        ["upgrade.yaml:6: approvals.comit: unknown key; did you mean commit?"],
    ),
    "unknown release": (
        UPGRADE.replace("2026.1", "2027.1"),
        [
            (
                "upgrade.yaml:2: to: unknown release '2027.1'; known releases: "
                "2024.1, 2024.2, 2025.1, 2025.2, 2026.1, 2026.2"
            )
        ],
    ),
    "same release": (
        UPGRADE.replace("2026.1", "2025.2"),
        [
            (
                "upgrade.yaml:2: to: the cloud is at 2025.2 already; choose a later release as the target, or say in "
                "versions which point releases it should run"
            )
        ],
    ),
    "skipped release": (
        UPGRADE.replace("2026.1", "2026.2"),
        [
            (
                "upgrade.yaml:2: to: 2025.2 to 2026.2 skips 1 release(s), and a rolling upgrade runs both releases "
                "side by side, which is supported between neighbours only; go 2025.2 to 2026.1 to 2026.2, "
                "one upgrade each"
            )
        ],
    ),
    "missing key": (
        "cloud: cloud.yaml\nsoak: 1m\n",
        ["upgrade.yaml:1: to: this key is missing; a text"],
    ),
    "no cloud": (
        'to: "2026.1"\n',
        [
            (
                "upgrade.yaml:1: cloud: this key is missing; the path of the file that describes the cloud, "
                "relative to this file"
            )
        ],
    ),
    "no such cloud": (
        UPGRADE.replace("cloud.yaml", "clod.yaml"),
        ["upgrade.yaml:1: cloud: no such file: clod.yaml; the path is relative to this file"],
    ),
    "wrong types, all at once": (
        (
            'cloud: cloud.yaml\nto: "2026.1"\nmax_unavailable: many\nsoak: a while\napprovals: auto\n'
            "availability:\n  rate: 50\n  enabled: perhaps\ndrain_timeout: -1\non_failure: rolback\n"
        ),
        [
            MANY.replace("FOUND", "'many'"),
            "upgrade.yaml:4: soak: 'a while' is no duration; write a number with a unit, such as 90s, 10m, 2h or 1d",
            "upgrade.yaml:5: approvals: must be a mapping of keys to values, is the text 'auto'",
            "upgrade.yaml:7: availability.rate: must be at most 20, is the number 50",
            "upgrade.yaml:8: availability.enabled: must be true or false, is the text 'perhaps'",
            "upgrade.yaml:9: drain_timeout: must be at least 0, is the number -1",
            "upgrade.yaml:10: on_failure: must be pause or rollback, is the text 'rolback'; did you mean rollback?",
        ],
    ),
    "bad failure policy": (
        UPGRADE + "on_failure:\n  expnd: rollback\n  data: rolback\n",
        [
            (
                "upgrade.yaml:6: on_failure.expnd: must be preflight, baseline, snapshot, expand, control, data, soak, "
                "commit, finish, rollback or restore, is the text 'expnd'; did you mean expand?"
            ),
            "upgrade.yaml:7: on_failure.data: must be pause or rollback, is the text 'rolback'; did you mean rollback?",
        ],
    ),
    "one limit by two names": (
        UPGRADE + "migrations_per_host: 3\nlimits: {per_source: 4}\n",
        [
            (
                "upgrade.yaml:5: migrations_per_host: it is another name of limits.per_source, and they differ: 3 and "
                "4; leave one of them out"
            )
        ],
    ),
    "a hook around what does not happen": (
        UPGRADE + "hooks:\n  before_reboot:\n  - run: flash\n",
        ["upgrade.yaml:6: hooks.before_reboot: an upgrade reboots no host; write after_drain instead"],
    ),
    "unknown canary": (
        UPGRADE + "canary: {hosts: [compute-3]}\n",
        ["upgrade.yaml:5: canary.hosts.0: no compute host 'compute-3'; known are: compute-1, compute-2"],
    ),
    "bad choice": (
        UPGRADE + "approvals:\n  plan: manuel\n",
        ["upgrade.yaml:6: approvals.plan: must be auto or manual, is the text 'manuel'; did you mean manual?"],
    ),
    "empty value": (
        UPGRADE.replace(" 1\n", "\n"),
        [MANY.replace("FOUND", "empty")],
    ),
    "duplicate key": (
        UPGRADE + "soak: 2m\n",
        ["upgrade.yaml:5: soak: occurs twice; the first is in line 4, keep one of them"],
    ),
    "no YAML": (
        "cloud: cloud.yaml\nto: a: b\n",
        ["upgrade.yaml:2:6: not YAML: mapping values are not allowed here"],
    ),
    "a list": ("- to\n", ["upgrade.yaml:1: must be a mapping of keys to values, is a list"]),
    "empty": ("", ["upgrade.yaml:1: must be a mapping of keys to values, is empty"]),
    "an alias within itself": ("to: &x [*x]\n", ["upgrade.yaml: not usable: an alias refers to itself"]),
}

BAD_CLOUDS = {
    "unknown host": (
        CLOUD.replace("host: infra", "host: infar", 1),
        ["cloud.yaml:28: database.host: unknown host 'infar'; did you mean infra?"],
    ),
    "unknown hosts and more": (
        CLOUD.replace("host: infra", "host: db").replace("zone: az-b", "zones: az-b"),
        [
            "cloud.yaml:26: hosts.compute-2.zones: unknown key; did you mean zone?",
            (
                "cloud.yaml:28: database.host: unknown host 'db'; known are: "
                "infra, control-1, control-2, compute-1, compute-2"
            ),
            (
                "cloud.yaml:30: load_balancer.host: unknown host 'db'; known are: "
                "infra, control-1, control-2, compute-1, compute-2"
            ),
        ],
    ),
    "no control host": (
        CLOUD.replace("[control]", "[compute]"),
        ["cloud.yaml:10: hosts: no host has the role 'control'"],
    ),
    "unknown role": (
        CLOUD.replace("[compute]", "[computer]", 1),
        [
            (
                "cloud.yaml:22: hosts.compute-1.roles[0]: must be control, compute, database, load-balancer or "
                "messaging, is the text 'computer'; did you mean compute?"
            )
        ],
    ),
    "no role": (
        CLOUD.replace("[compute]", "[]", 1),
        ["cloud.yaml:22: hosts.compute-1.roles: must have at least 1 entry"],
    ),
    "bad address": (
        CLOUD.replace("10.0.0.21", "10.0.0 .21"),
        ["cloud.yaml:21: hosts.compute-1.address: must be an IP address or a host name"],
    ),
    "bad host name": (
        CLOUD.replace("compute-1:", "compute 1:"),
        [
            (
                "cloud.yaml:20: hosts.compute 1: must be a host name: letters, digits, dots and hyphens, "
                "is the text 'compute 1'"
            )
        ],
    ),
    "number as host name": (
        CLOUD.replace("compute-1:", "17:"),
        ["cloud.yaml:20: hosts.17: must be a text, is the number 17"],
    ),
    "bad cloud name": (
        CLOUD.replace("cloud: lab", "cloud: My Lab"),
        ["cloud.yaml:1: cloud: must be lower-case letters, digits and hyphens, is the text 'My Lab'"],
    ),
    "missing section": (
        CLOUD.replace("database:\n  host: infra\n", ""),
        ["cloud.yaml:1: database: this key is missing; a mapping with host"],
    ),
    "missing key below": (
        CLOUD.replace("  key: id_ed25519\n", ""),
        ["cloud.yaml:6: ssh.key: this key is missing; a text"],
    ),
    "unknown service": (
        CLOUD + "services: [keystone, cinder]\n",
        ["cloud.yaml:32: services[1]: must be keystone, placement, glance or nova, is the text 'cinder'"],
    ),
    "no entry in clouds.yaml": (
        CLOUD.replace("cloud: admin", "cloud: root"),
        ["cloud.yaml:4: openstack.cloud: clouds.yaml has no entry 'root'; its entries: admin, demo"],
    ),
    "no clouds.yaml": (
        CLOUD.replace("clouds.yaml", "c.yaml"),
        ["cloud.yaml:5: openstack.clouds_yaml: no such file: c.yaml"],
    ),
    "no key file": (
        CLOUD.replace("key: id_ed25519", "key: id_rsa").replace("known_hosts: known_hosts", "known_hosts: ~/kh"),
        [
            "cloud.yaml:8: ssh.key: no such file: id_rsa; a relative path starts at this file",
            "cloud.yaml:9: ssh.known_hosts: no such file: home/kh; a relative path starts at this file",
        ],
    ),
    "no YAML": (
        CLOUD.replace("hosts:\n", "hosts: [\n"),
        ["cloud.yaml:12:12: not YAML: while parsing a flow sequence expected ',' or ']', but got ':'"],
    ),
}


def messages(error: BadInputError, folder: Path) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in error.problems]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE", raising=False)


@pytest.mark.parametrize("case", BAD_UPGRADES)
def test_bad_upgrade(case: str, tmp_path: Path) -> None:
    text, expected = BAD_UPGRADES[case]
    with pytest.raises(BadInputError) as caught:
        load_request(write_files(tmp_path, upgrade=text))
    assert messages(caught.value, tmp_path) == expected


@pytest.mark.parametrize("case", BAD_CLOUDS)
def test_bad_cloud(case: str, tmp_path: Path) -> None:
    text, expected = BAD_CLOUDS[case]
    with pytest.raises(BadInputError) as caught:
        load_request(write_files(tmp_path, cloud=text))
    assert messages(caught.value, tmp_path) == expected


def test_problems_of_both_files_come_together(tmp_path: Path) -> None:
    path = write_files(tmp_path, upgrade=UPGRADE + "soaks: 1\n", cloud=CLOUD + "zone: a\n")
    with pytest.raises(BadInputError) as caught:
        load_request(path)
    assert messages(caught.value, tmp_path) == [
        (
            "cloud.yaml:32: zone: unknown key; known are: cloud, release, region, openstack, ssh, hosts, services, "
            "packaging, database, load_balancer"
        ),
        "upgrade.yaml:5: soaks: unknown key; did you mean soak?",
    ]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.yaml: no such file"):
        load_request(tmp_path / "nowhere.yaml")


def test_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "upgrade.yaml"
    path.write_bytes(b"to: \xff\xfe")
    with pytest.raises(BadInputError, match="not YAML: byte 4 is no UTF-8 text"):
        load_request(path)


def test_paths_become_absolute(tmp_path: Path) -> None:
    request = load_request(write_files(tmp_path), by="anna")
    assert request.inventory.ssh.key == str(tmp_path / "id_ed25519")
    assert request.inventory.ssh.known_hosts == str(tmp_path / "known_hosts")
    assert request.inventory.openstack.clouds_yaml == str(tmp_path / "clouds.yaml")
    assert (request.by, request.spec.to, request.spec.soak) == ("anna", "2026.1", 30.0)


def test_release_needs_no_quotes(tmp_path: Path) -> None:
    request = load_request(write_files(tmp_path, upgrade="cloud: cloud.yaml\nto: 2026.1\n"))
    assert request.spec.to == "2026.1"


def test_json_is_accepted(tmp_path: Path) -> None:
    text = json.dumps({"cloud": "cloud.yaml", "to": "2026.1", "soak": 5}, indent="\t")
    request = load_request(write_files(tmp_path, upgrade=text))
    assert request.spec.soak == 5.0


def test_cloud_alone(tmp_path: Path) -> None:
    write_files(tmp_path)
    assert load_inventory(tmp_path / "cloud.yaml").cloud == "lab"
