"""When a service was down: pure functions from what became of single requests to outages, and to a track of time.

A request counts by when it was sent. An outage lasts from the first failed request until the answer to the next good
one. What nobody watched belongs to no outage: it is told for itself.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from model.status import Outage, SeenState, Segment

# More segments than this are of no use to a reader, and a burden for the record of the run.
MOST_SEGMENTS = 120
_WORST = (SeenState.GOOD, SeenState.SLOW, SeenState.UNOBSERVED, SeenState.DOWN)


class Point(NamedTuple):
    """A request: when it was sent, when it was answered or given up, and whether the answer was good."""

    at: float
    end: float
    ok: bool


class Span(NamedTuple):
    """A stretch of time, in seconds since 1970."""

    start: float
    end: float


def find_outages(points: Iterable[Point], holes: Sequence[Span] = (), until: float = 0.0) -> list[Outage]:
    """Return the outages that these requests show.

    Args:
        points: what became of each request, in any order.
        holes: when nobody watched; an outage ends at the begin of such a hole.
        until: the end of the watch, to which an outage lasts that nothing has ended.
    """
    found: list[Outage] = []
    begun: Point | None = None
    last: Point | None = None
    last_good: float | None = None
    for point in sorted(points, key=_in_order):
        if begun is not None and last is not None and (hole := _hole_between(holes, last.at, point.at)):
            found.append(_outage(begun, max(hole.start, begun.at), last_good, is_open=True))
            begun, last_good = None, None
        if point.ok:
            if begun is not None:
                found.append(_outage(begun, point.end, last_good))
                begun = None
            last_good = point.at
        elif begun is None:
            begun = point
        last = point
    if begun is not None and last is not None:
        after = [hole.start for hole in holes if hole.start > last.at]
        end = min([max(last.end, until), *after])
        found.append(_outage(begun, max(end, begun.at), last_good, is_open=True))
    return found


def _in_order(point: Point) -> tuple[float, float]:
    """By when they were sent; of two that tell of the same request the one first that knows when it was answered."""
    return point.at, -point.end


def _outage(begun: Point, end: float, last_good: float | None, *, is_open: bool = False) -> Outage:
    return Outage(
        start=round(begun.at, 4),
        end=round(max(end, begun.at), 4),
        last_good=None if last_good is None else round(last_good, 4),
        open=is_open,
    )


def _hole_between(holes: Sequence[Span], first: float, second: float) -> Span | None:
    return next((hole for hole in holes if first < hole.end and hole.start < second), None)


def compact(points: Iterable[Point], before: float) -> list[Point]:
    """Return points that show the same outages, without those sent before a moment that say nothing new.

    Of a row of requests with the same outcome only the first and the last say something.
    """
    kept: list[Point] = []
    row: list[Point] = []
    for point in sorted(points, key=_in_order):
        if row and (row[-1].ok is not point.ok or point.at >= before):
            kept += row if len(row) < 2 else [row[0], row[-1]]
            row = []
        row.append(point)
    return kept + (row if len(row) < 2 else [row[0], row[-1]])


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same time as stretches that do not touch each other, in order."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def total(spans: Iterable[Span]) -> float:
    """Return the seconds that at least one of these stretches covers."""
    return sum(span.end - span.start for span in union(spans))


def merge_outages(outages: Iterable[Outage]) -> tuple[Outage, ...]:
    """Return the outages of a service from those of its checks: what overlaps is one."""
    found: list[Outage] = []
    for outage in sorted(outages, key=lambda one: (one.start, one.end)):
        if found and outage.start <= found[-1].end:
            last = found[-1]
            later = outage if outage.end >= last.end else last
            found[-1] = last.model_copy(update={"end": later.end, "open": later.open})
        else:
            found.append(outage)
    return tuple(found)


def make_track(
    watched: Span, *, first: float | None, slow: Iterable[Span], down: Iterable[Span], holes: Iterable[Span]
) -> tuple[Segment, ...]:
    """Return what was seen of a service from the begin to the end of the watch, without holes.

    Args:
        watched: begin and end of the watch.
        first: when the service was first asked; None when it never was.
        slow: when requests were on their way for too long.
        down: its outages.
        holes: when nobody watched.
    """
    if watched.end <= watched.start:
        return ()
    layers: list[tuple[SeenState, list[Span]]] = [
        (SeenState.SLOW, union(slow)),
        (SeenState.UNOBSERVED, union([*holes, Span(watched.start, watched.end if first is None else first)])),
        (SeenState.DOWN, union(down)),
    ]
    moments = {moment for _, spans in layers for span in spans for moment in span}
    cuts = sorted({*watched, *(moment for moment in moments if watched.start < moment < watched.end)})
    segments: list[Segment] = []
    for start, end in pairwise(cuts):
        state = _state_at((start + end) / 2, layers)
        if segments and segments[-1].state is state:
            segments[-1] = segments[-1].model_copy(update={"end": round(end, 3)})
        else:
            segments.append(Segment(start=round(start, 3), end=round(end, 3), state=state))
    return tuple(segments) if len(segments) <= MOST_SEGMENTS else coarse(segments, MOST_SEGMENTS)


def _state_at(moment: float, layers: Sequence[tuple[SeenState, list[Span]]]) -> SeenState:
    state = SeenState.GOOD
    for one, spans in layers:
        place = bisect_right(spans, moment, key=lambda span: span.start) - 1
        if place >= 0 and moment < spans[place].end:
            state = one
    return state


def coarse(track: Sequence[Segment], number: int) -> tuple[Segment, ...]:
    """Return a track as so many equal stretches at most, each in the worst state that was seen in it."""
    states = buckets(track, number)
    if not states:
        return ()
    begin, end = track[0].start, track[-1].end
    width = (end - begin) / len(states)
    found: list[Segment] = []
    for place, state in enumerate(states):
        last = end if place == len(states) - 1 else round(begin + (place + 1) * width, 3)
        if found and found[-1].state is state:
            found[-1] = found[-1].model_copy(update={"end": last})
        else:
            found.append(Segment(start=round(begin + place * width, 3), end=last, state=state))
    return tuple(found)


def buckets(track: Sequence[Segment], number: int) -> list[SeenState]:
    """Return the worst state in each of so many equal stretches of a track."""
    if not track or track[-1].end <= track[0].start:
        return []
    begin, length = track[0].start, track[-1].end - track[0].start
    states = [SeenState.GOOD] * number
    for segment in track:
        first = int((segment.start - begin) / length * number)
        last = (segment.end - begin) / length * number
        for place in range(min(first, number - 1), min(number, max(first + 1, -int(-last // 1)))):
            states[place] = max(states[place], segment.state, key=_WORST.index)
    return states
