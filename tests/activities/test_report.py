"""The report as a page: whole, self-contained, and true to the record."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from activities.files import state_folder
from activities.report import Reports, render_html
from model.status import ApiAvailability, Report, RunState
from tests.cli.runs import FAILED, at, report, status

VOID = {"meta", "br", "link", "hr", "img"}


class Outline(HTMLParser):
    """Checks that every element is closed in order, and keeps the text and what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {name}={value}" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data.strip())


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


def words(page: str) -> str:
    return " ".join(part for part in outline(page).text if part)


def test_the_page_says_what_changed_and_what_users_saw() -> None:
    text = words(render_html(report()))
    for expected in (
        "lab runs 2026.2",
        "completed in 10:00 min",
        "none failed",
        "33.0.1 → 34.0.0",
        "2.1 to 2.100 2.1 to 2.103",
        "web cmp1 → cmp2",
        "anna approve plan looks right",
        "2 tries. 3 guests moved",
    ):
        assert expected in text


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = render_html(report())
    assert outline(page).loads == []
    assert not re.search(r"https?://|@import|url\(", page)


def test_what_comes_from_the_cloud_is_only_text() -> None:
    evil = "<script>alert(1)</script>"
    page = render_html(report(steps=[FAILED.model_copy(update={"error": evil, "title": evil})]))
    assert "<script" not in page
    assert evil in words(page)


def test_a_stopped_run_looks_like_one() -> None:
    stopped = status(state=RunState.STOPPED, ended=at("23:54:00"), message="stopped by anna: enough", running=())
    seen = ApiAvailability(
        service="nova", requests=10, failed=2, median=0.1, p99=1, longest=2, longest_gap=1.4, failures=("503 at 23:50",)
    )
    page = render_html(report(status=stopped, steps=[FAILED], after={}, availability=[seen]))
    text = words(page)
    assert '<header class="bad">' in page
    assert "<details open>" in page
    for expected in ("lab is not wholly at 2026.2", "2 failed", "503 at 23:50", "remedy: read `journalctl", "1.4 s"):
        assert expected in text
    assert "The run ended before they were read again" in text


def test_a_refused_run_has_a_page_too() -> None:
    refused = status(state=RunState.REFUSED, ended=at("23:45:02"), phases=(), hosts=(), running=(), plan_hash=None)
    text = words(render_html(Report(status=refused, steps=(), events=())))
    assert "lab stays at 2026.1: the upgrade was refused" in text


def test_page_and_data_are_written_and_written_again(tmp_path: Path) -> None:
    reports = Reports(tmp_path / "reports")
    for _ in range(2):
        files = reports.write(report())
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "lab-2026.2-20251122-234500.html",
        "lab-2026.2-20251122-234500.json",
    ]
    assert Report.model_validate(json.loads(Path(files.json_path).read_text())) == report()
    assert Path(files.html).read_text() == render_html(report())


async def test_a_name_with_slashes_stays_in_the_folder(tmp_path: Path) -> None:
    sly = report(status=status(upgrade="../../etc/passwd", ended=at("23:54:00")))
    files = await Reports(tmp_path).write_report(sly)
    assert Path(files.html) == tmp_path / "..-..-etc-passwd.html"


def test_state_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STACKROLL_STATE_DIR", str(tmp_path))
    assert state_folder() == tmp_path
