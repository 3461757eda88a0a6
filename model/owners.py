"""What owners ask for their guests: by a tag ``stackroll:drain=CLASS``, or by metadata of that key."""

from model.base import Record
from model.fleet import FleetGuest, GuestClass

DRAIN_KEY = "stackroll:drain"

# The safest first: what does least to the guest. Nobody may ask to be blocked.
_SAFEST = (GuestClass.LEAVE, GuestClass.LIVE, GuestClass.COLD, GuestClass.STOP)


class Wish(Record):
    """What an owner asks for.

    Attributes:
        kind: the class; None when nothing was asked for that is understood.
        conflict: whether several different ones were asked for.
        warnings: what was not understood, and between what was chosen.
    """

    kind: GuestClass | None = None
    conflict: bool = False
    warnings: tuple[str, ...] = ()


def read_wish(guest: FleetGuest) -> Wish:
    """Return what a guest's owner asks for; of several different wishes the one that does least to the guest."""
    said = [tag.partition("=")[2] for tag in guest.tags if tag.partition("=")[0] == DRAIN_KEY]
    said += [guest.metadata[DRAIN_KEY]] if DRAIN_KEY in guest.metadata else []
    words = [word.strip().lower() for word in said]
    known = [kind for kind in _SAFEST if kind in words]
    known_words = ", ".join(_SAFEST)
    warnings = [f"{DRAIN_KEY}={word}: no such class; there are {known_words}" for word in words if word not in _SAFEST]
    if len(known) > 1:
        warnings.append(f"{DRAIN_KEY} says {' and '.join(known)}; {known[0]} does least to it, and is taken")
    return Wish(kind=known[0] if known else None, conflict=len(known) > 1, warnings=tuple(warnings))
