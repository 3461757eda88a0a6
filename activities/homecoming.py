"""Guests moved back to the hosts that they were on before a rolling reboot, while they run; who cannot is left."""

import asyncio
import time
from datetime import UTC, datetime

from temporalio import activity

from activities import openstack, servers
from activities.context import progress, remaining, step_activity
from activities.traffic import Traffic
from model.actions import ReturnGuestsParams
from model.homecoming import Homecoming, Place, judge_homecoming
from model.plan import Action
from model.words import count
from model.work import StepResult, Work


class HomecomingActivities:
    """The activity that moves guests back. ``poll`` is the seconds between two looks."""

    def __init__(self, *, poll: float = 2.0, traffic: Traffic | None = None) -> None:
        self._poll = poll
        self._traffic = traffic or Traffic()

    @step_activity(Action.RETURN_GUESTS)
    async def return_guests(self, work: Work, params: ReturnGuestsParams) -> StepResult:
        """Move guests back to a host; one that cannot go is no failure, and is told."""
        since, begun, limit = _ordered_at(), time.monotonic(), min(params.timeout, remaining(work))
        refused: dict[str, list[str]] = {}
        zones = await self._traffic.zones(work.inventory)
        while True:
            found = await self._look(work, params, since, refused)
            open_ = [id_ for id_, one in found.items() if one.place in (Place.READY, Place.MOVING)]
            over = time.monotonic() - begun >= limit
            if not open_ or over:
                return _result(params, found, over=over)
            progress(f"{len(open_)} of {count(len(found), 'guest')} not back on {params.host} yet")
            for id_ in open_:
                if found[id_].place is Place.READY:
                    await self._begin(work, params, id_, zones, refused)
            await asyncio.sleep(self._poll)

    async def _look(
        self, work: Work, params: ReturnGuestsParams, since: str, refused: dict[str, list[str]]
    ) -> dict[str, Homecoming]:
        # Guests after migrations: one that has just arrived shows in at least one of the two.
        moves = await openstack.migrations(work.inventory, params.host)
        guests = await asyncio.gather(*(servers.read_guest(work.inventory, id_) for id_ in params.guests))
        found = {}
        for id_, guest in zip(params.guests, guests, strict=True):
            said = refused.get(id_, [])
            judged = judge_homecoming(guest, params.host, moves, since=since, attempts=params.attempts)
            if judged.place is Place.READY and len(said) >= params.attempts:
                judged = Homecoming(place=Place.LEFT, reason=f"nova refused to begin, last with {said[-1]}")
            if judged.place is not Place.READY:
                self._traffic.forget(work.inventory, id_)
            found[id_] = judged
        return found

    async def _begin(
        self, work: Work, params: ReturnGuestsParams, id_: str, zones: dict[str, str], refused: dict[str, list[str]]
    ) -> None:
        guest = await servers.read_guest(work.inventory, id_)
        if guest is None or guest.host is None:
            return
        _, refusal = await self._traffic.begin(
            work.inventory,
            id_,
            guest.host,
            params.host,
            lambda: openstack.live_migrate(work.inventory, id_, params.host),
            limits=params.limits,
            zones=zones,
        )
        if refusal is not None:
            refused.setdefault(id_, []).append(refusal)


def _result(params: ReturnGuestsParams, found: dict[str, Homecoming], *, over: bool) -> StepResult:
    back = [id_ for id_, one in found.items() if one.place is Place.HOME]
    late = "time was over before it went" if over else ""
    left = {id_: one.reason or late for id_, one in found.items() if one.place is not Place.HOME}
    summary = f"{len(back)} of {count(len(found), 'guest')} back on {params.host}"
    if left:
        shown = "; ".join(f"{id_}: {reason}" for id_, reason in list(left.items())[:3])
        summary += f", {len(left)} left where they are ({shown})"
    return StepResult(summary=summary, details={"back": back, "left": left})


def _ordered_at() -> str:
    """When this try was ordered: the same for every repetition after a worker's death."""
    at = activity.info().scheduled_time if activity.in_activity() else datetime.now(tz=UTC)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
