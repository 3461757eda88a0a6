"""Watching a run to its end: live on a terminal, one line per event elsewhere; an outage interrupts neither."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from cli.errors import Exit, NoAnswerError
from cli.view import event_line, plain_status, screen
from model.status import Event, RunState, UpgradeStatus
from model.words import clock, elapsed

EXITS = {RunState.COMPLETED: Exit.OK, RunState.STOPPED: Exit.UNFINISHED, RunState.REFUSED: Exit.REFUSED}
# So often a run that has ended is asked again how, where no worker answers.
LAST_QUESTIONS = 3


class Source(Protocol):
    """Where a run's status comes from."""

    async def status(self, id_: str, /) -> UpgradeStatus:
        """Return the run's status."""

    async def closed(self, id_: str, /) -> str | None:
        """Return how the run ended, None while it is open."""

    async def timeline(self, id_: str, /) -> list[Event]:
        """Return everything that happened."""


@dataclass(frozen=True)
class Glance:
    """One look at a run.

    Attributes:
        now: when.
        status: the last answer; None before the first.
        outage: why there is no newer answer, and since when.
        ended: how Temporal says that the run ended; None while it is open.
    """

    now: str
    status: UpgradeStatus | None = None
    outage: str = ""
    ended: str | None = None

    @property
    def exit(self) -> Exit:
        """The exit status that this outcome has."""
        if self.status and self.status.ended:
            if self.status.state is RunState.ROLLED_BACK:
                return Exit.OK if self.status.kind == "Rollback" else Exit.ROLLED_BACK
            return EXITS.get(self.status.state, Exit.UNFINISHED)
        return Exit.OK if self.ended == "completed" else Exit.UNFINISHED


def utc_now() -> str:
    """Return the present time as records write it."""
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds")


async def glances(source: Source, id_: str, *, interval: float) -> AsyncIterator[Glance]:
    """Look at a run again and again until it has ended; the last look has ``ended`` set.

    How it has ended is asked for a few times: the exit status must not hang on one slow answer.
    """
    status: UpgradeStatus | None = None
    silent_since: str | None = None
    left = LAST_QUESTIONS
    while True:
        now, outage = utc_now(), ""
        # Asked before the status, so that a run that has ended gives its last status.
        ended = await _closed(source, id_)
        try:
            status = await source.status(id_)
            silent_since = None
        except NoAnswerError as error:
            silent_since = silent_since or now
            outage = f"no answer since {clock(silent_since)} ({elapsed(silent_since, now)}): {error}"
        if ended is not None and outage and left:
            left, ended = left - 1, None
        yield Glance(now, status, outage, ended)
        if ended is not None:
            return
        await asyncio.sleep(interval)


async def _closed(source: Source, id_: str) -> str | None:
    """Ask Temporal itself: a terminated run never says that it has ended."""
    try:
        return await source.closed(id_)
    except NoAnswerError:
        return None


async def watch(source: Source, id_: str, console: Console, *, lines: bool = False, interval: float = 0.7) -> Glance:
    """Show a run until it has ended, and return the last look at it.

    Args:
        source: where its status comes from.
        id_: the run.
        console: where it is shown: live on a terminal, unless ``lines`` asks for a line per event.
        lines: write a line per event on a terminal too.
        interval: seconds between two looks.
    """
    if console.is_terminal and not lines:
        return await _watch_live(source, id_, console, interval)
    return await _watch_plain(source, id_, console, interval)


async def _watch_live(source: Source, id_: str, console: Console, interval: float) -> Glance:
    glance = Glance(utc_now())
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        async for glance in glances(source, id_, interval=interval):
            if glance.status:
                live.update(screen(glance.status, now=glance.now, outage=glance.outage), refresh=True)
            else:
                live.update(Text(glance.outage, style="yellow"), refresh=True)
    _print_forced_end(glance, console)
    return glance


async def _watch_plain(source: Source, id_: str, console: Console, interval: float) -> Glance:
    teller = Teller(console)
    glance = Glance(utc_now())
    async for glance in glances(source, id_, interval=interval):
        try:
            events = await source.timeline(id_)
        except NoAnswerError:
            events = []
        teller.tell(glance, events)
    _print_forced_end(glance, console)
    return glance


class Teller:
    """Writes what is new since the last look, a line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0
        self._waits: frozenset[str] = frozenset()
        self._state: RunState | None = None
        self._silent = False

    def tell(self, glance: Glance, events: list[Event]) -> None:
        """Write the lines of this look."""
        if bool(glance.outage) != self._silent:
            self._silent = bool(glance.outage)
            self._line(Text(f"{clock(glance.now)}  {glance.outage or 'answers again'}", style="yellow"))
        for event in events[self._told :]:
            self._line(event_line(event))
        self._told = max(self._told, len(events))
        if glance.status:
            self._tell_status(glance.status, glance.now)

    def _tell_status(self, status: UpgradeStatus, now: str) -> None:
        if status.state is not self._state:
            self._state = status.state
            self._line(Text(f"{clock(now)}  {plain_status(status, now)}", style="bold"))
        waits = frozenset(f"waits for {w.what}; to go on: {w.go_on}" for w in status.waiting)
        for wait in sorted(waits - self._waits):
            self._line(Text(f"{clock(now)}  {wait}", style="yellow"))
        self._waits = waits

    def _line(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)


def _print_forced_end(glance: Glance, console: Console) -> None:
    if glance.status and not glance.status.ended:
        console.print(Text(f"the run was ended from outside: {glance.ended}", style="bold red"), soft_wrap=True)
