"""Files for the lab's users: clouds.yaml, cloud.yaml, upgrade.yaml."""

from pathlib import Path
from typing import Any

import yaml

from deploy.lab.packages import REPOSITORY
from deploy.lab.settings import REGION, SERVICES, VIP, LabSpec, Paths, Secrets

CLOUD = "lab"


def clouds(secrets: Secrets) -> dict[str, Any]:
    """Return clouds.yaml: the entry lab is the admin, lab-demo an ordinary user."""

    def entry(user: str, password: str, project: str) -> dict[str, Any]:
        auth = {
            "auth_url": f"http://{VIP}:5000/v3",
            "username": user,
            "password": password,
            "project_name": project,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        return {"auth": auth, "region_name": REGION, "identity_api_version": 3}

    return {
        "clouds": {
            CLOUD: entry("admin", secrets.admin, "admin"),
            f"{CLOUD}-demo": entry("demo", secrets.demo, "demo"),
        }
    }


def cloud(spec: LabSpec) -> dict[str, Any]:
    """Return cloud.yaml: what stackroll must know of the lab. Paths are relative to the file."""
    return {
        "cloud": CLOUD,
        "release": spec.release,
        "region": REGION,
        "openstack": {"cloud": CLOUD, "clouds_yaml": "clouds.yaml"},
        "ssh": {"user": "root", "key": "id_ed25519", "known_hosts": "known_hosts"},
        "hosts": {host.name: {"address": host.address, "roles": list(host.roles)} for host in spec.hosts},
        "services": list(SERVICES),
        "packaging": {"adapter": "venv", "root": "/opt/openstack", "repository": REPOSITORY},
        "database": {"adapter": "mariadb", "host": spec.infra.name},
        "load_balancer": {
            "adapter": "haproxy",
            "host": spec.infra.name,
            "socket": "/run/haproxy/admin.sock",
            "hold_map": "/etc/haproxy/hold.map",
            "address": VIP,
        },
    }


def upgrade(spec: LabSpec) -> dict[str, Any] | None:
    """Return upgrade.yaml: the step to the next release, or None from the last one."""
    if spec.next_release is None:
        return None
    return {
        "cloud": "cloud.yaml",
        "to": spec.next_release,
        "max_unavailable": 1,
        "canary": {"count": 1, "healthy_for": "10s"},
        "on_failure": "pause",
        "approvals": {"plan": "auto", "commit": "auto"},
        "soak": "10s",
    }


def write(paths: Paths, spec: LabSpec, secrets: Secrets) -> None:
    """Write all of them into the lab's directory."""
    _write(paths.clouds, clouds(secrets), 0o600)
    _write(paths.state / "cloud.yaml", cloud(spec), 0o644)
    todo = upgrade(spec)
    if todo is not None:
        _write(paths.state / "upgrade.yaml", todo, 0o644)


def _write(path: Path, content: dict[str, Any], mode: int) -> None:
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
