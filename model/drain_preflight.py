"""What speaks against emptying hosts, whatever is done to them then: a pure judgement over guests and schedule."""

from collections.abc import Collection, Iterable

from model.classify import TASK_RUNNING, Classified
from model.components import COMPUTE_UNIT
from model.fleet import Fleet, FleetHost, GuestClass
from model.placement.records import Schedule
from model.words import listed
from model.work import Finding


def judge_drains(
    fleet: Fleet,
    hosts: Collection[str],
    classified: Iterable[Classified],
    schedule: Schedule,
    known: Iterable[Finding] = (),
) -> tuple[Finding, ...]:
    """Return what speaks against an upgrade of these hosts as far as it is about emptying them.

    Every one of them must be emptied: one that was left out would stay at the old release, and hold back the versions
    of all others. Of a host that ``known`` errors tell of already, that it would be left out is not told besides.
    """
    found = [
        *(finding for name in hosts if name in fleet.hosts for finding in judge_forced_down(fleet.hosts[name])),
        *judge_guests(classified, hosts),
        *(finding for finding in judge_schedule(schedule) if finding.severity == "error"),
    ]
    errors = (finding for finding in (*known, *found) if finding.severity == "error")
    told = {host for finding in errors for host in finding.hosts_among(hosts)}
    return (*found, *(finding for finding in _left_out(schedule, hosts) if finding.subject not in told))


def _left_out(schedule: Schedule, hosts: Collection[str]) -> Iterable[Finding]:
    """Say of each host that would not be done what keeps it from that."""
    reasons = {skipped.host: skipped.reason for skipped in schedule.skipped}
    planned = {host for wave in schedule.waves for host in wave.hosts}
    lacks = any(True for _ in schedule.shortfalls)
    for name in hosts:
        if name not in planned and (name in reasons or not lacks):
            yield _finding(
                "guests",
                "error",
                name,
                f"would stay at the old release: {reasons.get(name, 'no order of the hosts has a place for it')}",
                "mend that, for guests by their owners (tag stackroll:drain), or give the host up",
            )


def as_soon_as_settled(classified: Iterable[Classified]) -> tuple[Classified, ...]:
    """Count guests that nova works on just now as live: a drain waits until that is over, and looks at them again."""
    return tuple(
        one.model_copy(update={"kind": GuestClass.LIVE, "remedy": ""}) if one.code == TASK_RUNNING else one
        for one in classified
    )


def judge_forced_down(host: FleetHost) -> Iterable[Finding]:
    """Say what a host that somebody has declared down needs first."""
    if host.forced_down:
        yield _finding(
            "services",
            "error",
            f"{COMPUTE_UNIT} on {host.name}",
            "was declared down by somebody (forced_down), as before an evacuation: its guests may run elsewhere",
            "end what it was declared down for, then `openstack compute service set --up`; or leave the host out",
        )


def _finding(check: str, severity: str, subject: str, problem: str, remedy: str) -> Finding:
    return Finding(check=check, severity=severity, subject=subject, problem=problem, remedy=remedy)


def judge_guests(classified: Iterable[Classified], hosts: Collection[str]) -> Iterable[Finding]:
    """What is alike on one host is told once, with its guests by name."""
    blocked: dict[tuple[str, str], list[Classified]] = {}
    for one in classified:
        if one.kind is GuestClass.BLOCKED and one.host in hosts:
            blocked.setdefault((one.host or "", one.code), []).append(one)
    for (host, code), guests in sorted(blocked.items()):
        names = listed(f"{guest.name} ({guest.guest})" for guest in guests)
        yield _finding(
            "guests",
            "error",
            f"guests on {host}",
            f"{len(guests)} cannot leave ({code}: {guests[0].reason}): {names}",
            guests[0].remedy or "move or delete them, or leave the host out",
        )


def judge_schedule(schedule: Schedule | None) -> Iterable[Finding]:
    """Say what lacks for the hosts to be emptied, and which are left out for guests that stay as they are."""
    for lack in schedule.shortfalls if schedule else ():
        where = f" in zone {lack.zone}" if lack.zone else ""
        what = lack.unit if lack.resource == lack.unit else f"{lack.unit} of {lack.resource}"
        missing = f"missing: {lack.missing:g} {what}{where}"
        yield _finding("room", "error", lack.host or "room", lack.sentence, missing)
    for skipped in schedule.skipped if schedule else ():
        if skipped.exposed:
            yield _finding(
                "guests", "warning", skipped.host, f"is exposed: {skipped.reason}", "it keeps running as it is"
            )
