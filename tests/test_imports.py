"""The floors of the house: each package imports only from below, and the heart of it knows no Temporal."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"cli", "workers", "workflows", "activities", "simulator", "model", "deploy"}
MAY_IMPORT = {
    "model": set(),
    # It speaks to the adapters: what they write is what it understands.
    "simulator": {"activities", "model"},
    "deploy": {"model"},
    "activities": {"model"},
    # Workflows name activities; they do not import them.
    "workflows": {"model"},
    "workers": {"workflows", "activities", "model"},
    "cli": {"workers", "workflows", "activities", "model"},
}
# The lab's own command line, the demo that runs on the lab, the simulator's command line, and rehearsals.
MAY_IMPORT_DEPLOY = {"cli/lab.py", "cli/demo.py"}
MAY_IMPORT_SIMULATOR = {"cli/sim.py", "workers/rehearsal.py"}
WITHOUT_TEMPORAL = ("model/", "workflows/dag/", "workflows/services/", "workflows/plan.py", "simulator/", "deploy/")
# What the vocabulary and the judgements may stand on: they touch nothing outside.
MODEL_STANDS_ON = {
    "collections", "csv", "dataclasses", "datetime", "difflib", "enum", "functools", "hashlib", "heapq", "io",
    "ipaddress", "itertools", "json", "math", "operator", "re", "statistics", "string", "textwrap", "types", "typing",
    "bisect", "calendar", "packaging", "pydantic", "zoneinfo", "holidays",
}  # fmt: skip


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, wherever in it; a relative import is resolved."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*above, *([node.module] if node.module else [])])


def broken_rules(path: Path, package: str) -> list[str]:
    name = path.relative_to(ROOT).as_posix()
    allowed = {package, *MAY_IMPORT[package], *({"deploy"} if name in MAY_IMPORT_DEPLOY else ())}
    allowed |= {"simulator"} if name in MAY_IMPORT_SIMULATOR else set()
    broken = []
    for module in imported(path):
        top = module.partition(".")[0]
        if top in OURS - allowed:
            broken.append(f"{name} imports {module}; {package} may import {', '.join(sorted(allowed))}")
        if top == "temporalio" and name.startswith(WITHOUT_TEMPORAL):
            broken.append(f"{name} imports {module}; it must be readable without Temporal")
        if top == "tests":
            broken.append(f"{name} imports {module}; nothing is built on tests")
    return broken


@pytest.mark.parametrize("package", sorted(OURS))
def test_each_package_imports_only_from_below(package: str) -> None:
    assert [rule for path in sources(package) for rule in broken_rules(path, package)] == []


def test_the_model_does_no_io() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources("model")
        for module in imported(path)
        if module.partition(".")[0] not in MODEL_STANDS_ON | {"model"}
    ]
    assert wrong == []


def test_the_rule_sees_imports_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_imports.ROOT", tmp_path)
    bad = tmp_path / "workflows" / "dag" / "bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text(
        "import temporalio.workflow\n\ndef late():\n    from activities.ssh import Hosts\n    from ..plan import x\n"
    )
    assert list(imported(bad)) == ["temporalio.workflow", "activities.ssh", "workflows.plan"]
    assert [rule.partition(";")[0] for rule in broken_rules(bad, "workflows")] == [
        "workflows/dag/bad.py imports temporalio.workflow",
        "workflows/dag/bad.py imports activities.ssh",
    ]
