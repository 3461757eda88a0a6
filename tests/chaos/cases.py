"""The cases of the matrix: every point of every step, and every fault that can happen there."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from model.inventory import Role
from simulator.cloud import SimCloud
from simulator.faults import Fault, FaultFile
from tests.chaos.points import Place, Point, Record, representatives

# Simulated seconds that a host is away, and that something takes longer.
AWAY = 400.0
LATE = 600.0

_ONCE: dict[str, tuple[dict[str, Any], ...]] = {
    "job": (
        {"how": "exit", "status": 9, "output": "simulated: it broke"},
        {"how": "hang"},
        {"how": "slow", "seconds": LATE},
        {"how": "disconnect"},
        {"how": "gone", "seconds": AWAY},
    ),
    "unit": ({"how": "exit", "output": "simulated: it does not start"}, {"how": "hang"}),
    "command": (
        {"how": "exit", "status": 9, "output": "simulated: no"},
        {"how": "hang"},
        {"how": "disconnect"},
        {"how": "gone", "seconds": AWAY, "connections": "refused"},
    ),
    "request": ({"how": "http", "status": 500}, {"how": "hang"}, {"how": "disconnect"}),
    "migration": (
        {"how": "error"},
        {"how": "guest-error"},
        {"how": "slow", "seconds": LATE},
        {"how": "gone", "seconds": AWAY},
    ),
}
# Until somebody mends it.
_LASTING: dict[str, tuple[dict[str, Any], ...]] = {
    "job": ({"how": "exit", "status": 9, "output": "simulated: it breaks"}, {"how": "gone", "seconds": None}),
    "unit": ({"how": "exit", "output": "simulated: it does not start"},),
    "command": ({"how": "exit", "status": 9, "output": "simulated: no"},),
    "request": ({"how": "http", "status": 500},),
    "migration": ({"how": "error"}, {"how": "never-converges"}),
}
_INSTALL: tuple[dict[str, Any], ...] = (
    {"how": "disk-full"},
    {"how": "restarts-services"},
    {"how": "restarts-services", "new": True},
)
_DUMP: tuple[dict[str, Any], ...] = ({"how": "truncated"}, {"how": "disk-full"})
_CONFLICT = {"how": "http", "status": 409}
# A host that comes back as another one.
_OTHER: tuple[dict[str, Any], ...] = (
    {"how": "gone", "seconds": AWAY, "kernel": "6.12.0-1-amd64", "hostname": "localhost"},
)
_OTHER_COMPUTE: tuple[dict[str, Any], ...] = (
    {"how": "gone", "seconds": AWAY, "compute_id": "00000000-0000-4000-8000-000000000000"},
)
_READS = ("GET ", "HEAD ")


@dataclass(frozen=True)
class Case:
    """A fault at a step; ``back``: on the way back, which somebody has ordered before the commit point."""

    place: Place
    fault: Fault
    back: bool = False

    @cached_property
    def id(self) -> str:
        """Stable and short: the same fault at the same step has it in every run of the matrix."""
        text = json.dumps([*self.place, self.back, self.fault.model_dump(mode="json")], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def in_batches(self) -> bool:
        """Whether its compute hosts are carried out in batches, as those of a fleet are: half of the cases are so."""
        return int(self.id, 16) % 2 == 1

    def dump(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"place": list(self.place), "back": self.back, "fault": self.fault.model_dump(mode="json")}

    @classmethod
    def load(cls, content: dict[str, Any]) -> Self:
        """Read it back."""
        (fault,) = FaultFile.model_validate({"faults": [content["fault"]]}).faults
        return cls(Place(*content["place"]), fault, content["back"])

    @property
    def lasting(self) -> bool:
        """Whether it stays until somebody mends it."""
        return self.fault.times is None or getattr(self.fault, "seconds", 0.0) is None or self.fault.how == "disk-full"

    @property
    def text(self) -> str:
        """The case in one line."""
        how = self.fault.model_dump(exclude={"on", "at", "times", "skip", "how"}, exclude_defaults=True)
        more = "".join(f" {key}={value}" for key, value in how.items() if key not in {"output", "message"})
        times = "until mended" if self.lasting else "once"
        return f"{self.place.text}: {self.fault.how}{more} at {self.fault.at} on {self.fault.on}, {times}"


def make_cases(record: Record, cloud: SimCloud, *, back: bool = False) -> list[Case]:
    """Return all cases: they come from what the steps of the plan were seen to do, and from nothing else."""
    cases: dict[str, Case] = {}
    for place, points in record.points.items():
        for point in representatives(points, cloud):
            for fault in faults_at(point, cloud):
                case = Case(place, fault, back)
                cases[case.id] = case
    return list(cases.values())


def faults_at(point: Point, cloud: SimCloud) -> tuple[Fault, ...]:
    """Return every fault that can happen at a point."""
    where = {"on": point.on, "at": _literal(point.at)}
    once = [{**where, **how} for how in (*_ONCE[point.what], *_special(point, cloud))]
    lasting = [{**where, "times": None, **how} for how in _LASTING[point.what]]
    return FaultFile.model_validate({"faults": [*once, *lasting]}).faults


def _special(point: Point, cloud: SimCloud) -> Iterable[dict[str, Any]]:
    name = point.at.partition(":")[0]
    if point.what == "request" and not point.at.startswith(_READS):
        yield _CONFLICT
    if point.what == "job" and name == "install":
        yield from _INSTALL
    if point.what == "job" and name == "dump":
        yield from _DUMP
    if point.what in {"job", "migration"} and point.on in cloud.hosts:
        yield from _OTHER
        if Role.COMPUTE in cloud.hosts[point.on].roles:
            yield from _OTHER_COMPUTE


def _literal(name: str) -> str:
    """Return a pattern for a name: only the stars in it are meant as such."""
    return name.replace("[", "[[]").replace("?", "[?]")
