"""Where something can go wrong in a run: read off an undisturbed one, step by step, so that no step is forgotten."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from simulator.cloud import SimCloud
from simulator.faults import Occasion

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")


class Place(NamedTuple):
    """A step, or its compensation."""

    step: str
    undo: bool

    @property
    def text(self) -> str:
        return f"{self.step}{' (undo)' if self.undo else ''}"


class Point(NamedTuple):
    """Something that happens in a step, as a fault names it: what it is about, on what, at what."""

    what: str
    on: str
    at: str


@dataclass
class Record:
    """What an undisturbed run has met: the points of each step, in the order in which the steps ran."""

    points: dict[Place, list[Point]] = field(default_factory=dict)

    def add(self, place: Place, point: Point) -> None:
        met = self.points.setdefault(place, [])
        if point not in met:
            met.append(point)


def point_of(occasion: Occasion, upgrade: str) -> Point:
    """Return the point of an occasion, free of names that only one run has."""
    at = _ID.sub("*", occasion.names[-1]).replace(upgrade, "*")
    # Requests are spread over the instances: a fault at one of them is a fault of the API.
    on = occasion.subjects[1] if occasion.what == "request" else occasion.subjects[0]
    return Point(occasion.what, on, at)


def representatives(points: Iterable[Point], cloud: SimCloud) -> list[Point]:
    """Return the points of a step, of hosts with the same roles only the first: the step does the same to each."""
    found: dict[tuple[str, tuple[str, ...], str], Point] = {}
    for point in points:
        roles = tuple(cloud.hosts[point.on].roles) if point.on in cloud.hosts else (point.on,)
        found.setdefault((point.what, roles, _without_host(point)), point)
    return list(found.values())


def _without_host(point: Point) -> str:
    return point.at.replace(point.on, "HOST")
