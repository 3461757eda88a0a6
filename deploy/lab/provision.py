"""Lay a host's own files into its root before its first boot: identity, keys, configuration, units."""

import secrets as random
from pathlib import Path

from deploy.lab import overlay, templates
from deploy.lab.command import run
from deploy.lab.settings import NETWORK, OPENSTACK_UID, Host, LabSpec, Paths, Secrets

_SECRET_MODE = 0o640
# Root's key on compute hosts with real guests: libvirt there calls libvirt on the target of a live migration.
_MIGRATION_KEY = "migration"


def make_keys(paths: Paths, spec: LabSpec) -> None:
    """Make root's key for the lab and every host's own key; known_hosts then holds what each host really has."""
    keys = paths.state / "host-keys"
    keys.mkdir(parents=True, exist_ok=True)
    keys.chmod(0o700)
    if not paths.key.exists():
        _keygen(paths.key, "stackroll lab")
    for host in spec.hosts:
        if not (keys / host.name).exists():
            _keygen(keys / host.name, f"root@{host.name}")
    if spec.hypervisor == "qemu" and not (keys / _MIGRATION_KEY).exists():
        _keygen(keys / _MIGRATION_KEY, "live migration")
    lines = [f"{host.name},{host.address} {_public(keys / host.name)}" for host in spec.hosts]
    paths.known_hosts.write_text("\n".join(lines) + "\n")


def _keygen(path: Path, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def _public(path: Path) -> str:
    kind, key = path.with_name(f"{path.name}.pub").read_text().split()[:2]
    return f"{kind} {key}"


def make_shared(paths: Paths) -> None:
    """Make the directories that the control hosts share: Keystone's keys, Glance's images."""
    for name in ("keys", "images/images", "images/staging", "images/tasks"):
        (paths.shared / name).mkdir(parents=True, exist_ok=True)
    paths.uv_cache.mkdir(parents=True, exist_ok=True)
    run(["chown", "-R", f"{OPENSTACK_UID}:{OPENSTACK_UID}", str(paths.shared)])


def provision(paths: Paths, spec: LabSpec, host: Host, secrets: Secrets, chain: list[Path]) -> None:
    """Make a host's root from its layers, with its own configuration on top."""
    root = overlay.mount(paths.host(host.name), chain)
    for name, text in templates.host_files(spec, host, secrets).items():
        _write(root, name, text, private=secrets_in(text, secrets))
    _identify(paths, host, root)


def secrets_in(text: str, secrets: Secrets) -> bool:
    """Tell whether a file's text holds one of the lab's passwords."""
    return any(word in text for word in vars(secrets).values())


def _write(root: Path, name: str, text: str, *, private: bool) -> None:
    target = root / name.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(_SECRET_MODE if private else 0o644)
    group = OPENSTACK_UID if private else 0
    if private and "rabbitmq" in name:
        group = _group(root, "rabbitmq")
    run(["chown", f"0:{group}", str(target)])


def _group(root: Path, name: str) -> int:
    lines = (line.split(":") for line in (root / "etc/group").read_text().splitlines())
    return next(int(fields[2]) for fields in lines if fields[0] == name)


def _identify(paths: Paths, host: Host, root: Path) -> None:
    """Give the host what makes it itself and must outlive a reboot."""
    machine_id = root / "etc/machine-id"
    if not machine_id.read_text().strip():
        # Fixed before the first boot: journalctl finds earlier boots by it.
        machine_id.write_text(f"{random.token_hex(16)}\n")
    keys = paths.state / "host-keys" / host.name
    for suffix in ("", ".pub"):
        target = root / f"etc/ssh/ssh_host_ed25519_key{suffix}"
        target.write_text(keys.with_name(f"{keys.name}{suffix}").read_text())
        target.chmod(0o644 if suffix else 0o600)
    authorized = root / "root/.ssh/authorized_keys"
    authorized.write_text(paths.key.with_name(f"{paths.key.name}.pub").read_text())
    authorized.chmod(0o600)
    if host.hypervisor == "qemu":
        _let_migrate(paths, root, authorized)


def _let_migrate(paths: Paths, root: Path, authorized: Path) -> None:
    """Let root on this compute host log in on the others, whose keys it knows."""
    key = paths.state / "host-keys" / _MIGRATION_KEY
    own = root / "root/.ssh/id_ed25519"
    own.touch(mode=0o600)
    own.write_text(key.read_text())
    with authorized.open("a") as lines:
        lines.write(f'from="{NETWORK}.0/24" {_public(key)}\n')
    (root / "etc/ssh/ssh_known_hosts").write_text(paths.known_hosts.read_text())
