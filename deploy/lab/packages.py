"""The OpenStack packages: locks, the repository the hosts see, and uv's cache that stands behind it.

The contract with stackroll's `venv` packaging adapter is in `install_script`: the same commands, run on a host without
a network, make a virtual environment from `/srv/openstack/RELEASE/SERVICE`.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

import uv

from deploy.lab import overlay, templates
from deploy.lab.command import run
from deploy.lab.errors import LabError
from deploy.lab.settings import RELEASES, SERVICES, Paths, digest

REPOSITORY = "/srv/openstack"
VENVS = "/opt/openstack/venvs"
HOST_UV_CACHE = "/var/cache/uv"
PYCACHE = "/var/cache/openstack/pycache"
_LOCKS = Path(__file__).parent / "locks"
# Name on the package index, where it is not the service's own.
_DISTRIBUTIONS = {"placement": "openstack-placement"}
_SYSTEM_PYTHON = Path("/usr/bin/python3")


def lock(release: str, service: str) -> Path:
    """Return the lock file of a service."""
    return _LOCKS / release / f"{service}.txt"


def point_locks(release: str, service: str) -> dict[str, Path]:
    """Return the lock files of the later versions of a service in a release that the repository has, by version.

    ``+1`` behind a version: the service itself is the same, what it is made with is newer.
    """
    return {path.stem: path for path in sorted((_LOCKS / release / service).glob("*.txt"))}


def parse_version(text: str, service: str) -> str:
    """Return the version of the service itself that a lock pins.

    Raises:
        LabError: The lock does not pin it.
    """
    name = re.escape(_DISTRIBUTIONS.get(service, service))
    if match := re.search(rf"^{name}==(\S+)$", text, re.MULTILINE):
        return match[1]
    raise LabError(f"the lock of {service} does not pin {service} itself; next: restore it from git")


def version(release: str, service: str) -> str:
    """Return the version of a service in a release, for instance 33.0.1 for nova in 2026.1."""
    return parse_version(lock(release, service).read_text(), service)


def release_of(service: str, wanted: str) -> str | None:
    """Return the release to which a version of a service belongs, or None."""
    return next((release for release in RELEASES if version(release, service) == wanted), None)


def venv(release: str, service: str) -> str:
    """Return the path of a service's virtual environment on a host."""
    return f"{VENVS}/{service}-{version(release, service)}"


def install_script(release: str, service: str) -> str:
    """Return the shell commands that install a service on a host: THE CONTRACT with the venv packaging adapter."""
    path, source = venv(release, service), f"{REPOSITORY}/{release}/{service}"
    return (
        f"uv venv -q --python /usr/bin/python3 {path} && "
        f"uv pip install -q --python {path}/bin/python --requirement {source}/requirements.txt && "
        f"cp -a {source}/files/. {path}/ && touch {path}/.complete"
    )


def activate_script(release: str, service: str) -> str:
    """Return the shell command that makes an installed service the active one."""
    return f"ln -sfn {venv(release, service)} /opt/openstack/{service}"


def build_repository(paths: Paths) -> None:
    """Write what the hosts see as /srv/openstack: all releases, each with lock and overlay files."""
    overlay.discard(paths.repository)
    for release in RELEASES:
        for service in SERVICES:
            write_package(paths.repository / release / service, release, service)


def write_package(directory: Path, release: str, service: str) -> None:
    """Write one service of one release: requirements.txt and files/, and a directory of the kind per later version."""
    directory.mkdir(parents=True)
    (directory / "requirements.txt").write_text(lock(release, service).read_text())
    for name, text in templates.release_files(release, service).items():
        target = directory / "files" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for point, path in point_locks(release, service).items():
        (directory / point).mkdir()
        (directory / point / "requirements.txt").write_text(path.read_text())


def index_settings(environment: Mapping[str, str] = os.environ) -> dict[str, object]:
    """Return this machine's own package index settings, as uv.toml keys.

    uv's settings come first; without any, pip's index serves, so that a machine set up for pip needs nothing more.
    """
    found: dict[str, object] = {}
    home = Path(environment.get("XDG_CONFIG_HOME", Path.home() / ".config"))
    for path in (Path("/etc/uv/uv.toml"), home / "uv" / "uv.toml"):
        if path.exists():
            keys = ("index", "index-url", "extra-index-url", "find-links", "index-strategy")
            found |= {key: value for key, value in tomllib.loads(path.read_text()).items() if key in keys}
    url = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    if not found and not url:
        url = environment.get("PIP_INDEX_URL") or _pip_index()
    if url:
        found["index-url"] = url
    extra = (environment.get("UV_INDEX") or environment.get("UV_EXTRA_INDEX_URL") or "").split()
    if extra:
        found["extra-index-url"] = extra
    return found


def _pip_index() -> str:
    if shutil.which("pip3") is None:
        return ""
    return run(["pip3", "config", "get", "global.index-url"], check=False).stdout.strip()


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def uv_config(settings: Mapping[str, object], cache: str, *, offline: bool) -> str:
    """Return a uv.toml. Both sides need the same index settings: uv files its cache by index."""
    # On a host the cache is another file system than the root; on this machine a warm-up need not copy anything.
    mode = "copy" if offline else "hardlink"
    keys = {**settings, "offline": offline, "cache-dir": cache, "link-mode": mode, "python-downloads": "never"}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())


def host_uv_config() -> str:
    """Return /etc/uv/uv.toml of a host."""
    return uv_config(index_settings(), HOST_UV_CACHE, offline=True)


def uv_binary() -> Path:
    """Return the uv program of this virtual environment."""
    return Path(uv.find_uv_bin())


def warm(paths: Paths, release: str) -> bool:
    """Download everything a release needs into uv's cache, by installing it once; tell whether that was necessary."""
    wanted = [(service, lock(release, service)) for service in SERVICES]
    wanted += [(service, path) for service in SERVICES for path in point_locks(release, service).values()]
    todo = [(service, path) for service, path in wanted if not _marker(paths, release, service, path).exists()]
    for service, path in todo:
        _warm_service(paths, release, service, path)
    return bool(todo)


def _marker(paths: Paths, release: str, service: str, wanted: Path) -> Path:
    key = digest(wanted.read_text(), sorted(index_settings().items()), uv_binary().stat().st_size)
    return paths.cache / "warm" / f"{service}-{release}-{key}"


def _warm_service(paths: Paths, release: str, service: str, wanted: Path) -> None:
    if not _SYSTEM_PYTHON.exists():
        raise LabError(f"{_SYSTEM_PYTHON} is missing, and the hosts run Debian's Python; next: apt-get install python3")
    work = paths.cache / "warm" / f".{service}-{release}"
    overlay.discard(work)
    work.mkdir(parents=True)
    config = work / "uv.toml"
    config.write_text(uv_config(index_settings(), str(paths.uv_cache), offline=False))
    # Settings from the environment are in the file already; twice they might not be the same cache key.
    env = {"UV_CONFIG_FILE": str(config)}
    tool = str(uv_binary())
    target = str(work / "venv")
    run([tool, "venv", "-q", "--python", str(_SYSTEM_PYTHON), target], env=env)
    run(
        [tool, "pip", "install", "-q", "--python", f"{target}/bin/python", "--requirement", str(wanted)],
        env=env,
        timeout=1800,
        remedy="check that this machine reaches its Python package index, then run it again",
    )
    overlay.discard(work)
    _marker(paths, release, service, wanted).touch()
