"""How late this machine is, for tests that compare times: what they allow on top of what they allow anyway."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

EVERY = 0.01
# Between what happens and what is noted of it lie so many turns of an event loop.
TURNS = 4


@dataclass
class Pulse:
    """What was seen so far.

    Attributes:
        late: the most seconds by which a turn of the event loop came too late.
    """

    late: float = 0.0

    @property
    def slack(self) -> float:
        """The seconds by which what was noted may be late; some hundredths where nothing else wants the processor."""
        return TURNS * self.late

    async def beat(self) -> None:
        """Look again and again, for ever."""
        while True:
            due = time.monotonic() + EVERY
            await asyncio.sleep(EVERY)
            self.late = max(self.late, time.monotonic() - due)


@contextlib.asynccontextmanager
async def pulse() -> AsyncIterator[Pulse]:
    """Take this event loop's pulse."""
    taken = Pulse()
    task = asyncio.create_task(taken.beat())
    try:
        yield taken
    finally:
        task.cancel()
        await asyncio.wait([task])
