"""Commands of the services' own tools (``nova-manage``, ``keystone-status`` …) as scripts."""

import shlex
from collections.abc import Sequence
from importlib import resources

from activities.errors import Refused
from activities.packaging import Packaging
from model.actions import ManageParams

USER = "openstack"
BYTECODE = "/var/cache/openstack/pycache"
CONFIG_FILES = {
    "keystone": "/etc/keystone/keystone.conf",
    "glance": "/etc/glance/glance-api.conf",
    "placement": "/etc/placement/placement.conf",
    "nova": "/etc/nova/nova.conf",
}

# keystone-status loads its drivers before it reads any configuration (keystone/cmd/status.py, main), so with keys in
# another than the default place it ends at once, with the status that means "warnings". Here it reads it first.
_KEYSTONE_STATUS = """
import sys
from keystone.cmd import status
from keystone.conf import CONF
backends = getattr(status, "backends", None)
if backends is not None:
    load = backends.load_backends
    def load_configured():
        CONF(sys.argv[1:3], project="keystone")
        load()
        CONF.clear()
    backends.load_backends = load_configured
sys.exit(status.main())
"""
_STARTERS = {"keystone-status": _KEYSTONE_STATUS}

_PRELUDE = """home=$(getent passwd "$user" | cut -d: -f6)
[ -n "$home" ] || { echo "no user $user on this host" >&2; exit 67; }
[ ! -r "$extra" ] && extra= || extra="--config-file $extra"
"""

# As the services' own user: files that the tools make (logs, caches) must be the services' to write.
_SCRIPT = """set -u
tool={tool} user={user} extra={extra}
[ -x "$tool" ] || {{ echo "no $tool on this host: the version is not installed" >&2; exit 127; }}
{prelude}while :; do
    setpriv --reuid="$user" --regid="$user" --init-groups \\
        env HOME="$home" PYTHONPYCACHEPREFIX={bytecode} PYTHONWARNINGS=ignore \\
        "$tool" {starter} --config-file {config} $extra {more}{arguments}
    status=$?
    case " {again} " in *" $status "*) ;; *) exit "$status" ;; esac
    echo "exit status $status: once more"
done
"""

_PROGRAM = """set -u
python={python} user={user} extra={extra}
[ -x "$python" ] || {{ echo "no $python on this host: the version is not installed" >&2; exit 127; }}
{prelude}exec setpriv --reuid="$user" --regid="$user" --init-groups \\
    env HOME="$home" PYTHONPYCACHEPREFIX={bytecode} PYTHONWARNINGS=ignore \\
    "$python" - {arguments} --config-file {config} $extra <<'END_OF_PROGRAM'
{program}END_OF_PROGRAM
"""


def manage_script(packaging: Packaging, params: ManageParams, config: str = "") -> str:
    """Return the script that runs a tool with a version's code and the service's configuration.

    What a file named as ``config`` says counts before that. A status of ``params.again`` makes it run the command once
    more, within the job's time limit.

    Raises:
        Refused: the service's configuration is not known.
    """
    if params.service not in CONFIG_FILES:
        raise Refused(f"the configuration file of {params.service!r} is not known")
    tool, *arguments = params.command
    starter = _STARTERS.get(tool)
    program = "python" if starter else tool
    return _SCRIPT.format(
        prelude=_PRELUDE,
        tool=shlex.quote(packaging.tool(params.service, params.version, program)),
        starter=f"-c {shlex.quote(starter)}" if starter else "",
        user=USER,
        extra=shlex.quote(packaging.release_config(params.service, params.version)),
        bytecode=BYTECODE,
        config=CONFIG_FILES[params.service],
        more=f"--config-file {shlex.quote(config)} " if config else "",
        arguments=shlex.join(arguments),
        again=" ".join(map(str, params.again)),
    )


def did_check(params: ManageParams, output: str) -> bool:
    """Return whether ``<service>-status upgrade check`` came to a result; true of any other command.

    Its exit status for warnings is also the one of a program that broke off.
    """
    return params.command[1:3] != ("upgrade", "check") or "| Result:" in output


def program_script(packaging: Packaging, service: str, version: str, program: str, arguments: Sequence[str]) -> str:
    """Return the script that runs a program of ours with a version's Python and the service's configuration.

    Args:
        packaging: where the version lies.
        service: whose code it uses.
        version: which need not be active.
        program: the text of a module of ``activities.scripts``.
        arguments: its own; those that name the configuration come after them.
    """
    return _PROGRAM.format(
        prelude=_PRELUDE,
        python=shlex.quote(packaging.tool(service, version, "python")),
        user=USER,
        extra=shlex.quote(packaging.release_config(service, version)),
        bytecode=BYTECODE,
        config=CONFIG_FILES[service],
        arguments=shlex.join(arguments),
        program=program,
    )


def program_text(name: str) -> str:
    """Return the text of a module of ``activities.scripts``."""
    return resources.files("activities.scripts").joinpath(f"{name}.py").read_text("utf-8")
