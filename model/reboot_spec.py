"""What is wanted of a rolling reboot (``reboot.yaml``), and the request that a workflow takes."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from model.alerts import Gates
from model.availability_spec import Availability
from model.base import Record
from model.durations import Seconds
from model.inventory import HostName, Inventory, Role
from model.notify import Notify
from model.rolling import Rolling, unknown_hosts
from model.spec import Approval, ApprovalRule, OnFailure
from model.windows import Windows


class RebootMode(StrEnum):
    """Which hosts are rebooted: all of them, those that need it, or none (they are only emptied, for hooks)."""

    ALWAYS = "always"
    IF_REQUIRED = "if-required"
    NEVER = "never"


class Selection(Record):
    """Some of the compute hosts: by name, availability zone or host aggregate; a host needs to match one of them."""

    names: tuple[HostName, ...] = ()
    zones: tuple[str, ...] = ()
    aggregates: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is selected, which stands for all."""
        return not (self.names or self.zones or self.aggregates)


def _as_selection(value: object) -> object:
    """A list is a list of names."""
    return {"names": value} if isinstance(value, list | tuple) else value


class RebootApprovals(Record):
    """The gates that want a person. ``plan``: before anything changes; ``canary``: when the first hosts are well."""

    plan: ApprovalRule = Approval.MANUAL
    canary: ApprovalRule = Approval.AUTO


class RebootSpec(Rolling):
    """What the operator wants of one rolling reboot.

    Attributes:
        reboot: which hosts are rebooted.
        hosts: the compute hosts that it is about: a list of names, or zones and aggregates; empty means all.
        kernel: the release that ``uname -r`` must name afterwards; by default the newest one installed there.
        reboot_timeout: how long a host may take from the order to reboot until it answers again.
        on_failure: what happens when a step has failed for good: wait for a decision, or end the run. The host itself
            is put back into service in both cases, where that is safe.
        approvals: which gates want a person.
        availability: the probe of the APIs while hosts reboot.
        windows: when hosts may be emptied and rebooted; without them, at any time.
        notify: who is told.
        gates: what must hold beside the approvals: no alerts.
    """

    reboot: RebootMode = RebootMode.ALWAYS
    hosts: Annotated[Selection, BeforeValidator(_as_selection)] = Selection()
    kernel: str | None = None
    reboot_timeout: Seconds = Field(default=900.0, gt=0)
    on_failure: OnFailure = OnFailure.PAUSE
    approvals: RebootApprovals = RebootApprovals()
    availability: Availability = Availability()
    windows: Windows | None = None
    notify: Notify = Notify()
    gates: Gates = Gates()

    @property
    def named(self) -> dict[str, str]:
        """The compute hosts that it names beside canaries, by the path of the key."""
        return {f"hosts.{number}": name for number, name in enumerate(self.hosts.names)}


class RebootRequest(Record):
    """The one input of the ``RollingReboot`` workflow: what is wanted, and what the cloud is."""

    kind: Literal["RollingReboot"] = "RollingReboot"
    spec: RebootSpec
    inventory: Inventory
    by: str = "operator"

    @model_validator(mode="after")
    def _hosts_are_known(self) -> Self:
        problems = unknown_hosts(self.spec, self.inventory, self.spec.named)
        if problems:
            raise ValueError("; ".join(f"spec.{key}: {text}" for key, text in problems.items()))
        return self

    @property
    def compute_hosts(self) -> tuple[HostName, ...]:
        """All compute hosts of the cloud, whether they are selected or not."""
        return self.inventory.with_role(Role.COMPUTE)
