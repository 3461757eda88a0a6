"""The plan: the upgrade's DAG of typed steps, computed before anything changes; serialisable, hashable, readable."""

import hashlib
import json
from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property
from typing import Protocol, Self, TypeVar

from pydantic import Field, model_validator

from model.base import JsonObject, Record


class Phase(StrEnum):
    """How people read a plan; in the order in which phases begin."""

    PREFLIGHT = "preflight"
    BASELINE = "baseline"
    SNAPSHOT = "snapshot"
    EXPAND = "expand"
    CONTROL = "control"
    DATA = "data"
    SOAK = "soak"
    COMMIT = "commit"
    FINISH = "finish"
    ROLLBACK = "rollback"
    RESTORE = "restore"


class Reversibility(StrEnum):
    """What going back from a step costs."""

    R0 = "R0"
    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    R4 = "R4"

    @property
    def meaning(self) -> str:
        """The class in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Reversibility.R0: "changes nothing",
    Reversibility.R1: "exact inverse exists",
    Reversibility.R2: "no inverse, but the old release runs on it",
    Reversibility.R3: "inverse blocked by a recorded version",
    Reversibility.R4: "only a database restore goes back",
}


class Action(StrEnum):
    """What a step does. Each is an activity of this name; GATE, SOAK and ALERTS are waits of the workflow itself."""

    CHECK_CLOUD = "check_cloud"
    CAPTURE_BASELINE = "capture_baseline"
    DUMP_DATABASES = "dump_databases"
    INSTALL = "install"
    UNINSTALL = "uninstall"
    RUN_MANAGE = "run_manage"
    DRAIN_API = "drain_api"
    ENABLE_API = "enable_api"
    SWITCH = "switch"
    SWITCH_QUIESCED = "switch_quiesced"
    VERIFY_API = "verify_api"
    DISABLE_COMPUTE = "disable_compute"
    ENABLE_COMPUTE = "enable_compute"
    DRAIN_COMPUTE = "drain_compute"
    START_GUESTS = "start_guests"
    SWITCH_COMPUTE = "switch_compute"
    VERIFY_COMPUTE = "verify_compute"
    VERIFY_CLOUD = "verify_cloud"
    CHECK_ROLLBACK = "check_rollback"
    SETTLE = "settle"
    REWRITE_OBJECTS = "rewrite_objects"
    VERIFY_ROLLBACK = "verify_rollback"
    COUNT_LOSSES = "count_losses"
    STOP_UNITS = "stop_units"
    RESTORE_DATABASES = "restore_databases"
    REBOOT_HOST = "reboot_host"
    VERIFY_HOST = "verify_host"
    RELEASE_HOST = "release_host"
    RUN_HOOK = "run_hook"
    WATCH_HOSTS = "watch_hosts"
    RETURN_GUESTS = "return_guests"
    CAPTURE_CONTRACT = "capture_contract"
    CHECK_CONTRACT = "check_contract"
    GATE = "gate"
    SOAK = "soak"
    ALERTS = "alerts"


class Undo(Record):
    """The compensation of a step: the action that takes it back, run on the step's own target."""

    action: Action
    title: str
    params: JsonObject = {}
    timeout: float = 900.0


class Step(Record):
    """A node of the DAG: one action on one target.

    Attributes:
        id: unique and stable: the same spec and facts give the same id.
        title: what a person reads, such as ``drain compute-017``.
        target: a host of the inventory, or ``cloud``.
        service: the service it belongs to, if any.
        group: the child workflow that runs it; the root runs steps without one itself.
        scope: steps with the same scope are undone together when one of them fails.
        needs: ids of steps that must have completed before.
        undo: the compensation; None means that there is nothing to take back.
        retries: how often stackroll starts the step again by itself after it failed; 0 where a failed try may have
            changed something that must be read first (database steps).
        timeout: the most seconds that one try may take.
        heartbeat: seconds without a sign of life after which a try counts as dead (its worker was killed).
        limit: the name of the limit that it counts against, if any.
        estimate: seconds that it is expected to take.
        of: the step whose compensation this one is; it shares that step's jobs, so that the two exclude each other.
    """

    id: str
    title: str
    phase: Phase
    action: Action
    target: str
    service: str | None = None
    group: str | None = None
    scope: str | None = None
    needs: tuple[str, ...] = ()
    params: JsonObject = {}
    undo: Undo | None = None
    reversibility: Reversibility
    retries: int = Field(default=2, ge=0)
    timeout: float = Field(default=900.0, gt=0)
    heartbeat: float = Field(default=15.0, gt=0)
    limit: str | None = None
    estimate: float = Field(default=2.0, ge=0)
    of: str | None = None


def hosts_asked(step: Step) -> tuple[str, ...]:
    """Return the hosts that a step asks: its target, and those to which its guests are planned to move."""
    planned = step.params.get("targets")
    return (step.target, *sorted({str(host) for host in planned.values()} if isinstance(planned, dict) else ()))


class PlanError(ValueError):
    """A plan that contradicts itself."""


class Plan(Record):
    """The whole upgrade as a DAG.

    Attributes:
        cloud: the cloud's name.
        source: the release before.
        target: the release after.
        limits: how many nodes with this limit may run at the same time.
        steps: all steps, in an order in which every step comes after its needs.
    """

    cloud: str
    source: str
    target: str
    limits: dict[str, int] = {}
    steps: tuple[Step, ...]

    @model_validator(mode="after")
    def _is_a_dag_in_order(self) -> Self:
        seen: set[str] = set()
        for step in self.steps:
            if step.id in seen:
                raise PlanError(f"step {step.id!r} occurs twice")
            if missing := [need for need in step.needs if need not in seen]:
                raise PlanError(f"step {step.id!r} needs {missing[0]!r}, which does not come before it")
            if step.limit is not None and step.limit not in self.limits:
                raise PlanError(f"step {step.id!r} counts against the unknown limit {step.limit!r}")
            seen.add(step.id)
        return self

    @cached_property
    def hash(self) -> str:
        """The plan's identity, to which approvals are bound: same spec and facts, same hash."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @cached_property
    def by_id(self) -> dict[str, Step]:
        """Steps by their id."""
        return {step.id: step for step in self.steps}

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups in the order of their first step."""
        return tuple(dict.fromkeys(step.group for step in self.steps if step.group is not None))

    def members(self, group: str) -> tuple[Step, ...]:
        """Return the steps of a group in plan order."""
        return self._members.get(group, ())

    @cached_property
    def _members(self) -> dict[str, tuple[Step, ...]]:
        """A fleet asks for each of its groups."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            if step.group is not None:
                found.setdefault(step.group, []).append(step)
        return {group: tuple(steps) for group, steps in found.items()}

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that have steps, in the order of the design."""
        present = {step.phase for step in self.steps}
        return tuple(phase for phase in Phase if phase in present)


class Needing(Protocol):
    """Something with an id that comes after what it needs: a step, a node."""

    @property
    def id(self) -> str:
        """Unique among its like."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of what comes before it."""


_Item = TypeVar("_Item", bound=Needing)


def in_order(items: Iterable[_Item]) -> tuple[_Item, ...]:
    """Return the items so that each comes after its needs; ties keep the given order.

    Raises:
        PlanError: when the needs form a cycle or name an item that is not there.
    """
    waiting = {item.id: item for item in items}
    done: dict[str, _Item] = {}
    while waiting:
        ready = [item for item in waiting.values() if all(need in done for need in item.needs)]
        if not ready:
            raise PlanError(f"these wait for each other or for a missing one: {', '.join(waiting)}")
        for item in ready:
            done[item.id] = waiting.pop(item.id)
    return tuple(done.values())
