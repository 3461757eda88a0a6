"""Time in a simulated cloud: moments are those of this machine, work takes a fraction of its time."""

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The clock of all hosts."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    async def sleep(self, seconds: float) -> None:
        """Let so many simulated seconds pass."""
        await asyncio.sleep(seconds / self.speed)

    @staticmethod
    def now() -> float:
        """Return the seconds since 1970."""
        return time.time()

    @staticmethod
    def iso(moment: float) -> str:
        """Return a moment as nova's database has it: UTC, no zone."""
        return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")

    @staticmethod
    def systemd(moment: float) -> str:
        """Return a moment as ``systemctl show`` prints it."""
        return datetime.fromtimestamp(moment, tz=UTC).strftime("%a %Y-%m-%d %H:%M:%S UTC")
