"""Faults on demand: what goes wrong, where, at what, and how often (``--faults FILE``).

A file::

    faults:
      - {on: cmp2, at: switch, how: exit, status: 1, output: "no space", times: 3}
      - {on: nova, at: "GET /v2.1/servers/*", how: http, status: 500}
      - {on: cmp1, at: migration, how: guest-error}

``at`` is a glob on canonical names: the names of jobs (``install``, ``switch``, ``dump``, ``manage:db_sync``), of
commands (``facts``, ``units``, ``balancer``, ``sql``), ``connect``, ``start:<unit>``, ``migration`` (also ``drain``),
``cold``, ``target``, ``guest-start``, and for APIs ``<METHOD> <path>``. ``on`` is a glob on hosts, on the API's
service, unit, or unit and version (``nova-api@34.0.0``), and on guests where a guest is concerned.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from model.base import Record

METHODS = ("GET ", "POST ", "PUT ", "PATCH ", "DELETE ", "* ")
MIGRATION = ("migration", "drain")
GUESTS = ("cold", "target", "guest-start")


class _Fault(Record):
    """Where and when.

    Attributes:
        times: how often; None for ever.
        skip: how many occasions pass unharmed before.
    """

    on: str = "*"
    at: str
    times: int | None = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)

    @property
    def kind(self) -> str:
        """What it is about: ``request``, ``migration``, ``cold``, ``target``, ``guest-start`` or ``command``."""
        if self.at.startswith(METHODS):
            return "request"
        if self.at in GUESTS:
            return self.at
        return "migration" if self.at in MIGRATION else "command"


class Exit(_Fault):
    """A command or job ends with this status, and nothing of it has happened."""

    how: Literal["exit"]
    status: int = Field(default=1, ge=1, le=255)
    output: str = "simulated failure"


class Hang(_Fault):
    """It never ends: a job until its time limit, a request until the caller gives up."""

    how: Literal["hang"]


class Slow(_Fault):
    """It takes so many simulated seconds longer."""

    how: Literal["slow"]
    seconds: float = Field(gt=0)


class Disconnect(_Fault):
    """The connection breaks; a job that was asked for runs on."""

    how: Literal["disconnect"]


class Gone(_Fault):
    """The host stops like one without power, and comes back booted; a job is lost in the middle.

    Attributes:
        seconds: how many simulated seconds it is away; None until somebody brings it back.
        connections: what becomes of connections to it: nobody answers them, or they are refused.
        kernel: the kernel that it comes back with.
        hostname: the name that it comes back with.
        compute_id: what is in nova's identity file then.
    """

    how: Literal["gone"]
    seconds: float | None = Field(default=60.0, gt=0)
    connections: Literal["time-out", "refused"] = "time-out"
    kernel: str | None = None
    hostname: str | None = None
    compute_id: str | None = None


class DiskFull(_Fault):
    """There is no space left on the host, at this and from then on."""

    how: Literal["disk-full"]


class Restarts(_Fault):
    """A post-install script restarts the service's units behind everybody's back.

    Attributes:
        new: whether it moves the link to what was installed before it does.
    """

    how: Literal["restarts-services"]
    new: bool = False


class Truncated(_Fault):
    """The dump is cut short."""

    how: Literal["truncated"]


class Http(_Fault):
    """The API answers with this status."""

    how: Literal["http"]
    status: int = Field(default=500, ge=400, le=599)
    message: str = "simulated failure"


class Lacks(_Fault):
    """The API's answer lacks a field, wherever it is in it."""

    how: Literal["lacks"]
    field: str


class Becomes(_Fault):
    """A field of the API's answer is another value, perhaps of another type."""

    how: Literal["becomes"]
    field: str
    value: JsonValue


class MigrationError(_Fault):
    """The migration ends in error, the guest stays where it was."""

    how: Literal["error"]
    message: str = "Live Migration failure: simulated"


class GuestError(_Fault):
    """The migration ends in error, and so does the guest."""

    how: Literal["guest-error"]
    message: str = "simulated loss of the guest"


class NeverConverges(_Fault):
    """The guest dirties its memory faster than it is copied: the migration runs until it is aborted, or mended."""

    how: Literal["never-converges"]


class Orphan(_Fault):
    """The migration succeeds, and what it held of the source's room is never given back."""

    how: Literal["orphan"]


class ComputeRestarted(_Fault):
    """nova-compute of one side is restarted when half of the memory is copied: the migration ends in error."""

    how: Literal["compute-restarted"]
    side: Literal["source", "target"] = "source"


class NeighbourGone(_Fault):
    """Other hosts go like ones without power when half of the memory is copied.

    Attributes:
        hosts: a glob on their names.
        seconds: how many simulated seconds they are away; None until somebody brings them back.
    """

    how: Literal["neighbour-gone"]
    hosts: str
    seconds: float | None = Field(default=None, gt=0)


class Crowded(_Fault):
    """When it begins, users fill what is left of these hosts (a glob) with new guests, but for those out of service."""

    how: Literal["crowded"]
    hosts: str = "*"


class Refused(_Fault):
    """The target does not take the guest, as one with another kind of processor would."""

    how: Literal["refuses"]


class ReturnsAs(_Fault):
    """The host does reboot, and comes back as another one, whose nova-compute refuses to start as nova's does.

    Attributes:
        seconds: how many simulated seconds it is away; None until somebody brings it back.
        kernel: the kernel that it runs then, whatever is installed.
        hostname: its name then.
        compute_id: what is in nova's identity file then; empty for no file at all.
    """

    how: Literal["returns-as"]
    seconds: float | None = Field(default=40.0, gt=0)
    kernel: str | None = None
    hostname: str | None = None
    compute_id: str | None = None


Fault = Annotated[
    Exit | Hang | Slow | Disconnect | Gone | DiskFull | Restarts | Truncated | Http | Lacks | Becomes
    | MigrationError | GuestError | NeverConverges | Orphan | ComputeRestarted | NeighbourGone | Crowded | Refused
    | ReturnsAs,
    Field(discriminator="how"),
]  # fmt: skip
_FITS: dict[str, tuple[type[_Fault], ...]] = {
    "command": (Exit, Hang, Slow, Disconnect, Gone, DiskFull, Restarts, Truncated, ReturnsAs),
    "request": (Hang, Slow, Disconnect, Http, Lacks, Becomes),
    "migration": (
        *(Slow, Gone, MigrationError, GuestError, NeverConverges),
        *(Orphan, ComputeRestarted, NeighbourGone, Crowded),
    ),
    "cold": (Slow, MigrationError, GuestError),
    "target": (Refused,),
    "guest-start": (Slow, GuestError),
}


class FaultFile(Record):
    """The file of ``--faults``."""

    faults: tuple[Fault, ...] = ()

    @model_validator(mode="after")
    def _ways_fit(self) -> Self:
        for number, fault in enumerate(self.faults):
            fitting = _FITS[fault.kind]
            if not isinstance(fault, fitting):
                ways = ", ".join(sorted(str(f.model_fields["how"].annotation.__args__[0]) for f in fitting))  # type: ignore[union-attr]
                raise ValueError(  # noqa: TRY004 - pydantic collects these
                    f"faults.{number}: at {fault.at!r}, which is a {fault.kind}, nothing can happen as {fault.how!r}; "
                    f"possible: {ways}"
                )
        return self


@dataclass(frozen=True)
class Occasion:
    """A moment at which something could go wrong: what it is about, where, by all its names.

    Attributes:
        kind: as ``Fault.kind``.
        what: ``job``, ``unit`` (its start), ``command``, ``request`` or ``migration``.
    """

    kind: str
    what: str
    subjects: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(eq=False)
class _Armed:
    fault: Fault
    skip: int
    left: int | None


@dataclass
class Faults:
    """The faults of a running cloud, and what has happened of them: in words, and the faults themselves."""

    happened: list[str] = field(default_factory=list)
    taken: list[Fault] = field(default_factory=list)
    # Told of every occasion, whether anything happens at it or not.
    witnesses: list[Callable[[Occasion], None]] = field(default_factory=list)
    mended: asyncio.Event = field(default_factory=asyncio.Event)
    _armed: list[_Armed] = field(default_factory=list)

    def arm(self, *faults: Fault) -> None:
        """Let these happen from now on."""
        self.mended.clear()
        self._armed += [_Armed(fault, fault.skip, fault.times) for fault in faults]

    def disarm(self, *faults: Fault) -> None:
        """Let nothing new happen any more, of these faults or of all; what lasts goes on."""
        self._armed = [armed for armed in self._armed if faults and all(armed.fault is not one for one in faults)]

    def mend(self) -> None:
        """Let nothing happen any more, and end what lasts until somebody mends it."""
        self._armed.clear()
        self.mended.set()

    def take(self, kind: str, subjects: Iterable[str], names: Iterable[str], what: str = "") -> Fault | None:
        """Return the fault that happens now to one of these subjects, at what has all these names."""
        places, occasions = tuple(subjects), tuple(names)
        for witness in self.witnesses:
            witness(Occasion(kind, what or kind, places, occasions))
        return self.find(kind, places, occasions)

    def find(self, kind: str, places: tuple[str, ...], occasions: tuple[str, ...]) -> Fault | None:
        """Do the same without telling the witnesses: for what is a part of something that they are told of."""
        for armed in self._armed:
            fault = armed.fault
            if armed.left == 0 or fault.kind != kind:
                continue
            if not _matches(fault.on, places) or not _matches(fault.at, occasions):
                continue
            if armed.skip:
                armed.skip -= 1
                continue
            if armed.left is not None:
                armed.left -= 1
            self.happened.append(f"{fault.how} at {occasions[-1]} on {places[0]}")
            self.taken.append(fault)
            return fault
        return None


def _matches(pattern: str, names: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)
