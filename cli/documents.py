"""YAML and JSON files that remember where each key stands, so that every complaint can name its line."""

from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

KeyPath = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing that is wrong in a file: where, and what would be right."""

    file: str
    line: int | None
    text: str
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.text}"


class BadInputError(Exception):
    """Files that cannot be used; carries every problem found."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = list(dict.fromkeys(sorted(problems, key=lambda p: (p.file, p.line or 0))))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Document:
    """A parsed file: plain data, the line of each key, and what is wrong with its form.

    Attributes:
        label: the file's name as people know it.
        data: the content as plain Python data.
        problems: keys that occur twice.
    """

    def __init__(self, path: Path, label: str | None = None) -> None:
        """Read and parse the file.

        Raises:
            BadInputError: when it is missing, unreadable, empty, or not a mapping in YAML or JSON.
        """
        self.path = path
        self.label = label or str(path)
        self.problems: list[Problem] = []
        self._lines: dict[tuple[str, ...], int] = {}
        self._texts: dict[tuple[str, ...], str] = {}
        node, data = self._parse(self._read())
        if not isinstance(node, MappingNode) or not isinstance(data, dict):
            raise BadInputError([Problem(self.label, 1, f"must be a mapping of keys to values, is {kind_of(data)}")])
        self.data: dict[str, Any] = data
        try:
            self._index(node, ())
        except RecursionError:
            raise BadInputError([Problem(self.label, None, "not usable: an alias refers to itself")]) from None

    def line(self, path: KeyPath) -> int:
        """Return the line of the key at this path, or of the nearest key around it."""
        names = tuple(str(part) for part in path)
        while names and names not in self._lines:
            names = names[:-1]
        return self._lines.get(names, 1)

    def value(self, *path: str | int) -> Any:
        """Return the value at this path; None when there is none."""
        here: Any = self.data
        for key in path:
            try:
                here = here[key]
            except (KeyError, IndexError, TypeError):
                return None
        return here

    def keep_text(self, key: str) -> None:
        """Take a top-level scalar as it was written: unquoted, ``2026.1`` would be a number."""
        if isinstance(self.data.get(key), int | float) and not isinstance(self.data[key], bool):
            self.data[key] = self._texts[(key,)]

    def problem(self, path: KeyPath, text: str) -> Problem:
        """Return a problem with the key at this path."""
        return Problem(self.label, self.line(path), text)

    @property
    def _form(self) -> str:
        """What is expected of it; JSON is read as the YAML that it is."""
        return "JSON" if self.path.suffix == ".json" else "YAML"

    def _read(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise BadInputError([Problem(self.label, None, "no such file")]) from None
        except UnicodeDecodeError as error:
            text = f"not {self._form}: byte {error.start} is no UTF-8 text"
            raise BadInputError([Problem(self.label, None, text)]) from None
        except OSError as error:
            text = f"cannot be read: {error.strerror or error}"
            raise BadInputError([Problem(self.label, None, text)]) from None

    def _parse(self, text: str) -> tuple[Node | None, Any]:
        try:
            loader = YAML(typ="safe", pure=True)
            loader.allow_duplicate_keys = True
            return YAML(typ="rt", pure=True).compose(text), loader.load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(str(part) for part in (error.context, error.problem) if part)
            line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
            raise BadInputError([Problem(self.label, line, f"not {self._form}: {what}", column)]) from None
        except (YAMLError, ValueError, RecursionError) as error:
            raise BadInputError([Problem(self.label, None, f"not {self._form}: {error}".splitlines()[0])]) from None

    def _index(self, node: Node, path: tuple[str, ...]) -> None:
        if isinstance(node, SequenceNode):
            for number, item in enumerate(node.value):
                self._enter(item, item, (*path, str(number)))
        elif isinstance(node, MappingNode):
            for key, value in node.value:
                here = (*path, str(key.value))
                if here in self._lines:
                    first = f"{key.value}: occurs twice; the first is in line {self._lines[here]}, keep one of them"
                    self.problems.append(Problem(self.label, key.start_mark.line + 1, first))
                self._enter(key, value, here)

    def _enter(self, marked: Node, value: Node, path: tuple[str, ...]) -> None:
        self._lines[path] = marked.start_mark.line + 1
        if isinstance(value.value, str):
            self._texts[path] = value.value
        else:
            self._index(value, path)


def kind_of(value: object) -> str:
    """Name a value's kind as a person would, with the value where it is short."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"the {'text' if isinstance(value, str) else 'number'} {value!r}"
