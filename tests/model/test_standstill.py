"""How long a guest did not run, from what virsh and nova say."""

from typing import Any

import pytest

from model.standstill import ActionTime, action_time, off_for, parse_pause, parse_pauses

# As virsh 9.0 prints it at the host that a guest came to.
COMPLETED = """\
Job type:         Completed   \n\
Operation:        Incoming migration
Time elapsed:     1021         ms
Time elapsed w/o network: 1019         ms
Data processed:   21.446 MiB
Data remaining:   0.000 B
Data total:       129.266 MiB
Memory processed: 21.446 MiB
Memory remaining: 0.000 B
Memory total:     129.266 MiB
Memory bandwidth: 117.234 MiB/s
Dirty rate:       0            pages/s
Page size:        4096         bytes
Iteration:        3           \n\
Postcopy requests: 0           \n\
Constant pages:   27649       \n\
Normal pages:     5455        \n\
Normal data:      21.309 MiB
Total downtime:   238          ms
Downtime w/o network: 236          ms
Setup time:       2            ms

"""
NONE = "Job type:         None        \n\n"
GONE = "error: failed to get domain '5e7c0d1e'\n\n"


def lines_without(*names: str) -> str:
    return "\n".join(line for line in COMPLETED.splitlines() if not line.startswith(names))


def test_the_pause_is_what_libvirt_calls_the_downtime() -> None:
    assert parse_pause(COMPLETED) == 0.238


@pytest.mark.parametrize(
    "said", ["", NONE, GONE, lines_without("Total downtime", "Downtime w/o"), "Total downtime: 9 ms"]
)
def test_what_is_not_told_is_not_known(said: str) -> None:
    assert parse_pause(said) is None


def test_other_jobs_are_no_moves() -> None:
    assert parse_pause(COMPLETED.replace("Incoming migration", "Snapshot")) is None
    assert parse_pause(COMPLETED.replace("Completed", "Unbounded")) is None
    assert parse_pause(COMPLETED.replace("Incoming", "Outgoing")) == 0.238
    # Before libvirt 3.3 it is not told which one it was.
    assert parse_pause(lines_without("Operation")) == 0.238


@pytest.mark.parametrize("total", ["40210", "12"])
def test_clocks_that_differ_do_not_count(total: str) -> None:
    """Between two clocks anything may lie; what is measured by one of them is believed."""
    assert parse_pause(COMPLETED.replace("238 ", f"{total} ")) == 0.236


def test_each_figure_does_with_the_other() -> None:
    assert parse_pause(lines_without("Downtime w/o")) == 0.238
    assert parse_pause(lines_without("Total downtime")) == 0.236


def test_many_guests_are_told_apart() -> None:
    slow = COMPLETED.replace("238 ", "1900 ").replace("236 ", "1898 ")
    output = f"== a\n{COMPLETED}== b\n{GONE}== c\n{NONE}== d\n{slow}"
    assert parse_pauses(output) == {"a": 0.238, "d": 1.9}
    assert parse_pauses("") == {}


def event(finish: str | None, result: str | None = "Success") -> dict[str, Any]:
    return {"event": "compute_start_instance", "finish_time": finish, "result": result}


def test_an_action_of_nova_lasts_from_its_order_to_its_last_end() -> None:
    row = {"start_time": "2026-11-23T10:00:00.000000"}
    ends = [event("2026-11-23T10:00:07.500000"), event("2026-11-23T10:00:09.250000")]
    stop = action_time({**row, "events": ends})
    assert stop == ActionTime(ordered="2026-11-23T10:00:00.000000", ended="2026-11-23T10:00:09.250000")
    start = ActionTime(ordered="2026-11-23T10:01:00.000000", ended="2026-11-23T10:01:02.000000")
    assert off_for(stop, start) == 62.0
    assert off_for(stop, stop) == 9.25
    assert off_for(start, stop) is None
    assert off_for(stop, None) is off_for(None, start) is None
    assert action_time({**row, "events": [*ends, event(None, None)]}) is None
    assert action_time({**row, "events": [event("2026-11-23T10:00:07.500000", "Error")]}) is None
    assert action_time({**row, "events": []}) is None
