"""The shape of JSON: which fields there are and of which types, and nothing of their values.

Lists are merged over their elements, objects whose keys are data (metadata, addresses, resources by class) are maps of
one shape. What is empty (null, "", [], {}) says nothing of what would be there.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from model.base import Record

Path = tuple[str, ...]
LIST, MAP = "[]", "{}"
# Keys that are ids are data wherever they occur.
_ID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}|\d+")

_SCALARS: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


class Rules(Record):
    """What the calls of a service know of its answers.

    Places are the end of a path, such as ``flavor.extra_specs``, or after a slash all of it; lists are left out.

    Attributes:
        maps: objects whose keys are data.
        optional: fields that come and go with the state of what is shown.
        open: objects to which users may add fields of their own: only those that are listed count.
    """

    maps: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    open: dict[str, frozenset[str]] = {}


class Field(Record):
    """A field of an object, and whether every object that was seen had it."""

    shape: "Shape"
    always: bool = True


class Shape(Record):
    """What was seen at one place.

    Attributes:
        types: JSON's types, with ``integer`` and ``number`` told apart; sorted; none where all was empty.
        empty: whether null or an empty text was seen.
        fields: of objects.
        items: what is in lists.
        values: what is in maps.
    """

    types: tuple[str, ...] = ()
    empty: bool = False
    fields: dict[str, Field] = {}
    items: "Shape | None" = None
    values: "Shape | None" = None


def shape_of(value: Any, rules: Rules, path: Path = ()) -> Shape:
    """Return the shape of a JSON value; ``path`` is where it is in the answer."""
    if value is None or value == "":
        return Shape(empty=True)
    if isinstance(value, dict):
        return _of_object(value, rules, path)
    if isinstance(value, list):
        return Shape(types=("array",), items=merged(shape_of(item, rules, (*path, LIST)) for item in value))
    return Shape(types=(_SCALARS[type(value)],))


def _of_object(value: Mapping[str, Any], rules: Rules, path: Path) -> Shape:
    if _ends(path, rules.maps) or (value and all(_ID.fullmatch(key) for key in value)):
        inner = merged(shape_of(item, rules, (*path, MAP)) for item in value.values())
        return Shape(types=("object",), values=inner or Shape())
    known = next((names for end, names in rules.open.items() if _ends(path, (end,))), None)
    fields = {
        key: Field(shape=shape_of(item, rules, (*path, key)), always=not _ends((*path, key), rules.optional))
        for key, item in value.items()
        if known is None or key in known
    }
    return Shape(types=("object",), fields=fields)


def _ends(path: Path, ends: Iterable[str]) -> bool:
    names = tuple(name for name in path if name != LIST)
    return any(_is_end(names, end) for end in ends)


def _is_end(names: Path, end: str) -> bool:
    parts = _parts(end)
    return names == parts if end.startswith("/") else names[-len(parts) :] == parts


@cache
def _parts(end: str) -> Path:
    return tuple(end.removeprefix("/").split("."))


def merged(shapes: Iterable[Shape]) -> Shape | None:
    """Return what several shapes have together; None for none. Their order does not matter."""
    found: Shape | None = None
    for shape in shapes:
        found = shape if found is None else merge(found, shape)
    return found


def merge(one: Shape, other: Shape) -> Shape:
    """Return what two shapes have together."""
    values = merged(shape.values for shape in (one, other) if shape.values is not None)
    fields: dict[str, Field] = {}
    if values is not None:
        # A map on one side only, such as one whose keys were ids by chance or by an empty object.
        values = merged([values, *(field.shape for shape in (one, other) for field in shape.fields.values())])
    else:
        both = "object" in one.types and "object" in other.types
        for name in sorted({*one.fields, *other.fields}):
            found = [shape.fields[name] for shape in (one, other) if name in shape.fields]
            inner = merged(field.shape for field in found) or Shape()
            always = all(field.always for field in found) and (len(found) == 2 or not both)
            fields[name] = Field(shape=inner, always=always)
    return Shape(
        types=tuple(sorted({*one.types, *other.types})),
        empty=one.empty or other.empty,
        fields=fields,
        items=merged(shape.items for shape in (one, other) if shape.items is not None),
        values=values,
    )


def written(path: Path) -> str:
    """Write a path as people do: ``servers[].flavor.vcpus``, ``metadata{}``."""
    text = ""
    for name in path:
        text += name if name in {LIST, MAP} else f".{name}" if text else name
    return text or "the answer"
