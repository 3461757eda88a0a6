"""The probe of every API through the load balancer, from before the first step to after the last.

Requests are sent at fixed times, whether earlier ones have been answered or not: a slow API is asked as often as a fast
one. Each result is written to the ledger at once, so that nothing of it depends on this process staying alive.
"""

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TextIO

import httpx
from temporalio import activity

from activities import openstack
from activities.context import errors_mapped
from activities.errors import as_stackroll_error
from model.availability import AvailabilityResult, Gap, Probe, WatchRequest, ends_at, read_ledger, summarise, to_line
from model.components import Component, api_url, apis

ANSWER_WITHIN = 60.0
TOKEN_EVERY = 10.0
BEAT_EVERY = 2.0
# A pause in the ledger longer than this is time that nobody watched.
UNWATCHED_AFTER = 3.0


def state_dir() -> Path:
    """Return where this machine keeps what stackroll writes (``STACKROLL_STATE_DIR``)."""
    return Path(os.environ.get("STACKROLL_STATE_DIR") or Path.home() / ".local/share/stackroll")


class AvailabilityActivities:
    """The probe. ``folder`` is where ledgers are kept, by default ``state_dir()``."""

    def __init__(self, *, folder: Path | None = None) -> None:
        self._folder = folder

    @activity.defn(name="watch_availability")
    async def watch_availability(self, request: WatchRequest) -> AvailabilityResult:
        """Probe every API until cancelled, and return what was seen since the upgrade began."""
        path = (self._folder or state_dir()) / request.upgrade / "availability.jsonl"
        async with errors_mapped():
            path.parent.mkdir(parents=True, exist_ok=True)
            begun = activity.info().scheduled_time.timestamp() if activity.in_activity() else time.time()
            with _continue_ledger(path, begun) as ledger:
                await self._probe(request, ledger)
            return conclude(path)

    async def _probe(self, request: WatchRequest, ledger: TextIO) -> None:
        watch = _Watch(request, ledger)
        try:
            await watch.run()
        except asyncio.CancelledError:
            # A worker that is told to end hands the probe on to the next one; only a cancellation by the run ends it.
            details = activity.cancellation_details() if activity.in_activity() else None
            if details is not None and not details.cancel_requested:
                raise


def conclude(path: Path) -> AvailabilityResult:
    """Return what a ledger says."""
    with path.open() as lines:
        summaries, unobserved = summarise(read_ledger(lines))
    return AvailabilityResult(apis=summaries, path=str(path), unobserved=unobserved)


def _continue_ledger(path: Path, begun: float) -> TextIO:
    """Open a ledger to go on writing; what nobody watched since its last entry becomes an entry."""
    text = path.read_text() if path.exists() else ""
    ledger = path.open("a")
    if text and not text.endswith("\n"):
        ledger.write("\n")
    last = ends_at(read_ledger(text.splitlines())) or begun
    if time.time() - last > UNWATCHED_AFTER:
        ledger.write(to_line(Gap(gap_from=last, gap_to=time.time())))
        ledger.flush()
    return ledger


def _trust(verify: bool | str) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


class _Watch:
    """One continuous stretch of probing."""

    def __init__(self, request: WatchRequest, ledger: TextIO) -> None:
        self._request = request
        self._ledger = ledger
        self._components = apis(request.inventory)
        self._pending: set[asyncio.Task[None]] = set()
        self._token = ""
        self._sent = 0
        self._failed = 0
        self._broken: BaseException | None = None

    async def run(self) -> None:
        """Probe until cancelled; requests that are on their way then are still waited for a moment."""
        keeper = asyncio.create_task(self._keep_token())
        beat = asyncio.create_task(self._beat())
        try:
            scheme, verify = await openstack.transport(self._request.inventory)
            limits = httpx.Limits(max_keepalive_connections=0)
            async with httpx.AsyncClient(verify=_trust(verify), timeout=ANSWER_WITHIN, limits=limits) as client:
                try:
                    await self._send_for_ever(client, scheme)
                finally:
                    with contextlib.suppress(asyncio.CancelledError):
                        await self._finish()
        finally:
            keeper.cancel()
            beat.cancel()

    async def _send_for_ever(self, client: httpx.AsyncClient, scheme: str) -> None:
        interval = 1.0 / self._request.rate
        due = time.monotonic()
        while self._broken is None:
            for number, component in enumerate(self._components):
                if self._token:
                    # Spread over the interval, so that the probe itself makes no peaks.
                    delay = number * interval / len(self._components)
                    url = f"{api_url(self._request.inventory, component, scheme)}{component.probe}"
                    self._spawn(self._ask(client, component, url, delay))
            due = max(due + interval, time.monotonic() - interval)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        raise self._broken  # such as a full disk: a ledger that cannot be written must not look like silence

    async def _ask(self, client: httpx.AsyncClient, component: Component, url: str, delay: float) -> None:
        await asyncio.sleep(delay)
        at, started, status, failure = time.time(), time.monotonic(), None, ""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                response = await client.get(url, headers={"X-Auth-Token": self._token})
            status = response.status_code
            if status != 200:
                failure = f"{status} {' '.join(response.text.split())[:100]}".strip()
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            failure = f"{type(error).__name__} {error}".strip()
        self._write(
            Probe(at=at, api=component.unit, seconds=time.monotonic() - started, status=status, failure=failure)
        )

    async def _keep_token(self) -> None:
        """Renew the token in time. A keystone that gives none is a failure that users would see, and counts as one."""
        while True:
            at, started = time.time(), time.monotonic()
            try:
                self._token = await openstack.token(self._request.inventory)
                wait = TOKEN_EVERY
            except Exception as error:  # noqa: BLE001 - whatever keeps us from a token keeps users from one
                wait = 1.0 / self._request.rate
                failure = f"no token: {as_stackroll_error(error).problem}"
                self._write(Probe(at=at, api="keystone", seconds=time.monotonic() - started, failure=failure))
            await asyncio.sleep(wait)

    async def _beat(self) -> None:
        while True:
            if activity.in_activity():
                activity.heartbeat(f"{self._sent} requests, {self._failed} failed")
            await asyncio.sleep(BEAT_EVERY)

    async def _finish(self) -> None:
        if self._pending:
            _, late = await asyncio.wait(self._pending, timeout=2.0)
            for task in late:
                task.cancel()

    def _spawn(self, probe: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(probe)
        self._pending.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._broken = task.exception()

    def _write(self, probe: Probe) -> None:
        at = probe.model_copy(update={"at": round(probe.at, 3), "seconds": round(probe.seconds, 4)})
        self._ledger.write(to_line(at))
        self._ledger.flush()
        self._sent += 1
        self._failed += bool(probe.failure)
