"""Files for the users of a simulated cloud: the same ones as a lab's."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from model.inventory import KNOWN_SERVICES, Role
from simulator.settings import CLOUD, HOLD_MAP, PACKAGES, PASSWORD, REGION, REPOSITORY, SOCKET, SimSpec


def clouds(spec: SimSpec) -> dict[str, Any]:
    """Return clouds.yaml: an administrator and an ordinary user."""

    def entry(user: str) -> dict[str, Any]:
        auth = {
            "auth_url": f"http://{spec.vip}:5000/v3",
            "username": user,
            "password": PASSWORD,
            "project_name": user,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        return {"auth": auth, "region_name": REGION, "identity_api_version": 3}

    return {"clouds": {CLOUD: entry("admin"), f"{CLOUD}-demo": entry("demo")}}


def cloud(spec: SimSpec) -> dict[str, Any]:
    """Return cloud.yaml. Paths are relative to the file."""
    return {
        "cloud": CLOUD,
        "release": spec.release,
        "region": REGION,
        "openstack": {"cloud": CLOUD, "clouds_yaml": "clouds.yaml"},
        "ssh": {"user": "root", "key": "id_ed25519", "known_hosts": "known_hosts", "port": spec.ssh_port},
        "hosts": {m.name: {"address": m.address, "roles": [str(role) for role in m.roles]} for m in spec.machines},
        "services": list(KNOWN_SERVICES),
        "packaging": {"adapter": "venv", "root": PACKAGES, "repository": REPOSITORY},
        "database": {"adapter": "mariadb", "host": spec.first(Role.DATABASE)},
        "load_balancer": {
            "adapter": "haproxy",
            "host": spec.first(Role.LOAD_BALANCER),
            "socket": SOCKET,
            "hold_map": HOLD_MAP,
            "address": spec.vip,
        },
    }


def upgrade(spec: SimSpec) -> dict[str, Any] | None:
    """Return upgrade.yaml: the step to the next release, or None from the last one."""
    if spec.next_release is None:
        return None
    return {
        "cloud": "cloud.yaml",
        "to": spec.next_release,
        "max_unavailable": max(1, min(10, spec.compute // 5)),
        "canary": {"count": 1, "healthy_for": "2s"},
        "on_failure": "pause",
        "approvals": {"plan": "auto", "commit": "auto"},
        "soak": "2s",
    }


def reboot(spec: SimSpec) -> dict[str, Any]:
    """Return reboot.yaml: every compute host, without anybody being asked."""
    return {
        "cloud": "cloud.yaml",
        "reboot": "always",
        "max_unavailable": max(1, min(10, spec.compute // 5)),
        "canary": {"count": 1, "healthy_for": "2s"},
        "approvals": {"plan": "auto", "canary": "auto"},
    }


def write(folder: Path, spec: SimSpec) -> None:
    """Write all of them."""
    content: dict[str, dict[str, Any] | None] = {"clouds.yaml": clouds(spec), "cloud.yaml": cloud(spec)}
    content |= {"upgrade.yaml": upgrade(spec), "reboot.yaml": reboot(spec)}
    for name, data in content.items():
        path = folder / name
        path.unlink(missing_ok=True)
        if data is not None:
            path.touch(mode=0o600)
            with path.open("w", encoding="utf-8") as file:
                YAML(typ="safe", pure=True).dump(data, file)
