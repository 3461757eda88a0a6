"""The ledger of probes, and what is concluded from it."""

import pytest

from model.availability import Gap, Probe, ends_at, read_ledger, summarise, to_line


def probes(api: str, outcomes: str, *, every: float = 0.5, seconds: float = 0.1) -> list[Probe]:
    """One probe per character: ``.`` is an answer, ``x`` a failure."""
    return [
        Probe(at=100 + n * every, api=api, seconds=seconds, status=200, failure="502" if outcome == "x" else "")
        for n, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(
    ("outcomes", "failed", "gap"),
    [
        ("....", 0, 0.0),
        (".x.", 1, 1.0),
        (".xx..x.", 3, 1.5),
        ("x..", 1, 0.5),
        ("..x", 1, 0.6),
        ("xxx", 3, 1.1),
    ],
)
def test_failures_and_the_longest_gap(outcomes: str, failed: int, gap: float) -> None:
    (summary,), _ = summarise(probes("nova-api", outcomes))
    assert (summary.requests, summary.failed, summary.longest_gap) == (len(outcomes), failed, gap)


def test_times() -> None:
    entries = [Probe(at=n, api="glance", seconds=n / 100, status=200) for n in range(1, 101)]
    (summary,), _ = summarise(entries)
    assert (summary.median, summary.p99, summary.longest) == (0.505, 0.99, 1.0)


def test_the_order_of_answers_does_not_matter() -> None:
    entries = probes("nova-api", ".xx.x.")
    assert summarise(reversed(entries))[0][0].longest_gap == summarise(entries)[0][0].longest_gap


def test_only_the_first_failures_are_told() -> None:
    (summary,), _ = summarise(probes("nova-api", "x" * 30))
    assert summary.failed == 30
    assert len(summary.failures) == 10


def test_each_api_is_summed_up_for_itself_and_gaps_for_all() -> None:
    summaries, unobserved = summarise([*probes("a", ".."), Gap(gap_from=101, gap_to=111.5), *probes("b", "x")])
    assert [(s.service, s.requests) for s in summaries] == [("a", 2), ("b", 1)]
    assert unobserved == 10.5


def test_a_ledger_is_read_back_and_a_torn_line_passed_over() -> None:
    entries: list[Probe | Gap] = [*probes("a", ".x"), Gap(gap_from=1, gap_to=2)]
    lines = [to_line(entry) for entry in entries]
    assert list(read_ledger([*lines, '{"at": 12.5, "ap'])) == entries


def test_the_end_of_a_ledger() -> None:
    assert ends_at([]) is None
    assert ends_at(probes("a", "..")) == 100.6
    assert ends_at([*probes("a", ".."), Gap(gap_from=101, gap_to=111)]) == 111
