"""What runs on a host: the reading of what it prints."""

import pytest

from activities.running import parse_units, version_in

ROOT = "/opt/openstack"
OUTPUT = """\
U nova-api active 0 Mon 2026-11-23 00:06:39 UTC
P nova-api 11 /opt/openstack/nova/bin/pyuwsgi
P nova-api 11 /opt/openstack/venvs/nova-33.0.1/lib/python3.11/site-packages
P nova-api 12 /opt/openstack/venvs/nova-33.0.1/lib/python3.11/site-packages
U nova-conductor active 3 Mon 2026-11-23 00:07:05 UTC
P nova-conductor 21 /opt/openstack/venvs/nova-33.0.1/bin
P nova-conductor 22 /opt/openstack/venvs/nova-34.0.0/bin
U nova-scheduler failed 5
U glance active 0 Mon 2026-11-23 00:06:39 UTC
"""


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/opt/openstack/venvs/nova-33.0.1/bin/python", "33.0.1"),
        ("/opt/openstack/nova-33.0.1/lib/python3.11/site-packages/greenlet", "33.0.1"),
        ("/opt/openstack/venvs/nova-33.0.1", "33.0.1"),
        ("/opt/openstack/nova/bin/nova-compute", None),
        ("/opt/openstack/venvs/glance-32.0.0/bin/python", None),
        ("/usr/lib/python3/nova-33.0.1/x", None),
    ],
)
def test_the_version_that_a_file_belongs_to(path: str, version: str | None) -> None:
    assert version_in(path, ROOT, "nova") == version


def test_units() -> None:
    units = parse_units(OUTPUT, ROOT)
    assert {name: unit.version for name, unit in units.items()} == {
        "nova-api": "33.0.1",
        "nova-conductor": "33.0.1+34.0.0",
        "nova-scheduler": None,
        "glance": None,
    }
    assert units["nova-conductor"].restarts == 3
    assert units["nova-api"].since == "Mon 2026-11-23 00:06:39 UTC"
