"""Databases, their schemas, and the first identities: what must be there before any service starts."""

from deploy.lab.command import in_parallel, ssh, wait
from deploy.lab.settings import REGION, VIP, Host, LabSpec, Paths, Secrets

DATABASES = ("keystone", "placement", "glance", "nova", "nova_api", "nova_cell0")
# The same user as the services: what a tool leaves behind must be readable by them.
_AS_OPENSTACK = (
    "runuser -u openstack -- env HOME=/var/lib/openstack PYTHONPYCACHEPREFIX=/var/cache/openstack/pycache "
    "PYTHONWARNINGS=ignore /opt/openstack"
)
_KEYSTONE = f"{_AS_OPENSTACK}/keystone/bin/keystone-manage --config-file /etc/keystone/keystone.conf"
_PLACEMENT = f"{_AS_OPENSTACK}/placement/bin/placement-manage --config-file /etc/placement/placement.conf"
_GLANCE = f"{_AS_OPENSTACK}/glance/bin/glance-manage --config-file /etc/glance/glance-api.conf"
_NOVA = f"{_AS_OPENSTACK}/nova/bin/nova-manage --config-file /etc/nova/nova.conf"


def create_databases(paths: Paths, spec: LabSpec, secrets: Secrets) -> None:
    """Wait for MariaDB and make the databases and the user of the services."""
    infra = spec.infra
    wait(
        "MariaDB",
        lambda: ssh(paths, infra, "mysql -e 'SELECT 1' >/dev/null", timeout=20).stderr,
        timeout=60,
        remedy="stackroll lab ssh infra1 journalctl -u mariadb",
    )
    make = [f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8;" for name in DATABASES]
    grant = f"GRANT ALL ON *.* TO openstack@'%' IDENTIFIED BY '{secrets.database}';"
    ssh(paths, infra, f'mysql -e "{" ".join([*make, grant])}"')


def wait_messaging(paths: Paths, spec: LabSpec) -> None:
    """Wait until RabbitMQ takes connections."""
    probe = f"timeout 2 bash -c '</dev/tcp/{VIP}/5672'"
    wait(
        "RabbitMQ",
        lambda: ssh(paths, spec.infra, probe, timeout=20).stderr,
        timeout=90,
        interval=0.5,
        remedy="stackroll lab ssh infra1 journalctl -u rabbitmq-server",
    )


def keystone(paths: Paths, host: Host, secrets: Secrets) -> None:
    """Make Keystone's tables, its keys, the admin and the identity endpoint."""
    url = f"http://{VIP}:5000/v3"
    urls = " ".join(f"--bootstrap-{kind}-url {url}" for kind in ("admin", "internal", "public"))
    user = "--keystone-user openstack --keystone-group openstack"
    ssh(
        paths,
        host,
        f"{_KEYSTONE} db_sync\n{_KEYSTONE} fernet_setup {user}\n{_KEYSTONE} credential_setup {user}\n"
        f"{_KEYSTONE} bootstrap --bootstrap-password {secrets.admin} {urls} --bootstrap-region-id {REGION}\n"
        "systemctl start --no-block keystone",
    )


def placement_and_glance(paths: Paths, host: Host) -> None:
    """Make Placement's and Glance's tables."""
    ssh(paths, host, f"{_PLACEMENT} db sync\n{_GLANCE} db_sync")


def nova(paths: Paths, host: Host, secrets: Secrets) -> None:
    """Make nova's tables and its cells."""
    cell0 = f"mysql+pymysql://openstack:{secrets.database}@{VIP}:3306/nova_cell0?charset=utf8"
    ssh(
        paths,
        host,
        f"{_NOVA} api_db sync\n{_NOVA} cell_v2 map_cell0 --database_connection '{cell0}'\n"
        f"{_NOVA} cell_v2 list_cells | grep -q ' cell1 ' || {_NOVA} cell_v2 create_cell --name cell1\n"
        f"{_NOVA} db sync",
    )


def start(paths: Paths, hosts: tuple[Host, ...], units: tuple[str, ...]) -> None:
    """Enable and start units on hosts, without waiting for them."""
    names = " ".join(units)
    in_parallel(
        lambda host: ssh(paths, host, f"systemctl enable -q {names} 2>&1\nsystemctl start --no-block {names}"), hosts
    )


def map_hosts(paths: Paths, host: Host) -> None:
    """Map new compute hosts to their cell."""
    ssh(paths, host, f"{_NOVA} cell_v2 discover_hosts")
