"""The probe of every API through the load balancer, from before the first step to after the last.

Each result is written to the ledger at once, so that nothing of it depends on this process staying alive.
"""

import asyncio
import contextlib
import time
from datetime import timedelta
from pathlib import Path

import httpx
from temporalio import activity
from temporalio.service import RPCError, RPCStatusCode

from activities import openstack
from activities.checks import Check, FailedError, Tools, canary_check, health_check, make_client, read_check
from activities.context import errors_mapped
from activities.errors import as_stackroll_error
from activities.files import state_folder
from activities.ledger_file import LedgerFile, conclude
from activities.prober import Prober
from activities.write_checks import MARK, Writes
from model.availability import AvailabilityResult, WatchRequest
from model.availability_news import Teller, brief
from model.components import apis
from model.status import AvailabilityNews

TOKEN_EVERY = 10.0
HEARTBEAT_EVERY = 2.0
LOOK_EVERY = 0.25
_TELL_WITHIN = timedelta(seconds=3)
NEWS = "availability"
_CLEAN_AGAIN = (1.0, 4.0)


class AvailabilityActivities:
    """The probe. ``folder`` is where ledgers are kept, by default the state folder (``STACKROLL_STATE_DIR``)."""

    def __init__(self, *, folder: Path | None = None) -> None:
        self._folder = folder

    def _path(self, request: WatchRequest) -> Path:
        return (self._folder or state_folder()) / request.upgrade / "availability.jsonl"

    @activity.defn(name="watch_availability")
    async def watch_availability(self, request: WatchRequest) -> AvailabilityResult:
        """Probe every API until cancelled, and return what was seen since the run began."""
        path = self._path(request)
        async with errors_mapped():
            begun = activity.info().scheduled_time.timestamp() if activity.in_activity() else time.time()
            with contextlib.closing(LedgerFile.open(path, begun)) as ledger:
                await _Watch(request, ledger).run()
            return conclude(path)

    @activity.defn(name="conclude_availability")
    async def conclude_availability(self, request: WatchRequest) -> AvailabilityResult:
        """Return what was seen when nobody was there to probe at the end."""
        async with errors_mapped():
            return await asyncio.to_thread(conclude, self._path(request), until=time.time())


class _Watch:
    """What goes on while a cloud is probed: the probe itself, its token, heartbeats, and news for the run."""

    def __init__(self, request: WatchRequest, ledger: LedgerFile) -> None:
        self._request, self._ledger = request, ledger
        self._login = Check("keystone", "login", "POST /v3/auth/tokens", _nothing)

    async def run(self) -> None:
        scheme, verify = await openstack.transport(self._request.inventory)
        async with make_client(verify) as client:
            tools = Tools(client)
            writes = Writes(self._request.inventory, scheme, self._request.writes)
            checks = [*self._checks(scheme), *writes.checks()]
            prober = Prober(checks, self._ledger, tools, rate=self._request.rate)
            try:
                await prober.run(
                    self._keep_token(prober, tools),
                    self._keep_telling(prober),
                    self._keep_baseline(prober),
                    self._clean_first(writes, tools),
                )
            except asyncio.CancelledError:
                # A worker that is told to end hands the probe on to the next one; only the run's order ends it.
                details = activity.cancellation_details() if activity.in_activity() else None
                if details is not None and not details.cancel_requested:
                    prober.hand_on()
                    raise
                await prober.finish()
                await self._clean(writes, tools)

    def _checks(self, scheme: str) -> list[Check]:
        inventory, found = self._request.inventory, apis(self._request.inventory)
        return [
            *(read_check(inventory, component, scheme) for component in found),
            *(health_check(inventory, component, scheme) for component in found),
            *(canary_check(name, address) for name, address in self._request.canaries.items()),
        ]

    async def _keep_token(self, prober: Prober, tools: Tools) -> None:
        """Renew the token in time. A keystone that gives none is a failure that users would see, and counts as one."""
        failed = False
        while True:
            at, started, failure = time.time(), time.monotonic(), ""
            try:
                tools.token = await openstack.token(self._request.inventory)
                tools.ready.set()
            except Exception as error:  # noqa: BLE001 - whatever keeps us from a token keeps users from one
                failure = f"no token: {as_stackroll_error(error).problem}"
            if failure or failed:
                # A token that was kept says nothing of keystone, so only the first after a failure counts.
                prober.note(self._login, at, time.monotonic() - started, failure=failure)
            failed = bool(failure)
            await asyncio.sleep(1.0 / self._request.rate if failed else TOKEN_EVERY)

    async def _clean_first(self, writes: Writes, tools: Tools) -> None:
        """Delete what an earlier worker has left behind, as soon as there is a token to do it with."""
        await tools.ready.wait()
        await self._clean(writes, tools)

    async def _clean(self, writes: Writes, tools: Tools) -> None:
        """Delete what writes have left behind; where that fails, the log says so and the next watch tries again."""
        for wait in (*_CLEAN_AGAIN, None):
            try:
                await writes.clean(tools)
            except (FailedError, httpx.HTTPError) as error:
                if wait is None:
                    activity.logger.warning("%s-* may be left in nova and glance: %s", MARK, error)
                else:
                    await asyncio.sleep(wait)
            else:
                return

    async def _keep_baseline(self, prober: Prober) -> None:
        if prober.account.basis is None:
            await asyncio.sleep(self._request.baseline)
            prober.end_baseline()

    async def _keep_telling(self, prober: Prober) -> None:
        """Send heartbeats with what has been seen, and news to the run when there are any."""
        teller, beat_at = Teller(), 0.0
        while True:
            now = time.time()
            if activity.in_activity() and now - beat_at >= HEARTBEAT_EVERY:
                beat_at = now
                activity.heartbeat(*brief(prober.account.result(str(self._ledger.path))))
            if activity.in_activity() and teller.due(news := prober.account.news(now)) and await self._tell(news):
                teller.told(news)
            await asyncio.sleep(LOOK_EVERY)

    async def _tell(self, news: AvailabilityNews) -> bool:
        """Signal the run; it is tried again with the next look when Temporal does not answer."""
        run = activity.client().get_workflow_handle(self._request.upgrade)
        try:
            await run.signal(NEWS, news, rpc_timeout=_TELL_WITHIN)
        except RPCError as error:
            # A run that has ended wants no news.
            return error.status is RPCStatusCode.NOT_FOUND
        return True


async def _nothing(_: Tools) -> None:
    """Ask nothing: tokens are asked for elsewhere."""
