"""Outages and tracks, found again in requests that are made up."""

import random
from itertools import pairwise

import pytest

from model.outages import MOST_SEGMENTS, Point, Span, buckets, coarse, compact, find_outages, make_track, merge_outages
from model.status import Outage, SeenState, Segment

GOOD, SLOW, DOWN, UNOBSERVED = SeenState.GOOD, SeenState.SLOW, SeenState.DOWN, SeenState.UNOBSERVED


def points(outcomes: str, *, every: float = 0.5, seconds: float = 0.1) -> list[Point]:
    """One request per character: ``.`` is a good answer, ``x`` a failure."""
    return [Point(100 + n * every, 100 + n * every + seconds, outcome == ".") for n, outcome in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("outcomes", "found"),
    [
        ("", []),
        ("....", []),
        (".x.", [(100.5, 101.1, 100.0, False)]),
        (".xx..x.", [(100.5, 101.6, 100.0, False), (102.5, 103.1, 102.0, False)]),
        ("x..", [(100.0, 100.6, None, False)]),
        ("..x", [(101.0, 101.1, 100.5, True)]),
        ("xxx", [(100.0, 101.1, None, True)]),
    ],
)
def test_an_outage_is_from_the_first_failure_to_the_next_good_answer(
    outcomes: str, found: list[tuple[float, float, float | None, bool]]
) -> None:
    outages = find_outages(points(outcomes))
    assert [(one.start, one.end, one.last_good, one.open) for one in outages] == found
    assert find_outages(reversed(points(outcomes))) == outages, "whatever the order of the answers"


def test_one_that_goes_on_lasts_until_the_end_of_the_watch() -> None:
    (outage,) = find_outages(points(".x"), until=130.0)
    assert (outage.end, outage.open) == (130.0, True)


def test_nobody_knows_of_an_outage_what_nobody_watched() -> None:
    before, after = points(".xx"), [Point(200.0, 200.1, ok=False), Point(200.5, 200.6, ok=True)]
    first, second = find_outages([*before, *after], [Span(101.3, 199.8)])
    assert (first.start, first.end, first.open) == (100.5, 101.3, True)
    assert (second.start, second.end, second.last_good, second.open) == (200.0, 200.6, None, False)


def injected(chance: random.Random) -> list[Span]:
    """Some outages of random lengths, with at least a second between them."""
    found, at = [], 1000.0
    for _ in range(chance.randint(0, 6)):
        at += 1.0 + chance.expovariate(1 / 8)
        end = at + chance.uniform(0.3, 5.0)
        found.append(Span(at, end))
        at = end
    return found


@pytest.mark.parametrize("seed", range(200))
def test_outages_of_random_lengths_are_found_within_an_interval(seed: int) -> None:
    """Requests at a fixed rate, answered within some milliseconds, failures followed up as the probe does it."""
    chance = random.Random(seed)
    wanted, every, follow_up, latency = injected(chance), 0.25, 0.1, 0.03

    def ask(at: float) -> Point:
        return Point(at, at + chance.uniform(0, latency), not any(o.start <= at < o.end for o in wanted))

    seen = [ask(998.0 + number * every + chance.uniform(0, 0.02)) for number in range(800)]
    for usual in list(seen):
        last = usual
        while not last.ok:
            last = ask(last.end + follow_up)
            seen.append(last)
    chance.shuffle(seen)
    found = find_outages(compact(seen, 1e9))
    assert found == find_outages(seen), "what is left out says nothing"
    assert len(found) == len(wanted)
    for outage, real in zip(found, wanted, strict=True):
        assert real.start <= outage.start < real.start + every + 0.02
        assert real.end <= outage.end <= real.end + follow_up + 2 * latency
        assert outage.last_good is not None
        assert outage.last_good < real.start


def test_newest_points_are_not_left_out() -> None:
    seen = points("." * 10 + "xxxx" + "." * 10)
    kept = compact(seen, before=108.0)
    assert [point for point in kept if point.at >= 108.0] == [point for point in seen if point.at >= 108.0]
    assert len(kept) < len(seen)


def test_what_overlaps_is_one_outage_of_the_service() -> None:
    one, two = Outage(start=1, end=3, last_good=0.5), Outage(start=2, end=5, open=True)
    three = Outage(start=9, end=10)
    assert merge_outages([three, two, one]) == (Outage(start=1, end=5, last_good=0.5, open=True), three)


def states(track: tuple[Segment, ...]) -> list[tuple[float, float, SeenState]]:
    return [(one.start, one.end, one.state) for one in track]


def test_a_track_has_no_holes_and_the_worst_wins() -> None:
    track = make_track(
        Span(0, 100), first=2, slow=[Span(10, 30), Span(15, 20)], down=[Span(18, 40)], holes=[Span(38, 50)]
    )
    assert states(track) == [
        (0, 2, UNOBSERVED),
        (2, 10, GOOD),
        (10, 18, SLOW),
        (18, 40, DOWN),
        (40, 50, UNOBSERVED),
        (50, 100, GOOD),
    ]


def test_a_service_that_was_never_asked_was_not_observed() -> None:
    track = make_track(Span(0, 9), first=None, slow=[], down=[], holes=[])
    assert states(track) == [(0, 9, UNOBSERVED)]
    assert make_track(Span(5, 5), first=5, slow=[], down=[], holes=[]) == ()


def test_a_long_track_is_made_coarse_and_no_outage_is_lost() -> None:
    down = [Span(n * 10, n * 10 + 0.5) for n in range(1, 300)]
    track = make_track(Span(0, 4000), first=0, slow=[], down=down, holes=[])
    assert 2 <= len(track) <= MOST_SEGMENTS
    assert (track[0].start, track[-1].end) == (0, 4000)
    assert all(one.end == other.start for one, other in pairwise(track))
    at_minute = {one.state for one in track if one.start <= 1000 < one.end}
    assert at_minute == {DOWN}


def test_a_short_outage_colours_the_stretch_that_it_is_in() -> None:
    track = make_track(Span(0, 3600), first=0, slow=[], down=[Span(1800.2, 1801.7)], holes=[])
    assert buckets(track, 60).count(DOWN) == 1
    assert buckets(track, 60)[30] is DOWN
    assert buckets((), 60) == []
    assert len(coarse(track, 60)) == 3
