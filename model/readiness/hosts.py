"""Hosts: packages, lock files, keys, options, and what a rollback would start again; and where they differ."""

from collections.abc import Iterable, Mapping

from model.base import Record
from model.components import components_on
from model.inventory import Inventory, Role
from model.readiness.findings import error, note, warning
from model.spec import UpgradeRequest
from model.words import duration, listed
from model.work import Finding, HostFacts


class HostState(Record):
    """What was read of a host besides its units.

    Attributes:
        machine: its machine id.
        synchronised: whether its clock follows a time server, as systemd says; None where that is not known.
        reboot_required: whether installed packages wait for a reboot.
        broken: packages that are half installed or half removed.
        whole: versions of services that are wholly installed; ``torsos`` only in part.
        keys: by name of keystone's repositories of keys, a checksum of their content and how many keys there are.
        options: configured values by service, section and key, such as ``nova upgrade_levels compute``.
        locks: by service the checksum of the target's lock file; ``pins``: the version of the service in it.
        room: free bytes by the path that needs them.
    """

    machine: str = ""
    synchronised: bool | None = None
    reboot_required: bool = False
    broken: tuple[str, ...] = ()
    whole: tuple[tuple[str, str], ...] = ()
    torsos: tuple[tuple[str, str], ...] = ()
    keys: dict[str, tuple[str, int]] = {}
    options: dict[str, str] = {}
    locks: dict[str, str] = {}
    pins: dict[str, str] = {}
    room: dict[str, int] = {}


def judge_hosts(
    request: UpgradeRequest, states: Mapping[str, HostState], facts: Mapping[str, HostFacts], own_machine: str = ""
) -> tuple[Finding, ...]:
    """Return what speaks against the upgrade on the hosts themselves, and where they differ but must not.

    Args:
        request: what is wanted of which cloud.
        states: what was read of each host.
        facts: the units of each host.
        own_machine: the machine id of the worker's own host.
    """
    found: list[Finding] = []
    for host, state in states.items():
        found += _packages(request, host, state)
        found += _way_back(request, host, state, facts)
        found += _pins(request, host, state)
        if own_machine and state.machine == own_machine:
            found.append(
                warning(
                    "worker",
                    host,
                    "is the host that this stackroll runs on: it restarts what it stands on",
                    "run the worker and Temporal on a machine that is no part of the cloud",
                )
            )
    found += _same_locks(request.inventory, states)
    found += _same_keys(request.inventory, states)
    found += _options(request, states)
    return tuple(found)


def _packages(request: UpgradeRequest, host: str, state: HostState) -> Iterable[Finding]:
    target = request.target
    if state.broken:
        yield warning(
            "packages",
            host,
            f"has half-installed packages: {listed(state.broken)}",
            "finish or remove them: `dpkg --configure -a && apt-get -f install`",
        )
    if state.reboot_required:
        yield note("reboot", host, "waits for a reboot (new kernel or libraries)", "`stackroll reboot` does that")
    if state.synchronised is False:
        yield note(
            "clock", host, "its clock follows no time server", "`timedatectl set-ntp true`, or set up chrony there"
        )
    for service, version in state.torsos:
        if target.versions.get(service) == version:
            yield note(
                "packages",
                host,
                f"has {service} {version} only in part, from an earlier try",
                "nothing to do: it is made anew when it is installed",
            )


def _way_back(
    request: UpgradeRequest, host: str, state: HostState, facts: Mapping[str, HostFacts]
) -> Iterable[Finding]:
    """What runs must be wholly installed: a rollback starts it again."""
    if not state.whole and not state.torsos:
        return
    running = facts[host].running if host in facts else {}
    for component in components_on(request.inventory, host):
        version = running.get(component.unit)
        if version and "+" not in version and (component.service, version) not in state.whole:
            yield error(
                "way-back",
                f"{component.unit} on {host}",
                f"runs from {component.service} {version}, which is not whole there any more: it could not be "
                "started again by a rollback",
                f"install {component.service} {version} again on the host, then restart {component.unit}: "
                f"`systemctl restart {component.unit}`",
            )


def _pins(request: UpgradeRequest, host: str, state: HostState) -> Iterable[Finding]:
    target = request.target
    for service, version in state.pins.items():
        # Behind a "+" is the number of a build: the service is the same, what it is made with is newer.
        if version not in (target.versions[service], target.versions[service].partition("+")[0]):
            yield error(
                "repository",
                host,
                f"the lock file of {target.id} has {service} {version}, and the release is {target.versions[service]}",
                f"put the lock file of {service} {target.versions[service]} into the repository",
            )


def _same_locks(inventory: Inventory, states: Mapping[str, HostState]) -> Iterable[Finding]:
    """All hosts install the same: lock files that differ would make a mixed cloud of one release."""
    for service in inventory.services:
        odd = _odd({host: state.locks[service] for host, state in states.items() if service in state.locks})
        if odd:
            yield error(
                "repository",
                listed(odd),
                f"the lock file of {service} is not the one that the other hosts have",
                f"copy the same {inventory.packaging.repository} to all hosts",
            )


def _same_keys(inventory: Inventory, states: Mapping[str, HostState]) -> Iterable[Finding]:
    """What one control host has encrypted, every other one must read."""
    if "keystone" not in inventory.services:
        return
    controls = {host: states[host] for host in inventory.with_role(Role.CONTROL) if host in states}
    for name in ("fernet", "credential"):
        kept = {host: state.keys[name] for host, state in controls.items() if name in state.keys}
        empty = [host for host, (_, number) in kept.items() if not number]
        if empty and name == "fernet":
            yield error(
                "keys",
                listed(empty),
                f"has no {name} keys, by its keystone.conf",
                f"copy the keys of another control host there, or `keystone-manage {name}_setup`",
            )
        odd = _odd({host: sum_ for host, (sum_, number) in kept.items() if number})
        if odd:
            yield error(
                "keys",
                listed(odd),
                f"has other {name} keys than the other control hosts: what one encrypts is void on another",
                f"copy the {name} keys of the host that rotates them to all control hosts, and rotate none until the "
                "upgrade has ended",
            )


def _options(request: UpgradeRequest, states: Mapping[str, HostState]) -> Iterable[Finding]:
    inventory = request.inventory
    if "nova" in inventory.services:
        nova = {h: states[h] for h in inventory.hosts if h in states and _has_nova(inventory, h)}
        known = {host: state for host, state in nova.items() if state.options}
        loose = [host for host, state in known.items() if not state.options.get("nova upgrade_levels compute")]
        if loose:
            yield error(
                "rpc-pin",
                listed(loose),
                "nova there sends the newest messages at once: [upgrade_levels] compute is not set",
                "set `compute = auto` in section [upgrade_levels] of nova.conf on every host, and restart nova",
            )
        silent = [
            host
            for host, state in known.items()
            if state.options.get("nova service_user send_service_user_token", "").lower() not in {"true", "1", "yes"}
        ]
        if silent:
            yield warning(
                "service-token",
                listed(silent),
                "nova there sends no service token: long migrations outlive their users' tokens",
                "set `send_service_user_token = true` in section [service_user] of nova.conf",
            )
    for host in inventory.with_role(Role.CONTROL):
        lives = states[host].options.get("keystone token expiration", "") if host in states else ""
        if lives.isdigit() and int(lives) < request.spec.drain_timeout:
            yield warning(
                "service-token",
                host,
                f"tokens live {duration(int(lives))}, and a drain may take {duration(request.spec.drain_timeout)}",
                "set a longer `expiration` in section [token] of keystone.conf, or a shorter drain_timeout",
            )


def _has_nova(inventory: Inventory, host: str) -> bool:
    return any(component.service == "nova" for component in components_on(inventory, host))


def _odd(values: Mapping[str, str]) -> list[str]:
    """Return the hosts whose value is not that of most."""
    numbers: dict[str, int] = {}
    for value in values.values():
        numbers[value] = numbers.get(value, 0) + 1
    if len(numbers) < 2:
        return []
    most = max(numbers, key=lambda value: numbers[value])
    return [host for host, value in values.items() if value != most]
