"""The program that rewrites stored objects, over SQLite, and over a nova with two kinds of objects."""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from activities.scripts import rewrite_objects
from activities.scripts.rewrite_objects import Node, Rewriter, find_newer, is_newer, rewritten, run

MANIFEST = {"Spec": "1.1", "Image": "1.42"}


def obj(kind: str, version: str, **data: Any) -> Node:
    return {"nova_object.name": kind, "nova_object.version": version, "nova_object.data": data}


def convert(node: Node) -> Node:
    """Return an object in the manifest's version, as nova would: a new field goes, what cannot be said is refused."""
    data = {name: value for name, value in node["nova_object.data"].items() if name != "new"}
    if "forbidden" in data:
        raise ValueError("value forbidden is too new")
    return {**node, "nova_object.version": MANIFEST[node["nova_object.name"]], "nova_object.data": data}


@pytest.mark.parametrize(
    ("node", "newer"),
    [
        (obj("Image", "1.42"), False),
        (obj("Image", "1.9"), False),
        (obj("Image", "1.44"), True),
        (obj("Image", "2.0"), True),
        (obj("Share", "1.0"), True),
    ],
)
def test_is_newer(node: Node, newer: bool) -> None:
    assert is_newer(node, MANIFEST) is newer


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, None),
        ({"a": [1, "x", None]}, {"a": [1, "x", None]}),
        (obj("Image", "1.30", new=1), obj("Image", "1.30", new=1)),
        (obj("Image", "1.44", new=1, old=2), obj("Image", "1.42", old=2)),
        # what is not newer stays as it is, around and beside
        (
            obj("Spec", "1.0", new=1, image=obj("Image", "1.44", new=1), more=[obj("Image", "1.40", new=1)]),
            obj("Spec", "1.0", new=1, image=obj("Image", "1.42"), more=[obj("Image", "1.40", new=1)]),
        ),
        # plain mappings, as in the flavors of a server
        ({"cur": obj("Image", "1.44", new=1), "old": None}, {"cur": obj("Image", "1.42"), "old": None}),
        # a newer object in a newer one
        (obj("Spec", "1.2", image=obj("Image", "1.43", new=1)), obj("Spec", "1.1", image=obj("Image", "1.42"))),
        # an unknown kind goes with the field of a newer object, and only so
        (obj("Spec", "1.2", new=obj("Share", "1.0")), obj("Spec", "1.1")),
        (obj("Spec", "1.1", new=obj("Share", "1.0")), obj("Spec", "1.1", new=obj("Share", "1.0"))),
    ],
)
def test_rewritten(before: Any, after: Any) -> None:
    assert rewritten(before, MANIFEST, convert) == after


def test_find_newer_names_all() -> None:
    document = [obj("Spec", "1.2", a=obj("Image", "1.44")), {"x": obj("Share", "1.0")}, obj("Image", "1.0")]
    assert list(find_newer(document, MANIFEST)) == ["Spec 1.2", "Image 1.44", "Share 1.0"]


@dataclass
class Database:
    """A database, and what somebody else does to it before each write."""

    path: Path
    meanwhile: list[Callable[["Database"], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.execute("CREATE TABLE request_specs (id INTEGER PRIMARY KEY, instance_uuid TEXT, spec TEXT)")

    def execute(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(query, values).fetchall()

    def add(self, *specs: Any) -> None:
        for spec in specs:
            text = spec if spec is None or isinstance(spec, str) else json.dumps(spec)
            self.execute("INSERT INTO request_specs (instance_uuid, spec) VALUES (hex(randomblob(4)), ?)", text)

    @property
    def specs(self) -> list[Any]:
        return [json.loads(row[0]) for row in self.execute("SELECT spec FROM request_specs ORDER BY id")]

    @contextlib.contextmanager
    def session(self, write: bool) -> Iterator[Any]:
        if write and self.meanwhile:
            self.meanwhile.pop(0)(self)
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            yield Connection(connection)


@dataclass
class Connection:
    """As much of SQLAlchemy as the program asks for."""

    real: sqlite3.Connection

    def execute(self, query: str, values: dict[str, Any]) -> Any:
        cursor = self.real.execute(query, values)
        rows = cursor.fetchall()
        return Answer(rows, cursor.rowcount)

    def get_bind(self) -> Any:
        return SimpleNamespace(dialect=SimpleNamespace(name="sqlite"))


@dataclass
class Answer:
    rows: list[Any]
    rowcount: int

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def first(self) -> Any:
        return self.rows[0] if self.rows else None


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(rewrite_objects, "_text", str)
    monkeypatch.setattr(rewrite_objects, "BATCH", 2)
    return Database(tmp_path / "db")


def go(database: Database) -> tuple[Rewriter, int]:
    rewriter = Rewriter(MANIFEST, convert, {"Image", "Share"})
    return rewriter, run(rewriter, [("nova_api", database.session, {"request_specs": ["spec"]})])


PLACE = "nova_api.request_specs.spec"


def test_only_rows_with_newer_objects_are_written(database: Database) -> None:
    old = [obj("Image", "1.40", a=n) for n in range(3)]
    database.add(*old, obj("Spec", "1.1", image=obj("Image", "1.44", new=1)), "not JSON, and nothing newer in it")
    database.execute("UPDATE request_specs SET spec = NULL WHERE id = 1")
    rewriter, passes = go(database)
    assert (rewriter.rewritten, passes, rewriter.problems) == ({PLACE: 1}, 2, [])
    assert database.execute("SELECT spec FROM request_specs WHERE id = 4") == [
        (json.dumps(obj("Spec", "1.1", image=obj("Image", "1.42"))),)
    ]
    assert go(database)[0].rewritten == {}
    assert rewriter.rows == 2 * 4


def test_a_row_that_somebody_changes_meanwhile_is_read_again(database: Database) -> None:
    database.add(obj("Image", "1.44", a=1, new=1))

    def change(other: Database) -> None:
        other.execute("UPDATE request_specs SET spec = ?", json.dumps(obj("Image", "1.43", a=2, new=2)))

    database.meanwhile.append(change)
    rewriter, _ = go(database)
    assert database.specs == [obj("Image", "1.42", a=2)]
    assert rewriter.rewritten == {PLACE: 1}


def test_a_row_that_is_deleted_meanwhile_is_no_problem(database: Database) -> None:
    database.add(obj("Image", "1.44"))
    database.meanwhile.append(lambda other: other.execute("DELETE FROM request_specs"))
    rewriter, _ = go(database)
    assert (rewriter.rewritten, rewriter.problems, database.specs) == ({}, [], [])


def test_a_row_that_never_stands_still_is_a_problem(database: Database) -> None:
    database.add(obj("Image", "1.44", a=0))

    def change(number: int) -> Callable[[Database], object]:
        text = json.dumps(obj("Image", "1.44", a=number))
        return lambda other: other.execute("UPDATE request_specs SET spec = ?", text)

    database.meanwhile += [change(number) for number in range(1, 50)]
    rewriter, _ = go(database)
    assert len(rewriter.problems) == 1
    assert "changed by somebody else 20 times" in rewriter.problems[0]


def test_new_rows_that_come_meanwhile_are_found_in_the_next_pass(database: Database) -> None:
    database.add(obj("Image", "1.44"), obj("Image", "1.44"))
    # after the first batch was read
    database.meanwhile += [lambda other: other.add(obj("Image", "1.44", late=1))] * 2
    rewriter, passes = go(database)
    assert rewriter.problems == []
    assert passes == 2
    assert {spec["nova_object.version"] for spec in database.specs} == {"1.42"}
    assert len(database.specs) == 4


def test_rows_that_keep_coming_are_a_problem(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite_objects, "BATCH", 100)
    database.add(obj("Image", "1.44"))
    database.meanwhile += [lambda other: other.add(obj("Image", "1.44"))] * 500
    rewriter, passes = go(database)
    assert passes == rewrite_objects.PASSES
    assert rewriter.problems == ["new rows in newer versions were still being written in pass 5"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (obj("Image", "1.44", forbidden=1), "ValueError: value forbidden is too new"),
        (
            obj("Spec", "1.1", share=obj("Share", "1.0")),
            "ValueError: Share 1.0 cannot be expressed in the old versions",
        ),
        ('{"Image" cut short', "JSONDecodeError: Expecting ':' delimiter"),
    ],
)
def test_what_cannot_be_rewritten_is_named_and_the_rest_is_rewritten(
    database: Database, spec: Any, problem: str
) -> None:
    spec = json.loads(json.dumps(spec)) if isinstance(spec, dict) else spec
    database.add(spec, obj("Image", "1.44"))
    rewriter, passes = go(database)
    uuid = database.execute("SELECT instance_uuid FROM request_specs WHERE id = 1")[0][0]
    assert rewriter.problems[0].startswith(f"{PLACE} of {uuid} (id 1): {problem}")
    assert (len(rewriter.problems), passes, rewriter.rewritten) == (1, 1, {PLACE: 1})
