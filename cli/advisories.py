"""Reading advisories from files and directories: OSSA YAML and OSV JSON; every file that is none is told at once."""

from collections.abc import Sequence
from pathlib import Path

from cli.documents import BadInputError, Document, Problem
from model.advisories.documents import Advisory, AdvisoryError, read_advisory

_KINDS = (".yaml", ".yml", ".json")


def load_advisories(places: Sequence[Path]) -> tuple[Advisory, ...]:
    """Return the advisories of these files, and of all YAML and JSON files below these directories.

    Raises:
        BadInputError: with every file that is no advisory, and every advisory that occurs twice.
    """
    problems: list[Problem] = []
    found: dict[str, Advisory] = {}
    for path in _files(places, problems):
        try:
            document = Document(path)
        except BadInputError as error:
            problems += error.problems
            continue
        problems += document.problems
        try:
            advisory = read_advisory(document.data, str(path))
        except AdvisoryError as error:
            problems.append(document.problem((error.key,), str(error)))
            continue
        if advisory.id in found:
            text = f"id: {advisory.id} is in {found[advisory.id].source} already; keep one of them"
            problems.append(document.problem(("id",), text))
        found[advisory.id] = advisory
    if problems:
        raise BadInputError(problems)
    return tuple(sorted(found.values(), key=lambda advisory: advisory.id))


def _files(places: Sequence[Path], problems: list[Problem]) -> list[Path]:
    files: list[Path] = []
    for place in places:
        if not place.is_dir():
            # A file that is missing is told by whoever opens it.
            files.append(place)
            continue
        inside = sorted(path for path in place.rglob("*") if path.suffix.lower() in _KINDS and path.is_file())
        if not inside:
            text = "no advisories in it: OSSA files end with .yaml, OSV files with .json"
            problems.append(Problem(str(place), None, text))
        files += inside
    return list(dict.fromkeys(files))
