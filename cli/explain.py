"""What pydantic found wrong, in the words of the person who wrote the file."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cli.documents import Document, KeyPath, Problem, kind_of

_WANTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of keys to values",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_HOST_NAME = "a host name: letters, digits, dots and hyphens"
_PATTERNS = {"cloud": "lower-case letters, digits and hyphens", "hosts": _HOST_NAME, "host": _HOST_NAME}
_KINDS = {"string": "a text", "integer": "a whole number", "number": "a number", "array": "a list"}


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Problem]:
    """Return one problem for each thing that the model refused in the document."""
    details = error.errors(include_url=False)
    places = [_place(detail, document) for detail in details]
    schema = model.model_json_schema()
    problems = []
    for detail, place in zip(details, places, strict=True):
        derived = detail["type"] == "too_short" and any(p[: len(place)] == place and p != place for p in places)
        if not derived:
            problems.append(_explain_one(detail, place, document, schema))
    return problems


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, and which one was probably meant."""
    return f"unknown {kind}{_instead(name, known)}"


def dotted(path: KeyPath) -> str:
    """Write a path of keys as ``hosts.control-1.roles[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _explain_one(detail: ErrorDetails, place: KeyPath, document: Document, schema: dict[str, Any]) -> Problem:
    if detail["type"] == "extra_forbidden":
        known = _keys_at(schema, place[:-1])
        return document.problem(place, f"{dotted(place)}: {unknown('key', str(place[-1]), known)}")
    if detail["type"] == "missing":
        return document.problem(place[:-1], f"{dotted(place)}: this key is missing; {_describe(schema, place)}")
    if not place:
        return _from_validator(detail, document)
    return document.problem(place, f"{dotted(place)}: {_wrong_value(detail, place)}")


def _wrong_value(detail: ErrorDetails, place: KeyPath) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "too_short":
        return f"must have at least {context['min_length']} entry"
    wanted, hint = _wanted(kind, place, context), ""
    if kind in {"enum", "literal_error"}:
        hint = _guess(str(value), wanted.replace(" or ", ", ").split(", "))
    return f"must be {wanted}, is {kind_of(value)}{hint}" if wanted else detail["msg"]


def _wanted(kind: str, place: KeyPath, context: dict[str, Any]) -> str:
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{words} {context[key]:g}"
    if kind in {"enum", "literal_error"}:
        return str(context["expected"]).replace("'", "")
    if kind == "string_pattern_mismatch":
        named = [_PATTERNS[str(part)] for part in place if part in _PATTERNS]
        return named[0] if named else f"a text like {context['pattern']}"
    return _WANTED.get(kind, "")


def _from_validator(detail: ErrorDetails, document: Document) -> Problem:
    """A check of the whole record names its key at the beginning of the message."""
    text = str(detail.get("ctx", {}).get("error", detail["msg"]))
    key = text.partition(":")[0]
    return document.problem(tuple(key.split(".")), text)


def _place(detail: ErrorDetails, document: Document) -> KeyPath:
    """Return the path of keys; a number below a mapping is a key that somebody wrote without quotes."""
    place: KeyPath = ()
    for part in detail["loc"]:
        if part != "[key]" and not _is_implied(document, place, part):
            place += (str(part) if isinstance(document.value(*place), dict) else part,)
    return place


def _is_implied(document: Document, place: KeyPath, part: str | int) -> bool:
    """Whether a key of the model is one that nobody writes: one word stands for it, or it is left out."""
    value = document.value(*place)
    if place == ("hosts",) and part == "names":
        return isinstance(value, list)
    if part in {"word", "rule"} and place[:1] == ("approvals",) and not (isinstance(value, dict) and part in value):
        return True
    if place[-1:] != ("on_failure",) or part not in {"default", "phases"}:
        return False
    return not isinstance(value, dict) or part not in value


def _keys_at(schema: dict[str, Any], place: KeyPath) -> list[str]:
    return list(_schema_at(schema, place).get("properties", {}))


def _schema_at(schema: dict[str, Any], place: KeyPath) -> dict[str, Any]:
    """Follow a path through a JSON schema to what is allowed there."""
    here = schema
    for part in place:
        here = _follow(schema, here, part)
    return here


def _follow(root: dict[str, Any], here: dict[str, Any], part: str | int) -> dict[str, Any]:
    if isinstance(part, int):
        found = here.get("items", {})
    else:
        others: dict[str, Any] = next(iter(here.get("patternProperties", {}).values()), {})
        found = here.get("properties", {}).get(part, others)
    return _resolved(root, found)


def _resolved(root: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference; of several kinds that are allowed, the one that has keys."""
    if "$ref" in found:
        found = root["$defs"][found["$ref"].rpartition("/")[2]]
    kinds = [_resolved(root, kind) for kind in found.get("oneOf", found.get("anyOf", ()))]
    return next((kind for kind in kinds if "properties" in kind), found)


def _describe(schema: dict[str, Any], place: KeyPath) -> str:
    wanted = _schema_at(schema, place)
    if "properties" in wanted:
        return f"a mapping with {', '.join(wanted.get('required') or wanted['properties'])}"
    return _KINDS.get(wanted.get("type", ""), "a mapping of names to values")


def _instead(name: str, known: Iterable[str]) -> str:
    names = list(known)
    return _guess(name, names) or f"; known are: {', '.join(names) or 'none'}"


def _guess(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
