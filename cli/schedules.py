"""The schedules as the command line sees them: every call to Temporal about them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError, RPCStatusCode

from cli.client import headline, open_runs
from cli.errors import CliError, Exit, NoAnswerError
from model.reboot_spec import RebootRequest
from model.spec import UpgradeRequest
from model.timetable import MEMO_CLOUD, MEMO_WHAT, MEMO_WHEN, Days, Timetable, days_of
from model.wallclock import seconds_of_day
from workflows.names import TASK_QUEUE, task_time

_TIME = timedelta(seconds=10)
# A run whose time came while Temporal was down begins late by this much at most.
CATCH_UP = timedelta(hours=1)
# Beyond these years a calendar of leap years ends.
_LAST_YEAR = 2096


class ScheduleLine(NamedTuple):
    """A schedule in the list: ``state`` is ``active``, or why it is paused; ``after`` are the next times."""

    id: str
    cloud: str
    what: str
    when: str
    state: str
    after: tuple[datetime, ...]
    paused: bool


class ScheduleView(NamedTuple):
    """What is known of one schedule. ``runs``: those that it started last, with their times, the newest first."""

    line: ScheduleLine
    zone: str
    runs: tuple[tuple[str, datetime], ...]
    started: int
    skipped: int
    missed: int


class Schedules:
    """What operators do with schedules."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def create(
        self,
        id_: str,
        request: UpgradeRequest | RebootRequest,
        timetable: Timetable,
        *,
        paused: bool = False,
        replace: bool = False,
    ) -> None:
        """Have a run start again and again; refused when there is a schedule of this id, unless it is replaced."""
        schedule = make_schedule(id_, request, timetable, paused=paused)
        told = {
            MEMO_CLOUD: request.inventory.cloud,
            MEMO_WHAT: headline(request),
            MEMO_WHEN: timetable.text,
        }
        with _explained(id_):
            if replace and await self._exists(id_):
                await self._of(id_).delete(rpc_timeout=_TIME)
            try:
                await self.client.create_schedule(id_, schedule, memo=told, rpc_timeout=_TIME)
            except ScheduleAlreadyRunningError:
                raise CliError(
                    f"refused: there is a schedule {id_} already; choose another --id, or --replace it", Exit.REFUSED
                ) from None

    async def _exists(self, id_: str) -> bool:
        try:
            await self._of(id_).describe(rpc_timeout=_TIME)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def list(self) -> list[ScheduleLine]:
        """Return every schedule of stackroll, the next to begin first."""
        with _explained("list"):
            found = [await _line(one) async for one in await self.client.list_schedules(rpc_timeout=_TIME)]
        lines = [line for line in found if line is not None]
        return sorted(lines, key=lambda line: (line.paused, line.after[:1], line.id))

    async def show(self, id_: str) -> ScheduleView:
        """Return what is known of a schedule."""
        with _explained(id_):
            found = await self._of(id_).describe(rpc_timeout=_TIME)
            line = await _line(found)
        if line is None:
            raise CliError(f"{id_} is no schedule of stackroll; `temporal schedule describe -s {id_}` shows it")
        runs = [
            (recent.action.workflow_id, recent.started_at)
            for recent in reversed(found.info.recent_actions)
            if isinstance(recent.action, ScheduleActionExecutionStartWorkflow)
        ]
        info = found.info
        return ScheduleView(
            line=line,
            zone=found.schedule.spec.time_zone_name or "UTC",
            runs=tuple(runs),
            started=info.num_actions,
            skipped=info.num_actions_skipped_overlap,
            missed=info.num_actions_missed_catchup_window,
        )

    async def pause(self, id_: str, note: str) -> None:
        """Start no more runs until it is resumed."""
        with _explained(id_):
            await self._of(id_).pause(note=note, rpc_timeout=_TIME)

    async def resume(self, id_: str, note: str) -> None:
        """Start runs again."""
        with _explained(id_):
            await self._of(id_).unpause(note=note, rpc_timeout=_TIME)

    async def delete(self, id_: str) -> None:
        """Forget it; runs that it has started go on."""
        with _explained(id_):
            await self._of(id_).delete(rpc_timeout=_TIME)

    def _of(self, id_: str) -> ScheduleHandle:
        return self.client.get_schedule_handle(id_)


def make_schedule(
    id_: str, request: UpgradeRequest | RebootRequest, timetable: Timetable, *, paused: bool = False
) -> Schedule:
    """Return the schedule: never two runs at once, and none after one that has failed, until somebody resumes it."""
    action = ScheduleActionStartWorkflow(
        request.kind,
        request,
        id=id_,
        task_queue=TASK_QUEUE,
        task_timeout=task_time(len(request.inventory.hosts)),
        static_summary=headline(request),
    )
    return Schedule(
        action=action,
        spec=make_spec(timetable),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP, pause_on_failure=True),
        state=ScheduleState(paused=paused, note=f"made by {request.by}"),
    )


def make_spec(timetable: Timetable) -> ScheduleSpec:
    """Return a timetable in Temporal's words."""
    if timetable.cron:
        return ScheduleSpec(cron_expressions=[timetable.cron], time_zone_name=timetable.zone)
    calendars = [_calendar(days, timetable) for days in days_of(timetable.on)]
    return ScheduleSpec(calendars=calendars, time_zone_name=timetable.zone)


def _calendar(days: Days, timetable: Timetable) -> ScheduleCalendarSpec:
    minutes, second = divmod(seconds_of_day(timetable.at), 60)
    hour, minute = divmod(minutes, 60)
    starts = {None: (), True: (2024,), False: (2025, 2026, 2027)}[days.leap]
    return ScheduleCalendarSpec(
        second=[ScheduleRange(second)],
        minute=[ScheduleRange(minute)],
        hour=[ScheduleRange(hour)],
        day_of_month=[ScheduleRange(*(days.of_month or (1, 31)))],
        month=[ScheduleRange(month) for month in days.months] or [ScheduleRange(1, 12)],
        year=[ScheduleRange(start, _LAST_YEAR, 4) for start in starts],
        day_of_week=[ScheduleRange(day) for day in days.weekdays] or [ScheduleRange(0, 6)],
        comment=timetable.text,
    )


async def _line(found: ScheduleListDescription | ScheduleDescription) -> ScheduleLine | None:
    """Return a line of the list; None for a schedule that is not ours."""
    memo = await found.memo()
    if MEMO_CLOUD not in memo or found.schedule is None or found.info is None:
        return None
    state = found.schedule.state
    return ScheduleLine(
        id=found.id,
        cloud=str(memo[MEMO_CLOUD]),
        what=str(memo.get(MEMO_WHAT, "")),
        when=str(memo.get(MEMO_WHEN, "")),
        state=f"paused: {state.note}" if state.paused else "active",
        after=tuple(found.info.next_action_times),
        paused=state.paused,
    )


@asynccontextmanager
async def open_schedules() -> AsyncIterator[Schedules]:
    """Connect to Temporal.

    Raises:
        NoAnswerError: with what to do, when it cannot be reached.
    """
    async with open_runs() as runs:
        yield Schedules(runs.client)


@contextmanager
def _explained(id_: str) -> Iterator[None]:
    """Turn every failure of a call about a schedule into a message for its operator."""
    try:
        yield
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise CliError(f"no schedule {id_!r}; `stackroll schedule list` shows them", Exit.BAD_INPUT) from None
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            raise CliError(f"Temporal takes no such schedule: {error.message}", Exit.BAD_INPUT) from None
        raise NoAnswerError(
            f"Temporal does not answer ({error.message}); is it running, and is its address right?"
        ) from None
