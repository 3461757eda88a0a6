"""What people are told of a drain: a line while it goes on, and what came of each guest."""

from collections.abc import Iterable, Mapping

from model.base import JsonObject
from model.classify import Classified
from model.drain import Decision, Memory
from model.fleet import FleetGuest
from model.ladder import failures_of
from model.moves import Orders, Progress
from model.nova import LIVE_MIGRATION, Migration
from model.words import seconds_between

GIB = 1024**3
MIB_PER_GIB = 1024
# A record of a step may take up to 256 kB.
MOST_GUESTS = 500
_STATES = ("live", "cold", "stop", "wait", "blocked")


def progress_line(
    host: str,
    decision: Decision,
    memory: Memory,
    *,
    most: int,
    guests: Mapping[str, FleetGuest],
    held: Mapping[str, str],
) -> str:
    """Return how far a drain is, such as ``3 of 31 guests left on cn-14: live 1, wait 2; slowest vm 64 GiB …``.

    Args:
        host: the host that is emptied.
        decision: what was decided last.
        memory: with the progress of copies.
        most: the guests that there were in all.
        guests: those that were seen, by id.
        held: why guests wait that could move otherwise, by id.
    """
    counts = ", ".join(f"{state} {decision.counts[state]}" for state in _STATES if decision.counts.get(state))
    text = f"{decision.left} of {most} guests left on {host}" + (f": {counts}" if counts else "")
    if decision.stays:
        text += f", {len(decision.stays)} stay"
    if memory.progress:
        guest, slowest = max(memory.progress.items(), key=lambda item: item[1].left)
        text += f"; slowest {_copy(guests.get(guest), slowest)}"
    elif decision.waiting:
        text += f"; {decision.waiting[0]}"
    if held:
        text += f"; held back: {next(iter(held.values()))}"
    for guest, known in guests.items():
        text = text.replace(guest, known.name)
    return text


def _copy(guest: FleetGuest | None, copy: Progress) -> str:
    name = f"{guest.name} {guest.ram_mb / MIB_PER_GIB:.0f} GiB" if guest else "guest"
    moving = "falling" if copy.stalled < 1 or not copy.total else f"not falling for {copy.stalled:.0f} s"
    return f"{name}, {copy.left / GIB:.1f} GiB left, {moving}"


def outcome(
    orders: Orders,
    migrations: Iterable[Migration],
    classes: Mapping[str, Classified],
    stays: Iterable[FleetGuest],
    times: Mapping[int, dict[str, float]] | None = None,
) -> list[JsonObject]:
    """Return what came of each guest since the drain was ordered: from nova's records, whoever began a move.

    Args:
        orders: what the drain was told.
        migrations: from and to the host.
        classes: of the guests that this worker has seen on it.
        stays: the guests that are on it still, switched off.
        times: by migration, for how many seconds its guest was ``paused`` or ``off``, where that is known.
    """
    rows = tuple(move for move in migrations if move.source == orders.host and move.created >= orders.since)
    known = times or {}
    found = [_moved(move, rows, orders, classes.get(move.guest)) | known.get(move.id, {}) for move in _done(rows)]
    return [*found, *(_stayed(guest, rows, orders, classes.get(guest.id)) for guest in stays)][:MOST_GUESTS]


def arrivals(orders: Orders, migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    """Return how each guest has left a host since its drain was ordered: its last migration that was completed."""
    rows = (move for move in migrations if move.source == orders.host and move.created >= orders.since)
    return tuple({move.guest: move for move in _done(rows)}.values())


def _done(rows: Iterable[Migration]) -> list[Migration]:
    return sorted((move for move in rows if move.status in {"completed", "confirmed"}), key=lambda move: move.id)


def _moved(move: Migration, rows: Iterable[Migration], orders: Orders, known: Classified | None) -> JsonObject:
    how = "live" if move.kind == LIVE_MIGRATION else "cold"
    row: JsonObject = {"guest": move.guest, "how": how, "from": move.source, "to": move.target, "migration": move.id}
    row |= {"seconds": seconds_between(move.created, move.updated)}
    return row | _known(known) | {"failed": _failed(move.guest, rows, orders)}


def _stayed(guest: FleetGuest, rows: Iterable[Migration], orders: Orders, known: Classified | None) -> JsonObject:
    row: JsonObject = {"guest": guest.id, "how": "stop", "from": guest.host, "to": guest.host}
    return row | _known(known) | {"name": guest.name, "failed": _failed(guest.id, rows, orders)}


def _known(known: Classified | None) -> JsonObject:
    return {"name": known.name, "class": known.kind.value, "code": known.code} if known else {}


def _failed(guest: str, rows: Iterable[Migration], orders: Orders) -> dict[str, int]:
    failed = failures_of(guest, rows, orders)
    live = sum(move.kind == LIVE_MIGRATION for move in failed)
    counts = {"live": live, "cold": len(failed) - live}
    return {rung: number for rung, number in counts.items() if number}


def differences(orders: Orders, decided: Iterable[str], here: Iterable[FleetGuest]) -> list[str]:
    """Say how what is on a host differs from what the plan has; nothing where there is no plan of targets.

    Args:
        orders: with the planned targets.
        decided: guests that the plan has something else for.
        here: the guests that are on the host when its drain begins.
    """
    if not orders.targets:
        return []
    names = {guest.id: guest.name for guest in here}
    known = {*orders.targets, *decided}
    came = [f"guest {name} ({guest}) is not in the plan" for guest, name in names.items() if guest not in known]
    return came + [f"guest {guest} of the plan is not here any more" for guest in sorted(known - names.keys())]
