"""What is read beside the units before an upgrade: the hosts' own state, database, message queue, balancer, tools.

Nothing here changes anything. ``model.readiness`` judges what is read.
"""

import asyncio
import shlex
import ssl
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

from activities import openstack
from activities.balancer import balancer_of
from activities.databases import revisions, shipped
from activities.errors import StepFailed, Unreachable
from activities.manage import CONFIG_FILES, did_check, manage_script
from activities.packaging import packaging_of
from activities.ssh import Hosts
from model.actions import ManageParams
from model.components import DATABASES, api_url, apis, components_on
from model.inventory import Inventory, Role
from model.readiness.databases import DatabaseState, ServiceVersion, judge_schemas
from model.readiness.findings import error
from model.readiness.hosts import HostState
from model.readiness.services import judge_backends, judge_certificate, judge_queues, judge_upgrade_check
from model.spec import UpgradeRequest
from model.work import Finding, HostFacts

DUMP_FOLDER = "/var/lib/stackroll"
CHECK_LIMIT = 180.0
# glance's own check breaks on any cloud (workflows/services/glance.py).
_WITH_CHECK = ("keystone", "placement", "nova")
_OPTIONS = {
    "nova": ("upgrade_levels compute", "service_user send_service_user_token"),
    "keystone": ("token expiration",),
}
_REPOSITORIES = {"fernet": "fernet_tokens", "credential": "credential"}

# Each line begins with what it is: ID machine id, NT time server, RB reboot, PK package, V version, KY keys, OP option,
# LK lock file, PN version in it, RM room. The keys themselves never leave the host.
_HOST = """
echo "ID $(cat /etc/machine-id 2>/dev/null)"
echo "NT $(timedatectl show -p NTPSynchronized --value 2>/dev/null)"
[ ! -e /run/reboot-required ] || echo "RB yes"
dpkg-query -W -f '${{db:Status-Abbrev}} ${{Package}}\\n' 2>/dev/null |
    awk '$1 !~ /^(ii|hi|rc|un|pn)$/ {{ print "PK " $2 }}'
( {installed} ) | sed 's/^/V /'
option() {{
    awk -v section="[$2]" -v key="$3" '/^\\[/ {{ here = $1 == section }}
        here && /=/ {{ name = $0; sub(/[ \\t]*=.*/, "", name)
            if (name == key) {{ sub(/^[^=]*=[ \\t]*/, ""); sub(/[ \\t]+$/, ""); print }} }}' "$1" 2>/dev/null |
        tail -n 1
}}
keys() {{
    place=$(option "$3" "$2" key_repository); place=${{place:-${{3%/*}}/$1-keys}}
    found=$(cd "$place" 2>/dev/null && find . -maxdepth 1 -type f -name '[0-9]*' | sort)
    sum=$(cd "$place" 2>/dev/null && sha256sum $found </dev/null | sha256sum | cut -c1-16)
    echo "KY $1 $sum $(echo $found | wc -w)"
}}
{lock_of}
lock() {{
    [ -f "$2" ] || return 0
    echo "LK $1 $(sha256sum <"$2" | cut -c1-16)"
    echo "PN $1 $(sed -nE "s/^$3==([^ ;]+).*/\\1/p" "$2" | head -n 1)"
}}
{more}
"""


# A version's own lock file where there is one, else that of the release.
_LOCK_OF = """\
lock_of() { [ -f "$1/$2/requirements.txt" ] && echo "$1/$2/requirements.txt" || echo "$1/requirements.txt"; }"""


def state_command(request: UpgradeRequest, host: str) -> str:
    """Return the shell command that prints what ``parse_state`` reads. It changes nothing."""
    inventory, components = request.inventory, components_on(request.inventory, host)
    services = sorted({component.service for component in components})
    more = [
        f'[ ! -r {CONFIG_FILES[service]} ] || echo "OP {service} {option} $(option {CONFIG_FILES[service]} {option})"'
        for service in services
        for option in _OPTIONS.get(service, ())
    ]
    if "keystone" in services:
        more += [f"keys {name} {section} {CONFIG_FILES['keystone']}" for name, section in _REPOSITORIES.items()]
    for service in [name for name in services if name in request.services]:
        package = "openstack-placement" if service == "placement" else service
        more.append(f"lock {service} {_lock(request, service)} {package}")
    if host == inventory.database.host:
        free = "df -PB1 \"$place\" | awk 'NR == 2 { print $4 }'"
        more.append(
            f'place={DUMP_FOLDER}; while [ ! -d "$place" ]; do place=$(dirname "$place"); done\n'
            f'echo "RM {DUMP_FOLDER} $({free})"'
        )
    return _HOST.format(
        lock_of=_LOCK_OF,
        installed=packaging_of(inventory).installed() if components else ":",
        more="\n".join(more),
    )


def _lock(request: UpgradeRequest, service: str) -> str:
    """Return the words that a shell reads as the path of a service's lock file."""
    place = shlex.quote(request.inventory.packaging.source(request.spec.to, service))
    if service in request.spec.versions:
        return f'"$(lock_of {place} {shlex.quote(request.spec.versions[service])})"'
    return f"{place}/requirements.txt"


def parse_state(output: str, inventory: Inventory) -> HostState:
    """Return what a host has printed; what is not there is not known."""
    lines: dict[str, list[str]] = {}
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        lines.setdefault(kind, []).append(rest.strip())
    installed = packaging_of(inventory).parse_installed("\n".join(lines.get("V", [])))
    synchronised = next(iter(lines.get("NT", [])), "")
    split = {kind: [rest.split() for rest in lines.get(kind, [])] for kind in ("KY", "LK", "PN", "RM")}
    options = (rest.split(maxsplit=3) for rest in lines.get("OP", []))
    return HostState(
        machine=next(iter(lines.get("ID", [])), ""),
        synchronised={"yes": True, "no": False}.get(synchronised),
        reboot_required="RB" in lines,
        broken=tuple(lines.get("PK", [])),
        whole=tuple((one.service, one.version) for one in installed if one.whole),
        torsos=tuple((one.service, one.version) for one in installed if not one.whole),
        keys={words[0]: (words[1], int(words[2])) for words in split["KY"] if len(words) == 3},
        options={" ".join(words[:3]): words[3] if len(words) > 3 else "" for words in options},
        locks={words[0]: words[1] for words in split["LK"] if len(words) == 2},
        pins={words[0]: words[1] for words in split["PN"] if len(words) == 2},
        room={words[0]: int(words[1]) for words in split["RM"] if len(words) == 2 and words[1].isdigit()},
    )


async def read_database(hosts: Hosts, inventory: Inventory) -> DatabaseState:
    """Read sizes, cluster, cells, service records and work in progress from the database server, in one question.

    Raises:
        StackrollError: as of ``Hosts.run``; or the server refuses the question.
    """
    client = '"$(command -v mariadb || command -v mysql)"'
    query = ";\n".join(_queries(inventory))
    command = f"{client} --batch --skip-column-names --execute {shlex.quote(query)}"
    done = await hosts.run(inventory, inventory.database.host, command)
    rows: dict[str, list[list[str]]] = {}
    for line in done.stdout.splitlines():
        kind, *values = line.split("\t")
        rows.setdefault(kind, []).append(values)
    return DatabaseState(
        bytes={name: int(float(size)) for name, size in rows.get("size", []) if size != "NULL"},
        cluster={name.lower(): value for name, value in rows.get("status", [])},
        cells=tuple(name for (name,) in rows.get("cell", [])),
        records=tuple(ServiceVersion(binary, host, int(version)) for binary, host, version in rows.get("record", [])),
        images=tuple((id_, status) for id_, status in rows.get("image", [])),
        tasks=tuple((id_, status) for id_, status in rows.get("task", [])),
    )


def _queries(inventory: Inventory) -> list[str]:
    schemas = ", ".join(f"'{schema}'" for service in inventory.services for schema in DATABASES[service])
    queries = [
        (
            "SELECT 'size', table_schema, SUM(data_length + index_length) FROM information_schema.tables "  # noqa: S608
            f"WHERE table_schema IN ({schemas}) GROUP BY table_schema"
        ),
        (
            "SELECT 'status', variable_name, variable_value FROM information_schema.global_status "
            "WHERE variable_name LIKE 'wsrep%'"
        ),
    ]
    if "nova" in inventory.services:
        queries += [
            (
                "SELECT 'cell', COALESCE(name, uuid) FROM nova_api.cell_mappings "
                "WHERE uuid <> '00000000-0000-0000-0000-000000000000'"
            ),
            "SELECT 'record', `binary`, host, version FROM nova.services WHERE deleted = 0",
        ]
    if "glance" in inventory.services:
        queries += [
            (
                "SELECT 'image', id, status FROM glance.images "
                "WHERE deleted = 0 AND status IN ('saving', 'uploading', 'importing')"
            ),
            "SELECT 'task', id, status FROM glance.tasks WHERE deleted = 0 AND status IN ('pending', 'processing')",
        ]
    return queries


async def check_backends(hosts: Hosts, inventory: Inventory) -> tuple[Finding, ...]:
    """Ask the balancer for its instances: every API on every control host gets requests."""
    balancer, place = balancer_of(inventory), inventory.load_balancer.host
    done = await hosts.run(inventory, place, balancer.servers())
    servers = balancer.parse_servers(done.stdout)
    return judge_backends(
        inventory,
        [(server.backend, server.name, server.status) for server in servers],
        up={(server.backend, server.name) for server in servers if server.up},
    )


QUEUES = """\
command -v rabbitmqctl >/dev/null || exit 0
timeout 40 rabbitmqctl -q list_queues --no-table-headers name consumers 2>&1 | sed 's/^/Q /'
timeout 40 rabbitmq-diagnostics -q check_alarms >/dev/null 2>&1 || echo "A alarm raised, or no answer"
"""


async def check_queues(hosts: Hosts, inventory: Inventory) -> tuple[Finding, ...]:
    """Ask RabbitMQ on the first messaging host for alarms, and who listens on nova's queues."""
    places = inventory.with_role(Role.MESSAGING)
    if not places:
        return ()
    done = await hosts.run(inventory, places[0], QUEUES, check=False, timeout=CHECK_LIMIT)
    rows = [line.removeprefix("Q ").split("\t") for line in done.stdout.splitlines() if line.startswith("Q ")]
    consumers = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
    alarms = [line.removeprefix("A ") for line in done.stdout.splitlines() if line.startswith("A ")]
    return judge_queues(inventory, consumers, alarms)


async def check_schemas_now(hosts: Hosts, inventory: Inventory, facts: dict[str, HostFacts]) -> tuple[Finding, ...]:
    """Compare each schema with what the code that runs on the first control host ships."""
    first = inventory.with_role(Role.CONTROL)[0]
    versions = _running(inventory, facts, first)
    found = await revisions(hosts, inventory)
    code = await shipped(hosts, inventory, found, versions)
    return judge_schemas(found, code, inventory.release)


async def ask_services(
    hosts: Hosts, request: UpgradeRequest, states: dict[str, HostState], facts: dict[str, HostFacts]
) -> tuple[Finding, ...]:
    """Run ``<service>-status upgrade check`` on the first control host: with the new code where it is there already."""
    inventory = request.inventory
    first = inventory.with_role(Role.CONTROL)[0]
    running, target = _running(inventory, facts, first), request.target
    whole = set(states[first].whole) if first in states else set()

    async def ask(service: str) -> tuple[Finding, ...]:
        new = target.versions[service]
        version = new if (service, new) in whole else running.get(service)
        if version is None or (whole and (service, version) not in whole):
            return ()
        params = ManageParams(service=service, version=version, command=(f"{service}-status", "upgrade", "check"))
        script = manage_script(packaging_of(inventory), params)
        done = await hosts.run(inventory, first, script, check=False, timeout=CHECK_LIMIT)
        output = done.stdout + done.stderr
        return judge_upgrade_check(service, version, done.status if did_check(params, output) else -1, output)

    asked = [service for service in _WITH_CHECK if service in inventory.services]
    return tuple(finding for found in await asyncio.gather(*map(ask, asked)) for finding in found)


def _running(inventory: Inventory, facts: dict[str, HostFacts], host: str) -> dict[str, str]:
    """Return by service the version that runs on a host, where it is one."""
    units = facts[host].running if host in facts else {}
    found = ((component.service, units.get(component.unit)) for component in components_on(inventory, host))
    return {service: version for service, version in found if version and "+" not in version}


async def check_repository(hosts: Hosts, request: UpgradeRequest) -> tuple[Finding, ...]:
    """Resolve the target's lock files on the first control host: every package of them can be had there."""
    inventory = request.inventory
    first = inventory.with_role(Role.CONTROL)[0]
    services = sorted({component.service for component in components_on(inventory, first)})
    command = repository_command(request, [service for service in services if service in request.services])
    done = await hosts.run(inventory, first, command, check=False, timeout=CHECK_LIMIT)
    lacking = [line.removeprefix("X ").partition(" ") for line in done.stdout.splitlines() if line.startswith("X ")]
    return tuple(
        error(
            "repository",
            first,
            f"the packages of {service} {request.spec.to} cannot be had there: {text[:300]}",
            "see that the package index in /etc/uv/uv.toml answers on the host, and has all versions of the lock file",
        )
        for service, _, text in lacking
    )


def repository_command(request: UpgradeRequest, services: Iterable[str]) -> str:
    """Return the shell command that prints a line ``X service reason`` for each lock file that cannot be resolved."""
    files = " ".join(f"{service}={_lock(request, service)}" for service in services)
    return f"""{_LOCK_OF}
command -v uv >/dev/null || exit 0
for one in {files}; do
    service=${{one%%=*}} file=${{one#*=}}
    [ -f "$file" ] || continue
    said=$(timeout 60 uv pip install --dry-run --no-deps -q --target /nonexistent --python /usr/bin/python3 \\
        --requirement "$file" 2>&1) || echo "X $service $(echo $said)"
done
"""


async def check_certificates(inventory: Inventory) -> tuple[Finding, ...]:
    """Look at the certificates of the APIs, where they are reached by TLS."""
    scheme, _ = await openstack.transport(inventory)
    if scheme != "https":
        return ()
    found: list[Finding] = []
    for component in apis(inventory):
        url = urlsplit(api_url(inventory, component, scheme))
        seconds = await asyncio.to_thread(certificate_seconds, str(url.hostname), url.port or 443)
        found += judge_certificate(f"{component.unit} at {url.hostname}:{url.port}", seconds)
    return tuple(found)


def certificate_seconds(host: str, port: int) -> float:
    """Return how long the certificate at an address is still valid; negative if it has ended. Times are UTC.

    Raises:
        Unreachable: nothing there speaks TLS.
        StepFailed: it shows no certificate that can be read.
    """
    from cryptography import x509  # noqa: PLC0415 - only clouds with TLS need it

    try:
        text = ssl.get_server_certificate((host, port), timeout=10)
    except OSError as problem:
        raise Unreachable(f"{host}:{port} shows no certificate ({problem})", remedy="see the load balancer") from None
    try:
        ends = x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc
    except ValueError as problem:
        raise StepFailed(f"the certificate of {host}:{port} cannot be read ({problem})") from None
    return ends.timestamp() - time.time()
