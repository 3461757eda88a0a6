"""What a run knows of its maintenance windows, and whether it may begin anything now."""

from collections.abc import Sequence
from datetime import UTC, datetime

from model.base import Record
from model.windows import Interval

# However slow a cloud turns out to be, what was expected to fit into the longest window begins early in it.
_MOST_OF_WINDOW = 0.9


class WindowStatus(Record):
    """Whether a run may begin anything now.

    Attributes:
        open: whether it may.
        until: until when that holds, ISO 8601 in UTC; None when nothing is known to come.
        text: the same in words.
    """

    open: bool
    until: str | None = None
    text: str


class WindowClock:
    """What a run knows of its windows: those that were looked up, and how long an operator has opened it by hand."""

    def __init__(self, found: Sequence[Interval] = ()) -> None:
        """Take the windows to come."""
        self.found = tuple(found)
        self.by_hand: datetime | None = None

    @property
    def longest(self) -> float:
        """The seconds of the longest window."""
        return max((one.seconds for one in self.found), default=0.0)

    def closes(self, now: datetime) -> datetime | None:
        """Return when it closes; None when it is closed."""
        end = self.by_hand if self.by_hand is not None and self.by_hand > now else None
        for one in self.found:
            if one.opens <= (end or now) and one.closes > (end or now):
                end = one.closes
        return end

    def opening(self, now: datetime) -> Interval | None:
        """Return the next window; None when none is known."""
        return next((one for one in self.found if one.opens > now), None)

    def needs_more(self, now: datetime) -> bool:
        """Whether it is time to look up what comes afterwards."""
        return sum(one.closes > now for one in self.found) < 2

    def room(self, now: datetime) -> float:
        """Return the seconds until it closes; 0 when it is closed."""
        end = self.closes(now)
        return (end - now).total_seconds() if end is not None else 0.0

    def needed(self, estimate: float, pace: float) -> float:
        """Return for how many seconds it must still be open for something to begin that was expected to take so long.

        ``pace`` is what the run was measured to take of what was expected of it, as a factor.
        """
        return min(estimate * pace, max(estimate, _MOST_OF_WINDOW * self.longest))

    def status(self, now: datetime) -> WindowStatus:
        """Say whether it is open, and until when that holds."""
        end = self.closes(now)
        if end is None:
            coming = self.opening(now)
            if coming is None:
                return WindowStatus(open=False, text="window closed, and none is known to open")
            text = f"window closed, opens at {coming.opens_local}"
            return WindowStatus(open=False, until=coming.opens.isoformat(timespec="milliseconds"), text=text)
        local = next((one.closes_local for one in self.found if one.closes == end), "")
        by_hand = "" if local else ", by hand"
        text = f"window open until {local or end.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S UTC')}{by_hand}"
        return WindowStatus(open=True, until=end.isoformat(timespec="milliseconds"), text=text)
