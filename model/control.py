"""What an operator sends to a run: the payloads of signals and updates. Every act says who, and most say why."""

from typing import Annotated, Literal

from pydantic import Field

from model.base import Record
from model.durations import Seconds

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


class GiveWay(Record):
    """``give_way``: let another run of the same cloud go first, whose workflow id is ``to``."""

    by: Operator
    reason: str = ""
    to: Annotated[str, Field(min_length=1)]


class RollbackRequest(Record):
    """The one input of the ``Rollback`` workflow: which upgrade to take back, who asks for it, and why."""

    kind: Literal["Rollback"] = "Rollback"
    upgrade: Annotated[str, Field(min_length=1)]
    by: Operator = "operator"
    reason: str = ""


_WHO = ("by", "reason")
# The bounds of ``model.rolling.Limits``.
_MOST = {"per_source": 50, "per_target": 50, "per_zone": 1000, "total": 5000}


class LimitsOrder(Record):
    """``limits``: what may happen at the same time from now on; what is not given stays as it is.

    Attributes:
        max_unavailable: hosts out of service.
        per_source: migrations from one host; ``per_target``, ``per_zone`` and ``total`` as in ``limits`` of the spec.
    """

    by: Operator
    reason: str = ""
    max_unavailable: int | None = None
    per_source: int | None = None
    per_target: int | None = None
    per_zone: int | None = None
    total: int | None = None

    @property
    def given(self) -> dict[str, int]:
        """What is given."""
        return self.model_dump(exclude=set(_WHO), exclude_none=True)

    @property
    def problem(self) -> str:
        """What is wrong with it; empty when nothing is. Not a check of the record, whose failure says nothing."""
        if not self.given:
            return f"no limit is given: {', '.join(name for name in type(self).model_fields if name not in _WHO)}"
        for name, number in self.given.items():
            most = _MOST.get(name)
            if number < 1 or (most is not None and number > most):
                return f"{name} must be at least 1" + (f" and at most {most}" if most else "") + f", is {number}"
        return ""


class WindowOrder(Record):
    """``window``: open the maintenance window by hand for so many seconds from now; 0 ends that."""

    by: Operator
    reason: str = ""
    open_for: Seconds


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
