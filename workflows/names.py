"""Names, timeouts and retry policies of everything that a workflow calls; the one place for them."""

from datetime import timedelta

from temporalio.common import RetryPolicy, SearchAttributeKey

from model.notify import TRIES

TASK_QUEUE = "stackroll"

# Activities that are not steps; steps' activities are named by model.plan.Action.
READ_FACTS = "read_facts"
MAKE_PLAN = "make_plan"
PLAN_REBOOT = "plan_reboot"
MAKE_ROLLBACK_PLAN = "make_rollback_plan"
READ_UPGRADE = "read_upgrade"
READ_GROUP = "read_group"
WATCH_AVAILABILITY = "watch_availability"
CONCLUDE_AVAILABILITY = "conclude_availability"
WRITE_REPORT = "write_report"
FIND_OPENINGS = "find_openings"
NOTIFY = "notify"
FIND_NEXT_RUN = "find_next_run"
WATCH_ALERTS = "watch_alerts"
PLAN_REHEARSAL = "plan_rehearsal"
REHEARSAL_BEGIN = "rehearsal_begin"
REHEARSAL_COPY = "rehearsal_copy"
REHEARSAL_INSTALL = "rehearsal_install"
REHEARSAL_STEP = "rehearsal_step"
REHEARSAL_END = "rehearsal_end"
REHEARSAL_UNTOUCHED = "rehearsal_untouched"
SIMULATE_UPGRADE = "simulate_upgrade"
WRITE_REHEARSAL = "write_rehearsal"

CLOUD_KEY = SearchAttributeKey.for_keyword("StackrollCloud")
RELEASE_KEY = SearchAttributeKey.for_keyword("StackrollRelease")
PHASE_KEY = SearchAttributeKey.for_keyword("StackrollPhase")
STATE_KEY = SearchAttributeKey.for_keyword("StackrollState")

# Temporal's own, on every workflow that a schedule has started.
SCHEDULED_BY = SearchAttributeKey.for_keyword("TemporalScheduledById")

# The names that activities give to what went wrong (activities.errors).
UNREACHABLE = "Unreachable"
STEP_FAILED = "StepFailed"
OUTCOME_UNKNOWN = "OutcomeUnknown"

# A host that does not answer is tried again until the step's time is over; everything else the run decides about.
STEP_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=10)
)
# Time that a step may take beyond one try: a worker that died is noticed after the heartbeat timeout, and a host
# that reboots is away for some minutes.
STEP_GRACE = timedelta(minutes=10)

READ_RETRY = RetryPolicy(maximum_attempts=3)
READ_TIMEOUT = timedelta(minutes=5)
REPORT_TIMEOUT = timedelta(minutes=2)
NOTIFY_RETRY = RetryPolicy(initial_interval=timedelta(seconds=5), backoff_coefficient=3.0, maximum_attempts=TRIES)
NOTIFY_TIMEOUT = timedelta(minutes=20)
NOTIFY_HEARTBEAT = timedelta(seconds=90)
# A big database takes hours to restore and to migrate.
REHEARSAL_TIMEOUT = timedelta(hours=8)
REHEARSAL_HEARTBEAT = timedelta(seconds=30)
WATCH_TIMEOUT = timedelta(days=30)
# A worker that died is noticed after this, and until then nobody probes.
WATCH_HEARTBEAT = timedelta(seconds=8)
# Beyond the baseline itself: a run does not wait longer for a probe that tells nothing.
BASELINE_GRACE = 15.0
ALERTS_HEARTBEAT = timedelta(seconds=30)
# Seconds between two reports of a child to its run: each is a signal, and a run's history is limited to some 10,000
# events. A fleet's children report as much less often as there are more of them.
REPORT_EVERY = 1.0
REPORT_EVERY_AT_MOST = 60.0
HOSTS_PER_REPORT_SECOND = 30
# A fleet of more hosts than this is carried out in batches: a run that started each of its hosts itself, and heard each
# of their steps, would have a history without bounds. A batch has so many hosts.
MOST_DIRECT = 100
HOSTS_PER_BATCH = 100
# A batch tells its run what is new each time that this part of a host's time has gone by, within these bounds in
# seconds. By so much the next host begins later, and the run hears ten times while a host is in work.
NEWS_PART = 0.1
NEWS_EVERY = (0.5, 60.0)
# Groups and states of steps in one message between a batch and its run: it is far below the limit of a payload.
MOST_GROUPS_TOLD = 20
MOST_STEPS_TOLD = 200
# How many nodes of a graph one activation starts, which may take two seconds at most however busy the machine is, and
# the time until the next ones.
MOST_STARTS = 20
STARTS_EVERY = timedelta(milliseconds=10)
# Seconds that a worker has for one task of a run, after which the server gives it to another: the server's default,
# and the most it takes. A worker that has just come repeats the run's whole history in its first one.
TASK_TIME = 10.0
TASK_TIME_AT_MOST = 120.0
HOSTS_PER_TASK_SECOND = 10
# Waits before a failed step is started again by itself: 2, 4, 8 ... seconds.
BACKOFF_SECONDS = 2.0


def lock_id(cloud: str) -> str:
    """Return the id of the workflow whose existence says that a run of this cloud is going on."""
    return f"stackroll/cloud/{cloud}"


def report_every(hosts: int) -> float:
    """Return the least seconds between two reports of a child of a run of so many hosts."""
    return max(REPORT_EVERY, min(REPORT_EVERY_AT_MOST, hosts / HOSTS_PER_REPORT_SECOND))


def news_every(host_seconds: float) -> float:
    """Return the least seconds between two messages of a batch to its run, of hosts that take so many seconds."""
    least, most = NEWS_EVERY
    return max(least, min(most, host_seconds * NEWS_PART))


def task_time(hosts: int) -> timedelta:
    """Return the time for one task of a run of so many hosts."""
    return timedelta(seconds=max(TASK_TIME, min(TASK_TIME_AT_MOST, hosts / HOSTS_PER_TASK_SECOND)))


def batch_id(run: str, number: int) -> str:
    """Return the id of a batch of a run's hosts."""
    return child_id(run, f"batch/{number}")


def child_id(upgrade: str, group: str) -> str:
    """Return the id of a child: it says what it is."""
    return f"{upgrade}/{group}"
