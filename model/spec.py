"""What is wanted: the upgrade specification (``upgrade.yaml``), and the request that a workflow takes."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from model.alerts import Gates
from model.availability_spec import Availability
from model.base import Record
from model.durations import Seconds
from model.inventory import HostName, Inventory, ReleaseId, Role, ServiceName
from model.notify import Notify
from model.plan import Phase
from model.releases import Release, UnsupportedStepError, check_step, check_versions, find_release
from model.rolling import Rolling, unknown_hosts
from model.windows import Windows

ExactVersion = Annotated[str, Field(pattern=r"^\d+(\.\d+)+([.+]?[0-9a-z]+)*$")]


class OnFailure(StrEnum):
    """What happens when a step has failed for good."""

    PAUSE = "pause"
    ROLLBACK = "rollback"


class Approval(StrEnum):
    """Whether a person must approve at a gate."""

    AUTO = "auto"
    MANUAL = "manual"


class Approvers(Record):
    """Who may approve at a gate that wants a person.

    Attributes:
        by: ``second-person``: not who started the run, and only for the plan whose hash the approval names.
        names: who may; empty means everybody.
    """

    by: Literal["anyone", "second-person"] = "anyone"
    names: tuple[Annotated[str, Field(min_length=1)], ...] = ()


def _kind_of_rule(value: object) -> str:
    return "rule" if isinstance(value, dict | Approvers) else "word"


# One word, or a mapping that says who.
ApprovalRule = Annotated[
    Annotated[Approval, Tag("word")] | Annotated[Approvers, Tag("rule")], Discriminator(_kind_of_rule)
]


class Approvals(Record):
    """The gates that want a person.

    ``plan``: before anything changes; ``canary``: when the first compute hosts are well; ``data``: before the first of
    them; ``commit``: before the point of no return.
    """

    plan: ApprovalRule = Approval.MANUAL
    canary: ApprovalRule = Approval.AUTO
    data: ApprovalRule = Approval.AUTO
    commit: ApprovalRule = Approval.MANUAL


class FailurePolicy(Record):
    """What happens when a step has failed for good: everywhere, and where a phase differs."""

    default: OnFailure = OnFailure.PAUSE
    phases: dict[Phase, OnFailure] = {}

    def of(self, phase: Phase) -> OnFailure:
        """Return what happens when a step of this phase has failed."""
        return self.phases.get(phase, self.default)


def _as_policy(value: object) -> object:
    """One word stands for all phases; a mapping gives phases, and ``default`` for the rest."""
    if isinstance(value, str):
        return {"default": value}
    if isinstance(value, dict) and "phases" not in value:
        phases = {key: item for key, item in value.items() if key != "default"}
        return {**({"default": value["default"]} if "default" in value else {}), "phases": phases}
    return value


class Snapshots(Record):
    """The dumps of an upgrade: they are deleted by a later upgrade, when they are older than ``keep``."""

    keep: Seconds = Field(default=30 * 86400.0, ge=86400.0)


class ContractPolicy(Record):
    """The contract of the APIs: names of breaches that are accepted, as the failed step tells them; ``*``: anything."""

    accept: tuple[Annotated[str, Field(min_length=3, pattern=r"/")], ...] = ()


class Purpose(StrEnum):
    """What a run is for. A ``security`` run asks a routine one that holds the cloud to give way."""

    ROUTINE = "routine"
    SECURITY = "security"


def _with_alias(value: object) -> object:
    """``migrations_per_host`` is another name of ``limits.per_source``."""
    if not isinstance(value, dict) or not isinstance(number := value.get("migrations_per_host"), int):
        return value
    limits = value.get("limits", {})
    if not isinstance(limits, dict) or "per_source" in limits or not _MIGRATIONS[0] <= number <= _MIGRATIONS[1]:
        return value
    return {**value, "limits": {**limits, "per_source": number}}


_MIGRATIONS = (1, 50)
_NO_REBOOT = ("before_reboot", "after_reboot")


class UpgradeSpec(Rolling):
    """What the operator wants of one upgrade.

    Attributes:
        to: the target release; the cloud's own, when only point releases are wanted.
        purpose: what the run is for.
        versions: exact versions by service, of the target's series, in place of those that come with it. Where the
            target is the cloud's own release, only these services are touched.
        migrations_per_host: another name of ``limits.per_source``: migrations at the same time from one host.
        on_failure: what happens when a step has failed for good: one word, or one for each phase and ``default``.
        snapshots: how long the dumps are kept, and with them the way back.
        contract: which breaches of the APIs' contract are accepted; without, each is a failed step.
        approvals: which gates want a person.
        availability: the probe of the APIs while the upgrade runs, and how much of them may fail.
        soak: how long the whole cloud runs at the new release before the commit point.
        windows: when anything may be changed; without them, at any time.
        notify: who is told.
        gates: what must hold beside the approvals: no alerts.
    """

    to: ReleaseId
    purpose: Purpose = Purpose.ROUTINE
    versions: dict[ServiceName, ExactVersion] = {}
    migrations_per_host: int | None = Field(default=None, ge=_MIGRATIONS[0], le=_MIGRATIONS[1])
    on_failure: Annotated[FailurePolicy, BeforeValidator(_as_policy)] = FailurePolicy()
    approvals: Approvals = Approvals()
    availability: Availability = Availability()
    snapshots: Snapshots = Snapshots()
    contract: ContractPolicy = ContractPolicy()
    soak: Seconds = 600.0
    windows: Windows | None = None
    notify: Notify = Notify()
    gates: Gates = Gates()

    @model_validator(mode="before")
    @classmethod
    def _one_limit_by_two_names(cls, value: object) -> object:
        return _with_alias(value)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        number = self.migrations_per_host
        if number is not None and number != self.limits.per_source:
            raise ValueError(
                f"migrations_per_host: it is another name of limits.per_source, and they differ: {number} and "
                f"{self.limits.per_source}; leave one of them out"
            )
        for name in _NO_REBOOT:
            if getattr(self.hooks, name):
                raise ValueError(f"hooks.{name}: an upgrade reboots no host; write after_drain instead")
        return self


class UpgradeRequest(Record):
    """The one input of the ``RollingUpgrade`` workflow: what is wanted, and what the cloud is."""

    kind: Literal["RollingUpgrade"] = "RollingUpgrade"
    spec: UpgradeSpec
    inventory: Inventory
    by: str = "operator"

    @model_validator(mode="after")
    def _fits_the_cloud(self) -> Self:
        try:
            check_step(self.inventory.release, self.spec.to, point_releases=bool(self.spec.versions))
        except UnsupportedStepError as error:
            raise ValueError(f"spec.to: {error}") from None
        try:
            check_versions(self.spec.to, self.spec.versions)
        except UnsupportedStepError as error:
            raise ValueError(f"spec.versions: {error}") from None
        if missing := sorted(set(self.spec.versions) - set(self.inventory.services)):
            raise ValueError(f"spec.versions: the cloud has no {', '.join(missing)} (services of the inventory)")
        problems = unknown_hosts(self.spec, self.inventory)
        if problems:
            raise ValueError("; ".join(f"spec.{key}: {text}" for key, text in problems.items()))
        return self

    @property
    def within_series(self) -> bool:
        """Whether the cloud stays in its series: the same schemas, messages and service versions throughout."""
        return self.spec.to == self.inventory.release

    @property
    def services(self) -> tuple[ServiceName, ...]:
        """The services that this upgrade works on."""
        names = self.inventory.services
        return tuple(name for name in names if name in self.spec.versions) if self.within_series else names

    @property
    def source(self) -> Release:
        """The release before."""
        return find_release(self.inventory.release)

    @property
    def target(self) -> Release:
        """The release after, with the versions that are wanted of it."""
        release = find_release(self.spec.to)
        return release.model_copy(update={"versions": {**release.versions, **self.spec.versions}})

    @property
    def goal(self) -> str:
        """What the cloud runs afterwards, in words: ``2026.1``, or ``2025.1 with nova 31.3.1``."""
        own = find_release(self.spec.to).versions
        special = [f"{name} {version}" for name, version in self.spec.versions.items() if own[name] != version]
        return f"{self.spec.to} with {', '.join(special)}" if special else self.spec.to

    @property
    def compute_hosts(self) -> tuple[HostName, ...]:
        """The compute hosts that this upgrade works on."""
        return self.inventory.with_role(Role.COMPUTE)
