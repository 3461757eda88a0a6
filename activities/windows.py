"""Maintenance windows, looked up once: a run keeps what was found, whatever zones and holidays become later."""

import asyncio

from temporalio import activity

from activities.context import errors_mapped
from activities.errors import Refused
from model.windows import BadWindowsError, OpeningsAsked, OpeningsFound, check_windows, find_openings


class WindowActivities:
    """Calls what knows zones and holidays; a workflow must not, because both change under it."""

    @activity.defn(name="find_openings")
    async def find_openings(self, asked: OpeningsAsked) -> OpeningsFound:
        """Return the windows to come.

        Raises:
            Refused: when the windows name a zone or a country that does not exist, or never open.
        """
        async with errors_mapped():
            return await asyncio.to_thread(_find, asked)


def _find(asked: OpeningsAsked) -> OpeningsFound:
    try:
        check_windows(asked.windows, asked.start)
        return OpeningsFound(found=find_openings(asked.windows, asked.start))
    except BadWindowsError as error:
        key = ".".join(("windows", *error.key))
        raise Refused(f"{key}: {error}", remedy="mend it in the specification, and start another run") from None
