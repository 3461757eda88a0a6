"""What a rolling reboot did to hosts and guests: counted from the steps and from what its drains have told."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from model.base import JsonObject, Record
from model.outlook import Outlook
from model.placement.records import Skipped
from model.plan import Action, Plan, Step
from model.status import StepState, StepStatus
from model.words import count, duration, milliseconds

MOST_GUESTS = 500
_PHASES = {
    Action.INSTALL: "install",
    Action.DRAIN_COMPUTE: "drain",
    Action.REBOOT_HOST: "reboot",
    Action.SWITCH_COMPUTE: "switch",
    Action.VERIFY_HOST: "verify",
    Action.VERIFY_COMPUTE: "verify",
    Action.RUN_HOOK: "hooks",
    Action.START_GUESTS: "guests",
}


class HostLine(Record):
    """What was done to a host.

    Attributes:
        seconds: how long each part took.
        away: seconds from the begin of its first step to the end of its last one; None while it is not over.
        guests: how many guests left it.
        kernel: what it runs since.
    """

    host: str
    wave: int
    state: StepState
    seconds: dict[str, float] = {}
    away: float | None = None
    guests: int = 0
    kernel: str = ""


class GuestLine(Record):
    """What was done to a guest.

    Attributes:
        how: how it left its hosts, such as ``live``.
        path: the hosts that it was on.
        moves: how often it was moved.
        seconds: how long that took, each time.
        paused: the longest time that it stood still while it moved live, in seconds; None where nothing tells.
        off: the longest time that it was off, moved cold or stopped, in seconds; None where nothing tells of one.
        failed: attempts that failed.
        restarts: how often it was stopped and started.
    """

    guest: str
    name: str = ""
    how: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    moves: int = 0
    seconds: tuple[float, ...] = ()
    paused: float | None = None
    off: float | None = None
    failed: int = 0
    restarts: int = 0


class FleetReport(Record):
    """Hosts and guests.

    Attributes:
        guests: those with most to tell first; of many, ``left_out`` are only counted.
        movers: guests that were moved; ``moves``: how often in all; ``most``: one of them at the most.
        predicted: the moves that the plan foresaw; ``bound``: no order does with fewer.
        hows: how often in which way.
        paused: the longest time that any guest stood still while it moved live, in seconds.
        pauses: the live moves of which that is known.
        skipped: hosts that were not done, and why; those that are exposed among them.
    """

    hosts: tuple[HostLine, ...] = ()
    guests: tuple[GuestLine, ...] = ()
    left_out: int = 0
    movers: int = 0
    moves: int = 0
    most: int = 0
    failed: int = 0
    predicted: int = 0
    bound: int = 0
    hows: dict[str, int] = {}
    paused: float | None = None
    pauses: int = 0
    skipped: tuple[Skipped, ...] = ()


def report_fleet(
    plan: Plan, steps: Mapping[str, StepStatus], details: Mapping[str, JsonObject], outlook: Outlook
) -> FleetReport:
    """Count what became of hosts and guests."""
    rows = _rows(plan, details)
    guests = _guests(rows, _off(plan, details))
    pauses = [float(row["paused"]) for row in rows if row.get("paused") is not None]
    ordered = sorted(guests, key=lambda guest: (-guest.failed, -guest.moves, -guest.restarts, guest.name, guest.guest))
    hows = Counter(how for guest in guests for how in guest.how)
    waves = _waves(plan)
    groups = [group for group in plan.groups if group.startswith("host/")]
    return FleetReport(
        hosts=tuple(_host(plan, group, waves, steps, details) for group in groups),
        guests=tuple(guest.line for guest in ordered[:MOST_GUESTS]),
        left_out=max(0, len(ordered) - MOST_GUESTS),
        movers=sum(guest.moves > 0 for guest in guests),
        moves=sum(guest.moves for guest in guests),
        most=max((guest.moves for guest in guests), default=0),
        failed=sum(guest.failed for guest in guests),
        predicted=outlook.cost.moves if outlook.cost else 0,
        bound=outlook.bound,
        hows=dict(hows),
        paused=max(pauses, default=None),
        pauses=len(pauses),
        skipped=outlook.skipped,
    )


def _host(
    plan: Plan,
    group: str,
    waves: Mapping[str, int],
    steps: Mapping[str, StepStatus],
    details: Mapping[str, JsonObject],
) -> HostLine:
    host, members = group.removeprefix("host/"), plan.members(group)
    seconds: dict[str, float] = {}
    for step in members:
        if (took := _took(steps[step.id])) is not None and step.action in _PHASES:
            name = _PHASES[step.action]
            seconds[name] = round(seconds.get(name, 0.0) + took, 1)
    states = {steps[step.id].state for step in members}
    over = states <= {StepState.DONE, StepState.SKIPPED, StepState.UNDONE}
    begun = min((status for step in members if (status := steps[step.id].started)), default=None)
    ended = max((status for step in members if (status := steps[step.id].ended)), default=None)
    state = StepState.DONE if states == {StepState.DONE} else _worst(states)
    return HostLine(
        host=host,
        wave=waves.get(host, 0),
        state=state,
        seconds=seconds,
        away=_between(begun, ended) if over and begun and ended else None,
        guests=sum(_left(details.get(step.id, {})) for step in members),
        kernel=next((str(details[s.id].get("kernel") or "") for s in _of(members, Action.REBOOT_HOST, details)), ""),
    )


def _of(members: Iterable[Step], action: Action, details: Mapping[str, JsonObject]) -> list[Step]:
    return [step for step in members if step.action is action and step.id in details]


def _left(told: JsonObject) -> int:
    rows = told.get("guests") or told.get("moved") or ()
    return sum(row.get("to") != row.get("from") or "from" not in row for row in rows)


def _waves(plan: Plan) -> dict[str, int]:
    """Return the wave of each host, looked up once: a fleet has as many hosts as it has looks at them."""
    looks = (step for step in plan.steps if step.action is Action.WATCH_HOSTS and step.id.startswith("wave/"))
    found: dict[str, int] = {}
    for step in looks:
        for host in step.params["hosts"]:
            found.setdefault(host, int(step.id.split("/")[1]))
    return found


def _worst(states: set[StepState]) -> StepState:
    order = (StepState.FAILED, StepState.UNDOING, StepState.RUNNING, StepState.UNDONE, StepState.SKIPPED)
    return next((state for state in order if state in states), StepState.PENDING)


def guest_line(plan: Plan, details: Mapping[str, JsonObject], guest: str) -> GuestLine | None:
    """Return what was done to the guest of this id, or of this name; None when nothing was."""
    found = _guests(_rows(plan, details), _off(plan, details))
    return next((one.line for one in found if guest in (one.guest, one.name)), None)


def tell_guest(line: GuestLine) -> str:
    """Say what was done to a guest."""
    hows = ", ".join(dict.fromkeys(line.how))
    took = f" in {duration(sum(line.seconds))}" if line.seconds else ""
    words = [f"moved {hows} on the way {' → '.join(line.path)}{took}" if line.moves else "stayed on its host, stopped"]
    if "live" in line.how:
        known = "is not known" if line.paused is None else f"was {milliseconds(line.paused)}"
        words.append(f"its longest pause {known}")
    words += [f"off for {duration(line.off)}"] if line.off is not None else []
    words += [f"{count(line.failed, 'attempt')} failed"] if line.failed else []
    return f"done: {'; '.join(words)}"


def _rows(plan: Plan, details: Mapping[str, JsonObject]) -> list[JsonObject]:
    told = [details[step.id] for step in _of(plan.steps, Action.DRAIN_COMPUTE, details)]
    return [row for one in told for row in one.get("guests") or one.get("moved") or ()]


def _off(plan: Plan, details: Mapping[str, JsonObject]) -> dict[str, float]:
    """For how long guests were off that were stopped where they are, by id."""
    found: dict[str, float] = {}
    for step in _of(plan.steps, Action.START_GUESTS, details):
        for guest, seconds in (details[step.id].get("off") or {}).items():
            found[guest] = max(found.get(guest, 0.0), float(seconds))
    return found


def _guests(rows: Iterable[JsonObject], off: Mapping[str, float]) -> list["_Guest"]:
    found: dict[str, _Guest] = {}
    for row in rows:
        id_ = str(row["guest"])
        if id_ not in found:
            found[id_] = _Guest(id_)
        found[id_].add(row)
    for guest in found.values():
        guest.off = _longest(guest.off, off.get(guest.guest))
    return list(found.values())


@dataclass(slots=True)
class _Guest:
    """What is known of a guest while it is counted; of a fleet's only those that are told become records."""

    guest: str
    name: str = ""
    how: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    moves: int = 0
    seconds: list[float] = field(default_factory=list)
    paused: float | None = None
    off: float | None = None
    failed: int = 0
    restarts: int = 0

    def add(self, row: JsonObject) -> None:
        """Take what a drain has told of it."""
        how, source, target = str(row.get("how", "live")), row.get("from"), row.get("to")
        moved = how != "stop"
        self.name = row.get("name") or self.name
        self.how.append(how)
        if source and self.path[-1:] != [source]:
            self.path.append(str(source))
        if moved and target:
            self.path.append(str(target))
        self.moves += moved
        self.restarts += not moved
        if row.get("seconds") is not None:
            self.seconds.append(float(row["seconds"]))
        self.paused = _longest(self.paused, row.get("paused"))
        self.off = _longest(self.off, row.get("off"))
        failed = row.get("failed") or {}
        self.failed += sum(failed.values()) if isinstance(failed, dict) else int(failed)

    @property
    def line(self) -> GuestLine:
        """The record of it."""
        return GuestLine(
            guest=self.guest,
            name=self.name,
            how=tuple(self.how),
            path=tuple(self.path),
            moves=self.moves,
            seconds=tuple(self.seconds),
            paused=self.paused,
            off=self.off,
            failed=self.failed,
            restarts=self.restarts,
        )


def _longest(known: float | None, other: float | None) -> float | None:
    return known if other is None else max(known or 0.0, float(other))


def _took(status: StepStatus) -> float | None:
    return _between(status.started, status.ended) if status.started and status.ended else None


def _between(begun: str, ended: str) -> float:
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds(), 1)
