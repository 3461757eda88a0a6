"""What an operator sends to a run: the payloads of signals and updates. Every act says who, and most say why."""

from typing import Annotated, Literal

from pydantic import Field

from model.base import Record

Operator = Annotated[str, Field(min_length=1)]


class Who(Record):
    """``pause``, ``resume``: who, and why."""

    by: Operator
    reason: str = ""


class Abort(Record):
    """``abort``: end the run where it is (``stop``), or take back what was done (``rollback``)."""

    by: Operator
    reason: str = ""
    mode: Literal["stop", "rollback"] = "stop"


class RollbackRequest(Record):
    """The one input of the ``Rollback`` workflow: which upgrade to take back, who asks for it, and why."""

    kind: Literal["Rollback"] = "Rollback"
    upgrade: Annotated[str, Field(min_length=1)]
    by: Operator = "operator"
    reason: str = ""


class LimitsOrder(Record):
    """``limits``: what may happen at the same time from now on; what is not given stays as it is.

    Attributes:
        max_unavailable: hosts out of service.
        per_source: migrations from one host; ``per_target``, ``per_zone`` and ``total`` as in ``limits`` of the spec.
    """

    by: Operator
    reason: str = ""
    max_unavailable: int | None = Field(default=None, ge=1)
    per_source: int | None = Field(default=None, ge=1, le=50)
    per_target: int | None = Field(default=None, ge=1, le=50)
    per_zone: int | None = Field(default=None, ge=1, le=1000)
    total: int | None = Field(default=None, ge=1, le=5000)


class Approve(Record):
    """``approve``: open a gate. With a plan hash the approval holds for that plan and for no other."""

    by: Operator
    gate: str
    plan_hash: str | None = None


class StepOrder(Record):
    """``retry``, ``skip``: an order about one step."""

    by: Operator
    step: str
    reason: str = ""
