"""When the next run of a cloud is due, by the schedules at Temporal."""

from datetime import UTC, datetime

from temporalio import activity

from activities.context import errors_mapped
from model.timetable import MEMO_CLOUD, NextRun, NextRunAsked


class ScheduleActivities:
    """Asks Temporal itself; a workflow cannot."""

    @activity.defn(name="find_next_run")
    async def find_next_run(self, asked: NextRunAsked) -> NextRun:
        """Return when the next run of the cloud begins by itself; a schedule that is paused starts none."""
        async with errors_mapped():
            now, due = datetime.now(tz=UTC), list[tuple[datetime, str]]()
            async for found in await activity.client().list_schedules():
                if found.id == asked.without or found.schedule is None or found.info is None:
                    continue
                if found.schedule.state.paused or (await found.memo()).get(MEMO_CLOUD) != asked.cloud:
                    continue
                due += [(moment, found.id) for moment in found.info.next_action_times if moment > now][:1]
            if not due:
                return NextRun()
            moment, schedule = min(due)
            return NextRun(at=moment.isoformat(), schedule=schedule)
