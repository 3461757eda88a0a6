"""What runs took is kept for the next forecast."""

import logging
from pathlib import Path

import pytest

from activities.experience import keep_times, read_experience
from activities.report import Reports
from model.experience import Experience
from tests.cli.runs import report
from tests.model.test_experience import run


def test_what_is_kept_is_there_again_and_each_cloud_has_its_own(tmp_path: Path) -> None:
    assert read_experience(tmp_path, "a") == Experience()
    keep_times(tmp_path, "a", run(1, {"x": 1.0}))
    keep_times(tmp_path, "a", run(2, {"x": 2.0}))
    keep_times(tmp_path, "b", run(3, {"x": 3.0}))
    assert [one.run for one in read_experience(tmp_path, "a").runs] == ["r1", "r2"]
    assert [one.run for one in read_experience(tmp_path, "b").runs] == ["r3"]


def test_a_name_leads_to_no_other_folder(tmp_path: Path) -> None:
    keep_times(tmp_path / "state", "../../evil", run(1, {"x": 1.0}))
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "state" / "experience"]


def test_a_damaged_file_costs_the_experience_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep_times(tmp_path, "a", run(1, {"x": 1.0}))
    path = tmp_path / "experience" / "a.json"
    path.write_text("{")
    with caplog.at_level(logging.WARNING):
        assert read_experience(tmp_path, "a") == Experience()
    assert str(path) in caplog.text


def test_the_report_of_a_run_teaches_the_next_forecast(tmp_path: Path) -> None:
    told = report()
    Reports(tmp_path / "reports").write(told)
    Reports(tmp_path / "reports").write(told)
    found = read_experience(tmp_path, told.status.cloud)
    assert [one.run for one in found.runs] == [told.status.upgrade]
