"""MariaDB, by its own client on its own host: root through the unix socket, no password anywhere."""

import re
import shlex
from collections.abc import Mapping, Sequence

from activities.database import Dump, FoundDump, Restored, Schemas, Scratch, mariadb_scratch, registry
from activities.database import mariadb_scripts as scripts
from activities.errors import StepFailed
from model.losses import Losses

# A test restore writes everything once more; beyond this it costs more than it proves on every run.
RESTORE_TEST_LIMIT = 512 * 1024 * 1024

_RECORD = """set -eu
client=$(command -v mariadb || command -v mysql)
"$client" --batch --skip-column-names <<'SQL'
SELECT CONCAT('before=', COALESCE(MIN(version), '')) FROM nova.services WHERE deleted = 0 AND `binary` IN ({binaries});
UPDATE nova.services SET version = {version:d}
  WHERE deleted = 0 AND host = {host} AND `binary` IN ({binaries});
SELECT CONCAT('records=', COUNT(*)) FROM nova.services
  WHERE deleted = 0 AND host = {host} AND `binary` IN ({binaries}) AND version = {version:d};
SQL
"""
_NAME = re.compile(r"^[A-Za-z0-9_]+$")


@registry.register("mariadb")
class MariaDB:
    """A MariaDB server."""

    def dump(self, databases: Sequence[str], path: str, *, test: bool = True) -> str:
        """Return the script of a consistent dump, checked for its end, its tables, and by a test restore if small."""
        _check_names(databases)
        head = {"path": path, "limit": str(RESTORE_TEST_LIMIT if test else -1), "names": " ".join(databases)}
        return _script(head, scripts.LIBRARY, scripts.WRITE, scripts.DUMP)

    def parse_dump(self, output: str) -> Dump:
        """Return what the script has printed.

        Raises:
            StepFailed: it has not printed it.
        """
        return _dump(_values(output), output)

    def find(self, folder: str, services: Schemas) -> str:
        """Return the script that looks for the latest whole dump of each service."""
        return _script({"folder": folder, "plan": _plan(services)}, scripts.LIBRARY, scripts.WRITE, scripts.FIND)

    def parse_found(self, output: str) -> dict[str, FoundDump]:
        """Return by service what was found."""
        found: dict[str, FoundDump] = {}
        for part in output.split("service=")[1:]:
            service, _, text = part.partition("\n")
            damaged = tuple(line.removeprefix("damaged=") for line in text.splitlines() if line.startswith("damaged="))
            values = _values(text)
            found[service] = FoundDump(dump=_dump(values, text) if "sha256" in values else None, damaged=damaged)
        return found

    def losses(self, folder: str, services: Schemas) -> str:
        """Return the script that counts rows, servers, images, users and projects, and compares with the dumps."""
        return _script({"folder": folder, "plan": _plan(services)}, scripts.LIBRARY, scripts.WRITE, scripts.LOSSES)

    def parse_losses(self, output: str) -> Losses:
        """Return what was made, what has gone, and which tables differ."""
        taken: list[str] = []
        rows: dict[str, tuple[int, int]] = {}
        numbers: dict[str, dict[str, int]] = {"made": {}, "gone": {}}
        names: dict[str, dict[str, tuple[str, ...]]] = {"made": {}, "gone": {}}
        for line in output.splitlines():
            key, _, rest = line.partition("=")
            value, *more = rest.split("\t")
            if key == "taken":
                taken.append(value)
            elif key == "rows":
                rows[value] = (int(more[0]), int(more[1]))
            elif key in names:
                names[key][value] = (*names[key].get(value, ()), more[1] or more[0])
            elif key.startswith("count-"):
                of = numbers[key.removeprefix("count-")]
                of[value] = of.get(value, 0) + int(more[0])
        if not taken:
            raise StepFailed("the comparison with the dumps printed nothing that can be read", tail=output)
        return Losses(
            since=min(taken),
            made=numbers["made"],
            gone=numbers["gone"],
            made_names=names["made"],
            gone_names=names["gone"],
            rows=rows,
        )

    def restore(self, folder: str, services: Schemas, upgrade: str) -> str:
        """Return the script that dumps what is there, restores, and puts guests back to where they are."""
        head = {"folder": folder, "plan": _plan(services), "upgrade": _checked(upgrade)}
        return _script(head, scripts.LIBRARY, scripts.WRITE, scripts.RESTORE)

    def parse_restored(self, output: str) -> Restored:
        """Return what the script has printed last.

        Raises:
            StepFailed: it has not printed it.
        """
        values = _values(output)
        rows = (line.removeprefix("restored=").split() for line in output.splitlines() if line.startswith("restored="))
        try:
            return Restored(
                dumps={service: path for service, path, _ in rows},
                before=values["before"],
                lists=values["lists"],
                counts={name: int(values[name]) for name in ("moved", "changed", "lost", "back", "unheld")},
                reallocated=int(values.get("reallocated", "0")),
            )
        except (KeyError, ValueError) as error:
            raise StepFailed(f"the restore's summary cannot be read ({error})", tail=output) from None

    def forget(self, base: str, baselines: str, own: str, seconds: float) -> str:
        """Return the script that deletes old dumps of other upgrades; what else lies among them is kept."""
        return _script({"base": base, "baselines": baselines, "own": own, "keep": str(int(seconds))}, scripts.FORGET)

    def parse_forgotten(self, output: str) -> tuple[str, ...]:
        """Return the upgrades whose dumps are gone."""
        lines = (line for line in output.splitlines() if line.startswith("forgotten="))
        return tuple(line.removeprefix("forgotten=") for line in lines)

    def settings(self) -> str:
        """Return the command for SQL mode and character set."""
        client = '"$(command -v mariadb || command -v mysql)" --batch --skip-column-names --raw'
        return f"{client} --execute {shlex.quote(mariadb_scratch.SETTINGS)}"

    def scratch_start(self, scratch: Scratch, settings: str, need: int) -> str:
        """Return the script that makes and starts the server; one that runs already is kept."""
        more = {"port": str(scratch.port), "address": scratch.address, "need": str(need), "settings": settings.strip()}
        return _scratch(scratch, mariadb_scratch.START, **more)

    def scratch_restore(self, scratch: Scratch, databases: Sequence[str], path: str) -> str:
        """Return the script that restores a dump, deletes it, and has nova's cells name the scratch server."""
        _check_names(databases)
        schemas = ", ".join(f"'{name}'" for name in databases)
        more = {"path": path, "schemas": schemas, "port": str(scratch.port), "address": scratch.address}
        return _scratch(scratch, mariadb_scratch.RESTORE, **more)

    def scratch_listen(self, scratch: Scratch) -> str:
        """Return the command that begins its log of statements."""
        return _scratch(scratch, mariadb_scratch.LISTEN)

    def scratch_heard(self, scratch: Scratch) -> str:
        """Return the command for its log of statements."""
        return _scratch(scratch, mariadb_scratch.HEARD)

    def parse_heard(self, output: str) -> tuple[tuple[str, str, str], ...]:
        """Return the log: lines of seconds, rows and text."""
        lines = (line.split("\t", 2) for line in output.splitlines())
        return tuple((words[0], words[1], words[2]) for words in lines if len(words) == 3)

    def scratch_stop(self, scratch: Scratch) -> str:
        """Return the script that stops it and deletes its folder."""
        return _script({"place": scratch.place, "unit": scratch.unit}, mariadb_scratch.STOP)

    def scratch_url(self, scratch: Scratch, password: str, schema: str) -> str:
        """Return a URL of SQLAlchemy."""
        host = f"[{scratch.address}]" if ":" in scratch.address else scratch.address
        return f"mysql+pymysql://rehearsal:{password}@{host}:{scratch.port}/{schema}?charset=utf8"

    def record_versions(self, host: str, binaries: Sequence[str], version: int) -> str:
        """Return the script that sets the versions of a host's service records."""
        return _RECORD.format(host=_text(host), binaries=", ".join(map(_text, binaries)), version=version)

    def parse_records(self, output: str) -> tuple[int, int | None]:
        """Return how many records have the version now, and the lowest one of any host before."""
        found = _values(output)
        before = found.get("before", "")
        return int(found.get("records", "0")), int(before) if before.isdigit() else None


def _script(head: Mapping[str, str], *parts: str) -> str:
    assigned = "".join(f"{name}={shlex.quote(value)}\n" for name, value in head.items())
    return assigned + "".join(parts)


def _scratch(scratch: Scratch, script: str, **more: str) -> str:
    return _script({"place": scratch.place, "unit": scratch.unit, **more}, mariadb_scratch.HEAD, script)


def _plan(services: Schemas) -> str:
    _check_names([*services, *(name for names in services.values() for name in names)])
    return "\n".join(" ".join((service, *names)) for service, names in services.items())


def _check_names(names: Sequence[str]) -> None:
    if bad := [name for name in names if not _NAME.match(name)]:
        raise ValueError(f"{bad[0]!r} is no name of a database")


def _dump(found: Mapping[str, str], output: str) -> Dump:
    try:
        return Dump(
            path=found["path"],
            bytes=int(found["bytes"]),
            sha256=found["sha256"],
            tables=int(found["tables"]),
            restored=found["restored"] == "1",
            position=found.get("position", ""),
            taken=found.get("taken", ""),
        )
    except (KeyError, ValueError) as error:
        raise StepFailed(f"the dump's summary cannot be read ({error})", tail=output) from None


def _values(output: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def _text(value: str) -> str:
    """Return a string literal of SQL; names that would need escaping do not occur and are refused."""
    return f"'{_checked(value)}'"


def _checked(value: str) -> str:
    if not re.match(r"^[A-Za-z0-9_.:-]+$", value):
        raise ValueError(f"{value!r} is no name of a host or a service")
    return value
