"""The examples in the documentation are what stackroll takes."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from model.reboot_spec import RebootSpec
from model.spec import UpgradeSpec

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^ *```yaml\n(?P<text> *# (?P<files>[^\n]*\.yaml)\n.*?)^ *```", re.MULTILINE | re.DOTALL)
EXAMPLES = [(page, found) for page in PAGES for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "found"), EXAMPLES, ids=[f"{page.name}:{found.start()}" for page, found in EXAMPLES])
def test_an_example_of_a_specification_is_accepted(page: Path, found: re.Match[str]) -> None:
    written = YAML(typ="safe").load(found["text"])
    written.pop("cloud", None)
    files = re.findall(r"[a-z]+\.yaml", found["files"])
    assert files, page
    for file in files:
        if file == "upgrade.yaml":
            UpgradeSpec.model_validate({"to": "2026.2", **written})
        if file == "reboot.yaml":
            RebootSpec.model_validate(written)


def test_there_are_examples_of_both() -> None:
    told = " ".join(found["files"] for _, found in EXAMPLES)
    assert "upgrade.yaml" in told
    assert "reboot.yaml" in told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
