"""How often children report, and how long a task may take, depends on the fleet."""

import pytest

from workflows.names import batch_id, news_every, report_every, task_time


@pytest.mark.parametrize(
    ("hosts", "seconds"),
    [(1, 1.0), (30, 1.0), (60, 2.0), (300, 10.0), (1000, pytest.approx(33.3, abs=0.1)), (5000, 60.0)],
)
def test_report_every(hosts: int, seconds: float) -> None:
    assert report_every(hosts) == seconds


@pytest.mark.parametrize(("hosts", "seconds"), [(1, 10.0), (100, 10.0), (1000, 100.0), (5000, 120.0)])
def test_task_time(hosts: int, seconds: float) -> None:
    assert task_time(hosts).total_seconds() == seconds


@pytest.mark.parametrize(("host_seconds", "seconds"), [(1, 0.5), (180, 18.0), (3600, 60.0)])
def test_a_batch_tells_its_run_ten_times_while_a_host_is_in_work(host_seconds: float, seconds: float) -> None:
    assert news_every(host_seconds) == seconds


def test_the_id_of_a_batch_says_whose_it_is() -> None:
    assert batch_id("june", 2) == "june/batch/2"
