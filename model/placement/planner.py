"""Hosts in waves and a target for every guest: the two orders, side by side."""

from collections.abc import Collection, Mapping

from model.fleet import Fleet, GuestClass
from model.placement.board import Task
from model.placement.draft import Draft
from model.placement.fewest import fewest_moves
from model.placement.records import Assignment, Cost, Durations, Schedule, Skipped
from model.placement.shortfalls import impossible_groups
from model.rolling import Order, Rolling

_ORDERS = {Order.FEWEST_MOVES: fewest_moves}


def schedule(
    fleet: Fleet,
    classes: Mapping[str, GuestClass],
    rolling: Rolling,
    *,
    hosts: Collection[str],
    durations: Durations | None = None,
) -> Schedule:
    """Plan in which order hosts are taken out of service, and where each of their guests goes.

    Nothing is read and nothing is random: the same fleet gives the same schedule.

    Args:
        fleet: the cloud at this moment.
        classes: how each guest on ``hosts`` leaves its host, by id; one that is missing counts as blocked.
        rolling: the operator's rules.
        hosts: the names of those to be done. All others that are up and enabled are targets from the beginning.
        durations: what moves and reboots are expected to take.
    """
    durations = durations or Durations()
    task = Task(fleet, classes, rolling, hosts)
    draft = _ORDERS[rolling.order](task)
    for shortfall in impossible_groups(task):
        # It says more than that no place was found.
        draft.shortfalls[shortfall.host] = shortfall
    return _written(task, draft, rolling.order)


def _written(task: Task, draft: Draft, order: Order) -> Schedule:
    wave_of = {host: wave.index for wave in draft.waves for host in wave.hosts}
    assignments = tuple(
        Assignment(guest=guest, source=move.source, target=move.room.host, wave=wave_of[move.source], cause=move.cause)
        for move in draft.board.moves
        for guest in move.item.guests
    )
    times: dict[str, int] = {}
    for assignment in assignments:
        times[assignment.guest] = times.get(assignment.guest, 0) + 1
    skipped = [
        *task.skipped,
        *(Skipped(host=h, reason=s.sentence) for h, s in draft.shortfalls.items() if h not in wave_of),
    ]
    movers = [guest for host in draft.hosts for guest in task.movers[host]]
    gib = sum(move.item.gib for move in draft.board.moves)
    return Schedule(
        order=order,
        waves=tuple(draft.waves),
        needs=draft.needs(),
        slots=task.slots,
        assignments=assignments,
        skipped=tuple(sorted(skipped, key=lambda s: s.host)),
        shortfalls=tuple(draft.shortfalls.values()),
        movers=len(movers),
        gib_movers=sum(guest.ram_mb for guest in movers) / 1024,
        cost=Cost(
            order=order,
            waves=len(draft.waves),
            moves=len(assignments),
            most=max(times.values(), default=0),
            gib=gib,
            makespan=0.0,
            utilisation=0.0,
            shortfalls=len(draft.shortfalls),
        ),
    )
