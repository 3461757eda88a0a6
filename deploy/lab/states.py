"""Save the whole cloud and bring it back.

A saved state is one moment of all hosts: every process of every host is frozen, the hosts' upper layers are copied,
and everything goes on. Restoring mounts those copies as read-only layers below new empty uppers and boots, which is
what the hosts would have seen after a power failure at that moment; MariaDB's tables are locked and flushed for it.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from deploy.lab import cgroups, guests, machines, overlay, record
from deploy.lab.command import in_parallel, ssh_args
from deploy.lab.errors import LabError, SpecError
from deploy.lab.record import Record
from deploy.lab.settings import Host, LabSpec, Paths

_FILES = ("id_ed25519", "id_ed25519.pub", "known_hosts", "host-keys", "clouds.yaml", "cloud.yaml", "upgrade.yaml")
_MANIFEST = "manifest.json"


def listing(paths: Paths) -> dict[str, LabSpec]:
    """Return the saved states by name."""
    found = {}
    for manifest in sorted(paths.states.glob(f"*/{_MANIFEST}")):
        if not manifest.parent.name.startswith("."):
            content = json.loads(manifest.read_text())
            found[content["name"]] = LabSpec(**content["spec"])
    return found


def exists(paths: Paths, name: str) -> bool:
    """Tell whether there is a saved state of that name, with all its layers."""
    try:
        saved = _load(paths, name)
    except LabError:
        return False
    return all(layer.is_dir() for chain in saved.chains.values() for layer in chain)


def _directory(paths: Paths, name: str) -> Path | None:
    """Return the newest directory of that name; older ones stay for as long as a chain needs their layers."""
    found = []
    for manifest in paths.states.glob(f"*/{_MANIFEST}"):
        content = json.loads(manifest.read_text())
        if content["name"] == name and not manifest.parent.name.startswith("."):
            found.append((content["saved"], manifest.parent))
    return max(found)[1] if found else None


def _load(paths: Paths, name: str) -> Record:
    directory = _directory(paths, name)
    if directory is None:
        names = ", ".join(listing(paths)) or "none"
        raise SpecError(f"there is no saved state {name!r}; there are: {names}")
    return Record.parse((directory / "lab.json").read_text())


@contextmanager
def _database_at_rest(paths: Paths, host: Host) -> Iterator[None]:
    """Hold MariaDB's tables flushed and locked for as long as the block runs."""
    line = [*ssh_args(paths, host), "mysql --unbuffered --skip-column-names"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        if session.stdin is None or session.stdout is None:
            raise LabError("no pipe to the database client")
        session.stdin.write("FLUSH TABLES WITH READ LOCK; FLUSH LOGS; SELECT 'at rest';\n")
        session.stdin.flush()
        if session.stdout.readline().strip() != "at rest":
            session.kill()
            raise LabError(f"{host.name}: MariaDB took no lock; next: stackroll lab ssh {host.name} mysql")
        try:
            yield
        finally:
            session.stdin.close()


@contextmanager
def _frozen(hosts: tuple[Host, ...]) -> Iterator[None]:
    """Keep all processes of all hosts from running for as long as the block runs."""
    with ExitStack() as stack:
        for host in hosts:
            stack.callback(cgroups.freeze, host.name, False)
            cgroups.freeze(host.name, True)
        yield


def save(paths: Paths, name: str) -> float:
    """Save the running cloud under a name and return for how many seconds it stood still.

    Raises:
        LabError: There is no complete lab, or one of its hosts is down.
        SpecError: The name cannot be a file's name.
    """
    if not name or name.startswith(".") or any(sign in name for sign in "/:,\\ "):
        raise SpecError(f"{name!r} cannot name a saved state; use letters, digits, '-', '_' and '.'")
    current = record.require(paths)
    hosts = current.spec.hosts
    down = [host.name for host in hosts if not machines.running(host)]
    if down or not current.complete:
        raise LabError(f"only a whole lab can be saved; down: {', '.join(down) or 'nothing'}; next: stackroll lab up")
    stamp = str(time.time_ns())
    target = paths.states / f"{name}.{stamp}"
    partial = paths.states / f".{target.name}"
    (partial / "layers").mkdir(parents=True)
    partial.chmod(0o700)
    with _database_at_rest(paths, current.spec.infra), _frozen(hosts):
        began = time.monotonic()
        in_parallel(lambda host: overlay.copy(paths.host(host.name) / "upper", partial / "layers" / host.name), hosts)
        overlay.copy(paths.shared, partial / "shared")
        running = sorted(guests.running(current.spec))
        still = time.monotonic() - began
    _finish(paths, current, name, partial, target, running)
    collect(paths)
    return still


def _finish(paths: Paths, current: Record, name: str, partial: Path, target: Path, running: list[str]) -> None:
    """Write what goes with the layers, and make the saved state visible."""
    (partial / "files").mkdir()
    for file in _FILES:
        if (paths.state / file).exists():
            overlay.copy(paths.state / file, partial / "files")
    chains = {host: [target / "layers" / host, *chain] for host, chain in current.chains.items()}
    kept = Record(current.spec, current.secrets, chains, current.done, name, running)
    (partial / "lab.json").touch(mode=0o600)
    (partial / "lab.json").write_text(kept.dump())
    manifest = {"name": name, "spec": asdict(current.spec), "saved": time.time()}
    (partial / _MANIFEST).write_text(json.dumps(manifest))
    partial.rename(target)


def restore(paths: Paths, name: str) -> Record:
    """Replace the current lab, if any, by a saved state; its hosts are not booted yet when this returns."""
    kept = _load(paths, name)
    directory = _directory(paths, name)
    if directory is None or not exists(paths, name):
        raise SpecError(f"saved state {name!r} lacks layers that were purged; next: stackroll lab up")
    machines.remove_all(paths)
    overlay.discard(paths.state / "hosts")
    overlay.discard(paths.shared)
    paths.state.mkdir(parents=True, exist_ok=True)
    paths.state.chmod(0o711)
    for file in _FILES:
        overlay.discard(paths.state / file)
        if (directory / "files" / file).exists():
            overlay.copy(directory / "files" / file, paths.state / file)
    overlay.copy(directory / "shared", paths.shared)
    kept.save(paths)
    return kept


def collect(paths: Paths) -> None:
    """Delete saved states that a newer one of the same name replaces, or that were forgotten, and nobody stands on."""
    newest = {_directory(paths, name) for name in listing(paths)}
    needed = needed_layers(paths)
    for directory in paths.states.iterdir():
        in_use = directory in newest or any(layer.is_relative_to(directory) for layer in needed)
        if not in_use:
            overlay.discard(directory)


def needed_layers(paths: Paths) -> set[Path]:
    """Return all layers that the lab or a saved state stands on."""
    directories = [_directory(paths, name) for name in listing(paths)]
    current = record.load(paths)
    records = [_read(directory) for directory in directories if directory] + ([current] if current else [])
    return {layer for kept in records for chain in kept.chains.values() for layer in chain}


def _read(directory: Path) -> Record:
    return Record.parse((directory / "lab.json").read_text())


def forget(paths: Paths, name: str) -> None:
    """Delete a saved state; its layers stay for as long as another state, or the lab, stands on them.

    Raises:
        SpecError: There is none of that name.
    """
    _load(paths, name)
    while directory := _directory(paths, name):
        (directory / _MANIFEST).unlink()
    collect(paths)


def drop_outdated(paths: Paths, keep: str) -> None:
    """Delete the pristine states that other code made: nothing will ask for them again."""
    code = keep.rpartition("-")[2]
    for name in listing(paths):
        if name.startswith("pristine-") and name.rpartition("-")[2] != code:
            forget(paths, name)
