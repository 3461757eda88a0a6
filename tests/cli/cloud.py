"""A small cloud in files, for tests that read them."""

from pathlib import Path

CLOUD = """\
cloud: lab
release: "2025.2"
openstack:
  cloud: admin
  clouds_yaml: clouds.yaml
ssh:
  user: stackroll
  key: id_ed25519
  known_hosts: known_hosts
hosts:
  infra:
    address: 10.0.0.1
    roles: [database, load-balancer, messaging]
  control-1:
    address: 10.0.0.11
    roles: [control]
  control-2:
    address: 10.0.0.12
    roles: [control]
  compute-1:
    address: 10.0.0.21
    roles: [compute]
  compute-2:
    address: 10.0.0.22
    roles: [compute]
    zone: az-b
database:
  host: infra
load_balancer:
  host: infra
  address: 10.0.0.1
"""

UPGRADE = """\
cloud: cloud.yaml
to: "2026.1"
max_unavailable: 1
soak: 30s
"""

CLOUDS_YAML = """\
clouds:
  admin:
    auth: {auth_url: "http://10.0.0.1/identity"}
  demo:
    auth: {auth_url: "http://10.0.0.1/identity"}
"""


def write_files(folder: Path, *, cloud: str = CLOUD, upgrade: str = UPGRADE) -> Path:
    """Write the files of the cloud into the folder and return the path of ``upgrade.yaml``."""
    (folder / "cloud.yaml").write_text(cloud)
    (folder / "upgrade.yaml").write_text(upgrade)
    (folder / "clouds.yaml").write_text(CLOUDS_YAML)
    (folder / "id_ed25519").write_text("key")
    (folder / "known_hosts").write_text("hosts")
    return folder / "upgrade.yaml"
