from collections.abc import AsyncIterator

import pytest

from activities.hosts import HostActivities
from activities.ssh import Hosts
from model.plan import Action
from tests.activities.conftest import Site
from tests.activities.running_cloud import Cloud, make_cloud

SWITCH = {"service": "nova", "version": "34.0.0", "units": ("nova-api",)}
BACK = {"service": "nova", "version": "33.0.1", "units": ("nova-compute",), "record_version": 72}
# Runs what follows as nobody in particular: the tests' own user.
SETPRIV = '#!/bin/sh\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n'
GETENT = "#!/bin/sh\necho openstack:x:2000:2000::/var/lib/openstack:/bin/sh\n"


@pytest.fixture
async def cloud(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    found = await make_cloud(site, hosts, monkeypatch)
    found.installed("33.0.1", "34.0.0")
    (found.root / "lowest").write_text("74\n")
    (found.root / "records").write_text("1\n")
    for name, text in (("setpriv", SETPRIV), ("getent", GETENT)):
        (found.root / "bin" / name).write_text(text)
        (found.root / "bin" / name).chmod(0o755)
    yield found
    await found.mine.stop()
    await found.other.stop()


@pytest.fixture(autouse=True)
def going_on(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What nova works on at the host, look by look; nothing once all of it has been told."""
    looks: list[list[str]] = []

    async def in_flight_on(*_: object) -> list[str]:
        return looks.pop(0) if looks else []

    monkeypatch.setattr("activities.openstack.in_flight_on", in_flight_on)
    return looks


@pytest.fixture
def activities(cloud: Cloud) -> HostActivities:
    return HostActivities(cloud.tools)


def tool(cloud: Cloud, script: str) -> None:
    """Put a nova-manage into the new version."""
    path = cloud.root / "openstack/venvs/nova-34.0.0/bin/nova-manage"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def manage(*command: str) -> dict[str, object]:
    return {
        "service": "nova",
        "version": "34.0.0",
        "command": command,
        "warn": (3,),
        "again": (1,),
        "meanings": {"2": "migrations raise errors", "3": "some warnings"},
    }


async def test_switch_activates_and_restarts(cloud: Cloud, activities: HostActivities) -> None:
    result = await cloud.run(activities.switch, Action.SWITCH, **SWITCH)
    assert result.summary == "nova-api on ctl1 runs from 34.0.0"
    assert (cloud.root / "openstack/nova").readlink().name == "nova-34.0.0"
    assert cloud.log == ["restart nova-api"]


async def test_a_switch_that_temporal_repeats_restarts_once(cloud: Cloud, activities: HostActivities) -> None:
    for _ in range(2):
        await cloud.run(activities.switch, Action.SWITCH, **SWITCH)
    assert cloud.log == ["restart nova-api"]
    assert len(cloud.site.host.journal) == 1


async def test_a_switch_to_what_is_not_installed_restarts_nothing(cloud: Cloud, activities: HostActivities) -> None:
    for more in ({}, {"record_version": 76}):
        error = await cloud.fails(activities.switch, Action.SWITCH, **{**SWITCH, "version": "35.0.0", **more})
        assert "not installed" in str(error)
    assert cloud.log == []
    assert (cloud.root / "openstack/nova").readlink().name == "nova-33.0.1"


async def test_a_unit_that_does_not_start_shows_its_log(
    cloud: Cloud, activities: HostActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cloud.root / "broken-nova-api").touch()
    systemctl = cloud.root / "bin" / "systemctl"
    systemctl.write_text(systemctl.read_text().replace("is-active) exit 0", "is-active) exit 3"))
    error = await cloud.fails(activities.switch, Action.SWITCH, **SWITCH)
    assert error.non_retryable
    assert "restarting nova-api at 34.0.0 failed" in str(error)
    assert "log of nova-api" in str(error)


async def test_processes_prove_the_switch_not_the_link(
    cloud: Cloud, activities: HostActivities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.work.UNITS_LIMIT", 0.0)
    systemctl = cloud.root / "bin" / "systemctl"
    systemctl.write_text(systemctl.read_text().replace('$(readlink "$LAB/openstack/nova")', "nova-33.0.1"))
    error = await cloud.fails(activities.switch, Action.SWITCH, **SWITCH)
    assert "runs from 33.0.1, not from 34.0.0" in str(error)


async def test_back_to_an_older_version_writes_the_record_while_the_unit_is_down(
    cloud: Cloud, activities: HostActivities
) -> None:
    await cloud.run(activities.switch_compute, Action.SWITCH_COMPUTE, **BACK)
    assert cloud.log == ["stop nova-compute", "hup", "start nova-compute"]
    sql = (cloud.root / "sql").read_text()
    assert "SET version = 72" in sql
    assert "host = 'ctl1' AND `binary` IN ('nova-compute')" in sql


async def test_what_nova_does_on_a_host_ends_before_its_service_is_stopped(
    cloud: Cloud, activities: HostActivities, going_on: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on += [["guest new is in spawning"], ["guest new is in spawning"]]
    result = await cloud.run(activities.switch_compute, Action.SWITCH_COMPUTE, **BACK)
    assert going_on == []
    assert "not waited for" not in result.summary
    monkeypatch.setattr("activities.hosts.QUIET_LIMIT", 0.0)
    going_on += [["guest new is in spawning"]]
    result = await cloud.run(activities.switch_compute, Action.SWITCH_COMPUTE, **BACK)
    assert result.summary.endswith("not waited for any longer: guest new is in spawning")


async def test_conductors_are_told_only_when_the_lowest_version_went_down(
    cloud: Cloud, activities: HostActivities
) -> None:
    (cloud.root / "lowest").write_text("72\n")
    await cloud.run(activities.switch_compute, Action.SWITCH_COMPUTE, **BACK)
    assert cloud.log == ["stop nova-compute", "start nova-compute"]


async def test_a_host_that_nova_does_not_know_is_an_error(cloud: Cloud, activities: HostActivities) -> None:
    (cloud.root / "records").write_text("0\n")
    error = await cloud.fails(activities.switch_compute, Action.SWITCH_COMPUTE, **BACK)
    assert "nova has no service record of nova-compute on ctl1" in str(error)


async def test_manage_runs_with_the_new_code_and_the_services_configuration(
    cloud: Cloud, activities: HostActivities
) -> None:
    config = cloud.root / "openstack/venvs/nova-34.0.0/etc/nova/release.conf"
    config.parent.mkdir(parents=True)
    config.touch()
    tool(cloud, 'echo "$HOME $PYTHONPYCACHEPREFIX"; echo "$@"')
    result = await cloud.run(activities.run_manage, Action.RUN_MANAGE, **manage("nova-manage", "db", "sync"))
    assert result.details["output"].splitlines() == [
        "/var/lib/openstack /var/cache/openstack/pycache",
        f"--config-file /etc/nova/nova.conf --config-file {config} db sync",
    ]


async def test_manage_repeats_while_told_to(cloud: Cloud, activities: HostActivities) -> None:
    tool(cloud, 'echo x >>"$LAB/calls"; [ "$(wc -l <"$LAB/calls")" -ge 3 ] || exit 1')
    await cloud.run(activities.run_manage, Action.RUN_MANAGE, **manage("nova-manage", "db", "online_data_migrations"))
    assert len((cloud.root / "calls").read_text().splitlines()) == 3


async def test_manage_passes_with_warnings(cloud: Cloud, activities: HostActivities) -> None:
    tool(cloud, "echo careful; exit 3")
    result = await cloud.run(activities.run_manage, Action.RUN_MANAGE, **manage("nova-manage", "db", "sync"))
    assert result.summary == "nova-manage db sync: some warnings"
    assert result.details == {"output": "careful", "warning": True}


async def test_manage_fails_with_the_meaning_and_the_last_words(cloud: Cloud, activities: HostActivities) -> None:
    tool(cloud, "echo 'password = hunter2'; echo broken row >&2; exit 2")
    error = await cloud.fails(activities.run_manage, Action.RUN_MANAGE, **manage("nova-manage", "db", "sync"))
    assert "nova-manage db sync failed: migrations raise errors" in str(error)
    assert "exit status: 2" in str(error)
    assert "broken row" in str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize("status", [0, 3])
async def test_a_check_without_a_result_is_no_success(cloud: Cloud, activities: HostActivities, status: int) -> None:
    tool(cloud, f"echo 'fernet-keys does not exist'; exit {status}")
    error = await cloud.fails(activities.run_manage, Action.RUN_MANAGE, **manage("nova-manage", "upgrade", "check"))
    assert "without a result" in str(error)
    assert "fernet-keys does not exist" in str(error)


async def test_manage_names_a_version_that_is_not_there(cloud: Cloud, activities: HostActivities) -> None:
    error = await cloud.fails(activities.run_manage, Action.RUN_MANAGE, **manage("nova-bogus"))
    assert "the version is not installed" in str(error)


async def test_install_and_uninstall(cloud: Cloud, activities: HostActivities) -> None:
    what = {"service": "nova", "version": "34.0.0", "release": "2026.2"}
    installed = await cloud.run(activities.install, Action.INSTALL, **what)
    assert installed.summary == "nova 34.0.0 already installed"
    removed = await cloud.run(activities.uninstall, Action.UNINSTALL, **what)
    assert removed.summary == "nova 34.0.0 removed"
    assert cloud.versions == ["33.0.1"]
