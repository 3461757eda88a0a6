"""A rehearsal on real MariaDB with the real migrations, judged from outside: it measures, and production stays."""

import json
import time
from typing import Any

import pytest

from tests.lab.access import LAB, addresses, sql, ssh
from tests.lab.conftest import DEV_PORT, Dev, bring_up
from tests.lab.judge import assert_guests_are_well, assert_wholly_at, guests
from tests.lab.observers import Prober

pytestmark = pytest.mark.slow
SERVICES = {"keystone", "placement", "glance", "nova"}
UNIT = "stackroll-rehearsal-lab"
PLACES = "/var/lib/stackroll-rehearsal"
# Rows that nobody but a migration or a user changes, and every schema's revision.
COUNTED = ("nova.instances", "nova_api.instance_mappings", "glance.images", "keystone.project", "placement.consumers")
SCHEMAS = ("keystone", "placement", "glance", "nova_api", "nova_cell0", "nova")


@pytest.fixture
def lab_2026() -> None:
    bring_up("2026.1")


def production() -> dict[str, Any]:
    """Read what a rehearsal must leave as it is: revisions, columns, rows, and where nova's cells are."""
    found: dict[str, Any] = {name: sql(f"select version_num from {name}.alembic_version") for name in SCHEMAS}
    columns = "select table_schema, table_name, column_name, column_type from information_schema.columns"
    names = ", ".join(f"'{name}'" for name in SCHEMAS)
    found["columns"] = sql(f"{columns} where table_schema in ({names}) order by 1, 2, 3")
    found["rows"] = {table: sql(f"select count(*) from {table}") for table in COUNTED}
    found["cells"] = sql("select uuid, transport_url, database_connection from nova_api.cell_mappings order by uuid")
    return found


def assert_nothing_is_left() -> None:
    """No unit, no port, no folder, no code of a rehearsal is on any host."""
    for name, address in {**addresses("database"), **addresses("control")}.items():
        units = ssh(address, f"systemctl list-units --all --no-legend '{UNIT}*' || true").strip()
        assert units == "", f"{name}: {units}"
        assert ssh(address, "ss -Hltn 'sport = :33306'").strip() == "", name
        left = ssh(address, f"ls -d {PLACES}/* /opt/openstack/rehearsal 2>/dev/null || true").split()
        assert left == [], name


@pytest.mark.usefixtures("lab_2026")
def test_migrations_are_measured_on_a_copy_and_production_is_as_it_was(dev: Dev, prober: Prober) -> None:
    before, own = production(), guests()
    done = dev.stackroll("rehearse", str(LAB / "upgrade.yaml"), "--json", timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    for step in report["steps"]:
        seconds = max((s["seconds"] for s in step["statements"]), default=0.0)
        print(f"{step['seconds']:6.1f} s  {seconds:6.3f} s longest statement  {step['writes']} writes  {step['title']}")
    assert production() == before
    assert_nothing_is_left()
    prober.stop()
    assert {service: seen.failures for service, seen in prober.seen.items()} == {s: [] for s in prober.seen}
    assert_guests_are_well(own)
    assert_wholly_at("2026.1")
    _is_measured(report)
    assert report["simulated"]["state"] == "completed", report["simulated"]
    _feeds_the_forecast(dev, report)


def _is_measured(report: Any) -> None:
    assert (report["untouched"], report["removed"], report["problems"]) == (True, True, [])
    assert report["server"].startswith(sql("select version()")[0][0].split("-")[0])
    assert {copied["service"] for copied in report["copies"]} == SERVICES
    assert all(copied["tables"] > 5 and copied["bytes"] > 1000 for copied in report["copies"])
    steps = {step["id"]: step for step in report["steps"]}
    assert all(step["ok"] for step in steps.values())
    # Nova's main database of 2026.1 and 2026.2 differs: its migration must have been seen to alter something.
    altered = [s["text"] for s in steps["expand/nova/db-sync"]["statements"]]
    assert any(text.upper().startswith(("ALTER", "CREATE")) for text in altered), altered


def _feeds_the_forecast(dev: Dev, report: Any) -> None:
    plan = dev.stackroll("plan", str(LAB / "upgrade.yaml"), "--format", "json")
    assert plan.returncode == 0, plan.stderr
    told = json.loads(plan.stdout)
    assert told["forecast"]["sources"]["rehearsal"] >= len(report["steps"]) - 2
    times = told["forecast"]["seconds"]
    assert 0 < times["low"] < times["likely"] < times["high"]
    print(f"forecast: {times}")


@pytest.mark.usefixtures("lab_any")
def test_one_that_is_cancelled_leaves_nothing(dev: Dev) -> None:
    before = production()
    rendered = dev.stackroll("render", str(LAB / "upgrade.yaml"))
    assert rendered.returncode == 0, rendered.stderr
    asked = json.dumps({"request": json.loads(rendered.stdout)})
    words = ("workflow", "start", "--type", "Rehearsal", "--task-queue", "stackroll", "-w", "R", "--input", asked)
    started = dev.temporal(*words)
    assert started.returncode == 0, started.stderr
    _until(dev, lambda report: bool(report["copies"]))
    assert dev.temporal("workflow", "cancel", "-w", "R").returncode == 0
    report = _until(dev, lambda report: report["ended"])
    assert "it was cancelled" in report["problems"]
    assert (report["removed"], report["untouched"]) == (True, True)
    assert production() == before
    assert_nothing_is_left()


def _until(dev: Dev, condition: Any, seconds: float = 600) -> Any:
    limit = time.monotonic() + seconds
    report = None
    while time.monotonic() < limit:
        report = dev.query("R", "rehearsal")
        if report is not None and condition(report):
            return report
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds:.0f} s at port {DEV_PORT}: {json.dumps(report, indent=1)[:4000]}")
