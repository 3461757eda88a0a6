"""Commands that change a host, as jobs: started at most once, whoever asks and however often.

A job is a transient systemd unit whose name is derived from the idempotency key of a step. Its state lies on the host,
below ``STATE_DIR/<name>/``: the script, ``started`` (made by the job itself before anything else), its output, and
``rc`` (exit status and seconds, written at once and last). From these follows what may be done:

==========  ==============  ======  =======================================================
``rc``      unit active     begun   meaning
==========  ==============  ======  =======================================================
yes         any             yes     finished: hand back the result
no          yes             any     running: wait
no          no              yes     lost (the host rebooted, the unit was killed): ``JobLost``
no          no              no      never begun: start it
==========  ==============  ======  =======================================================

Nothing of this depends on the worker or its connection: a new worker finds the job by its name and waits for it. Jobs
of the same step exclude each other, so that no second try runs beside a first one that is still at it.
"""

import asyncio
import hashlib
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass

from activities.errors import JobLost, OutcomeUnknown, StepFailed, Unreachable
from activities.ssh import Completed, Hosts
from model.inventory import Inventory

STATE_DIR = "/var/lib/stackroll/jobs"
WAIT_PER_CALL = 10.0
RECONNECT_EVERY = 1.0
# A job that is told to end at its time limit may take 30 s for it.
GRACE = 40.0
TIMED_OUT = 124
SLUG_LENGTH = 70


@dataclass(frozen=True)
class JobResult:
    """What came of a job. ``adopted``: it had been started before, by an earlier try or another worker."""

    name: str
    host: str
    status: int
    output_tail: str
    seconds: float
    adopted: bool

    def check(self, problem: str, *, command: str = "", remedy: str = "") -> "JobResult":
        """Return itself, if the job succeeded.

        Raises:
            StepFailed: the exit status is not 0.
        """
        if self.status == 0:
            return self
        if self.status == TIMED_OUT:
            problem = f"{problem}: it was stopped at its time limit after {self.seconds:.0f} s"
        raise StepFailed(
            problem,
            host=self.host,
            command=command,
            status=self.status,
            tail=self.output_tail,
            remedy=remedy or f"read {STATE_DIR}/{self.name}/output on the host, mend the cause, then retry the step",
        )


def job_name(group: str, key: str) -> str:
    """Return the unit name of a job: readable, stable, and distinct for distinct keys."""
    slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    if len(slug) > SLUG_LENGTH:
        # The end says which step it is; a word cut in half says nothing.
        slug = slug[-SLUG_LENGTH:].partition("-")[2] or slug[-SLUG_LENGTH:]
    return f"{_group_name(group)}-{slug}-{_digest(key)}"


def stop_command(group: str) -> str:
    """Return the command that ends the running jobs of a group on a host; where there is none, it does nothing."""
    return f"systemctl stop '{_group_name(group)}-*.service'"


async def run_job(
    hosts: Hosts,
    inventory: Inventory,
    host: str,
    key: str,
    script: str,
    *,
    timeout: float,  # noqa: ASYNC109 - the limit of the job on its host, which outlives this call
    grace: float = GRACE,
    heartbeat: Callable[[str], None] = lambda _: None,
    group: str | None = None,
) -> JobResult:
    """Start the job of this key unless that was done before, and wait for its result.

    Args:
        hosts: the connections.
        inventory: the cloud.
        host: the host that the job changes.
        key: the idempotency key; the same key is started at most once on a host.
        script: a POSIX shell script, run as root from ``/``.
        timeout: the most seconds that the job may run; the host itself stops it then.
        grace: how much longer this call waits, for the result of a job that was just stopped.
        heartbeat: told what the job is doing.
        group: jobs of the same group never run at the same time on a host; by default the key's own.

    Raises:
        OutcomeUnknown: the job began, and its result is lost or not to be had in time.
        Unreachable: the host could not be asked within the time, and it is not known to have begun the job.
        StepFailed: the job could not be started.
    """
    job = _Job(hosts, inventory, host, key, group or key, script, timeout, grace)
    return await job.result(heartbeat)


@dataclass(frozen=True)
class _Answer:
    """What the remote part says: whether it has just started the job, the job's state, result and last output."""

    started: bool
    state: str
    status: int
    seconds: float
    output: str


@dataclass
class _Job:
    hosts: Hosts
    inventory: Inventory
    host: str
    key: str
    group: str
    script: str
    limit: float
    grace: float

    def __post_init__(self) -> None:
        self.name, self.unit_prefix = job_name(self.group, self.key), _group_name(self.group)
        self._deadline = time.monotonic() + self.limit + self.grace
        self._begun = False

    async def result(self, heartbeat: Callable[[str], None]) -> JobResult:
        """Start it if nobody has, wait, and collect."""
        answer = await self._ask("start", heartbeat)
        while answer.state == "busy":
            other = answer.output.strip()
            heartbeat(f"waiting on {self.host} for {other}, an earlier try of this step")
            self._check_time(f"an earlier try of this step is still running there as {other}")
            answer = await self._ask("start", heartbeat)
        adopted = not answer.started
        while answer.state != "finished":
            if answer.state != "running":
                raise self._lost()
            self._begun = True
            self._check_time("the job is still running, beyond its time limit")
            heartbeat(_last_line(answer.output) or f"running on {self.host}")
            answer = await self._ask("wait", heartbeat)
        return JobResult(self.name, self.host, answer.status, answer.output, answer.seconds, adopted)

    async def _ask(self, mode: str, heartbeat: Callable[[str], None]) -> "_Answer":
        """Run the remote part, over as many connections as it takes; the job does not mind."""
        while True:
            try:
                done = await self.hosts.run(
                    self.inventory,
                    self.host,
                    self._command(mode),
                    check=False,
                    timeout=WAIT_PER_CALL + 50,
                    input=self.script if mode == "start" else None,
                )
            except Unreachable as error:
                if time.monotonic() >= self._deadline:
                    raise self._silent(error) from error
                heartbeat(f"{self.host} does not answer; trying again")
                await asyncio.sleep(RECONNECT_EVERY)
            else:
                return self._parse(done)

    def _parse(self, done: Completed) -> "_Answer":
        if done.status != 0:
            raise StepFailed(
                "a job could not be started",
                host=self.host,
                command=self.key,
                status=done.status,
                tail=done.stdout + done.stderr,
                remedy=f"see that systemd-run works there and {STATE_DIR} is writable, then retry the step",
            )
        head, _, output = done.stdout.partition("\n")
        origin, state, status, seconds = head.split()
        return _Answer(origin == "started", state, int(status), float(seconds), output)

    def _command(self, mode: str) -> str:
        values = {
            "mode": mode,
            "base": STATE_DIR,
            "name": self.name,
            "group": self.unit_prefix,
            "description": f"stackroll {self.key}",
            "limit": str(max(1, round(self.limit))),
            "digest": hashlib.sha256(self.script.encode()).hexdigest(),
            "rounds": str(round(WAIT_PER_CALL * 10)),
        }
        return "\n".join(f"{name}={shlex.quote(value)}" for name, value in values.items()) + "\n" + _REMOTE

    def _check_time(self, problem: str) -> None:
        if time.monotonic() >= self._deadline:
            raise OutcomeUnknown(
                problem,
                host=self.host,
                command=self.key,
                remedy=f"watch it with: systemctl status '{self.unit_prefix}-*'; when it has ended, retry the step",
            )

    def _lost(self) -> JobLost:
        return JobLost(
            "the job was begun, is not running, and left no result: the host rebooted or somebody killed it",
            host=self.host,
            command=self.key,
            remedy=f"read {STATE_DIR}/{self.name}/ there, find out how far it came, then retry or skip the step",
        )

    def _silent(self, error: Unreachable) -> OutcomeUnknown | Unreachable:
        if not self._begun:
            return error
        return OutcomeUnknown(
            f"the job was begun, and the host has not answered since ({error.problem})",
            host=self.host,
            command=self.key,
            remedy="bring the host back; retrying the step then finds the job's result",
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _group_name(group: str) -> str:
    return f"stackroll-{_digest(group)}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


# The remote part, for /bin/sh. Its answer: a line "<started|found> <state> <exit status> <seconds>", then the job's
# last output. The lock keeps two workers from starting the same job; "started" keeps one whose unit is gone from
# running again.
_REMOTE = r"""
umask 077
dir=$base/$name
state() {
    [ -f "$dir/rc" ] && { echo finished; return; }
    case "$(systemctl show --property=ActiveState --value "$name.service" 2>/dev/null)" in
        inactive | failed) ;;
        # Also when systemd does not answer: a host that shuts down knows nothing any more.
        *) echo running; return ;;
    esac
    if [ -f "$dir/rc" ]; then echo finished
    elif [ -d "$dir/started" ]; then echo lost
    else echo new; fi
}
start() {
    mkdir -p "$dir" && cat >"$dir/script" || exit 73
    # A connection that breaks while the script is sent looks like the end of the script.
    [ "$(sha256sum <"$dir/script")" = "$digest  -" ] || { echo "the script arrived incomplete" >&2; exit 74; }
    cat >"$dir/run" <<END
mkdir "$dir/started" || exit 0
sync "$dir"
exec >"$dir/output" 2>&1 </dev/null
cd /
umask 022
begun=\$(date +%s)
timeout -k 30 $limit /bin/sh "$dir/script"
status=\$?
umask 077
echo "\$status \$((\$(date +%s) - begun))" >"$dir/rc.new"
sync "$dir/rc.new"
mv "$dir/rc.new" "$dir/rc"
END
    systemctl reset-failed "$name.service" 2>/dev/null
    systemd-run --quiet --unit="$name" --description="$description" --setenv=LC_ALL=C.UTF-8 --setenv=HOME=/root \
        /bin/sh "$dir/run" 9>&- || exit 71
}
mkdir -p "$base" || exit 73
origin=found
if [ "$mode" = start ]; then
    find "$base" -mindepth 1 -maxdepth 1 -type d -mtime +60 -exec rm -rf {} + 2>/dev/null
    exec 9>"$base/.lock"
    flock -w 30 9 || { echo "another worker holds the lock $base/.lock" >&2; exit 75; }
    if [ "$(state)" = new ]; then
        others=$(systemctl list-units --plain --no-legend --no-pager \
            --state=active,activating,deactivating "$group-*" | cut -d' ' -f1)
        [ -z "$others" ] || { echo "found busy 0 0"; echo $others; exit 0; }
        start
        origin=started
    fi
    exec 9>&-
fi
i=0
while [ ! -f "$dir/rc" ] && [ $i -lt $rounds ]; do
    [ $((i % 20)) -ne 0 ] || [ "$(state)" = running ] || break
    sleep 0.1
    i=$((i + 1))
done
now=$(state)
status=0 seconds=0
[ "$now" != finished ] || read -r status seconds <"$dir/rc"
echo "$origin $now $status $seconds"
tail -c 4000 "$dir/output" 2>/dev/null
exit 0
"""
