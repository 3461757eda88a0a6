import tomllib
from pathlib import Path

import pytest

from deploy.lab import packages, templates
from deploy.lab.errors import LabError
from deploy.lab.settings import RELEASES, SERVICES

EVERY = [(release, service) for release in RELEASES for service in SERVICES]


@pytest.mark.parametrize(("release", "service"), EVERY)
def test_every_lock_is_exact_and_names_no_index(release: str, service: str) -> None:
    lines = packages.lock(release, service).read_text().split()
    assert all("==" in line and "/" not in line for line in lines)
    names = {line.split("==")[0] for line in lines}
    assert {"pyuwsgi", "python-memcached", "pymysql"} <= names
    assert "uwsgi" not in names


@pytest.mark.parametrize(("release", "service"), EVERY)
def test_a_version_belongs_to_one_release(release: str, service: str) -> None:
    assert packages.release_of(service, packages.version(release, service)) == release


def test_versions_are_those_of_the_release() -> None:
    assert [packages.version(release, "nova") for release in RELEASES] == ["31.0.0", "32.1.0", "33.0.1", "34.0.0"]
    assert packages.version("2026.1", "placement") == "15.0.0"
    assert packages.release_of("nova", "30.0.0") is None


def test_a_lock_without_its_own_service_is_refused() -> None:
    with pytest.raises(LabError, match="does not pin nova itself"):
        packages.parse_version("python-novaclient==1\nos-nova==2\n", "nova")


def test_the_contract_with_the_packaging_adapter() -> None:
    assert packages.install_script("2026.2", "nova") == (
        "uv venv -q --python /usr/bin/python3 /opt/openstack/venvs/nova-34.0.0 && "
        "uv pip install -q --python /opt/openstack/venvs/nova-34.0.0/bin/python "
        "--requirement /srv/openstack/2026.2/nova/requirements.txt && "
        "cp -a /srv/openstack/2026.2/nova/files/. /opt/openstack/venvs/nova-34.0.0/ && "
        "touch /opt/openstack/venvs/nova-34.0.0/.complete"
    )
    assert packages.activate_script("2026.2", "nova") == (
        "ln -sfn /opt/openstack/venvs/nova-34.0.0 /opt/openstack/nova"
    )


def test_a_package_holds_lock_and_overlay(tmp_path: Path) -> None:
    packages.write_package(tmp_path / "nova", "2026.1", "nova")
    found = sorted(str(path.relative_to(tmp_path / "nova")) for path in tmp_path.rglob("*") if path.is_file())
    assert found == [
        "files/etc/nova/nova-api-uwsgi.ini",
        "files/etc/nova/release.conf",
        "files/lib/python3.11/site-packages/nova/virt/persistfake.py",
        "requirements.txt",
    ]


def test_the_repository_has_the_versions_that_mend_what_2025_1_is_exposed_to(tmp_path: Path) -> None:
    found = {service: list(packages.point_locks("2025.1", service)) for service in SERVICES}
    assert found == {"keystone": ["27.0.2"], "placement": ["13.0.0+1"], "glance": ["30.2.0"], "nova": ["31.3.1"]}
    for service, versions in found.items():
        packages.write_package(tmp_path / service, "2025.1", service)
        for version in versions:
            text = (tmp_path / service / version / "requirements.txt").read_text()
            assert packages.parse_version(text, service) == version.partition("+")[0]
            assert "://" not in text
            assert "keystonemiddleware==10.9.1" in text


def test_the_guest_driver_is_valid_python() -> None:
    text = templates.release_files("2026.2", "nova")["lib/python3.11/site-packages/nova/virt/persistfake.py"]
    compile(text, "persistfake.py", "exec")
    assert "class PersistFakeDriver(fake.FakeDriverWithoutFakeNodes)" in text


def test_uv_on_the_hosts_is_offline_with_the_same_index() -> None:
    index: dict[str, object] = {
        "index-url": "https://mirror.example/simple",
        "extra-index-url": ["https://more.example/simple"],
        "index": [{"name": "a", "url": "https://a.example", "default": True}],
    }
    host = tomllib.loads(packages.uv_config(index, "/var/cache/uv", offline=True))
    here = tomllib.loads(packages.uv_config(index, "/c/uv", offline=False))
    assert host["offline"] is True
    assert host["link-mode"] == "copy"
    assert {key: host[key] for key in index} == {key: here[key] for key in index} == index


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"UV_DEFAULT_INDEX": "https://a.example"}, {"index-url": "https://a.example"}),
        ({"UV_INDEX_URL": "https://b.example"}, {"index-url": "https://b.example"}),
        ({"PIP_INDEX_URL": "https://c.example"}, {"index-url": "https://c.example"}),
        (
            {"UV_INDEX_URL": "https://b.example", "UV_INDEX": "https://d.example https://e.example"},
            {"index-url": "https://b.example", "extra-index-url": ["https://d.example", "https://e.example"]},
        ),
    ],
)
def test_index_settings_are_the_machines_own(
    environment: dict[str, str], expected: dict[str, object], tmp_path: Path
) -> None:
    assert packages.index_settings({**environment, "XDG_CONFIG_HOME": str(tmp_path)}) == expected


def test_a_uv_configuration_file_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").write_text('index-url = "https://f.example"\nno-build = true\n')
    assert packages.index_settings({"XDG_CONFIG_HOME": str(tmp_path)}) == {"index-url": "https://f.example"}
