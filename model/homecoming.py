"""Whether a guest can go back to the host that it was on before a rolling reboot: a judgement over what nova says."""

from collections.abc import Iterable
from enum import StrEnum

from model.base import Record
from model.nova import FAILED, LIVE_MIGRATION, Guest, Migration, is_settled
from model.words import count

MOVABLE = frozenset({"ACTIVE", "PAUSED"})


class Place(StrEnum):
    """Where a guest is on its way home."""

    HOME = "home"
    MOVING = "moving"
    READY = "ready"
    LEFT = "left"


class Homecoming(Record):
    """What is to be done for one guest. ``reason``: why it is left where it is."""

    place: Place
    reason: str = ""


def judge_homecoming(
    guest: Guest | None, home: str, migrations: Iterable[Migration], *, since: str, attempts: int
) -> Homecoming:
    """Say whether a guest is home, on its way, ready to go, or left where it is.

    Args:
        guest: as nova has it; None when it is gone.
        home: the host that it was on.
        migrations: nova's, of this guest.
        since: when its return was ordered; attempts from before do not count.
        attempts: failed live migrations after which it is left.
    """
    if guest is None:
        return Homecoming(place=Place.LEFT, reason="its owner has deleted it")
    mine = [move for move in migrations if move.guest == guest.id]
    if not is_settled(guest) or any(move.moving for move in mine):
        return Homecoming(place=Place.MOVING)
    if guest.host == home:
        return Homecoming(place=Place.HOME)
    if guest.status not in MOVABLE:
        return Homecoming(place=Place.LEFT, reason=f"it is {guest.status}, and only what runs is moved back")
    failed = [m for m in mine if m.kind == LIVE_MIGRATION and m.status in FAILED and m.created >= since]
    if len(failed) >= attempts:
        return Homecoming(place=Place.LEFT, reason=f"{count(len(failed), 'live migration')} failed")
    return Homecoming(place=Place.READY)
