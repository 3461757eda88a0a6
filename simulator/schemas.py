"""Databases: their schemas by release, the commands that move them, and queries, which SQLite answers."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable

from model.components import DATABASES
from model.releases import RELEASES, release_of
from simulator.nova import Guest, Nova
from simulator.tables import Tables
from simulator.tenants import Tenants

_ROWS_PER_BATCH = 50
_MAIN = {"nova": "main", "nova_cell0": "main"}
_UNMIGRATED = {"keystone": 0, "glance": 0, "placement": _ROWS_PER_BATCH, "nova": 3 * _ROWS_PER_BATCH}
_Rows = dict[str, tuple[str, ...]]
_ORDER = list(RELEASES)
_CELL1 = "5d0f3c48-2a55-4c39-9a5e-0c1f6a6e0001"
_CHECKED = "| Upgrade Check Results |\n| Check: simulated      |\n| Result: Success       |"


class UnknownCommandError(Exception):
    """A command of a service's tools that is not simulated."""


class SqlError(Exception):
    """A query that the database refuses."""


def revision(schema: str, release: str, branch: str = "") -> str:
    """Return the revision that a release's migrations of a schema end with."""
    return hashlib.sha256(f"{_MAIN.get(schema, schema)}/{release}/{branch}".encode()).hexdigest()[:12]


class Schemas:
    """How far the schema of each service has been expanded and contracted, as places in the order of releases."""

    def __init__(self, release: str) -> None:
        place = _ORDER.index(release)
        self.expanded = dict.fromkeys(DATABASES, place)
        self.contracted = dict.fromkeys(DATABASES, place)
        self.rows: dict[str, tuple[str, ...]] = {}
        self.unmigrated = dict.fromkeys(DATABASES, 0)
        for service, names in DATABASES.items():
            for name in names:
                self.rows[name] = (revision(name, release),)
                if service == "keystone":
                    self.rows[name] = (revision(name, release, "contract"), revision(name, release, "expand"))

    def serves(self, service: str, version: str) -> bool:
        """Tell whether the code of a version works with the schema as it is."""
        place = place_of(service, version)
        return self.contracted[service] <= place <= self.expanded[service]

    def run(self, service: str, version: str, tool: str, arguments: str) -> tuple[int, str]:
        """Run a command with the code of a version; return its exit status and output.

        Raises:
            UnknownCommandError: it is not simulated.
        """
        words = [word for word in arguments.split() if not word.startswith("--max-count") and not word.isdigit()]
        place = place_of(service, version)
        if tool == f"{service}-status" and words == ["upgrade", "check"]:
            return 0, _CHECKED
        if tool != f"{service}-manage":
            raise UnknownCommandError(f"{tool} {arguments}")
        if words == ["db", "online_data_migrations"] and service in {"placement", "nova"}:
            return self._migrate(service, place)
        commands = {"keystone": self._keystone, "glance": self._glance, "placement": self._placement}
        rows = commands.get(service, self._nova)(" ".join(words), place)
        if rows is None:
            raise UnknownCommandError(f"{tool} {arguments}")
        self.rows |= rows
        return 0, "\n".join(f"{schema} is at {', '.join(found)}" for schema, found in rows.items())

    def _keystone(self, words: str, place: int) -> _Rows | None:
        if words in {"db_sync", "db_sync --contract"}:
            self.contracted["keystone"] = place
        elif words != "db_sync --expand":
            return None
        self._expand("keystone", place)
        branches = (("contract", self.contracted["keystone"]), ("expand", place))
        return {"keystone": tuple(revision("keystone", _ORDER[at], branch) for branch, at in branches)}

    def _glance(self, words: str, place: int) -> _Rows | None:
        old = revision("glance", _ORDER[self.contracted["glance"]])
        match words:
            case "db expand":
                self._expand("glance", place)
                return {"glance": (revision("glance", _ORDER[place], "expand"), old)}
            case "db migrate":
                return {}
            case "db contract":
                self.contracted["glance"] = place
                return {"glance": (revision("glance", _ORDER[place]),)}
        return None

    def _placement(self, words: str, place: int) -> _Rows | None:
        if words != "db sync":
            return None
        self._expand("placement", place)
        return {"placement": (revision("placement", _ORDER[place]),)}

    def _nova(self, words: str, place: int) -> _Rows | None:
        if words == "api_db sync":
            return {"nova_api": (revision("nova_api", _ORDER[place]),)}
        if words != "db sync":
            return None
        self._expand("nova", place)
        return {name: (revision(name, _ORDER[place]),) for name in ("nova", "nova_cell0")}

    def _expand(self, service: str, place: int) -> None:
        if place > self.expanded[service]:
            self.unmigrated[service] = _UNMIGRATED[service]
            self.expanded[service] = place

    def _migrate(self, service: str, place: int) -> tuple[int, str]:
        done = min(_ROWS_PER_BATCH, self.unmigrated[service])
        self.unmigrated[service] -= done
        self.contracted[service] = max(place, self.contracted[service])
        return (1 if done else 0), f"| simulated_migration | {done} | {done} |"


def place_of(service: str, version: str) -> int:
    """Return the place of the release that a version belongs to.

    Raises:
        UnknownCommandError: no release has this version.
    """
    release = release_of(service, version)
    if release is None:
        raise UnknownCommandError(f"{service} {version} belongs to no release")
    return _ORDER.index(release.id)


def shipped(package: str, folder: str, version: str) -> tuple[str, ...]:
    """Return the revisions of a version's migrations in a folder, the last one first."""
    schema = "nova_api" if package == "nova" and "/api/" in folder else package
    return tuple(revision(schema, release) for release in reversed(_ORDER[: place_of(package, version) + 1]))


class Sql:
    """The database server's client: real SQL over the tables that are known here."""

    def __init__(self, nova: Nova, schemas: Schemas, tenants: Tenants, vip: str) -> None:
        self._nova, self._schemas = nova, schemas
        self._database = sqlite3.connect(":memory:")
        # SQLite knows it by this name from 3.44 on.
        self._database.create_function("CONCAT", -1, lambda *parts: "".join("" if p is None else str(p) for p in parts))
        for names in DATABASES.values():
            for name in names:
                self._database.execute(f"ATTACH ':memory:' AS {name}")
                self._database.execute(f"CREATE TABLE {name}.alembic_version (version_num TEXT)")
        self._database.execute(
            "CREATE TABLE nova.services (uuid, `binary`, host, version INT, deleted INT, disabled INT, disabled_reason)"
        )
        self._database.execute("CREATE TABLE nova_api.request_specs (instance_uuid, spec)")
        for name in ("nova", "nova_cell0"):
            self._database.execute(f"CREATE TABLE {name}.instances (uuid, display_name, host, vm_state, deleted INT)")
        self._database.execute("ATTACH ':memory:' AS information_schema")
        self._database.execute(
            "CREATE TABLE information_schema.tables (table_schema, data_length INT, index_length INT)"
        )
        self._database.execute("CREATE TABLE information_schema.global_status (variable_name, variable_value)")
        self._database.execute("CREATE TABLE nova_api.cell_mappings (uuid, name)")
        self._database.execute("CREATE TABLE glance.tasks (id, type, status, deleted INT)")
        cells = [("00000000-0000-0000-0000-000000000000", "cell0"), (_CELL1, "cell1")]
        self._database.executemany("INSERT INTO nova_api.cell_mappings VALUES (?, ?)", cells)
        sizes = [(name, 1_000_000, 300_000) for names in DATABASES.values() for name in names]
        self._database.executemany("INSERT INTO information_schema.tables VALUES (?, ?, ?)", sizes)
        self._tables = Tables(self._database, tenants, nova, vip)

    def ask(self, text: str) -> str:
        """Run statements and return the rows of all of them, as the client prints them in batch mode.

        Raises:
            SqlError: as the server would refuse it.
        """
        self._fill()
        self._tables.fill(text)
        lines: list[str] = []
        try:
            for statement in re.split(r";\s*(?:\n|$)", text):
                if statement.strip():
                    lines += ["\t".join(map(_shown, row)) for row in self._database.execute(statement)]
        except sqlite3.Error as error:
            raise SqlError(f"ERROR 1064 (42000) at line 1: {error}") from error
        self._take_back()
        return "".join(f"{line}\n" for line in lines)

    def _fill(self) -> None:
        write = self._database.executemany
        for name, rows in self._schemas.rows.items():
            self._database.execute(f"DELETE FROM {name}.alembic_version")  # noqa: S608 - names of this module
            write(f"INSERT INTO {name}.alembic_version VALUES (?)", [(row,) for row in rows])  # noqa: S608
        self._database.execute("DELETE FROM nova.services")
        services = [(s.id, s.binary, s.host, s.version, 0, int(s.disabled), s.reason) for s in self._nova.services]
        write("INSERT INTO nova.services VALUES (?, ?, ?, ?, ?, ?, ?)", services)
        self._database.execute("DELETE FROM nova.instances")
        guests = [(g.id, g.name, g.host, g.vm_state, 0) for g in self._nova.guests.values()]
        guests += [(uuid, "", None, "deleted", 1) for uuid in self._nova.deleted]
        write("INSERT INTO nova.instances VALUES (?, ?, ?, ?, ?)", guests)

        self._database.execute("DELETE FROM nova_api.request_specs")
        specs = [(g.id, request_spec(g)) for g in self._nova.guests.values()]
        write("INSERT INTO nova_api.request_specs VALUES (?, ?)", specs)

    def _take_back(self) -> None:
        versions = dict(self._database.execute("SELECT uuid, version FROM nova.services"))
        for row in self._nova.services:
            row.version = versions.get(row.id, row.version)


def request_spec(guest: Guest) -> str:
    """Return a guest's row of ``request_specs``: a RequestSpec as nova serialises it, as far as it matters here."""
    properties = {"nova_object.name": "ImageMetaProps", "nova_object.version": guest.image_meta}
    image = {"nova_object.name": "ImageMeta", "nova_object.data": {"properties": properties}}
    data = {"instance_uuid": guest.id, "image": image}
    return json.dumps({"nova_object.name": "RequestSpec", "nova_object.data": data})


def _shown(value: object) -> str:
    return "NULL" if value is None else str(value)


def tables_of(names: Iterable[str]) -> int:
    """Return how many tables schemas of these names hold, roughly as real ones do."""
    sizes = {"keystone": 56, "placement": 13, "glance": 21, "nova_api": 38, "nova_cell0": 62, "nova": 62}
    return sum(sizes.get(name, 1) for name in names)
