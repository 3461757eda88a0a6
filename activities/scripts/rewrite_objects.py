"""Rewrite stored nova objects that are newer than given versions, with the code that knows both.

A program of its own: it runs on a control host with the Python of the newer nova, as the services' user, with nova's
own configuration. Its first argument is a JSON object, the others are nova's::

    {"manifest": {KIND: VERSION}, "api": {TABLE: [COLUMN]}, "cell": {TABLE: [COLUMN]}}

Every row that holds an object newer than the manifest is loaded and written back in the manifest's versions, unless
somebody else has changed it meanwhile: then it is read again. It ends when a whole pass has found nothing newer, so its
success is its own proof; it may run at any time, beside services of either version, and as often as one likes. The last
line that it prints is ``result=`` and a JSON object: rows rewritten by column, rows read, passes, problems.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

BATCH = 200
PASSES = 5
TRIES = 20
MOST_PROBLEMS = 10
REPORT_EVERY = 10000
# How a row is called in messages.
_NAMES = {"compute_nodes": "hypervisor_hostname"}

Node = dict[str, Any]
Manifest = dict[str, str]
Session = Callable[[bool], AbstractContextManager[Any]]


def as_version(text: str) -> tuple[int, ...]:
    """Return a version as something that can be compared."""
    return tuple(int(part) for part in text.split("."))


def is_newer(node: Node, manifest: Manifest) -> bool:
    """Tell whether a serialised object is of a version, or of a kind, that the manifest does not have."""
    known = manifest.get(node["nova_object.name"])
    return known is None or as_version(node["nova_object.version"]) > as_version(known)


def find_newer(value: Any, manifest: Manifest) -> Iterator[str]:
    """Yield the objects in a decoded JSON document that are newer than the manifest."""
    if isinstance(value, list):
        for item in value:
            yield from find_newer(item, manifest)
    elif isinstance(value, dict):
        if "nova_object.name" in value and is_newer(value, manifest):
            yield f"{value['nova_object.name']} {value['nova_object.version']}"
        for item in value.values():
            yield from find_newer(item, manifest)


def rewritten(value: Any, manifest: Manifest, convert: Callable[[Node], Node]) -> Any:
    """Return a document with its newer objects converted, from the outermost; everything else stays as it is.

    An object of a kind that the manifest does not have goes away only with the field of the object around it.
    """
    if isinstance(value, list):
        return [rewritten(item, manifest, convert) for item in value]
    if not isinstance(value, dict):
        return value
    if "nova_object.name" in value and value["nova_object.name"] in manifest and is_newer(value, manifest):
        value = convert(value)
    return {key: rewritten(item, manifest, convert) for key, item in value.items()}


class Rewriter:
    """Rewrites columns, and counts.

    Attributes:
        manifest: the newest version of each kind that may remain.
        convert: returns a serialised object in the manifest's versions.
        suspects: the kinds that can be newer; text without their names is not even decoded.
    """

    def __init__(self, manifest: Manifest, convert: Callable[[Node], Node], suspects: set[str]) -> None:
        self.manifest = manifest
        self.convert = convert
        self.rewritten: dict[str, int] = {}
        self.rows = 0
        self.problems: list[str] = []
        self._marks = [f'"{kind}"' for kind in sorted(suspects)]

    def column(self, schema: str, session: Session, table: str, column: str) -> int:
        """Rewrite a column; return how many rows had to be."""
        place, found = f"{schema}.{table}.{column}", 0
        for key, name, text in self._read(session, table, column):
            self.rows += 1
            if self.rows % REPORT_EVERY == 0:
                print(f"{self.rows} rows read, now in {place}", flush=True)  # noqa: T201
            if not any(mark in text for mark in self._marks):
                continue
            try:
                found += self._row(session, place, key, text)
            except Exception as error:  # noqa: BLE001 - whatever nova's code says of a row, the others come next
                found += 1
                self.problems.append(f"{place} of {name} (id {key}): {type(error).__name__}: {error}")
        return found

    def _row(self, session: Session, place: str, key: int, text: str | None) -> bool:
        """Rewrite a row if it has to be, as often as somebody else changes it in the same moment."""
        _, table, column = place.rsplit(".", 2)
        for _ in range(TRIES):
            if text is None:
                return False
            document = json.loads(text)
            if not any(find_newer(document, self.manifest)):
                return False
            older = rewritten(document, self.manifest, self.convert)
            if left := sorted(set(find_newer(older, self.manifest))):
                raise ValueError(f"{', '.join(left)} cannot be expressed in the old versions")
            if self._write(session, table, column, key, text, json.dumps(older)):
                self.rewritten[place] = self.rewritten.get(place, 0) + 1
                return True
            text = self._read_one(session, table, column, key)
        raise TimeoutError(f"changed by somebody else {TRIES} times while it was being rewritten")

    def _read(self, session: Session, table: str, column: str) -> Iterator[tuple[int, str, str]]:
        name = _NAMES.get(table, "instance_uuid")
        # Names of tables and columns are this project's own.
        query = f"SELECT id, {name}, {column} FROM {table} WHERE id > :last AND {column} IS NOT NULL ORDER BY id LIMIT {BATCH}"  # noqa: E501, S608
        last = -1
        while True:
            with session(False) as connection:
                rows = [tuple(row) for row in connection.execute(_text(query), {"last": last})]
            yield from rows
            if len(rows) < BATCH:
                return
            last = rows[-1][0]

    def _read_one(self, session: Session, table: str, column: str, key: int) -> str | None:
        query = f"SELECT {column} FROM {table} WHERE id = :key"  # noqa: S608
        with session(False) as connection:
            row = connection.execute(_text(query), {"key": key}).first()
        return None if row is None else row[0]

    def _write(self, session: Session, table: str, column: str, key: int, old: str, new: str) -> bool:
        with session(True) as connection:
            # MySQL compares text without regard to case, and not its last blanks.
            exact = "CAST({} AS BINARY)" if connection.get_bind().dialect.name in {"mysql", "mariadb"} else "{}"
            query = (
                f"UPDATE {table} SET {column} = :new "  # noqa: S608
                f"WHERE id = :key AND {exact.format(column)} = {exact.format(':old')}"
            )
            return bool(connection.execute(_text(query), {"new": new, "key": key, "old": old}).rowcount)


def _text(query: str) -> Any:
    import sqlalchemy  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    return sqlalchemy.text(query)


def run(rewriter: Rewriter, schemas: list[tuple[str, Session, dict[str, list[str]]]]) -> int:
    """Go over all columns until a pass finds nothing to rewrite; return how many passes it took."""
    for number in range(1, PASSES + 1):
        found = 0
        rewriter.problems.clear()
        for schema, session, tables in schemas:
            for table, columns in tables.items():
                found += sum(rewriter.column(schema, session, table, column) for column in columns)
        if not found or rewriter.problems:
            return number
    rewriter.problems.append(f"new rows in newer versions were still being written in pass {PASSES}")
    return PASSES


def main() -> int:
    """Rewrite all columns of the API database and of every cell."""
    import nova.config  # type: ignore[import-not-found]  # noqa: PLC0415
    import nova.context  # type: ignore[import-not-found]  # noqa: PLC0415
    import nova.objects  # type: ignore[import-not-found]  # noqa: PLC0415
    from nova.db.api import api as api_database  # type: ignore[import-not-found]  # noqa: PLC0415
    from nova.db.main import api as main_database  # type: ignore[import-not-found]  # noqa: PLC0415
    from nova.objects.base import NovaObject, NovaObjectRegistry  # type: ignore[import-not-found]  # noqa: PLC0415

    task = json.loads(sys.argv[1])
    # RPC too, though nothing is sent: its options belong to what a cell mapping is made of.
    nova.config.parse_args([sys.argv[0], *sys.argv[2:]], default_config_files=[])
    nova.objects.register_all()
    manifest: Manifest = task["manifest"]

    def convert(node: Node) -> Node:
        loaded = NovaObject.obj_from_primitive(node)
        older: Node = loaded.obj_to_primitive(
            target_version=manifest[node["nova_object.name"]], version_manifest=manifest
        )
        return older

    def opened(manager: Any, context: Any) -> Session:
        return lambda write: (manager.writer if write else manager.reader).using(context)

    known = {kind: classes[0].VERSION for kind, classes in NovaObjectRegistry.obj_classes().items()}
    newer = {
        kind
        for kind, version in known.items()
        if is_newer({"nova_object.name": kind, "nova_object.version": version}, manifest)
    }
    rewriter = Rewriter(manifest, convert, newer)
    admin = nova.context.get_admin_context()
    schemas = [("nova_api", opened(api_database.context_manager, admin), task["api"])]
    for cell in nova.objects.CellMappingList.get_all(admin):
        context = nova.context.get_admin_context()
        nova.context.set_target_cell(context, cell)
        schemas.append(
            (cell.name or cell.uuid, opened(main_database.get_context_manager(context), context), task["cell"])
        )
    passes = run(rewriter, schemas)
    result = {
        "rewritten": rewriter.rewritten,
        "rows": rewriter.rows,
        "passes": passes,
        "kinds": sorted(f"{kind} {manifest.get(kind, 'absent')}" for kind in newer),
        "problems": [problem[:200] for problem in rewriter.problems[:MOST_PROBLEMS]],
        "problem_count": len(rewriter.problems),
    }
    print(f"result={json.dumps(result)}", flush=True)  # noqa: T201
    return 1 if rewriter.problems else 0


if __name__ == "__main__":
    sys.exit(main())
