"""What all activities share: their clients, and the one way in which an action becomes a Temporal activity.

``step_activity`` turns a method ``(self, work, params) -> StepResult`` into the activity of an action: it checks the
parameters, sends heartbeats while the method runs, and maps errors. The method itself sees nothing of Temporal.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities import clouds
from activities.errors import Refused, as_application_error
from activities.ssh import Hosts
from model.actions import PARAMS
from model.base import Record
from model.plan import Action
from model.work import StepResult, Work

HEARTBEAT_EVERY = 3.0
# What an activity leaves of its time, so that its own clear error comes before Temporal's timeout.
MARGIN = 10.0

T = TypeVar("T")
P = TypeVar("P", bound=Record)
Activity = Callable[[Any, Work], Coroutine[Any, Any, StepResult]]


@dataclass
class Toolbox:
    """The clients that activities work with, made once per worker and injected."""

    hosts: Hosts = field(default_factory=Hosts)

    async def close(self) -> None:
        """Close every connection."""
        clouds.close()
        await self.hosts.close()


@dataclass
class _Progress:
    text: str


_progress: ContextVar[_Progress | None] = ContextVar("stackroll_progress", default=None)


def progress(text: str) -> None:
    """Say in a few words what the running step is doing or waiting for; shown as the activity's heartbeat."""
    current = _progress.get()
    if current is not None:
        current.text = text


def remaining(work: Work) -> float:
    """Return how many seconds this try still has, less a margin for its own clear error."""
    if not activity.in_activity():
        return work.timeout
    info = activity.info()
    limit = info.start_to_close_timeout.total_seconds() if info.start_to_close_timeout else work.timeout
    used = (datetime.now(tz=UTC) - info.started_time).total_seconds()
    return max(1.0, min(limit, work.timeout) - used - min(MARGIN, limit / 10))


async def wait_for(check: Callable[[], Awaitable[T]], what: str, *, limit: float, every: float = 0.5) -> T:
    """Ask until the answer is true or the limit is over, and return the last answer.

    The caller raises its own error on a false answer: only it knows what to do next.
    """
    started = time.monotonic()
    while True:
        answer = await check()
        waited = time.monotonic() - started
        if answer or waited >= limit:
            return answer
        progress(f"waiting for {what}, {waited:.0f} of at most {limit:.0f} s")
        await asyncio.sleep(min(every, max(0.05, limit - waited)))


def step_activity(
    action: Action,
) -> Callable[[Callable[[Any, Work, P], Awaitable[StepResult]]], Activity]:
    """Make a method the activity of an action: ``(self, work, params)`` becomes ``(self, work)`` under its name."""

    def decorate(
        method: Callable[[Any, Work, P], Awaitable[StepResult]],
    ) -> Activity:
        async def run(self: Any, work: Work) -> StepResult:
            async with errors_mapped(), heartbeats(f"{work.action} on {work.target}"):
                return await method(self, work, _params(action, work))

        # Not functools.wraps: Temporal would read the types of the wrapped method.
        run.__name__, run.__qualname__ = method.__name__, method.__qualname__
        run.__doc__, run.__module__ = method.__doc__, method.__module__
        # Temporal takes an unannotated self as the instance.
        run.__annotations__.pop("self")
        return activity.defn(name=action.value)(run)

    return decorate


@contextlib.asynccontextmanager
async def errors_mapped() -> AsyncIterator[None]:
    """Turn every exception into its Temporal failure (``activities.errors``); cancellation passes.

    So does what is one already, as where an activity calls another: an error that were its own cause could not be
    told, and Temporal would try the step again for ever.
    """
    try:
        yield
    except ApplicationError:
        raise
    except Exception as error:
        raise as_application_error(error) from error


@contextlib.asynccontextmanager
async def heartbeats(text: str) -> AsyncIterator[None]:
    """Send heartbeats with the current progress text while the body runs."""
    current = _Progress(text)
    token = _progress.set(current)
    beat = asyncio.create_task(_beat(current)) if activity.in_activity() else None
    try:
        yield
    finally:
        _progress.reset(token)
        if beat is not None:
            beat.cancel()


def activities_of(*owners: object) -> list[Callable[..., Any]]:
    """Return the methods of these objects that are activities, for ``Worker(activities=...)``."""
    methods = [getattr(owner, name) for owner in owners for name in dir(owner) if not name.startswith("_")]
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


async def _beat(current: _Progress) -> None:
    while True:
        activity.heartbeat(current.text)
        await asyncio.sleep(HEARTBEAT_EVERY)


def _params(action: Action, work: Work) -> Any:
    try:
        return PARAMS[action].model_validate(work.params)
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'params'}: {e['msg']}" for e in error.errors())
        raise Refused(
            f"step {work.step!r} has wrong parameters for {action.value!r}: {reasons}",
            remedy="make the plan anew with the version of stackroll that runs it",
        ) from None
