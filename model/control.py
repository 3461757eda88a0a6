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
