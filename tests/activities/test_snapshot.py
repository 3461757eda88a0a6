"""Dumps as steps: kept, forgotten, compared and restored, with a client of MariaDB that only notes what it is told."""

from collections.abc import AsyncIterator

import pytest

from activities import baselines, snapshot
from activities.snapshot import SnapshotActivities, dump_path, missing_dumps
from activities.ssh import Hosts
from model.plan import Action
from model.work import Work
from tests.activities.conftest import Site
from tests.activities.running_cloud import Cloud, make_cloud
from tests.activities.test_database import CLIENT, DUMP, DUMPER, END, WEB

DATABASES = {"nova": ("nova_api", "nova")}
PARAMS = {"service": "nova", "databases": ("nova_api", "nova")}


@pytest.fixture
async def cloud(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    found = await make_cloud(site, hosts, monkeypatch)
    for name, text in (("mariadb", CLIENT), ("mariadb-dump", DUMPER)):
        (site.root / "bin" / name).write_text(text)
        (site.root / "bin" / name).chmod(0o755)
    (site.root / "dump.sql").write_text(DUMP.format(position="") + END)
    (site.root / "things").write_text(WEB)
    site.host.environment["HOME"] = str(site.root)
    monkeypatch.setattr(snapshot, "DUMPS", str(site.root / "kept"))
    monkeypatch.setattr(snapshot, "BASELINES", str(site.root / "kept/baselines"))
    monkeypatch.setattr(baselines, "BASELINES", str(site.root / "kept/baselines"))
    yield found
    await found.mine.stop()
    await found.other.stop()


@pytest.fixture
def activities(cloud: Cloud) -> SnapshotActivities:
    return SnapshotActivities(cloud.tools)


def work_of(cloud: Cloud, upgrade: str, generation: int = 0) -> Work:
    return Work(
        upgrade=upgrade,
        step="dump",
        action=Action.DUMP_DATABASES,
        target="cloud",
        generation=generation,
        inventory=cloud.site.inventory,
    )


async def test_a_dump_is_found_again(cloud: Cloud, activities: SnapshotActivities) -> None:
    result = await cloud.run(activities.dump_databases, Action.DUMP_DATABASES, **PARAMS)
    assert result.summary.endswith("MB on ctl1, restored as a test")
    assert result.details["path"] == dump_path(work_of(cloud, "upgrade-1"), "nova")
    assert await missing_dumps(cloud.hosts, work_of(cloud, "upgrade-1"), DATABASES) == []
    for upgrade in ("upgrade-2", "upgrade/1"):
        assert len(await missing_dumps(cloud.hosts, work_of(cloud, upgrade), DATABASES)) == 1


@pytest.mark.parametrize("keep", [None, 60.0])
async def test_dumps_of_earlier_upgrades_are_deleted_only_when_told(
    cloud: Cloud, activities: SnapshotActivities, keep: float | None
) -> None:
    old = cloud.root / "kept/june/dumps/nova.sql.gz"
    old.parent.mkdir(parents=True)
    old.touch()
    await cloud.hosts.run(cloud.site.inventory, "ctl1", f"touch -d '1 hour ago' {old}")
    result = await cloud.run(activities.dump_databases, Action.DUMP_DATABASES, **PARAMS, keep=keep)
    assert old.exists() is (keep is None)
    told = "; deleted the dumps of 1 earlier upgrade, older than 1:00 min: june"
    assert result.summary.endswith(told) is (keep is not None)
    assert result.details["forgotten"] == ([] if keep is None else ["june"])


def test_a_later_try_overwrites_nothing(cloud: Cloud) -> None:
    paths = [dump_path(work_of(cloud, "a/b c", generation), "nova") for generation in (0, 1)]
    assert paths == [f"{cloud.root}/kept/a_b_c/dumps/nova{again}.sql.gz" for again in ("", "-1")]


async def test_losses_become_a_sentence(cloud: Cloud, activities: SnapshotActivities) -> None:
    await cloud.run(activities.dump_databases, Action.DUMP_DATABASES, **PARAMS)
    (cloud.root / "things").write_text(WEB + "thing\tserver\tuuid-2\tdb\n")
    (cloud.root / "count-instances").write_text("5\n")
    result = await cloud.run(activities.count_losses, Action.COUNT_LOSSES, databases=DATABASES)
    assert result.summary.startswith("1 server and 4 rows in 2 tables made since 20")
    assert result.details["made_names"] == {"server": ["db"]}


async def test_losses_without_a_dump_are_an_error(cloud: Cloud, activities: SnapshotActivities) -> None:
    error = await cloud.fails(activities.count_losses, Action.COUNT_LOSSES, databases=DATABASES)
    assert "no whole dump of nova" in str(error)


async def test_a_restore_happens_once(cloud: Cloud, activities: SnapshotActivities) -> None:
    await cloud.run(activities.dump_databases, Action.DUMP_DATABASES, **PARAMS)
    (cloud.root / "statements").unlink()
    for _ in range(2):
        result = await cloud.run(activities.restore_databases, Action.RESTORE_DATABASES, databases=DATABASES)
    assert result.summary.startswith("restored nova as dumped; 1 guest moved since the dump")
    assert "1 guest made since: no longer in the database" in result.summary
    assert result.details["guests"] == {"moved": ["web (uuid-1) cmp1 cmp2"], "lost": ["db (uuid-2) cmp1 active"]}
    assert f"before: {cloud.root}/kept/upgrade-1/dumps/before-restore-" in result.summary
    assert (cloud.root / "statements").read_text().count("load") == 1


async def test_a_restore_while_somebody_is_connected_is_refused(cloud: Cloud, activities: SnapshotActivities) -> None:
    await cloud.run(activities.dump_databases, Action.DUMP_DATABASES, **PARAMS)
    (cloud.root / "connected").write_text("3 of openstack from 10.0.0.7 to nova\n")
    error = await cloud.fails(activities.restore_databases, Action.RESTORE_DATABASES, databases=DATABASES)
    assert "still connected, and nothing was changed" in str(error)
    assert "3 of openstack from 10.0.0.7 to nova" in str(error)
