"""Rewriting stored objects as a step: on a host with a Python that says what the test arranged."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from activities import baselines
from activities.objects import ObjectActivities, known_objects, parse_rewritten, rewrite_script, versions_script
from activities.packaging import packaging_of
from activities.ssh import Hosts
from model.baseline import Baseline
from model.plan import Action
from tests.activities.conftest import Site
from tests.activities.running_cloud import Cloud, make_cloud
from tests.activities.test_hosts import GETENT, SETPRIV

PYTHON = """#!/bin/sh
cat >"$LAB/program"
printf "%s\\n" "$@" >"$LAB/arguments"
cat "$LAB/answer"
exit "$(cat "$LAB/status")"
"""
PARAMS = {"service": "nova", "version": "34.0.0"}
MANIFEST = {"ImageMetaProps": "1.42"}
DONE = {"rewritten": {"nova_api.request_specs.spec": 2}, "rows": 58, "passes": 2, "kinds": ["ImageMetaProps 1.42"]}


@pytest.fixture
async def cloud(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    found = await make_cloud(site, hosts, monkeypatch)
    found.installed("33.0.1", "34.0.0")
    monkeypatch.setattr(baselines, "BASELINES", str(site.root / "baselines"))
    (site.root / "baselines").mkdir()
    python = site.root / "openstack/venvs/nova-34.0.0/bin/python"
    for path, text in ((site.root / "bin/setpriv", SETPRIV), (site.root / "bin/getent", GETENT), (python, PYTHON)):
        path.write_text(text)
        path.chmod(0o755)
    (site.root / "status").write_text("0")
    yield found
    await found.mine.stop()
    await found.other.stop()


@pytest.fixture
def keep(cloud: Cloud) -> Callable[[dict[str, dict[str, str]]], None]:
    """Keep a baseline of the test's upgrade with these object versions."""

    def write(objects: dict[str, dict[str, str]]) -> None:
        baseline = Baseline(taken="2026-11-23T03:04:00Z", objects=objects)
        (cloud.root / "baselines" / "upgrade-1.json").write_text(baseline.model_dump_json())

    return write


def answer(cloud: Cloud, text: str, status: int = 0) -> None:
    (cloud.root / "answer").write_text(text)
    (cloud.root / "status").write_text(str(status))


async def test_rewrites_to_the_versions_of_the_baseline(
    cloud: Cloud, keep: Callable[[dict[str, dict[str, str]]], None]
) -> None:
    keep({"nova": MANIFEST})
    answer(cloud, f"something of nova's\nresult={json.dumps(DONE)}\n")
    result = await cloud.run(ObjectActivities(cloud.tools).rewrite_objects, Action.REWRITE_OBJECTS, **PARAMS)
    assert result.summary == (
        "2 stored objects rewritten for the old release (2 in nova_api.request_specs.spec); nothing newer is left"
    )
    assert result.details["rewritten"] == {"nova_api.request_specs.spec": 2}
    dash, task, *configuration = (cloud.root / "arguments").read_text().splitlines()
    assert dash == "-"
    assert json.loads(task)["manifest"] == MANIFEST
    assert json.loads(task)["api"]["request_specs"] == ["spec"]
    assert "migration_context" in json.loads(task)["cell"]["instance_extra"]
    assert configuration == ["--config-file", "/etc/nova/nova.conf"]
    compile((cloud.root / "program").read_text(), "program", "exec")
    assert len(cloud.site.host.journal) == 1


async def test_nothing_to_rewrite(cloud: Cloud, keep: Callable[[dict[str, dict[str, str]]], None]) -> None:
    keep({"nova": MANIFEST})
    answer(cloud, 'result={"rewritten": {}, "rows": 29, "passes": 1}\n')
    result = await cloud.run(ObjectActivities(cloud.tools).rewrite_objects, Action.REWRITE_OBJECTS, **PARAMS)
    assert result.summary == "nothing to rewrite in 29 stored objects"


@pytest.mark.parametrize("objects", [None, {}, {"cinder": {"Volume": "1.9"}}])
async def test_without_the_old_versions_nothing_is_touched(
    cloud: Cloud, keep: Callable[[dict[str, dict[str, str]]], None], objects: dict[str, dict[str, str]] | None
) -> None:
    if objects is not None:
        keep(objects)
    error = await cloud.fails(ObjectActivities(cloud.tools).rewrite_objects, Action.REWRITE_OBJECTS, **PARAMS)
    assert "the baseline has no object versions of nova" in str(error)
    assert cloud.site.host.journal == []


async def test_rows_that_cannot_be_rewritten_are_named(
    cloud: Cloud, keep: Callable[[dict[str, dict[str, str]]], None]
) -> None:
    keep({"nova": MANIFEST})
    left = {**DONE, "problems": ["nova_api.request_specs.spec of u-1 (id 7): ValueError: too new"], "problem_count": 3}
    answer(cloud, f"result={json.dumps(left)}\n", status=1)
    error = await cloud.fails(ObjectActivities(cloud.tools).rewrite_objects, Action.REWRITE_OBJECTS, **PARAMS)
    assert "3 rows left, such as nova_api.request_specs.spec of u-1 (id 7): ValueError: too new" in str(error)


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("Traceback (most recent call last):\nOperationalError: gone away\n", 1, "OperationalError: gone away"),
        ("nothing\n", 0, "ended without a result"),
        ("result={cut short", 0, "ended without a result"),
    ],
)
async def test_a_program_that_broke_off_is_no_success(
    cloud: Cloud, keep: Callable[[dict[str, dict[str, str]]], None], text: str, status: int, said: str
) -> None:
    keep({"nova": MANIFEST})
    answer(cloud, text, status)
    error = await cloud.fails(ObjectActivities(cloud.tools).rewrite_objects, Action.REWRITE_OBJECTS, **PARAMS)
    assert said in str(error)


async def test_what_a_version_knows(cloud: Cloud) -> None:
    answer(cloud, 'a warning\n{"versions": {"Flavor": "1.2"}, "reachable": ["Flavor"]}\n')
    known = await known_objects(cloud.hosts, cloud.site.inventory, "nova", "34.0.0")
    assert (known.versions, known.reachable) == ({"Flavor": "1.2"}, ("Flavor",))
    assert "RequestSpec" in (cloud.root / "arguments").read_text().splitlines()
    assert cloud.site.host.journal == []


@pytest.mark.parametrize(("version", "said"), [("34.0.0", "did not say"), ("35.0.0", "the version is not installed")])
async def test_a_version_that_cannot_be_asked(cloud: Cloud, version: str, said: str) -> None:
    answer(cloud, "Illegal instruction\n")
    with pytest.raises(Exception, match=said):
        await known_objects(cloud.hosts, cloud.site.inventory, "nova", version)


def test_the_scripts_have_one_shape(site: Site) -> None:
    """Whoever recognises them by an example of the adapter's finds the manifest and the version in their places."""
    packaging = packaging_of(site.inventory)
    one, other = (rewrite_script(packaging, "nova", "VERSION", manifest) for manifest in ({"A": "1.0"}, {"B": "2.0"}))
    assert one.replace('{"A": "1.0"}', "") == other.replace('{"B": "2.0"}', "")
    assert versions_script(packaging, "nova", "X").replace("nova-X", "nova-Y") == versions_script(
        packaging, "nova", "Y"
    )


@pytest.mark.parametrize("output", ["", "rows read", "result=", "result=[]"])
def test_no_result_is_none(output: str) -> None:
    found: Any = parse_rewritten(output)
    assert found is None
