"""What really runs on a host: read from its service manager and from the processes' own memory maps.

An independent proof of what an upgrade has done: neither exit statuses nor links on disk say what a process that was
started before, or not restarted, still runs from.
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from activities.ssh import Hosts
from model.components import find_component
from model.inventory import Inventory

# Sets ``pids`` to the processes of ``$unit``.
PROCESSES_OF_UNIT = """\
  group=$(systemctl show -p ControlGroup --value $unit)
  [ -n "$group" ] || continue
  for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -d "$tree$group" ] && pids=$(find "$tree$group" -name cgroup.procs -exec cat {} +) && break
  done"""

# Of each unit: its state, then for each of its processes every file below the packaging root that it has mapped, was
# started from, or was started with. Mapped files have their real names, whatever link they were reached by.
_SCRIPT = """
root={root}
for unit in {units}; do
  echo "U $unit $(systemctl show -p ActiveState --value $unit) \
$(systemctl show -p NRestarts --value $unit) $(systemctl show -p ActiveEnterTimestamp --value $unit)"
{pids}
  for pid in $pids; do
    {{ readlink /proc/$pid/exe; tr '\\0' '\\n' < /proc/$pid/cmdline; cat /proc/$pid/maps; }} 2>/dev/null |
      grep -ao "$root/[^ ]*" | cut -d/ -f1-{depth} | sort -u | sed "s|^|P $unit $pid |"
  done
done
"""
_DEEPEST = 8


@dataclass(frozen=True)
class UnitState:
    """A unit on a host.

    Attributes:
        active: systemd's word for its state, such as ``active`` or ``failed``.
        versions: the versions whose files its processes run from: one, if all is well.
        since: when it was last started, in the host's own words.
        restarts: how often systemd has started it again by itself.
    """

    unit: str
    active: str
    versions: tuple[str, ...]
    since: str
    restarts: int = 0

    @property
    def version(self) -> str | None:
        """The version that it runs; None when it is down; several, joined with ``+``, when it is mixed."""
        if self.active != "active" or not self.versions:
            return None
        return "+".join(self.versions)


def units_command(inventory: Inventory, units: Iterable[str]) -> str:
    """Return the shell command that prints what ``parse_units`` reads. It changes nothing."""
    root = inventory.packaging.root.rstrip("/")
    return _SCRIPT.format(
        root=shlex.quote(root), units=" ".join(map(shlex.quote, units)), depth=_DEEPEST, pids=PROCESSES_OF_UNIT
    )


def parse_units(output: str, root: str) -> dict[str, UnitState]:
    """Return the units by name."""
    found: dict[str, UnitState] = {}
    versions: dict[str, set[str]] = {}
    for line in output.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "U":
            unit, active, restarts, *since = rest.split()
            found[unit] = UnitState(unit, active, (), " ".join(since), int(restarts) if restarts.isdigit() else 0)
        elif kind == "P":
            unit, _, path = rest.split(" ", 2)
            if version := version_in(path, root, find_component(unit).service):
                versions.setdefault(unit, set()).add(version)
    return {
        unit: UnitState(unit, state.active, tuple(sorted(versions.get(unit, ()))), state.since, state.restarts)
        for unit, state in found.items()
    }


def version_in(path: str, root: str, service: str) -> str | None:
    """Return the version of a service whose installation a path lies in; None for any other path."""
    match = re.match(rf"{re.escape(root.rstrip('/'))}/(?:.*/)?{re.escape(service)}-(\d[^/]*)(?:/|$)", path)
    return match.group(1) if match else None


async def read_units(hosts: Hosts, inventory: Inventory, host: str, units: Iterable[str]) -> tuple[UnitState, ...]:
    """Read the state of units on a host, in the order asked for.

    Raises:
        Unreachable, Refused: as of ``Hosts.run``.
    """
    wanted = tuple(units)
    if not wanted:
        return ()
    done = await hosts.run(inventory, host, units_command(inventory, wanted), check=False)
    found = parse_units(done.stdout, inventory.packaging.root)
    return tuple(found.get(unit, UnitState(unit, "unknown", (), "")) for unit in wanted)
