"""The independent judge: is the whole cloud at a release, and are its guests what they were?"""

from typing import Any

from tests.lab.access import addresses, all_servers, sql, ssh

VERSIONS = {
    "2025.1": {"keystone": "27.0.0", "placement": "13.0.0", "glance": "30.0.0", "nova": "31.0.0"},
    "2025.2": {"keystone": "28.0.0", "placement": "14.0.0", "glance": "31.0.0", "nova": "32.1.0"},
    "2026.1": {"keystone": "29.0.1", "placement": "15.0.0", "glance": "32.0.0", "nova": "33.0.1"},
    "2026.2": {"keystone": "30.0.0", "placement": "16.0.0", "glance": "33.0.0", "nova": "34.0.0"},
}
# nova.objects.service.SERVICE_VERSION, and the last migration of nova's main database, of each release.
NOVA_SERVICE_VERSION = {"2025.1": "68", "2025.2": "70", "2026.1": "72", "2026.2": "74"}
NOVA_HEAD = {"2026.1": "2903cd72dc14", "2026.2": "ab450ba04102"}
CONTROL_UNITS = ("keystone", "placement", "glance", "nova-api", "nova-conductor", "nova-scheduler")
# For each process of a unit: the versions of the environments that its memory maps show.
_MAPS = (
    "for p in $(cat /sys/fs/cgroup/systemd/system.slice/{unit}.service/cgroup.procs 2>/dev/null || "
    "cat /sys/fs/cgroup/system.slice/{unit}.service/cgroup.procs); do "
    "grep -o '/opt/openstack/venvs/[^/]*' /proc/$p/maps | sort -u | tr '\\n' ' '; echo; done"
)


def guests() -> dict[str, str]:
    """Return the names of the lab's own guests by id."""
    return {s["id"]: s["name"] for s in all_servers() if s["name"].startswith("guest")}


def assert_guests_are_well(before: dict[str, str]) -> None:
    now = {s["id"]: s for s in all_servers()}
    assert set(before) <= set(now), "a guest is gone"
    assert {now[id_]["status"] for id_ in before} == {"ACTIVE"}
    assert not [s["name"] for s in now.values() if s["status"] != "ACTIVE"]


def assert_in_order() -> None:
    """The lab's own four guests are there and well, and no service is switched off."""
    assert len(guests()) == 4
    assert_guests_are_well(guests())
    assert sql("select host from nova.services where disabled or forced_down") == []


def schema_of_nova() -> str:
    """Return the release whose schema nova's main database has: the newer one's, after a rollback."""
    ((head,),) = sql("select version_num from nova.alembic_version")
    return next(release for release, known in NOVA_HEAD.items() if known == head)


def assert_wholly_at(release: str, *, schema: str | None = None, versions: dict[str, str] | None = None) -> None:
    """Every process, every service record; and the schema, which stays that of the newer release after a rollback."""
    versions = versions or VERSIONS[release]
    for name, address in {**addresses("control"), **addresses("compute")}.items():
        units = CONTROL_UNITS if name.startswith("ctl") else ("nova-compute",)
        for unit in units:
            service = unit.split("-")[0]
            processes = ssh(address, _MAPS.format(unit=unit)).splitlines()
            assert processes, f"{unit} on {name} has no process"
            want = f"/opt/openstack/venvs/{service}-{versions[service]}"
            assert {line.strip() for line in processes} == {want}, f"{unit} on {name}"
    rows: list[Any] = sql("select `binary`, host, version from nova.services where deleted = 0")
    assert len(rows) >= 9
    wrong = [row for row in rows if row[2] != NOVA_SERVICE_VERSION[release]]
    assert not wrong, wrong
    if (schema or release) in NOVA_HEAD:
        assert sql("select version_num from nova.alembic_version") == [[NOVA_HEAD[schema or release]]]
