"""Dumps on the database host, and what is done with them: written, found, compared with what is there, restored."""

import copy
import hashlib
import shlex
from dataclasses import dataclass
from typing import Any

from model.components import COMPONENTS, DATABASES
from simulator.host import Host
from simulator.nova import Guest, Nova
from simulator.schemas import Schemas, tables_of
from simulator.tenants import Tenants

_SUFFIX = ".sql.gz"


class DumpError(Exception):
    """The script ends with this status, and says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class _Kept:
    """A dump: what its service had, the checksum of its file, and what its manifest says."""

    content: dict[str, Any]
    checksum: str
    manifest: str
    taken: str


class Dumps:
    """All dumps of a cloud."""

    def __init__(self, nova: Nova, tenants: Tenants, schemas: Schemas) -> None:
        self._nova, self._tenants, self._schemas = nova, tenants, schemas
        self._kept: dict[str, _Kept] = {}

    def write(self, host: Host, path: str, names: list[str], taken: str) -> str:
        """Write a dump of schemas; return its manifest."""
        service = next(service for service, schemas in DATABASES.items() if schemas[0] == names[0])
        text = "".join(f"-- {name}: {self._schemas.rows[name]}\n" for name in names)
        lines = {"taken": taken, "position": "mysql-bin.000001:4242", "path": path, "bytes": len(text)}
        lines |= {"sha256": _sum(text), "tables": tables_of(names), "restored": 1}
        manifest = "\n".join(f"{name}={value}" for name, value in lines.items())
        self._kept[path] = _Kept(self._content(service), _sum(text), manifest, taken)
        host.files[path] = text
        return manifest

    def find(self, host: Host, folder: str, plan: str) -> str:
        """Return what is kept of each service."""
        parts = []
        for service in _services(plan):
            path, damaged = self._newest(host, folder, service)
            lines = [f"service={service}", *(f"damaged={name}" for name in damaged)]
            parts += [*lines, self._kept[path].manifest] if path else lines
        return "\n".join([*parts, ""])

    def losses(self, host: Host, folder: str, plan: str) -> str:
        """Return what was made and deleted since the dumps, as the script counts it."""
        lines = []
        for service in _services(plan):
            kept = self._whole(host, folder, service)
            lines.append(f"taken={kept.taken}")
            was, now = _things(kept.content), _things(self._content(service))
            for kind in {*was, *now}:
                before, after = was.get(kind, {}), now.get(kind, {})
                for what, one, other in (("made", after, before), ("gone", before, after)):
                    different = {id_: name for id_, name in one.items() if id_ not in other}
                    lines += [f"{what}={kind}\t{id_}\t{name}" for id_, name in list(different.items())[:20]]
                    lines += [f"count-{what}={kind}\t{len(different)}"] if different else []
        return "\n".join([*lines, ""])

    def restore(self, hosts: dict[str, Host], host: Host, folder: str, plan: str, moment: str) -> str:
        """Put the dumps in the place of what is there, with guests and their allocations where they are now.

        Raises:
            DumpError: somebody is connected still, or a dump is missing or damaged; nothing has changed.
        """
        services = _services(plan)
        kept = {service: self._whole(host, folder, service) for service in services}
        if users := _connected(hosts, services):
            raise DumpError(75, "\n".join(["still connected, and nothing was changed:", *users]))
        for service in services:
            self.write(host, f"{folder}/before-restore-{moment}-{service}{_SUFFIX}", list(DATABASES[service]), moment)
        guests, held = dict(self._nova.guests), copy.deepcopy(self._nova.allocations)
        for service, dump in kept.items():
            self._put_back(service, copy.deepcopy(dump.content))
        counts = self._correct(services, guests, held)
        lists = f"{folder}/restore-{moment}.txt"
        host.files[lists] = "".join(f"{line}\n" for lines in counts.values() for line in lines)
        lines = [f"restored={service} {self._newest(host, folder, service)[0]} 40" for service in services]
        lines += [f"{name}={len(counts[name])}" for name in ("moved", "changed", "lost", "back", "unheld")]
        return "\n".join([*lines, f"lists={lists}", f"before={folder}/before-restore-{moment}-*{_SUFFIX}"])

    # What a service has in its databases

    def _content(self, service: str) -> dict[str, Any]:
        schemas, nova, tenants = self._schemas, self._nova, self._tenants
        rows = {name: schemas.rows[name] for name in DATABASES[service]}
        content: dict[str, Any] = {
            "schema": (schemas.expanded[service], schemas.contracted[service], schemas.unmigrated[service], rows)
        }
        match service:
            case "keystone":
                content |= {"users": tenants.users, "projects": tenants.projects}
            case "glance":
                content |= {"images": tenants.images, "deleted_images": tenants.deleted_images}
            case "placement":
                content |= {"allocations": nova.allocations}
            case "nova":
                content |= {"services": nova.services, "guests": nova.guests}
                content |= {"deleted": nova.deleted, "migrations": nova.migrations, "groups": nova.groups}
        return copy.deepcopy(content)

    def _put_back(self, service: str, content: dict[str, Any]) -> None:
        schemas = self._schemas
        expanded, contracted, unmigrated, rows = content.pop("schema")
        schemas.expanded[service], schemas.contracted[service] = expanded, contracted
        schemas.unmigrated[service] = unmigrated
        schemas.rows |= rows
        for name, value in content.items():
            owner = self._nova if hasattr(self._nova, name) else self._tenants
            # In place: others hold on to these tables.
            table = getattr(owner, name)
            if isinstance(table, list):
                table[:] = value
            else:
                table.clear()
                table.update(value)

    def _correct(
        self, services: list[str], now: dict[str, Guest], held: dict[str, dict[str, dict[str, int]]]
    ) -> dict[str, list[str]]:
        """Name the hosts where guests are, and move their allocations there."""
        counts: dict[str, list[str]] = {name: [] for name in ("moved", "changed", "lost", "back", "unheld")}
        if "nova" in services:
            old = self._nova.guests
            counts["lost"] = [f"lost\t{g.id}\t{g.name}\t{g.host or '-'}" for g in now.values() if g.id not in old]
            counts["back"] = [f"back\t{g.id}\t{g.name}\t{g.host or '-'}" for g in old.values() if g.id not in now]
            for guest in old.values():
                if guest.id in now and guest.host != now[guest.id].host:
                    counts["moved"].append(f"moved\t{guest.id}\t{guest.name}\t{guest.host}\t{now[guest.id].host}")
                    guest.host = now[guest.id].host
        if "placement" in services:
            for provider, consumers in held.items():
                for consumer in [id_ for id_ in consumers if id_ in self._nova.guests]:
                    for others in self._nova.allocations.values():
                        others.pop(consumer, None)
                    self._nova.allocations[provider][consumer] = consumers[consumer]
        return counts

    def _whole(self, host: Host, folder: str, service: str) -> _Kept:
        path, _ = self._newest(host, folder, service)
        if path is None:
            raise DumpError(66, f"no whole dump of {service} in {folder}")
        return self._kept[path]

    def _newest(self, host: Host, folder: str, service: str) -> tuple[str | None, list[str]]:
        """Return the latest whole dump of a service, and later ones that are damaged."""
        stem, damaged = f"{folder}/{service}", list[str]()
        tries = [path.removeprefix(stem).removesuffix(_SUFFIX) for path in self._kept if path.startswith(stem)]
        numbers = sorted((int(text[1:]) for text in tries if text[1:].isdigit()), reverse=True)
        for path in [*(f"{stem}-{number}{_SUFFIX}" for number in numbers), f"{stem}{_SUFFIX}"]:
            if path in self._kept and _sum(host.files.get(path, "")) == self._kept[path].checksum:
                return path, damaged
            damaged += [path] if path in self._kept else []
        return None, damaged


def _services(plan: str) -> list[str]:
    text = "".join(shlex.split(plan))
    return [line.split()[0] for line in text.splitlines() if line.strip()]


def _things(content: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what people would miss: by kind, names by id."""
    kinds = {"guests": "server", "images": "image", "users": "user", "projects": "project"}
    return {kinds[name]: {o.id: o.name for o in table.values()} for name, table in content.items() if name in kinds}


def _connected(hosts: dict[str, Host], services: list[str]) -> list[str]:
    """Return who is connected to the services' schemas; compute services never are."""
    direct = {c.unit: c.service for c in COMPONENTS if c.unit != "nova-compute"}
    return [
        f"1 of {unit.component.service} from {host.name} to {unit.component.service}"
        for host in hosts.values()
        for unit in host.units.values()
        if host.up and unit.running and direct.get(unit.name) in services
    ]


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
