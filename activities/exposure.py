"""Reading what tells whether a cloud is exposed: environments, what they are made of, processes, kernels, QEMU.

It only reads. A host that does not answer costs its own part, which then says so.
"""

import asyncio
import re
import shlex
from collections.abc import Callable, Iterable, Sequence

from packaging.utils import canonicalize_name

from activities.boot import boot_command, parse_boot
from activities.errors import StackrollError, StepFailed
from activities.packaging import packaging_of
from activities.running import PROCESSES_OF_UNIT, parse_units, units_command, version_in
from activities.ssh import Hosts
from model.advisories.reading import (
    Candidate,
    CloudReading,
    Environment,
    GuestProcess,
    HostReading,
    Library,
    ProcessReading,
    UnitReading,
)
from model.components import COMPONENTS, components_on, find_component, find_distribution
from model.inventory import Inventory, Role

HOSTS_AT_ONCE = 64
_BREAK = "=="

# When a process was started, in seconds since 1970. Not print: awk writes large numbers with six digits only.
STARTED = """awk -v b="$boot" -v t="$ticks" -v p="$pid" '{ printf "S %s %.2f\\n", p, b + $20 / t }'"""

# Of each environment the distributions that are looked for, and when they were put there; of each process of a unit
# when it was started, and what it has mapped from below the root that is there no more; of each QEMU its program.
_SCRIPT = """
root={root}
for venv in "$root"/venvs/*/; do
  for info in "$venv"lib/python3*/site-packages/*.dist-info; do
    name=${{info##*/}} place=${{venv%/}}
    case "$name" in {patterns}) echo "D ${{place##*/}} ${{name%.dist-info}} $(stat -c %Y "$info")" ;; esac
  done
done
boot=$(awk '$1 == "btime" {{ print $2 }}' /proc/stat) ticks=$(getconf CLK_TCK)
for unit in {units}; do
{pids}
  for pid in $pids; do
    [ ! -r "/proc/$pid/stat" ] ||
      sed 's/.*) //' "/proc/$pid/stat" | {started}
    grep -ao "$root/[^ ]* (deleted)" "/proc/$pid/maps" 2>/dev/null | sort -u | head -n 20 | sed "s|^|X $pid |"
  done
done
version() {{ timeout 5 "$1" --version 2>/dev/null | sed -n '1s/.*version \\([0-9.]*\\).*/\\1/p'; }}
ls -l /proc/[0-9]*/exe 2>/dev/null | grep -E 'qemu-(system|kvm)[^ ]* [(]deleted[)]$' | sed 's|.*/proc/||; s|/exe .*||' |
while IFS= read -r pid; do
  guest=$(tr '\\0' '\\n' < "/proc/$pid/cmdline" | sed -n 's/^\\(.*,\\)*guest=\\([^,]*\\).*/\\2/p' | head -n 1)
  echo "Q $pid ${{guest:--}} $(version "/proc/$pid/exe")"
done
for qemu in /usr/bin/qemu-system-x86_64 /usr/bin/qemu-system-aarch64 /usr/libexec/qemu-kvm; do
  [ ! -x "$qemu" ] || {{ echo "H $(version "$qemu")"; break; }}
done
true
"""

# Of each lock of the release the distributions that are looked for.
_REPOSITORY = """
repository={repository}
for lock in "$repository"/*/requirements.txt "$repository"/*/*/requirements.txt; do
  [ -f "$lock" ] || continue
  place=${{lock#"$repository"/}}
  grep -oiE '^({names})==[^ ;]+' "$lock" | sed "s|^|R ${{place%/requirements.txt}} |"
done
true
"""


async def read_exposure(
    hosts: Hosts, inventory: Inventory, products: Sequence[str], told: Callable[[str], None] = lambda _: None
) -> CloudReading:
    """Read what of these distributions is installed and runs on every host with a part of OpenStack.

    Args:
        hosts: the connections.
        inventory: the cloud.
        products: names of distributions in their canonical form.
        told: is told how far the reading is.
    """
    names = [host for host in inventory.hosts if components_on(inventory, host)]
    limit = asyncio.Semaphore(HOSTS_AT_ONCE)
    done = 0

    async def one(host: str) -> HostReading:
        nonlocal done
        async with limit:
            try:
                found = await _read_host(hosts, inventory, host, products)
            except StackrollError as error:
                found = HostReading(unread=str(error.problem))
        done += 1
        told(f"{done} of {len(names)} hosts")
        return found

    (repository, unread), readings = await asyncio.gather(
        _read_repository(hosts, inventory, products), asyncio.gather(*(one(host) for host in names))
    )
    return CloudReading(hosts=dict(zip(names, readings, strict=True)), repository=repository, unread=unread)


async def _read_host(hosts: Hosts, inventory: Inventory, host: str, products: Sequence[str]) -> HostReading:
    done, boot = await asyncio.gather(
        hosts.run(inventory, host, exposure_command(inventory, host, products), check=False),
        hosts.run(inventory, host, boot_command(), check=False),
    )
    if done.stdout.count(f"{_BREAK}\n") != 2:
        raise StepFailed(f"its shell ended with status {done.status}: {done.stderr.strip()[:200]}", host=host)
    return parse_exposure(done.stdout, inventory).model_copy(update={"boot": parse_boot(boot.stdout)})


def exposure_command(inventory: Inventory, host: str, products: Sequence[str]) -> str:
    """Return the shell command that prints what ``parse_exposure`` reads. It changes nothing."""
    units = [component.unit for component in components_on(inventory, host)]
    more = _SCRIPT.format(
        root=shlex.quote(inventory.packaging.root.rstrip("/")),
        patterns="|".join(map(_pattern, looked_for(products))),
        units=" ".join(map(shlex.quote, units)),
        pids=PROCESSES_OF_UNIT,
        started=STARTED,
    )
    installed = packaging_of(inventory).installed()
    return f"{installed}\necho {_BREAK}\n{units_command(inventory, units)}\necho {_BREAK}\n{more}"


def looked_for(products: Iterable[str]) -> tuple[str, ...]:
    """Return the distributions that are looked for: the services' own, and those of the advisories."""
    own = {find_distribution(component.service) for component in COMPONENTS}
    return tuple(sorted(own | {name for name in products if re.fullmatch(r"[a-z0-9-]+", name)}))


def _pattern(product: str) -> str:
    """Return the shell's pattern for the directory of a distribution's metadata, whichever way it was normalised."""
    return f"{product.replace('-', '[-_.]')}-[0-9]*"


def parse_exposure(output: str, inventory: Inventory) -> HostReading:
    """Return what a host printed."""
    installed, running, more = output.split(f"{_BREAK}\n", 2)
    root = inventory.packaging.root
    lines = [line.split(" ", 1) for line in more.splitlines() if " " in line]
    libraries: dict[str, dict[str, Library]] = {}
    for venv, info, put in (rest.rsplit(" ", 2) for kind, rest in lines if kind == "D" and rest.count(" ") >= 2):
        name, _, version = info.rpartition("-")
        library = Library(version=version, put=float(put) if put.isdigit() else None)
        libraries.setdefault(venv, {})[str(canonicalize_name(name))] = library
    environments: dict[str, list[Environment]] = {}
    for one in packaging_of(inventory).parse_installed(installed):
        found = libraries.get(f"{one.service}-{one.version}", {})
        environment = Environment(version=one.version, active=one.active, whole=one.whole, libraries=found)
        environments.setdefault(one.service, []).append(environment)
    started = {int(pid): float(at) for pid, at in (rest.split() for kind, rest in lines if kind == "S")}
    deleted: dict[int, list[str]] = {}
    for pid, path in (rest.split(" ", 1) for kind, rest in lines if kind == "X"):
        deleted.setdefault(int(pid), []).append(path.removesuffix(" (deleted)"))
    return HostReading(
        units={
            unit: UnitReading(
                active=state.active,
                processes=tuple(
                    ProcessReading(
                        pid=pid,
                        environments=tuple(sorted(versions)),
                        started=started.get(pid),
                        deleted=tuple(deleted.get(pid, ())),
                    )
                    for pid, versions in _processes(running, unit, root).items()
                ),
            )
            for unit, state in parse_units(running, root).items()
        },
        environments={service: tuple(found) for service, found in environments.items()},
        hypervisor=next((rest.strip() for kind, rest in lines if kind == "H"), ""),
        guests=tuple(_guest(rest) for kind, rest in lines if kind == "Q"),
    )


def _processes(output: str, unit: str, root: str) -> dict[int, set[str]]:
    service = find_component(unit).service
    found: dict[int, set[str]] = {}
    for line in output.splitlines():
        if line.startswith(f"P {unit} "):
            _, _, pid, path = line.split(" ", 3)
            if version := version_in(path, root, service):
                found.setdefault(int(pid), set()).add(version)
    return found


def _guest(rest: str) -> GuestProcess:
    pid, guest, *version = rest.split()
    return GuestProcess(pid=int(pid), guest="" if guest == "-" else guest, version=version[0] if version else "")


def repository_command(inventory: Inventory, products: Sequence[str]) -> str:
    """Return the shell command that prints what ``parse_repository`` reads. It changes nothing."""
    place = f"{inventory.packaging.repository.rstrip('/')}/{inventory.release}"
    names = "|".join(name.replace("-", "[-_.]") for name in looked_for(products))
    return _REPOSITORY.format(repository=shlex.quote(place), names=names)


def parse_repository(output: str) -> tuple[Candidate, ...]:
    """Return the versions that a repository has: ``R nova nova==31.0.0``, or ``R nova/31.3.1 nova==31.3.1``."""
    pins: dict[str, dict[str, str]] = {}
    for line in output.splitlines():
        kind, place, pin = (*line.split(" ", 2), "", "")[:3]
        if kind == "R":
            name, _, version = pin.partition("==")
            pins.setdefault(place, {})[str(canonicalize_name(name))] = version.rstrip("\\").strip()
    found = []
    for place, pinned in pins.items():
        service, _, named = place.partition("/")
        version = named or pinned.get(find_distribution(service), "")
        if version:
            found.append(Candidate(service=service, version=version, pins=pinned))
    return tuple(found)


async def _read_repository(
    hosts: Hosts, inventory: Inventory, products: Sequence[str]
) -> tuple[tuple[Candidate, ...], dict[str, str]]:
    first = inventory.with_role(Role.CONTROL)[0]
    try:
        done = await hosts.run(inventory, first, repository_command(inventory, products))
    except StackrollError as error:
        return (), {"repository": str(error.problem)}
    return parse_repository(done.stdout), {}
