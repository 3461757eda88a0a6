"""``stackroll exposure``: what is shown, how it ends, and each mistake in its input told once, with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.errors import Exit
from model.advisories.reading import Candidate, CloudReading, Environment, HostReading, ProcessReading, UnitReading
from model.components import components_on
from model.inventory import Inventory
from tests.cli.cloud import write_files
from tests.cli.conftest import run_main

ADVISORIES = Path(__file__).parent.parent / "advisories"


def running(inventory: Inventory, versions: dict[str, str]) -> CloudReading:
    """Return the reading of a cloud that runs these versions everywhere."""
    hosts = {}
    for host in inventory.hosts:
        components = components_on(inventory, host)
        units = {}
        for component in components:
            process = ProcessReading(pid=7, environments=(versions[component.service],))
            units[component.unit] = UnitReading(active="active", processes=(process,))
        services = {component.service for component in components}
        made = {service: (Environment(version=versions[service], active=True),) for service in services}
        if components:
            hosts[host] = HostReading(units=units, environments=made)
    known = {"keystone": ("27.0.0", "27.0.1"), "glance": ("30.2.0",), "nova": ("31.3.0", "31.3.1")}
    repository = tuple(Candidate(service=s, version=v) for s, several in known.items() for v in several)
    return CloudReading(hosts=hosts, repository=repository)


@pytest.fixture
def cloud(tmp_path: Path) -> str:
    """The path of a cloud.yaml."""
    folder = tmp_path / "cloud"
    folder.mkdir()
    return str(write_files(folder).parent / "cloud.yaml")


OLD = {"keystone": "27.0.0", "placement": "13.0.0", "glance": "30.0.0", "nova": "31.0.0"}
NEW = {"keystone": "27.0.1", "placement": "13.0.0", "glance": "30.2.0", "nova": "31.3.1"}


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What runs in any cloud that is read."""
    state = dict(OLD)

    async def read(hosts: object, inventory: Inventory, products: Any, told: Any) -> CloudReading:
        told("1 of 1 hosts")
        return running(inventory, state)

    monkeypatch.setattr("activities.exposure.read_exposure", read)
    return state


def test_exposed_then_mended_then_proven(versions: dict[str, str], cloud: str, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    ran = run_main("exposure", cloud, "-a", str(ADVISORIES), "-o", str(before))
    assert ran.status == Exit.FINDINGS, ran
    for word in ("OSSA-2025-002", "CVE-2026-24708", "nova-conductor", "31.3.0", "is exposed: 5 advisories on 4 hosts"):
        assert word in ran.out
    assert "OSSA-2026-008" not in ran.out
    versions.update(NEW)
    proven = run_main("exposure", cloud, "-a", str(ADVISORIES), "--before", str(before))
    assert proven.status == Exit.OK, proven
    assert "exposed before, not any more" in proven.out
    assert "is no longer exposed: 5 advisories, by what runs" in proven.out


def test_json(versions: dict[str, str], cloud: str) -> None:
    versions.update(NEW, nova="31.0.0")
    ran = run_main("exposure", cloud, "-a", str(ADVISORIES), "--json")
    found = json.loads(ran.out)
    assert ran.status == Exit.FINDINGS
    exposed = [one for one in found["findings"] if one["verdict"] == "exposed"]
    assert {(one["advisory"], one["fixed_in"]) for one in exposed} == {("OSSA-2026-002", "31.3.0")}
    assert found["elsewhere"] == ["OSSA-2026-001", "OSSA-2026-008"]


def test_what_cannot_be_judged_is_no_success(versions: dict[str, str], cloud: str, tmp_path: Path) -> None:
    versions.update(NEW)
    prose = tmp_path / "prose.yaml"
    prose.write_text("id: OSSA-2026-900\naffected-products: [{product: nova, version: with the Xen driver}]\n")
    ran = run_main("exposure", cloud, "-a", str(prose))
    assert ran.status == Exit.ERROR
    assert "cannot judge" in ran.out
    assert "nothing is known to be exposed" in ran.out


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "id: [", "a.yaml:1:6: not YAML"),
        ("a.yaml", "- nova", "a.yaml:1: must be a mapping"),
        ("a.yaml", "title: x\n", "a.yaml:1: id: an advisory has one, such as OSSA-2026-002"),
        ("a.json", '{"id": "X-1"}', "a.json:1: X-1: neither an OSSA"),
        ("a.json", '{"id": [', "a.json:1:9: not JSON"),
        ("a.yaml", "id: OSSA-1\nid: OSSA-2\n", "a.yaml:2: id: occurs twice"),
        ("a.txt", "id: OSSA-1\n", "no advisories in it"),
    ],
)
def test_input_that_cannot_be_used(cloud: str, tmp_path: Path, name: str, text: str, said: str) -> None:
    folder = tmp_path / "advisories"
    folder.mkdir()
    (folder / name).write_text(text)
    ran = run_main("exposure", cloud, "-a", str(folder))
    assert ran.status == Exit.BAD_INPUT
    assert said in ran.err


def test_an_advisory_twice(cloud: str, tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("id: OSSA-1\naffected-products: [{product: nova, version: <2}]\n")
    words = ("-a", str(tmp_path / "a.yaml"), "-a", str(tmp_path / "b.yaml"))
    ran = run_main("exposure", cloud, *words)
    assert ran.status == Exit.BAD_INPUT
    assert f"b.yaml:1: id: OSSA-1 is in {tmp_path / 'a.yaml'} already" in ran.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("{}", "no account of an exposure"),
        ('{"stackroll_exposure": 1}', "cloud: Field required"),
    ],
)
def test_an_earlier_account_that_is_none(cloud: str, tmp_path: Path, text: str, said: str) -> None:
    before = tmp_path / "before.json"
    before.write_text(text)
    words = ("-a", str(ADVISORIES), "--before", str(before))
    ran = run_main("exposure", cloud, *words)
    assert ran.status == Exit.BAD_INPUT
    assert said in ran.err


def test_an_account_of_another_cloud(versions: dict[str, str], cloud: str, tmp_path: Path) -> None:
    before = tmp_path / "before.json"
    run_main("exposure", cloud, "-a", str(ADVISORIES), "-o", str(before))
    before.write_text(before.read_text().replace('"cloud": "lab"', '"cloud": "other"'))
    ran = run_main("exposure", cloud, "-a", str(ADVISORIES), "--before", str(before))
    assert ran.status == Exit.BAD_INPUT
    assert "is about the cloud other" in ran.err
