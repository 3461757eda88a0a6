"""How each guest can leave its host: a pure judgement over what nova says of it, with a code, a reason and a remedy.

What is not known counts as not movable. Sources, in nova's own tree (33.0):

- ``nova/compute/api.py``: ``live_migrate`` takes ACTIVE and PAUSED servers, ``resize`` (which is cold migration too)
  ACTIVE and SHUTOFF ones, ``stop`` ACTIVE ones and those in ERROR; suspended, shelved, rescued and resized ones none.
- the same file: ``check_instance_lock`` lets administrators act on locked servers; nothing need be unlocked.
- ``nova/virt/libvirt/driver.py``: ``suspend`` is libvirt's managed save, a file on the host that outlasts its reboot.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from model.base import Record
from model.bindings import find_binding
from model.fleet import Fleet, FleetGuest, GroupPolicy, GuestClass, ServerGroup
from model.nova import is_settled
from model.owners import DRAIN_KEY, Wish, read_wish
from model.rolling import DrainPolicy

# The metadata by which a run knows guests that it has stopped, and such that it is moving cold.
STOPPED_BY = "stackroll:stopped-by"
MOVED_BY = "stackroll:moved-by"
# The code of a guest that nova works on at the moment: what it is then is not known yet.
TASK_RUNNING = "task-running"

_NOBODY: Mapping[str, GuestClass] = MappingProxyType({})
_INTERRUPTS = frozenset({GuestClass.COLD, GuestClass.STOP})
_MOVES = frozenset({GuestClass.LIVE, GuestClass.COLD})
_SPREAD = frozenset({GroupPolicy.ANTI_AFFINITY, GroupPolicy.SOFT_ANTI_AFFINITY})
# Such guests are nowhere, or on their way: there is nothing to allow.
_NOTHING_TO_ALLOW = frozenset({"shelved-offloaded", "migrating"})
_RUNNING = frozenset({"ACTIVE", "PAUSED", "MIGRATING"})
_CRASHED = 6


class Classified(Record):
    """How one guest can leave its host.

    Attributes:
        guest: its id.
        kind: the class.
        code: why, as a word that stays the same: ``active``, ``pci``, ``owner-says-stop`` ….
        reason: why, in a clause.
        remedy: what would help, where it is blocked.
        warnings: what should be known besides.
        may_be_off: whether its server groups can do without it for a while.
    """

    guest: str
    name: str
    project: str = ""
    host: str | None = None
    kind: GuestClass
    code: str
    reason: str
    remedy: str = ""
    warnings: tuple[str, ...] = ()
    may_be_off: bool = True


class _Case(Record):
    """A class on its way to the final one.

    Attributes:
        asked: whether somebody who may has asked for just this.
        pinned: whether it can be moved neither live nor cold, for what it is.
    """

    kind: GuestClass
    code: str
    reason: str
    remedy: str = ""
    asked: bool = False
    pinned: bool = False


def _case(kind: GuestClass, code: str, reason: str, remedy: str = "") -> _Case:
    return _Case(kind=kind, code=code, reason=reason, remedy=remedy)


_STATUS = {
    "ACTIVE": _case(GuestClass.LIVE, "active", "it is ACTIVE"),
    "PAUSED": _case(GuestClass.LIVE, "paused", "it is PAUSED, and stays so"),
    "SHUTOFF": _case(
        GuestClass.COLD,
        "shutoff-cold",
        "it is SHUTOFF, and stays so",
        "start it (`openstack server start {id}`), move it cold (`openstack server migrate {id}`) or delete it",
    ),
    "SUSPENDED": _case(
        GuestClass.STOP,
        "suspended",
        "it is SUSPENDED: nova cannot move it; its saved memory is a file on the host, which outlasts a reboot",
        "resume it (`openstack server resume {id}`), or let it stay where it is (drain.allow: stop)",
    ),
    "SHELVED": _case(
        GuestClass.BLOCKED,
        "shelved",
        "it is SHELVED but not offloaded",
        "offload it: `openstack server shelve --offload {id}`",
    ),
    "SHELVED_OFFLOADED": _case(GuestClass.LEAVE, "shelved-offloaded", "it is on no host"),
    "RESCUE": _case(
        GuestClass.BLOCKED,
        "rescued",
        "it is in RESCUE, and nova cannot move it meanwhile",
        "end the rescue: `openstack server unrescue {id}`",
    ),
    "VERIFY_RESIZE": _case(
        GuestClass.BLOCKED,
        "verify-resize",
        "it is in VERIFY_RESIZE, until somebody confirms or reverts its resize",
        "confirm or revert it: `openstack server resize confirm {id}`",
    ),
    "ERROR": _case(
        GuestClass.BLOCKED,
        "error",
        "it is in ERROR",
        "find the cause (`openstack server show {id}`), then `openstack server set --state active {id}` and `openstack "
        "server reboot --hard {id}`, or delete it",
    ),
    "SOFT_DELETED": _case(
        GuestClass.BLOCKED,
        "soft-deleted",
        "it is SOFT_DELETED: it can still be restored, so its disk is still on the host",
        "restore it or delete it for good: `openstack server delete --force {id}`",
    ),
}


def classify_all(
    fleet: Fleet, policy: DrainPolicy, *, decided: Mapping[str, GuestClass] = _NOBODY
) -> tuple[Classified, ...]:
    """Return the class of every guest of a fleet, in its order. ``decided`` is what an operator said of single ones."""
    off = frozenset(guest.id for guest in fleet.guests if guest.status not in _RUNNING)
    groups: dict[str, list[ServerGroup]] = {}
    for group in fleet.groups:
        for member in group.members:
            groups.setdefault(member, []).append(group)
    return tuple(
        classify(guest, groups.get(guest.id, ()), policy, off=off, decided=decided.get(guest.id))
        for guest in fleet.guests
    )


def classify(
    guest: FleetGuest,
    groups: Iterable[ServerGroup],
    policy: DrainPolicy,
    *,
    off: frozenset[str] = frozenset(),
    decided: GuestClass | None = None,
) -> Classified:
    """Say how a guest can leave its host.

    An operator's word on this guest counts most, as far as nova can do it; then its owner's wish within
    ``policy.owners``; then ``policy.allow``.

    Args:
        guest: the server.
        groups: server groups; those that it is no member of do not matter.
        policy: what may be done.
        off: guests that do not run, so that their groups are short of a member already.
        decided: what an operator said of this guest.
    """
    wish = read_wish(guest)
    short = _short_group(guest, groups, off)
    case = _possible(guest, policy)
    if decided is not None:
        case = _obey(guest, case, decided)
    else:
        case = _spare_groups(guest, _heed(guest, case, wish, policy), short)
    case = _allow(guest, case, policy)
    return Classified(
        guest=guest.id,
        name=guest.name,
        project=guest.project,
        host=guest.host,
        kind=case.kind,
        code=case.code,
        reason=case.reason,
        remedy=case.remedy.format(id=guest.id) if case.kind is GuestClass.BLOCKED else "",
        warnings=tuple(_warnings(guest, wish, case, policy, decided)),
        may_be_off=short is None,
    )


def _possible(guest: FleetGuest, policy: DrainPolicy) -> _Case:
    """What could be done with it, whatever anybody wishes."""
    if guest.status == "MIGRATING":
        return _case(GuestClass.LIVE, "migrating", "it is on its way just now")
    if not is_settled(guest):
        working = f"nova works on it: {guest.task_state or guest.status}"
        return _case(GuestClass.BLOCKED, TASK_RUNNING, working, "wait until that is over; it is looked at again")
    if run := guest.metadata.get(STOPPED_BY):
        stopped = _case(GuestClass.STOP, "stopped-by-run", f"{run} has stopped it where it is")
        return stopped.model_copy(update={"asked": True})
    if guest.locked and not policy.locked:
        remedy = "ask its owner to unlock it (`openstack server unlock {id}`), or set drain.locked"
        return _case(
            GuestClass.BLOCKED, "locked", "it is locked, and such guests are left alone (drain.locked)", remedy
        )
    return _bound(guest, _by_status(guest), policy)


def _by_status(guest: FleetGuest) -> _Case:
    if guest.status == "ACTIVE" and guest.power_state == _CRASHED:
        remedy = "`openstack server reboot --hard {id}`, or stop it"
        return _case(GuestClass.BLOCKED, "crashed", "its hypervisor says that it has crashed", remedy)
    if guest.status in _STATUS:
        return _STATUS[guest.status]
    remedy = "bring it to ACTIVE or delete it (`openstack server show {id}`)"
    return _case(GuestClass.BLOCKED, "unknown-status", f"it is {guest.status}, of which nothing is known here", remedy)


def _bound(guest: FleetGuest, case: _Case, policy: DrainPolicy) -> _Case:
    """Devices bind it to its host. One that is off is bound by less; one that is paused can only go live."""
    binding = find_binding(guest, policy.max_local_disk_gb) if case.kind in _MOVES else None
    if binding is None or (binding.cold and guest.status == "SHUTOFF"):
        return case
    if binding.cold and guest.status == "ACTIVE":
        return _case(GuestClass.COLD, binding.code, binding.reason)
    remedy = "stop it while its host is out (drain.allow: stop, or drain.then_stop), leave its host, or ask its owner"
    reason = binding.reason
    if guest.status == "PAUSED":
        reason, remedy = f"{reason}, and it is paused", f"unpause it (`openstack server unpause {{id}}`), then {remedy}"
    return _case(GuestClass.BLOCKED, binding.code, reason, remedy).model_copy(update={"pinned": True})


def _obey(guest: FleetGuest, case: _Case, wanted: GuestClass) -> _Case:
    """Do what an operator says of this guest, as far as nova can."""
    if not is_settled(guest) or case.code in {"stopped-by-run", "shelved-offloaded"} or not _can(guest, wanted):
        return case
    said = _case(wanted, f"operator-says-{wanted}", f"an operator says {wanted}")
    return said.model_copy(update={"asked": True})


def _heed(guest: FleetGuest, case: _Case, wish: Wish, policy: DrainPolicy) -> _Case:
    """Do what its owner asks for, where that is allowed and possible."""
    wanted = wish.kind
    if wanted is None or wanted not in policy.owners or case.code in {"stopped-by-run", "shelved-offloaded"}:
        return case
    if (case.kind is GuestClass.BLOCKED and not case.pinned) or not _can(guest, wanted):
        return case
    # What is bound to its host does not become movable because somebody asks for it.
    if wanted in _MOVES and (case.pinned or (case.kind is GuestClass.COLD and wanted is GuestClass.LIVE)):
        return case
    code = "owner-conflict" if wish.conflict else f"owner-says-{wanted}"
    return _case(wanted, code, f"its owner says {wanted}").model_copy(update={"asked": True})


def _can(guest: FleetGuest, wanted: GuestClass) -> bool:
    """Tell whether nova can do that to a guest of this status."""
    possible = {
        GuestClass.LIVE: {"ACTIVE", "PAUSED"},
        GuestClass.COLD: {"ACTIVE", "SHUTOFF"},
        GuestClass.STOP: {"ACTIVE", "SHUTOFF", "SUSPENDED"},
    }
    return wanted is GuestClass.LEAVE or guest.status in possible.get(wanted, ())


def _short_group(guest: FleetGuest, groups: Iterable[ServerGroup], off: frozenset[str]) -> tuple[str, str] | None:
    """Return a spread group of this guest that is short of a member already, and that member."""
    for group in groups:
        short = sorted(set(group.members) & off - {guest.id})
        if guest.id in group.members and short and group.policy in _SPREAD:
            return group.name or group.id, short[0]
    return None


def _spare_groups(guest: FleetGuest, case: _Case, short: tuple[str, str] | None) -> _Case:
    """A group that is short of a member already does not lose a second one."""
    if short is None or case.kind not in _INTERRUPTS or guest.status != "ACTIVE":
        return case
    group, member = short
    reason = f"{case.reason}; it would be off, as {member} of its group {group} is already"
    remedy = f"bring that one back (`openstack server start {member}`), or decide for this guest"
    return _case(GuestClass.BLOCKED, "group-member-stopped", reason, remedy)


def _allow(guest: FleetGuest, case: _Case, policy: DrainPolicy) -> _Case:
    """What is not allowed is blocked; what can be moved in no allowed way is stopped, if that is allowed."""
    if case.asked or case.kind in policy.allow or case.code in _NOTHING_TO_ALLOW:
        return case
    stops = (case.pinned and GuestClass.STOP in policy.allow) or (
        policy.then_stop and (case.pinned or case.kind in _MOVES)
    )
    if stops and guest.status in {"ACTIVE", "SHUTOFF"}:
        return case.model_copy(update={"kind": GuestClass.STOP, "remedy": ""})
    if case.kind is GuestClass.BLOCKED:
        return case
    return case.model_copy(
        update={
            "kind": GuestClass.BLOCKED,
            "reason": f"{case.reason}; its class would be {case.kind}, which is not allowed",
            "remedy": case.remedy or f"allow it (drain.allow: {case.kind}), or decide for this guest",
        }
    )


def _warnings(
    guest: FleetGuest, wish: Wish, case: _Case, policy: DrainPolicy, decided: GuestClass | None
) -> Iterable[str]:
    yield from wish.warnings
    if not is_settled(guest):
        return
    if decided not in {None, case.kind}:
        yield f"an operator says {decided}, which is not done: {case.reason}"
    if wish.kind not in {None, case.kind}:
        why = case.reason if wish.kind in policy.owners else "owners may not ask for that"
        yield f"its owner says {wish.kind} ({DRAIN_KEY}), which is not done: {why}"
    if guest.locked and case.kind is not GuestClass.BLOCKED:
        yield "it is locked; administrators may act on it all the same"
    if guest.status == "SHUTOFF" and guest.power_state == 1:
        yield "nova says that it is off, its hypervisor that it runs"
