"""What is done next for one guest that must leave its host: a pure judgement over nova's own records.

The rungs: live to the planned target, live elsewhere, live again; a live migration that does not converge is completed
by force or aborted; then cold, then stop, as far as the policy goes; then a person decides. How far a guest has come is
read from nova's migrations since the drain was ordered, so whoever takes a drain over stands on the same rung, and what
is going on is adopted: nothing is ever started for a guest that nova works on.
"""

from collections.abc import Iterable

from model.classify import MOVED_BY
from model.fleet import FleetGuest, GuestClass
from model.moves import Act, Blocked, Dossier, Move, Orders, Progress, Refusal, Verdict
from model.nova import AWAITS_CONFIRMATION, COLD_MIGRATION, FAILED, LIVE_MIGRATION, Migration, is_settled
from model.rolling import DrainPolicy
from model.words import count

# A guest is off while it is moved cold: two failures are enough to ask a person.
COLD_ATTEMPTS = 2
# Attempts for which nova's scheduler finds no host, and that do not count for a member of an anti-affinity group. What
# a scheduler remembers of a host is sent to it by nova-compute every scheduler_instance_sync_interval (120 s), and not
# at its start when the host is empty (nova/compute/manager.py, init_host): for so long a host that was emptied is
# refused to the group of a guest that it had. With the rests between them the attempts last longer than that.
UNPLACED_FOR_NOTHING = 3
# Seconds that nova may take to clean up a failed attempt on both ends.
CLEANUP = 120.0
LEAST_LIMIT = 120.0
MIB_PER_GIB = 1024


def judge(dossier: Dossier, orders: Orders) -> Verdict:
    """Say what is done next for a guest that is on the host, or on its way from or to it."""
    unfinished = [migration for migration in dossier.migrations if migration.unfinished]
    if unfinished:
        return _in_flight(dossier, orders, max(unfinished, key=lambda migration: migration.id))
    guest = dossier.guest
    if not is_settled(guest):
        moving = guest.status == "MIGRATING" or guest.task_state == "migrating" or guest.status == "RESIZE"
        return Verdict(
            waiting=f"guest {guest.name} ({guest.id}) is in {guest.task_state or guest.status}", moving=moving
        )
    match dossier.classified.kind:
        case GuestClass.BLOCKED | GuestClass.LEAVE:
            return _blocked(dossier, dossier.classified.code, dossier.classified.reason, dossier.classified.remedy)
        case GuestClass.STOP:
            return _stop(dossier)
        case _:
            return _climb(dossier, orders)


def _in_flight(dossier: Dossier, orders: Orders, migration: Migration) -> Verdict:
    moving = migration.source == orders.host
    if migration.status == AWAITS_CONFIRMATION:
        return _unconfirmed(dossier, orders, migration)
    if moving and migration.kind == LIVE_MIGRATION and migration.status.startswith("running"):
        progress = dossier.progress
        if progress is not None and (move := _hurry(dossier.guest, progress, orders.policy)):
            return Verdict(move=move, waiting=migration.text, moving=True)
    return Verdict(waiting=migration.text, moving=moving)


def _unconfirmed(dossier: Dossier, orders: Orders, migration: Migration) -> Verdict:
    """A cold migration is confirmed if it is ours; what others have begun is theirs to judge."""
    guest = dossier.guest
    ours = migration.created >= orders.since or (bool(orders.run) and guest.metadata.get(MOVED_BY) == orders.run)
    if migration.kind != COLD_MIGRATION or migration.source != orders.host or not ours:
        remedy = f"confirm or revert its resize: `openstack server resize confirm {guest.id}`"
        return _blocked(dossier, "verify-resize", f"{migration.text}, which waits for a confirmation", remedy)
    if guest.status != "VERIFY_RESIZE" or guest.task_state is not None:
        return Verdict(waiting=f"{migration.text}; guest {guest.name} ({guest.id}) is {guest.status}")
    tries = sum(1 for refusal in dossier.refusals if refusal.act is Act.CONFIRM)
    if tries > orders.policy.attempts:
        remedy = f"`openstack server resize confirm {guest.id}`, then retry the step"
        return _blocked(
            dossier, "not-confirmed", f"nova does not confirm its move: {dossier.refusals[-1].text}", remedy
        )
    confirm = Move(act=Act.CONFIRM, guest=guest.id, name=guest.name, migration=migration.id, tries=tries)
    return Verdict(move=confirm, waiting=migration.text)


def limit_of(guest: FleetGuest, policy: DrainPolicy) -> float:
    """Return the seconds that a live migration of this guest may take."""
    return max(LEAST_LIMIT, policy.seconds_per_gib * guest.ram_mb / MIB_PER_GIB)


def _hurry(guest: FleetGuest, progress: Progress, policy: DrainPolicy) -> Move | None:
    """Complete by force, or abort, what does not converge; aborting counts as a failed attempt."""
    stuck, limit = progress.stalled >= policy.stuck_after, limit_of(guest, policy)
    late = progress.running >= limit
    if policy.when_stuck == "wait" or progress.aborted or not (stuck or late):
        return None
    why = (
        f"no less memory left for {progress.stalled:.0f} s"
        if stuck
        else f"it runs for {progress.running:.0f} s, of at most {limit:.0f}"
    )
    common = {"guest": guest.id, "name": guest.name, "migration": progress.migration, "why": why}
    # nova completes only those by force whose guest runs; a paused one writes nothing that must be copied again.
    if policy.when_stuck == "force-complete" and guest.vm_state != "paused":
        if progress.forced is None:
            return Move(act=Act.FORCE, **common)
        if progress.forced < policy.stuck_after:
            return None
    return Move(act=Act.ABORT, **common)


def _stop(dossier: Dossier, tries: int = 0) -> Verdict:
    guest = dossier.guest
    if guest.status != "ACTIVE":
        return Verdict(stays=True)
    refused = [refusal for refusal in dossier.refusals if refusal.act is Act.STOP]
    if len(refused) > COLD_ATTEMPTS:
        remedy = f"stop it (`openstack server stop {guest.id}`), then retry the step"
        return _blocked(dossier, "not-stopped", f"nova does not stop it: {refused[-1].text}", remedy)
    return Verdict(move=Move(act=Act.STOP, guest=guest.id, name=guest.name, tries=tries))


def _climb(dossier: Dossier, orders: Orders) -> Verdict:
    """The next attempt of the first rung that is not used up."""
    failed = False
    for act, most in rungs(dossier, orders.policy):
        tries = _tries(dossier, orders, act)
        failed = failed or bool(failures(dossier, orders, act) or _refused(dossier, act))
        if tries < most:
            return _attempt(dossier, orders, act, tries, failed=failed)
    if orders.policy.then_stop and dossier.guest.status == "ACTIVE" and dossier.classified.may_be_off:
        return _stop(dossier)
    return _given_up(dossier, orders)


def _tries(dossier: Dossier, orders: Orders, act: Act) -> int:
    failed = failures(dossier, orders, act)
    unplaced = sum(move.target is None for move in failed) if dossier.apart else 0
    return len(failed) - min(unplaced, UNPLACED_FOR_NOTHING) + len(_refused(dossier, act))


def rungs(dossier: Dossier, policy: DrainPolicy) -> tuple[tuple[Act, int], ...]:
    """Return the ways in which this guest may be moved, in order, each with how many attempts it is worth."""
    guest, cold = dossier.guest, dossier.classified.kind is GuestClass.COLD
    if cold:
        # One that is off loses nothing by another attempt.
        return ((Act.COLD, policy.attempts if guest.status == "SHUTOFF" else COLD_ATTEMPTS),)
    live = (Act.LIVE, policy.attempts)
    then_cold = policy.then_cold and guest.status == "ACTIVE" and dossier.classified.may_be_off
    return (live, (Act.COLD, COLD_ATTEMPTS)) if then_cold else (live,)


def failures(dossier: Dossier, orders: Orders, act: Act) -> list[Migration]:
    """Return the attempts of this kind, from this host, that have failed since the drain was ordered."""
    kind = LIVE_MIGRATION if act is Act.LIVE else COLD_MIGRATION
    return [move for move in failures_of(dossier.guest.id, dossier.migrations, orders) if move.kind == kind]


def failures_of(guest: str, migrations: Iterable[Migration], orders: Orders) -> list[Migration]:
    """Return a guest's attempts from this host, of any kind, that have failed since the drain was ordered."""
    found = [
        move
        for move in migrations
        if move.guest == guest
        and move.kind in {LIVE_MIGRATION, COLD_MIGRATION}
        and move.status in FAILED
        and move.source == orders.host
        and move.created >= orders.since
    ]
    return sorted(found, key=lambda move: move.id)


def _refused(dossier: Dossier, act: Act) -> list[Refusal]:
    return [refusal for refusal in dossier.refusals if refusal.act is act]


def _attempt(dossier: Dossier, orders: Orders, act: Act, tries: int, *, failed: bool) -> Verdict:
    guest = dossier.guest
    who = f"guest {guest.name} ({guest.id})"
    if dossier.leftovers and dossier.leftovers_for >= CLEANUP:
        remedy = "see the nova-compute logs of both hosts, and `nova-manage placement heal_allocations`; then retry"
        return _blocked(dossier, "leftover", f"a failed attempt left behind: {'; '.join(dossier.leftovers)}", remedy)
    if dossier.leftovers:
        return Verdict(waiting=f"{who} waits until a failed attempt is cleaned up: {'; '.join(dossier.leftovers)}")
    if failed and dossier.resting:
        return Verdict(waiting=f"{who} rests after a failed migration")
    target = _target(dossier, orders, act, tries)
    return Verdict(move=Move(act=act, guest=guest.id, name=guest.name, target=target, tries=tries))


def _target(dossier: Dossier, orders: Orders, act: Act, tries: int) -> str | None:
    """The planned target, then the others; what has failed is not tried again, and the last word is the scheduler's."""
    tried = {move.target for move in failures(dossier, orders, act)}
    tried |= {refusal.target for refusal in _refused(dossier, act)}
    most = dict(rungs(dossier, orders.policy))[act]
    if tries and tries >= most - 1:
        return None
    return next((host for host in named_targets(dossier.guest.id, orders) if host not in tried), None)


def named_targets(guest: str, orders: Orders) -> tuple[str, ...]:
    """Return the hosts that a guest is to be sent to, in order: the planned one, then those chosen since or spares."""
    named = (orders.targets.get(guest), *orders.others.get(guest, orders.spares))
    return tuple(dict.fromkeys(host for host in named if host is not None and host != orders.host))


def _given_up(dossier: Dossier, orders: Orders) -> Verdict:
    guest, problems = dossier.guest, []
    for act, _ in rungs(dossier, orders.policy):
        way = "live" if act is Act.LIVE else "cold"
        failed, refused = failures(dossier, orders, act), _refused(dossier, act)
        if failed:
            numbers = ", ".join(str(migration.id) for migration in failed)
            problems.append(f"{count(len(failed), f'{way} migration')} failed (migration {numbers})")
        if refused:
            problems.append(f"nova refused to begin {len(refused)} {way} ones, last with {refused[-1].text}")
    remedy = (
        f"see `openstack server event list {guest.id}` and the nova-compute log of {guest.host}; move the guest "
        "by hand or delete it, then retry the step"
    )
    return _blocked(dossier, "failed", "; ".join(problems), remedy)


def _blocked(dossier: Dossier, code: str, problem: str, remedy: str) -> Verdict:
    guest = dossier.guest
    return Verdict(blocked=Blocked(guest=guest.id, name=guest.name, problem=problem, remedy=remedy, code=code))
