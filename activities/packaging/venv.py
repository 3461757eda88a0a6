"""One virtual environment per service and version, in the manner of openstack-ansible.

``<root>/venvs/<service>-<version>`` is made on the host from ``<repository>/<release>/<service>/requirements.txt``, or
from ``.../<service>/<version>/requirements.txt`` where a version (a point release) has a lock of its own;
files beside it (``files/``), or else those of the release, travel with it. The link ``<root>/<service>`` names the
active one, and units start from it. ``.complete`` is written last: an environment without it is a torso of an
earlier try.
"""

import re
import shlex

from activities.packaging import Installed, registry
from model.inventory import Packaging

_INSTALL = """set -eu
venv={venv} source={source}
files="$source/files"
[ ! -f "$source"/{version}/requirements.txt ] || source="$source"/{version}
[ ! -d "$source/files" ] || files="$source/files"
[ ! -f "$venv/.complete" ] || {{ echo "already installed"; exit 0; }}
[ -f "$source/requirements.txt" ] || {{ echo "no $source/requirements.txt on this host" >&2; exit 66; }}
command -v uv >/dev/null || {{ echo "uv is not installed on this host" >&2; exit 69; }}
rm -rf "$venv"
mkdir -p "${{venv%/*}}"
uv venv -q --python /usr/bin/python3 "$venv"
uv pip install -q --python "$venv/bin/python" --requirement "$source/requirements.txt"
[ ! -d "$files" ] || cp -a "$files/." "$venv/"
touch "$venv/.complete"
echo "installed"
"""

# A venv may be in use although it is not active: by a unit that was not restarted.
_UNINSTALL = """set -eu
venv={venv} link={link}
[ -d "$venv" ] || {{ echo "not there"; exit 0; }}
[ "$(readlink -f "$link" || true)" != "$(readlink -f "$venv")" ] || {{ echo "kept: it is the active version"; exit 0; }}
user=$(grep -ls " $venv/" /proc/[0-9]*/maps 2>/dev/null | head -n 1 | cut -d/ -f3)
[ -z "$user" ] || {{ echo "kept: process $user ($(cat "/proc/$user/comm")) runs from it"; exit 0; }}
rm -f "$venv/.complete"
rm -rf "$venv"
echo "removed"
"""

_CHECK = """venv={venv} link={link}
[ -f "$venv/.complete" ] || {{ echo "$venv is not installed, or only in part" >&2; exit 66; }}
"""

_ACTIVATE = """\
ln -sfn "$venv" "$link.new" && mv -T "$link.new" "$link" || exit 73
"""

# Of each environment its name and whether it is complete; of each link what it leads to.
_INSTALLED = """\
root={root}
for venv in "$root"/venvs/*/; do
  venv=${{venv%/}}
  [ -d "$venv" ] && if [ -f "$venv/.complete" ]; then echo "C ${{venv##*/}}"; else echo "T ${{venv##*/}}"; fi
done
for link in "$root"/*; do
  [ ! -L "$link" ] || echo "L $(basename "$(readlink "$link")")"
done
true
"""


@registry.register("venv")
class Venv:
    """Virtual environments side by side, and a link to the active one."""

    def __init__(self, settings: Packaging) -> None:
        self._root = settings.root.rstrip("/")
        self._settings = settings

    def install(self, service: str, version: str, release: str) -> str:
        """Return the script that makes the environment; a complete one is kept, a torso made anew."""
        source, own = self._settings.source(release, service), shlex.quote(version)
        return _INSTALL.format(venv=shlex.quote(self.path(service, version)), source=shlex.quote(source), version=own)

    def uninstall(self, service: str, version: str) -> str:
        """Return the script that removes the environment unless it is active or a process runs from it."""
        return _UNINSTALL.format(**self._places(service, version))

    def check(self, service: str, version: str) -> str:
        """Return the script that looks for the mark of a complete environment."""
        return _CHECK.format(**self._places(service, version))

    def activate(self, service: str, version: str) -> str:
        """Return the script that moves the link, in one step."""
        return self.check(service, version) + _ACTIVATE

    def installed(self) -> str:
        """Return the command that lists the environments and the links to them."""
        return _INSTALLED.format(root=shlex.quote(self._root))

    def parse_installed(self, output: str) -> tuple[Installed, ...]:
        """Return the environments: lines like ``C nova-34.0.0``; T for a torso, L for what a link leads to."""
        lines = [line.partition(" ") for line in output.splitlines()]
        active = {name for kind, _, name in lines if kind == "L"}
        return tuple(
            Installed(service=found[1], version=found[2], whole=kind == "C", active=name in active)
            for kind, _, name in lines
            if kind in {"C", "T"} and (found := re.fullmatch(r"([a-z-]+)-(\d.*)", name))
        )

    def tool(self, service: str, version: str, name: str) -> str:
        """Return the path of a console script."""
        return f"{self.path(service, version)}/bin/{name}"

    def release_config(self, service: str, version: str) -> str:
        """Return the path of the configuration that travels with the version."""
        return f"{self.path(service, version)}/etc/{service}/release.conf"

    def path(self, service: str, version: str) -> str:
        """Return where the environment lies."""
        return f"{self._root}/venvs/{service}-{version}"

    def _places(self, service: str, version: str) -> dict[str, str]:
        return {
            "venv": shlex.quote(self.path(service, version)),
            "link": shlex.quote(f"{self._root}/{service}"),
        }
