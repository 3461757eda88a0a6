"""How hypervisors may be taken out of service: the part of a specification that upgrades and reboots share."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from model.base import Record
from model.durations import Seconds
from model.fleet import GuestClass
from model.inventory import HostName, Inventory, Role

_WAVE_HOOKS = ("before_wave", "after_wave")

_PERCENT = r"^(100|[1-9]?[0-9])%$"
Percent = Annotated[str, Field(pattern=_PERCENT)]
_SHARE: list[dict[str, object]] = [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": _PERCENT}]


def _as_share(value: object) -> object:
    """Take a number of hosts or a percentage of them.

    Raises:
        ValueError: for anything else.
    """
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if number or (isinstance(value, str) and re.match(_PERCENT, value)):
        return value
    found = "empty" if value is None else repr(value)
    raise ValueError(f"must be a number of hosts, at least 1, or a part of them such as 20%, is {found}")


def _as_share_or_none(value: object) -> object:
    return value if value is None else _as_share(value)


Share = Annotated[int | str, BeforeValidator(_as_share), WithJsonSchema({"anyOf": _SHARE})]
OptionalShare = Annotated[
    int | str | None, BeforeValidator(_as_share_or_none), WithJsonSchema({"anyOf": [*_SHARE, {"type": "null"}]})
]


class Order(StrEnum):
    """What the order of hosts and the targets of guests are chosen for."""

    FEWEST_MOVES = "fewest-moves"
    FASTEST = "fastest"


class Limits(Record):
    """Migrations at the same time: from one host, to one host, within one zone, and in all."""

    per_source: int = Field(default=2, ge=1, le=50)
    per_target: int = Field(default=2, ge=1, le=50)
    per_zone: int = Field(default=20, ge=1, le=1000)
    total: int = Field(default=40, ge=1, le=5000)


class Canary(Record):
    """The hosts that go first, and for how long they must stay healthy before the others follow by themselves.

    Attributes:
        hosts: their names; empty means that the ``count`` emptiest hosts are taken.
    """

    hosts: tuple[HostName, ...] = ()
    count: int = Field(default=1, ge=0)
    healthy_for: Seconds = 60.0


class DrainPolicy(Record):
    """How a host's guests may be treated.

    Attributes:
        allow: the classes that may be used at all; what falls into another one is blocked and shown before the start.
        owners: the classes that owners may ask for by the tag ``stackroll:drain=CLASS`` or metadata of that key. What
            an owner asks for within them needs not be in ``allow``.
        attempts: live migrations of one guest before the next rung of its ladder.
        stuck_after: seconds without less memory left to copy, after which a live migration counts as not converging.
        when_stuck: what happens to it then: let it complete by force, abort it and try the next rung, or wait.
        then_cold: whether a guest whose live migrations failed may be moved cold (it is off meanwhile).
        then_stop: whether a guest that can be moved neither live nor cold may be stopped while its host is out.
        locked: whether guests that their owners have locked may be moved all the same.
        seconds_per_gib: the most that a live migration may take, by the guest's memory, beside a floor of 120 s.
        max_local_disk_gb: the most local disk (root, ephemeral, swap) of a guest that may be copied; None is no limit.
    """

    allow: tuple[GuestClass, ...] = (GuestClass.LIVE, GuestClass.COLD, GuestClass.LEAVE)
    owners: tuple[GuestClass, ...] = (GuestClass.LIVE, GuestClass.COLD, GuestClass.STOP)
    attempts: int = Field(default=3, ge=1, le=10)
    stuck_after: Seconds = 150.0
    when_stuck: Literal["force-complete", "abort", "wait"] = "abort"
    then_cold: bool = False
    then_stop: bool = False
    locked: bool = True
    seconds_per_gib: float = Field(default=120.0, gt=0)
    max_local_disk_gb: int | None = Field(default=None, ge=0)


class Hook(Record):
    """A command of the operator's own, run as a step.

    Attributes:
        run: a shell command; STACKROLL_RUN, STACKROLL_HOST and STACKROLL_WAVE are in its environment.
        at: ``host``: on the compute host that it is about; else the name of a host of the inventory.
        undo: the command that takes it back when the run goes back or gives up the host.
        timeout: seconds that it may take.
        retries: how often it is run again by itself when it failed.
    """

    run: str = Field(min_length=1)
    at: str = "host"
    undo: str | None = None
    timeout: Seconds = 300.0
    retries: int = Field(default=0, ge=0, le=10)


class Hooks(Record):
    """The operator's commands around what is done to each host, and around each wave."""

    before_wave: tuple[Hook, ...] = ()
    before_drain: tuple[Hook, ...] = ()
    after_drain: tuple[Hook, ...] = ()
    before_reboot: tuple[Hook, ...] = ()
    after_reboot: tuple[Hook, ...] = ()
    after_wave: tuple[Hook, ...] = ()


class Rolling(Record):
    """How hypervisors are taken out of service, host after host.

    Attributes:
        max_unavailable: the most hosts out of service at the same time: a number, or a percentage of the hosts.
        max_per_zone: the same within one availability zone.
        max_per_aggregate: the same within one host aggregate.
        max_per_group: the same among the hosts that have members of one anti-affinity server group, hard or soft. Its
            members move one after another in any case; and where one of them is to be moved in another way than live,
            only one of these hosts is out at a time, whatever is said here.
        order: for the fewest moves of guests, or for the shortest time.
        reserve_hosts: so many failing hosts, of the largest, must still find room for their guests at every moment.
        drain_timeout: how long the guests of a host, or the requests of an API instance, may take to leave.
        rebalance: ``return`` puts guests back where they were at the end.
    """

    max_unavailable: Share = 1
    max_per_zone: OptionalShare = None
    max_per_aggregate: OptionalShare = "50%"
    max_per_group: int = Field(default=1, ge=1)
    order: Order = Order.FEWEST_MOVES
    canary: Canary = Canary()
    reserve_hosts: int = Field(default=0, ge=0)
    limits: Limits = Limits()
    drain: DrainPolicy = DrainPolicy()
    drain_timeout: Seconds = 1800.0
    hooks: Hooks = Hooks()
    rebalance: Literal["none", "return"] = "none"

    @model_validator(mode="after")
    def _hooks_of_waves_have_a_place(self) -> Self:
        for name in _WAVE_HOOKS:
            for number, hook in enumerate(getattr(self.hooks, name)):
                if hook.at == "host":
                    raise ValueError(
                        f"hooks.{name}.{number}.at: a wave has many hosts; name the host of the inventory to run it on"
                    )
        return self

    @property
    def places(self) -> dict[str, str]:
        """The hosts that hooks are run on, by the path of the key that names them."""
        found = {}
        for name in type(self.hooks).model_fields:
            for number, hook in enumerate(getattr(self.hooks, name)):
                if hook.at != "host":
                    found[f"hooks.{name}.{number}.at"] = hook.at
        return found


def unknown_hosts(rolling: Rolling, inventory: Inventory, named: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what is wrong with the hosts that a specification names, by the path of the key.

    Args:
        rolling: the specification.
        inventory: the cloud.
        named: compute hosts that it names besides, by the path of the key.
    """
    computes = inventory.with_role(Role.COMPUTE)
    known = f"known are: {', '.join(computes) or 'none'}"
    canaries = {f"canary.hosts.{number}": name for number, name in enumerate(rolling.canary.hosts)}
    every = {**(named or {}), **canaries}
    found = {key: f"no compute host {name!r}; {known}" for key, name in every.items() if name not in computes}
    hosts = ", ".join(inventory.hosts)
    places = {key: name for key, name in rolling.places.items() if name not in inventory.hosts}
    return found | {
        key: f"no host {name!r}; write host for the compute host itself, or one of: {hosts}"
        for key, name in places.items()
    }
