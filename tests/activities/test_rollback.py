"""Whether the way back is open, with hosts whose answers are arranged; and units that are stopped."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.context import Toolbox
from activities.errors import Unreachable
from activities.rollback import RollbackActivities
from activities.ssh import Completed, Hosts
from model.baseline import Baseline
from model.inventory import Inventory
from model.plan import Action
from model.work import StepResult, Work
from tests.activities.conftest import Site
from tests.activities.running_cloud import Cloud, make_cloud

OLD = {"ImageMetaProps": "1.42", "Flavor": "1.2"}
WHOLE = "service=nova\npath=/d/nova.sql.gz\nbytes=1\nsha256=aa\ntables=3\nrestored=1\n"


@dataclass
class Answers:
    """Stands in for ``Hosts``: what is installed, kept and known."""

    installed: set[tuple[str, str]] = field(
        default_factory=lambda: {("ctl1", "nova-33.0.1"), ("ctl1", "glance-32.0.0")}
    )
    objects: dict[str, dict[str, str]] | None = field(default_factory=lambda: {"nova": OLD})
    known: dict[str, Any] = field(
        default_factory=lambda: {"versions": {**OLD, "ImageMetaProps": "1.44"}, "reachable": []}
    )
    dumps: str = WHOLE
    silent: set[str] = field(default_factory=set)

    async def run(self, inventory: Inventory, host: str, command: str, **options: Any) -> Completed:
        if host in self.silent:
            raise Unreachable("no route to it", host=host)
        if ".json" in command and "cat " in command:
            kept = self.objects is not None
            return Completed(0, Baseline(taken="x", objects=self.objects or {}).model_dump_json() if kept else "", "")
        if "END_OF_PROGRAM" in command:
            return Completed(0, json.dumps(self.known), "")
        if "newest()" in command:
            return Completed(0, self.dumps, "")
        venv = command.partition("/venvs/")[2].split()[0]
        whole = (host, venv) in self.installed
        return Completed(0, "", "") if whole else Completed(66, "", f"{venv} is not installed, or only in part\n")


def check(site: Site, answers: Answers, **params: Any) -> Any:
    work = Work(
        upgrade="june",
        step="back/check",
        action=Action.CHECK_ROLLBACK,
        target="cloud",
        params=params,
        inventory=site.inventory,
    )
    tools = Toolbox(hosts=cast("Hosts", answers))
    return ActivityEnvironment().run(RollbackActivities(tools).check_rollback, work)


OPEN = {"old": {"ctl1": {"nova": "33.0.1", "glance": "32.0.0"}}, "new": {"nova": "34.0.0", "glance": "33.0.0"}}
RESTORE = {"old": OPEN["old"], "new": OPEN["new"], "restore": True, "databases": {"nova": ("nova",)}}


async def test_open(site: Site) -> None:
    answers = Answers(known={"versions": {**OLD, "ImageMetaProps": "1.44"}, "reachable": ["ImageMetaProps"]})
    result: StepResult = await check(site, answers, **OPEN)
    assert result.summary == "the way back is open: 2 old versions on 1 host whole"


async def test_open_by_restoring(site: Site) -> None:
    """What the new release has stored is of no matter then."""
    result: StepResult = await check(site, Answers(objects=None), **RESTORE)
    assert result.summary == "the way back is open: 2 old versions on 1 host and the dumps of nova whole"


@pytest.mark.parametrize(
    ("change", "params", "reasons"),
    [
        (
            {"installed": {("ctl1", "glance-32.0.0")}},
            OPEN,
            ["ctl1: nova 33.0.1 is not there as it should be: nova-33.0.1 is not installed, or only in part"],
        ),
        (
            {"objects": None},
            OPEN,
            ["no object versions of nova in the baseline ctl1:/var/lib/stackroll/baselines/june.json"],
        ),
        ({"objects": {}}, OPEN, ["no object versions of nova"]),
        (
            {"known": {"versions": {**OLD, "Flavor": "1.3", "CyborgRequest": "1.0"}, "reachable": ["RequestSpec"]}},
            OPEN,
            ["of which nobody knows whether it stores them: CyborgRequest (new in 1.0), Flavor (1.2 to 1.3)"],
        ),
        ({"known": {}}, OPEN, ["ctl1: the code that would rewrite nova's objects cannot be used"]),
        ({"dumps": "service=nova\n"}, RESTORE, ["no whole dump of nova (none in /var/lib/stackroll/june/dumps)"]),
        ({"dumps": ""}, RESTORE, ["no whole dump of nova"]),
        (
            {"dumps": "service=nova\ndamaged=/d/nova-1.sql.gz\n"},
            RESTORE,
            ["no whole dump of nova (damaged: /d/nova-1.sql.gz)"],
        ),
        (
            {"installed": set(), "objects": None},
            OPEN,
            ["nova 33.0.1 is not there", "glance 32.0.0 is not there", "no object versions of nova"],
        ),
    ],
)
async def test_barred(site: Site, change: dict[str, Any], params: dict[str, Any], reasons: list[str]) -> None:
    answers = Answers(**{"known": {"versions": OLD}, **change})
    with pytest.raises(ApplicationError) as raised:
        await check(site, answers, **params)
    assert raised.value.type == "StepFailed"
    text = raised.value.message
    number = f"{len(reasons)} reason{'s' if len(reasons) > 1 else ''}"
    assert f"the way back is barred: {number}; nothing was changed" in text
    assert [reason for reason in reasons if reason not in text] == []


async def test_a_host_that_does_not_answer_is_a_reason(site: Site) -> None:
    hosts = {**site.inventory.hosts, "cmp1": site.inventory.hosts["ctl1"]}
    inventory = site.inventory.model_copy(update={"hosts": hosts})
    old = {"ctl1": {"nova": "33.0.1"}, "cmp1": {"nova": "33.0.1"}}
    work = Work(
        upgrade="june", step="s", action=Action.CHECK_ROLLBACK, target="cloud", params={"old": old}, inventory=inventory
    )
    tools = Toolbox(hosts=cast("Hosts", Answers(silent={"cmp1"})))
    with pytest.raises(ApplicationError, match=r"1 reason.*\n.*\n.*cmp1: no route to it"):
        await ActivityEnvironment().run(RollbackActivities(tools).check_rollback, work)


@pytest.fixture
async def cloud(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    found = await make_cloud(site, hosts, monkeypatch)
    found.installed("33.0.1")
    yield found
    await found.mine.stop()
    await found.other.stop()


async def test_units_are_stopped_once(cloud: Cloud) -> None:
    activities = RollbackActivities(cloud.tools)
    for _ in range(2):
        result = await cloud.run(activities.stop_units, Action.STOP_UNITS, units=("nova-api", "glance"))
    assert result.summary == "nova-api and glance on ctl1 stopped"
    assert sorted(cloud.log) == ["stop glance", "stop nova-api"]


async def test_a_unit_that_cannot_be_stopped_is_an_error(cloud: Cloud) -> None:
    systemctl = cloud.root / "bin" / "systemctl"
    systemctl.write_text("#!/bin/sh\n[ $1 != stop ] || { echo 'Job canceled.'; exit 1; }\n" + systemctl.read_text())
    error = await cloud.fails(RollbackActivities(cloud.tools).stop_units, Action.STOP_UNITS, units=("nova-api",))
    assert "stopping nova-api failed" in str(error)
    assert "Job canceled." in str(error)
