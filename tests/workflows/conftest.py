"""A Temporal dev server for the whole test session, and a worker whose activities are a fake cloud."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from workers.dev import SEARCH_ATTRIBUTES, temporal_binary
from workflows import names


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are for hosts, not for tests."""
    monkeypatch.setattr(names, "BACKOFF_SECONDS", 0.01)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal() -> AsyncIterator[Client]:
    extra = [word for name in SEARCH_ATTRIBUTES for word in ("--search-attribute", f"{name}=Keyword")]
    async with await WorkflowEnvironment.start_local(
        data_converter=pydantic_data_converter,
        dev_server_existing_path=temporal_binary(),
        dev_server_extra_args=extra,
        # A machine that is busy with other tests starts it late.
        dev_server_startup_timeout=timedelta(minutes=1),
    ) as environment:
        yield environment.client
