"""Processes that end in order when they are told to."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def run_until_told(work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end; SIGTERM and Ctrl-C cancel the work, so that all it has started is ended."""

    async def cancellable() -> _T:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise SystemExit(130) from None
