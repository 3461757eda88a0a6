"""The benchmark of drains measures what it says."""

from io import StringIO

from rich.console import Console

from benchmarks.drain import measure, show
from benchmarks.drain_fleet import draw_durations, make_fleet
from model.placement import Durations
from model.rolling import Rolling


def test_a_cloud_is_the_same_each_time_and_as_full_as_asked() -> None:
    cloud = make_fleet(24, 0.6, seed=1)
    assert cloud == make_fleet(24, 0.6, seed=1)
    assert cloud != make_fleet(24, 0.6, seed=2)
    share = [host.capacity.used["MEMORY_MB"] / host.capacity.total["MEMORY_MB"] for host in cloud.hosts.values()]
    assert 0.35 < sum(share) / len(share) < 0.65
    assert draw_durations(cloud, Durations(), 1) == draw_durations(cloud, Durations(), 1)


def test_both_orders_and_the_baseline_are_measured() -> None:
    lines = measure(make_fleet(16, 0.6, seed=1), Rolling(max_unavailable=3), seed=1)
    fewest, fastest, *freer, baseline = lines
    assert [line.per_group for line in lines] == [1, 1, 2, 2, 0]
    assert all(line.moves >= line.bound for line in freer)
    assert fewest.bound <= fewest.moves <= fastest.moves
    assert fewest.moves < baseline.moves
    assert fewest.most <= 2
    assert fastest.most <= 2
    assert not fewest.stuck + fastest.stuck
    assert min(fewest.makespan, fastest.makespan) >= fewest.shortest
    text = StringIO()
    show(Console(file=text, width=150), "title", lines)
    assert "by name, nova's choice" in text.getvalue()
