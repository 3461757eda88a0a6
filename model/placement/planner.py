"""Hosts in waves and a target for every guest: the two orders, side by side."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from model.fleet import Fleet, GuestClass
from model.placement.board import Task
from model.placement.bounds import moves_bound, shortest
from model.placement.climb import climb
from model.placement.draft import Draft
from model.placement.fastest import MANY, frugal_ways, ways
from model.placement.fewest import fewest_moves
from model.placement.ranks import services
from model.placement.records import MIB_PER_GIB, Assignment, Cost, Durations, Schedule, Shortfall, Skipped, Wave
from model.placement.ruled_out import Count
from model.placement.shortfalls import impossible_groups
from model.placement.simulation import Run, simulate
from model.rolling import Order, Rolling

# The fewest moves are taken for equal up to one guest in so many that moves twice: it may save hours.
_MOVES_FOR_TIME = 40
# So many changes of the best way are tried.
_TRIES = {Order.FEWEST_MOVES: 8, Order.FASTEST: 24}


class _Made(NamedTuple):
    """A draft, as a schedule and carried out on paper."""

    draft: Draft
    schedule: Schedule
    run: Run


def schedule(
    fleet: Fleet,
    classes: Mapping[str, GuestClass],
    rolling: Rolling,
    *,
    hosts: Collection[str],
    durations: Durations | None = None,
) -> Schedule:
    """Plan in which order hosts are taken out of service, and where each of their guests goes.

    Nothing is read and nothing is left to chance: the same fleet gives the same schedule. With 200 hosts it takes
    seconds, with 1,000 some tens of them.

    Args:
        fleet: the cloud at this moment.
        classes: how each guest on ``hosts`` leaves its host, by id; one that is missing counts as blocked.
        rolling: the operator's rules.
        hosts: the names of those to be done. All others that are up and enabled are targets from the beginning.
        durations: what moves and reboots are expected to take.
    """
    return schedules(fleet, classes, rolling, hosts=hosts, durations=durations)[rolling.order]


def schedules(
    fleet: Fleet,
    classes: Mapping[str, GuestClass],
    rolling: Rolling,
    *,
    hosts: Collection[str],
    durations: Durations | None = None,
) -> dict[Order, Schedule]:
    """Plan both orders; the arguments are those of ``schedule``, whose ``rolling.order`` makes no difference here."""
    durations = durations or Durations()
    task = Task(fleet, classes, rolling, hosts)
    refused = impossible_groups(task)
    for shortfall, concerned in refused:
        for host in concerned:
            if host in task.movers:
                task.drop(host, shortfall.sentence)
    slow = _fewest(task, durations)
    fast = _fastest(task, durations, slow)
    found = [shortfall for shortfall, _ in refused]
    return {
        Order.FEWEST_MOVES: _finished(task, slow, fast, durations, found),
        Order.FASTEST: _finished(task, fast, slow, durations, found),
    }


def _fewest(task: Task, durations: Durations) -> _Made:
    """Take the shortest of the drafts with the fewest moves, give or take a few."""
    seconds = services(task, durations)
    least, movers = moves_bound(task).moves, sum(map(len, task.movers.values()))
    allowed = least + movers // _MOVES_FOR_TIME
    extras = (0,) if len(task.dirty) > MANY else (0, 2)
    drafts = [fewest_moves(task, seconds, extra=extra, apart=True) for extra in extras]

    def price(draft: Draft) -> tuple[float, ...]:
        return (len(draft.shortfalls), max(0, draft.moves - allowed), draft.makespan, draft.moves)

    found = climb(task, durations, list(frugal_ways(task, allowed - least)), price, _tries(task, Order.FEWEST_MOVES))
    made = [_made(task, draft, Order.FEWEST_MOVES, durations) for draft in [*drafts, *filter(None, [found])]]
    fewest = min(len(each.draft.shortfalls) for each in made)
    made = [each for each in made if len(each.draft.shortfalls) == fewest]
    most = max(allowed, min(each.schedule.cost.moves for each in made))
    return min((each for each in made if each.schedule.cost.moves <= most), key=_price)


def _fastest(task: Task, durations: Durations, slow: _Made) -> _Made:
    """Take the shortest of all drafts, also of those for the fewest moves."""

    def price(draft: Draft) -> tuple[float, ...]:
        return (len(draft.shortfalls), draft.makespan, draft.moves)

    found = climb(task, durations, list(ways(task)), price, _tries(task, Order.FASTEST))
    made = [_made(task, draft, Order.FASTEST, durations) for draft in [slow.draft, *filter(None, [found])]]
    return min(made, key=lambda each: (len(each.draft.shortfalls), *_price(each)))


def _tries(task: Task, order: Order) -> int:
    """Return how often a change is tried: not where it takes long, or where all hosts go at once."""
    return 0 if len(task.dirty) > MANY or len(task.dirty) <= task.slots.total else _TRIES[order]


def _price(made: _Made) -> tuple[float, int]:
    return (made.run.makespan, made.schedule.cost.moves)


def _made(task: Task, draft: Draft, order: Order, durations: Durations) -> _Made:
    wave_of = {host: wave.index for wave in draft.waves for host in wave.hosts}
    assignments = tuple(
        Assignment(guest=guest, source=move.source, target=move.room.host, wave=wave_of[move.source], cause=move.cause)
        for move in draft.board.moves
        for guest in move.item.guests
    )
    times: dict[str, int] = {}
    for assignment in assignments:
        times[assignment.guest] = times.get(assignment.guest, 0) + 1
    cost = Cost(
        order=order,
        waves=len(draft.waves),
        moves=len(assignments),
        most=max(times.values(), default=0),
        gib=round(sum(move.item.gib for move in draft.board.moves), 3),
        makespan=0.0,
        utilisation=0.0,
        shortfalls=len(draft.shortfalls),
    )
    found = Schedule(
        order=order,
        waves=tuple(draft.waves),
        needs=draft.needs(),
        slots=task.slots,
        assignments=assignments,
        cost=cost,
    )
    rolling = task.rolling
    run = simulate(found, task.catalog.fleet, durations, rolling.limits, healthy_for=rolling.canary.healthy_for)
    update = {"makespan": round(run.makespan, 1), "utilisation": round(run.utilisation, 4)}
    return _Made(draft, found.model_copy(update={"cost": cost.model_copy(update=update)}), run)


def _finished(task: Task, chosen: _Made, other: _Made, durations: Durations, refused: list[Shortfall]) -> Schedule:
    """Add what is only worth finding for the draft that is taken."""
    draft = chosen.draft
    skipped = [*task.skipped, *(Skipped(host=host, reason=s.sentence) for host, s in draft.shortfalls.items())]
    movers = [guest for host in draft.hosts for guest in task.movers[host]]
    rows, ruled_out = Count(draft).rows()
    per_guest = [row for row, move in zip(rows, draft.board.moves, strict=True) for _ in move.item.guests]
    both = [*refused, *draft.shortfalls.values()]
    return chosen.schedule.model_copy(
        update={
            "waves": _timed(chosen),
            "assignments": tuple(
                assignment.model_copy(update={"ruled_out": row})
                for assignment, row in zip(chosen.schedule.assignments, per_guest, strict=True)
            ),
            "ruled_out": ruled_out,
            "skipped": tuple(sorted(skipped, key=lambda each: each.host)),
            "shortfalls": tuple(both),
            "movers": len(movers),
            "gib_movers": round(sum(guest.ram_mb for guest in movers) / MIB_PER_GIB, 3),
            "bound": moves_bound(task).moves,
            "fastest_possible": round(shortest(task, durations).seconds, 1),
            "cost": chosen.schedule.cost.model_copy(update={"shortfalls": len(both)}),
            "other": other.schedule.cost.model_copy(update={"shortfalls": len(refused) + len(other.draft.shortfalls)}),
        }
    )


def _timed(made: _Made) -> tuple[Wave, ...]:
    """Waves with what they wait for, and how long they took on paper."""
    runs = {run.host: run for run in made.run.hosts}
    canaries = tuple(wave.index for wave in made.draft.waves if wave.canary)
    return tuple(
        wave.model_copy(
            update={
                "needs": () if wave.canary else canaries,
                "seconds": round(
                    max(runs[host].done for host in wave.hosts) - min(runs[host].start for host in wave.hosts), 1
                ),
            }
        )
        for wave in made.draft.waves
    )
