"""What the operator wants measured while a run goes on, and how much of it may fail (``availability:``)."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from model.base import Record
from model.durations import Seconds

WriteName = Literal["keypair", "image", "token"]


# Host names, IPv4 addresses, and IPv6 addresses in brackets.
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)"
_TARGET = re.compile(rf"tcp://{_HOST}:(?P<port>\d+)|https?://{_HOST}(?P<web>:\d+)?(?:[/?]\S*)?")
_PORTS = 65_535


def _target(value: str) -> str:
    found = _TARGET.fullmatch(value)
    port = int((found["port"] or found["web"] or "1").removeprefix(":")) if found else 0
    if not 0 < port <= _PORTS:
        raise ValueError(f"{value!r} is no address to probe; write tcp://HOST:PORT, http://HOST/PATH or https://…")
    return value


class ErrorBudget(Record):
    """How much of the APIs may fail during a run; what goes beyond it stops the run.

    Attributes:
        downtime: how long a service may be down in all, from a first failed request until the next good one.
        failed_requests: how many of its requests may fail.
        per: whether each service has this budget for itself, or all have it together.
        when_spent: hold the run, or take everything back (behind the commit point it is held too).
    """

    downtime: Seconds | None = None
    failed_requests: int | None = Field(default=None, ge=0)
    per: Literal["service", "cloud"] = "service"
    when_spent: Literal["pause", "rollback"] = "pause"

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.downtime is None and self.failed_requests is None:
            raise ValueError("availability.budget: give downtime (such as 2s), failed_requests (such as 5), or both")
        return self


class Availability(Record):
    """The probe of every API while the run goes on.

    Attributes:
        rate: requests per second to each API that reach its database, and as many that only ask for its version.
        enabled: whether anything is probed.
        baseline: how long the cloud is measured before the first step begins; later answers are compared with that.
        writes: harmless writes: ``keypair`` and ``image`` are made and deleted again, ``token`` is asked for.
        canaries: guests to reach, by name: ``tcp://HOST:PORT``, ``http://HOST/PATH`` or ``https://HOST/PATH``.
        budget: how much may fail.
    """

    rate: float = Field(default=2.0, gt=0, le=20)
    enabled: bool = True
    baseline: Seconds = Field(default=5.0, le=600)
    writes: tuple[WriteName, ...] = ()
    canaries: dict[Annotated[str, Field(min_length=1)], Annotated[str, AfterValidator(_target)]] = {}
    budget: ErrorBudget | None = None
