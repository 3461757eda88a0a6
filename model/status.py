"""What an operator sees of a run: the answers of the ``status``, ``timeline`` and ``report`` queries."""

from enum import StrEnum
from typing import Literal

from model.base import JsonObject, Record
from model.plan import Phase
from model.window_clock import WindowStatus


class RunState(StrEnum):
    """The state of a run; one derived truth for every view."""

    PLANNING = "planning"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    FAILING = "failing"
    STOPPING = "stopping"
    COMPLETED = "completed"
    STOPPED = "stopped"
    REFUSED = "refused"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class StepState(StrEnum):
    """The state of a step in a run."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNDOING = "undoing"
    UNDONE = "undone"


class Event(Record):
    """One thing that happened: to a step, or by an operator. Times are ISO 8601 in UTC."""

    at: str
    kind: str
    subject: str
    text: str = ""
    by: str = ""


class StepStatus(Record):
    """A step in a run: when it began and ended, which try it is, and what came of it.

    ``undone``: its compensation has been carried out since it was last tried.
    """

    id: str
    title: str
    phase: Phase
    target: str
    group: str | None = None
    state: StepState
    tries: int = 0
    started: str | None = None
    ended: str | None = None
    summary: str = ""
    error: str = ""
    undone: bool = False


class PhaseStatus(Record):
    """Counts of a phase's steps."""

    phase: Phase
    total: int
    done: int
    running: int
    failed: int


class HostStatus(Record):
    """A host's place in the run: steps done of all, and what it is doing now, since when."""

    host: str
    total: int
    done: int
    doing: str = ""
    since: str | None = None
    state: StepState


class FleetStatus(Record):
    """How far a rolling reboot is: waves, hosts and guests.

    Attributes:
        wave: the first that is not over, from 1; ``waves`` when all are.
        guests: how many are to leave their hosts, each counted as often as it is planned to move; ``guests_left``: of
            those, on hosts that are not empty yet.
        exposed: hosts that are left as they are because of guests that stay.
    """

    waves: int
    wave: int
    done: int
    working: int
    left: int
    guests: int = 0
    guests_left: int = 0
    exposed: tuple[str, ...] = ()


class Waiting(Record):
    """What the run waits for: since when, until when at the latest (None: for ever), and how to go on."""

    what: str
    since: str
    until: str | None = None
    go_on: str


class Remaining(Record):
    """An estimate of the seconds that remain, as a range; ``likely`` lies within it."""

    low: float
    high: float
    likely: float | None = None


class ServiceNews(Record):
    """What was seen of a service that has not answered every request in time.

    Attributes:
        down_since: when the outage that goes on began (seconds since 1970); None when it answers.
        downtime: seconds that it was down in all, until now.
        last_failure: the newest failed request in words.
    """

    service: str
    failed: int = 0
    slow: int = 0
    downtime: float = 0.0
    down_since: float | None = None
    last_failure: str = ""


class AvailabilityNews(Record):
    """What the probe tells its run.

    Attributes:
        at: when (seconds since 1970).
        baseline: whether the baseline has been measured.
        watched: how many services and canaries are probed.
        requests: how many requests were sent to all of them.
        down: seconds in which at least one service was down.
        unobserved: seconds in which no worker was there to probe.
        services: those that failed or were slow.
    """

    at: float
    baseline: bool = False
    watched: int = 0
    requests: int = 0
    down: float = 0.0
    unobserved: float = 0.0
    services: tuple[ServiceNews, ...] = ()


class UpgradeStatus(Record):
    """The answer of the ``status`` query.

    ``kind``: the workflow's type; ``upgrade``: the run's id, to which orders go; ``window``: whether its maintenance
    windows let it begin anything now; None where it has none.
    """

    kind: Literal["RollingUpgrade", "Rollback", "RollingReboot"] = "RollingUpgrade"
    upgrade: str
    cloud: str
    source: str
    target: str
    state: RunState
    paused: bool = False
    plan_hash: str | None = None
    started: str
    ended: str | None = None
    now: str
    phases: tuple[PhaseStatus, ...] = ()
    hosts: tuple[HostStatus, ...] = ()
    fleet: FleetStatus | None = None
    running: tuple[StepStatus, ...] = ()
    failed: tuple[StepStatus, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    remaining: Remaining | None = None
    events: tuple[Event, ...] = ()
    message: str = ""
    window: WindowStatus | None = None
    availability: AvailabilityNews | None = None


class Verdict(StrEnum):
    """The ladder of upgrades, from the lowest rung: the assert tags that OpenStack's governance once had."""

    ROLLING = "ROLLING"
    ACCESSIBLE = "ACCESSIBLE"
    ZERO_DOWNTIME = "ZERO-DOWNTIME"
    ZERO_IMPACT = "ZERO-IMPACT"


class SeenState(StrEnum):
    """What the probe saw of a service for a while."""

    GOOD = "good"
    SLOW = "slow"
    DOWN = "down"
    UNOBSERVED = "unobserved"


class Segment(Record):
    """A while in which a service was in one state; seconds since 1970."""

    start: float
    end: float
    state: SeenState


class Outage(Record):
    """From the first failed request until the next good one was answered; seconds since 1970.

    Attributes:
        last_good: when the last good request before was sent: the outage began after that.
        open: whether no good request has been seen after it: it lasted until the end of the watch, or until nobody
            watched any more.
    """

    start: float
    end: float
    last_good: float | None = None
    open: bool = False

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return max(0.0, self.end - self.start)


class ApiAvailability(Record):
    """What the probe of one service saw: counts, and response times in seconds.

    Attributes:
        service: the unit of an API, or ``guest NAME`` for a canary.
        longest_gap: the longest outage, in seconds.
        failures: the first failures, each with its time.
        verdict: how far up the ladder it came; None before there is something to judge.
        slow: requests that took longer than ``slow_after``, which follows from the baseline.
        downtime: all outages together.
        track: what was seen when, without holes from the begin to the end of the watch.
    """

    service: str
    requests: int
    failed: int
    median: float
    p99: float
    longest: float
    longest_gap: float = 0.0
    failures: tuple[str, ...] = ()
    verdict: Verdict | None = None
    slow: int = 0
    slow_after: float | None = None
    downtime: float = 0.0
    outages: tuple[Outage, ...] = ()
    track: tuple[Segment, ...] = ()


class Report(Record):
    """The answer of the ``report`` query, and the data of the HTML report.

    ``events``: everything that happened, in order; of a fleet, without what ``steps`` says as well. ``left_out`` is how
    many those are; the ``timeline`` query has them all. ``fleet``: a ``model.reboot_report.FleetReport``.
    ``unobserved``: seconds in which no worker was there to probe the APIs. ``contract``: what ``check_contract`` told
    of its last comparison. ``advisories``: what the run mended, each of ``gone``, ``remaining``, ``unproven`` and
    ``appeared`` a list of advisory, host, unit and why. ``next_run``: when the next one is due, ISO 8601.
    """

    status: UpgradeStatus
    steps: tuple[StepStatus, ...]
    events: tuple[Event, ...]
    availability: tuple[ApiAvailability, ...] = ()
    unobserved: float = 0.0
    before: JsonObject = {}
    after: JsonObject = {}
    approvals: tuple[Event, ...] = ()
    left_out: int = 0
    fleet: JsonObject = {}
    contract: JsonObject = {}
    advisories: JsonObject = {}
    next_run: str = ""
