"""The scratch server of a rehearsal, and the copies of the databases in it."""

import copy
from dataclasses import dataclass, field

from simulator.host import Host
from simulator.schemas import Schemas

VERSION = "10.11.19-MariaDB"


@dataclass
class Copy:
    """A scratch server that runs.

    Attributes:
        host: where it is.
        schemas: what is in it, as far as migrations care.
        restored: the services whose databases it has.
        heard: what was sent to it since it listens: seconds, rows, text.
    """

    host: str
    schemas: Schemas
    restored: set[str] = field(default_factory=set)
    heard: list[str] = field(default_factory=list)


class Rehearsals:
    """At most one scratch server, as there is one at most for each cloud. ``ended`` counts those that were removed."""

    def __init__(self, production: Schemas) -> None:
        self._production = production
        self.copy: Copy | None = None
        self.beside: set[tuple[str, str]] = set()
        self.ended = 0

    def start(self, host: Host, place: str) -> str:
        """Start it, unless it runs."""
        if self.copy is None:
            self.copy = Copy(host.name, copy.deepcopy(self._production))
            host.files[f"{place}/password"] = "only-of-the-copy"
        return f"server={VERSION}"

    def restore(self, host: Host, service: str, path: str) -> tuple[int, str]:
        """Restore a dump that lies on the host, and delete it."""
        if self.copy is None or self.copy.host != host.name:
            return 1, "ERROR 2002 (HY000): Can't connect to local server through socket"
        if host.files.pop(path, None) is None:
            return 1, f"gzip: {path}: No such file or directory"
        self.copy.restored.add(service)
        return 0, "tables=40"

    def run(self, host: Host, service: str, version: str, tool: str, arguments: str) -> tuple[int, str]:
        """Run a tool on the copy."""
        if (service, version) not in self.beside | host.complete:
            return 127, f"no {tool} on this host: the version is not installed"
        if self.copy is None or service not in self.copy.restored:
            return 1, "sqlalchemy.exc.OperationalError: Can't connect to MySQL server"
        before = dict(self.copy.schemas.rows)
        status, output = self.copy.schemas.run(service, version, tool, arguments)
        changed = [name for name, rows in self.copy.schemas.rows.items() if rows != before[name]]
        self.copy.heard += [f"1.5\t0\tALTER TABLE {name}.simulated ADD COLUMN later INT" for name in changed]
        return status, output

    def stop(self, host: Host, place: str) -> str:
        """End it, and remove everything of it."""
        if self.copy is not None and self.copy.host == host.name:
            self.copy = None
            self.ended += 1
        for path in [path for path in host.files if path.startswith(f"{place}/")]:
            del host.files[path]
        return "removed=1"

    def remove(self, host: Host, place: str) -> str:
        """Remove a folder."""
        for path in [path for path in host.files if path.startswith(f"{place}/")]:
            del host.files[path]
        if place.endswith("/rehearsal"):
            self.beside.clear()
        return "removed=1"
