"""What speaks against a rolling reboot: a pure judgement, with every reason at once.

An ``error`` refuses it; a ``warning`` is shown with the plan.
"""

from collections.abc import Collection, Iterable

from model.classify import Classified
from model.components import COMPUTE_UNIT
from model.drain_preflight import judge_forced_down, judge_guests, judge_schedule
from model.fleet import Fleet, FleetHost
from model.inventory import Inventory, Role
from model.placement.records import Schedule
from model.preflight import OWN_REASON, judge_migrations
from model.words import listed
from model.work import Finding


def judge_reboot(
    inventory: Inventory,
    fleet: Fleet,
    hosts: Collection[str],
    classified: Iterable[Classified],
    schedule: Schedule | None,
) -> tuple[Finding, ...]:
    """Return everything that speaks against rebooting these hosts, errors first, in a stable order."""
    findings = [
        *_selection(hosts),
        *_roles(inventory, hosts),
        *_services(inventory, fleet, hosts),
        *judge_guests(classified, hosts),
        *judge_migrations(move for move in fleet.migrations if hosts and {move.source, move.target} & set(hosts)),
        *judge_schedule(schedule),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def _finding(severity: str, subject: str, problem: str, remedy: str) -> Finding:
    return Finding(severity=severity, subject=subject, problem=problem, remedy=remedy)


def _selection(hosts: Collection[str]) -> Iterable[Finding]:
    if not hosts:
        yield _finding(
            "warning", "hosts", "there is no host to do: none is selected, or none needs a reboot", "nothing to do"
        )


def _roles(inventory: Inventory, hosts: Collection[str]) -> Iterable[Finding]:
    """A host that carries more than guests takes that with it when it reboots."""
    for host in hosts:
        others = [role.value for role in inventory.hosts[host].roles if role is not Role.COMPUTE]
        if others:
            yield _finding(
                "error",
                host,
                f"has the roles {' and '.join(others)} too: its reboot would take them away",
                "leave it out of hosts, and reboot it by hand when its other services have been moved",
            )


def _services(inventory: Inventory, fleet: Fleet, hosts: Collection[str]) -> Iterable[Finding]:
    for host in hosts:
        if host not in fleet.hosts:
            names = listed(fleet.hosts) or "none"
            yield _finding(
                "error",
                f"{COMPUTE_UNIT} on {host}",
                "is not in nova's list of services",
                f"use nova's own name of the host in the inventory (it knows: {names}), or see its log",
            )
    for name, known in fleet.hosts.items():
        if name in hosts:
            yield from _service(known)
        elif name not in inventory.hosts and known.status == "enabled":
            yield _finding(
                "warning",
                name,
                "is known to nova, but not to the inventory; it stays as it is",
                "add it if it is meant",
            )


def _service(host: FleetHost) -> Iterable[Finding]:
    subject = f"{COMPUTE_UNIT} on {host.name}"
    if host.forced_down:
        yield from judge_forced_down(host)
    elif host.state != "up":
        yield _finding(
            "error",
            subject,
            f"is {host.state} by nova's list of services, so no guest can be moved away from it",
            "start it and wait until it has reported; or leave the host out",
        )
    if host.status == "disabled":
        reason = host.disabled_reason or "no reason given"
        ours = reason.startswith(OWN_REASON)
        remedy = (
            "an earlier run left it so; enable it: `openstack compute service set --enable`"
            if ours
            else ("it is done like the others and stays disabled; leave it out if that is not meant")
        )
        yield _finding("warning", subject, f"is disabled ({reason})", remedy)
