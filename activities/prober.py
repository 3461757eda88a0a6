"""One continuous stretch of probing: requests at fixed times, and their results in the ledger.

Requests are sent whether earlier ones have been answered or not: a slow API is asked as often as a fast one. After a
failure the next request follows at once, so that the end of an outage is known more exactly than the interval.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence

import httpx

from activities.checks import Check, FailedError, Tools
from activities.ledger_file import UNWATCHED_AFTER, LedgerFile
from model.account import Account
from model.availability import Probe
from model.recorder import Recorder, make_basis

BEAT_EVERY = 0.5
SUM_UP_EVERY = 5.0
FOLLOW_UP_AFTER = 0.1
# Requests that are on their way at the end are waited for so long.
LAST_ANSWERS = 5.0


class Prober:
    """Asks checks until it is cancelled."""

    def __init__(self, checks: Sequence[Check], ledger: LedgerFile, tools: Tools, *, rate: float) -> None:
        """Prepare to send each check so many times a second."""
        self._ledger, self._tools, self._interval = ledger, tools, 1.0 / rate
        self._checks = checks
        self._recorders: dict[tuple[str, str], Recorder] = {}
        self._waiting: dict[asyncio.Task[None], tuple[Check, float]] = {}
        self._chased: set[tuple[str, str]] = set()
        self._ending = False
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def account(self) -> Account:
        """What has been seen."""
        return self._ledger.account

    async def run(self, *more: Coroutine[None, None, None]) -> None:
        """Probe until cancelled, and do more beside it.

        Raises:
            OSError: the ledger cannot be written, as on a full disk; that must not look like silence.
        """
        keepers = [asyncio.create_task(one) for one in more]
        keepers += [asyncio.create_task(self._keep_asking(place, check)) for place, check in enumerate(self._checks)]
        keepers += [asyncio.create_task(self._keep_beating()), asyncio.create_task(self._keep_summing_up())]
        for keeper in keepers:
            keeper.add_done_callback(self._look_at_end)
        try:
            await self._broken
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def finish(self) -> None:
        """Wait a moment for what is on its way, and write down what is known; what is not answered then has failed."""
        self._ending = True
        if self._waiting:
            await asyncio.wait(list(self._waiting), timeout=LAST_ANSWERS)
        for task, (check, at) in list(self._waiting.items()):
            task.cancel()
            waited = time.time() - at
            self.note(check, at, waited, failure=f"no answer within {waited:.1f} s, when the watch ended")
        self.sum_up()
        self._ledger.beat(None)

    def hand_on(self) -> None:
        """Write down what is known, and since when answers are missing: the next one to watch cannot have them."""
        waiting = self._oldest()
        for task in list(self._waiting):
            task.cancel()
        self.sum_up()
        self._ledger.beat(waiting)

    def note(self, check: Check, at: float, seconds: float, *, status: int | None = None, failure: str = "") -> None:
        """Take the result of a request."""
        probe = Probe(
            at=round(at, 4),
            api=check.service,
            check=check.name,
            request=check.request,
            seconds=round(seconds, 4),
            status=status,
            failure=failure,
        )
        self._ledger.add(*self._recorder(check).take(probe))

    def sum_up(self) -> None:
        """Write the sums of the good requests since the last time."""
        for recorder in self._recorders.values():
            self._ledger.add(*recorder.flush())

    def end_baseline(self) -> None:
        """Take what was seen until now as the measure for what is slow."""
        self.sum_up()
        times = {
            service: {name: dict(seen.times) for name, seen in checks.items() if seen.requests}
            for service, checks in self.account.seen.items()
        }
        self._ledger.add(make_basis(round(time.time(), 3), times))
        for (service, name), recorder in self._recorders.items():
            recorder.slow_after = self.account.of(service, name).slow_after

    def _recorder(self, check: Check) -> Recorder:
        key = (check.service, check.name)
        if key not in self._recorders:
            seen = self.account.seen.get(check.service, {}).get(check.name)
            slow = seen.slow_after if seen else None
            self._recorders[key] = Recorder(*key, slow=slow, failing=seen is not None and seen.failing)
        return self._recorders[key]

    # The keepers

    async def _keep_asking(self, place: int, check: Check) -> None:
        interval = self._interval * check.every
        # Spread over the interval, so that the probe itself makes no peaks; an API's two checks take turns.
        due = time.monotonic() + interval * (place / len(self._checks))
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self._tools.token or not check.needs_token:
                self._spawn(check, 0.0)
            due = max(due + interval, time.monotonic() - interval)

    async def _keep_beating(self) -> None:
        while True:
            self._ledger.beat(self._oldest())
            await asyncio.sleep(BEAT_EVERY)

    async def _keep_summing_up(self) -> None:
        while True:
            await asyncio.sleep(SUM_UP_EVERY)
            self.sum_up()

    def _oldest(self) -> float | None:
        oldest = min((at for _, at in self._waiting.values()), default=None)
        return oldest if oldest is not None and time.time() - oldest > UNWATCHED_AFTER else None

    # Single requests

    def _spawn(self, check: Check, delay: float) -> None:
        task = asyncio.create_task(self._ask(check, delay))
        self._waiting[task] = (check, time.time() + delay)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._waiting.pop(task, None)
        self._look_at_end(task)

    def _look_at_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def _ask(self, check: Check, delay: float) -> None:
        await asyncio.sleep(delay)
        at, started, status, failure = time.time(), time.monotonic(), None, ""
        try:
            async with asyncio.timeout(check.patience):
                status = await check.ask(self._tools)
        except FailedError as error:
            status, failure = error.status, str(error)
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            failure = _words(error, time.monotonic() - started)
        self.note(check, at, time.monotonic() - started, status=status, failure=failure)
        self._chase(check, failed=bool(failure), chasing=delay > 0)

    def _chase(self, check: Check, *, failed: bool, chasing: bool) -> None:
        """Follow a failure up until there is a good answer: one request at a time, beside the usual ones."""
        key = (check.service, check.name)
        if chasing:
            self._chased.discard(key)
        if failed and key not in self._chased and not self._ending:
            self._chased.add(key)
            self._spawn(check, FOLLOW_UP_AFTER)


def _words(error: Exception, waited: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {waited:.0f} s"
    return f"{type(error).__name__} {error}".strip()[:200]
