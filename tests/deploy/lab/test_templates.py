from configparser import RawConfigParser

import pytest

from deploy.lab import templates
from deploy.lab.settings import CONTROL_UNITS, RELEASES, LabSpec, Secrets

SPEC = LabSpec(control=2, compute=2)
SECRETS = Secrets("dbpw", "rabbitpw", "svcpw", "adminpw", "demopw")


def parsed(text: str) -> RawConfigParser:
    parser = RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def files(name: str) -> dict[str, str]:
    return templates.host_files(SPEC, SPEC.host(name), SECRETS)


@pytest.mark.parametrize("name", ["ctl1", "ctl2", "cmp1"])
def test_nova_knows_its_own_host(name: str) -> None:
    nova = parsed(files(name)["/etc/nova/nova.conf"])
    assert nova["DEFAULT"]["host"] == name
    assert nova["DEFAULT"]["my_ip"] == SPEC.host(name).address
    assert nova["upgrade_levels"]["compute"] == "auto"
    assert nova["keystone_authtoken"]["memcached_servers"] == "10.97.0.10:11211"


def test_compute_hosts_have_no_database() -> None:
    compute, control = (parsed(files(name)["/etc/nova/nova.conf"]) for name in ("cmp1", "ctl1"))
    assert not compute.has_section("database")
    assert not compute.has_section("api_database")
    assert compute["DEFAULT"]["compute_driver"] == "persistfake.PersistFakeDriver"
    assert compute["DEFAULT"]["resume_guests_state_on_host_boot"] == "true"
    assert control["wsgi"]["api_paste_config"] == "/opt/openstack/nova/etc/nova/api-paste.ini"
    assert "compute_driver" not in control["DEFAULT"]


def test_compute_hosts_with_real_guests_run_them_under_libvirt() -> None:
    spec = LabSpec(compute=2, hypervisor="qemu")
    found = templates.host_files(spec, spec.host("cmp2"), SECRETS)
    nova = parsed(found["/etc/nova/nova.conf"])
    assert nova["DEFAULT"]["compute_driver"] == "libvirt.LibvirtDriver"
    # A guest that a reboot has ended must not look as if it had been moved away in time.
    assert nova["DEFAULT"]["resume_guests_state_on_host_boot"] == "false"
    assert nova["libvirt"]["virt_type"] == "qemu"
    assert nova["libvirt"]["live_migration_inbound_addr"] == "10.97.0.22"
    assert nova["workarounds"]["disable_deep_image_inspection"] == "true"
    assert nova["nova_sys_admin"]["helper_command"].startswith("sudo /opt/openstack/nova/bin/privsep-helper ")
    unit = found["/etc/systemd/system/nova-compute.service"]
    assert " PYTHONPATH=/opt/libvirt-python\n" in unit
    assert "After=network.target lab-wait.service libvirtd.service\n" in unit


def test_control_hosts_are_the_same_whatever_runs_the_guests() -> None:
    real = LabSpec(control=2, compute=2, hypervisor="qemu")
    assert templates.host_files(real, real.host("ctl1"), SECRETS) == files("ctl1")
    assert "libvirt" not in "".join(files("cmp1").values())


@pytest.mark.parametrize("unit", [*CONTROL_UNITS, "nova-compute"])
def test_units_run_the_active_environment_as_an_ordinary_user(unit: str) -> None:
    service = parsed(templates.unit_file(unit).replace("Environment", "Environment_", 1))["Service"]
    assert service["ExecStart"].startswith(f"/opt/openstack/{templates.service_of(unit)}/bin/")
    assert service["User"] == "openstack"
    assert int(service["TimeoutStopSec"]) >= 70


@pytest.mark.parametrize("unit", ["nova-conductor", "nova-scheduler", "nova-compute"])
def test_nova_reads_what_belongs_to_its_release(unit: str) -> None:
    assert "--config-file /opt/openstack/nova/etc/nova/release.conf" in templates.unit_file(unit)


@pytest.mark.parametrize("release", RELEASES)
def test_only_the_release_that_sleeps_blindly_gets_short_timeouts(release: str) -> None:
    text = templates.release_files(release, "nova")["etc/nova/release.conf"]
    assert ("manager_shutdown_timeout = 2\n" in text) == (release == "2026.1")
    parsed(text)


@pytest.mark.parametrize(
    ("release", "unit", "shape"),
    [
        ("2025.1", "nova-api", (3, 1)),
        ("2025.2", "nova-api", (3, 1)),
        ("2026.1", "nova-api", (2, 4)),
        ("2025.1", "keystone", (2, 4)),
    ],
)
def test_an_api_patched_by_eventlet_runs_without_threads(release: str, unit: str, shape: tuple[int, int]) -> None:
    service = templates.service_of(unit)
    ini = parsed(templates.release_files(release, service)[f"etc/{service}/{unit}-uwsgi.ini"])["uwsgi"]
    assert (int(ini["processes"]), int(ini["threads"])) == shape
    assert "procname" not in "".join(ini)


def test_the_load_balancer_has_every_control_host_and_can_hold_writes() -> None:
    config = files("infra1")["/etc/haproxy/haproxy.cfg"]
    for unit, port in templates.PORTS.items():
        section = config.split(f"listen {unit}\n")[1].split("\nlisten")[0].split("\nfrontend")[0]
        assert f"bind 10.97.0.10:{port}" in section
        assert "http-request lua.hold_writes if { method POST PUT PATCH DELETE }" in section
        assert f"server ctl1 10.97.0.11:{port}" in section
        assert f"server ctl2 10.97.0.12:{port}" in section
    assert files("infra1")["/etc/haproxy/hold.map"].split() == [
        "keystone", "0", "placement", "0", "glance", "0", "nova-api", "0",
    ]  # fmt: skip


def test_names_and_addresses_are_in_every_hosts_file() -> None:
    for host in SPEC.hosts:
        assert "10.97.0.22 cmp2\n" in files(host.name)["/etc/hosts"]
        assert files(host.name)["/etc/hostname"] == f"{host.name}\n"


def test_no_password_reaches_a_host_that_does_not_need_it() -> None:
    compute = "".join(files("cmp1").values())
    assert "dbpw" not in compute
    assert "adminpw" not in compute + "".join(files("infra1").values())
