"""The ledger of probes: what is written is read back."""

from collections import Counter

import pytest

from model.availability import Basis, Beat, Entry, Gap, Probe, Tally, bucket, quantile, read_ledger, seconds_of, to_line

ENTRIES: list[Entry] = [
    Beat(beat=100.0),
    Beat(beat=100.5, waiting=98.25),
    Probe(at=100.0, api="nova-api", request="GET /v2.1/servers", seconds=0.1, status=503, failure="503 no server"),
    Probe(at=101.0, api="nova-api", check="health", seconds=0.1, told=True),
    Tally(tally="glance", requests=2, first=100.0, last=100.5, times={40: 1, 41: 1}, longest=0.004),
    Basis(basis=105.0, slow_after={"glance": {"read": 0.5}}),
    Gap(gap_from=110.0, gap_to=112.5),
]


def test_a_ledger_is_read_back_and_a_torn_line_passed_over() -> None:
    lines = [to_line(entry) for entry in ENTRIES]
    assert list(read_ledger([*lines, '{"at": 12.5, "ap'])) == ENTRIES


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"beat": "soon"}', '{"api": "nova-api"}', "null", "7"])
def test_what_is_no_entry_is_passed_over(line: str) -> None:
    assert list(read_ledger([line])) == []


def test_a_ledger_of_an_earlier_version_is_understood() -> None:
    line = '{"at":100.5,"api":"glance","seconds":0.02,"status":200}'
    assert list(read_ledger([line])) == [Probe(at=100.5, api="glance", check="read", seconds=0.02, status=200)]


@pytest.mark.parametrize("seconds", [0.0001, 0.001, 0.0213, 0.5, 1.0, 59.9])
def test_a_time_is_known_within_five_in_a_hundred(seconds: float) -> None:
    known = seconds_of(bucket(seconds))
    assert max(seconds, 0.0005) <= known * 1.000001
    assert known <= max(seconds, 0.0005) * 1.051


def test_quantiles() -> None:
    times = Counter(bucket(n / 100) for n in range(1, 101))
    assert quantile({}, 0.5) == 0
    assert quantile({7: 3}, 0.99) == seconds_of(7)
    assert 0.4 < quantile(times, 0.5) < 0.65
