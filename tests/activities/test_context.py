import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import context
from activities.context import activities_of, progress, remaining, step_activity, wait_for
from activities.errors import StepFailed
from model.actions import NoParams, SoakParams, VerifyCloudParams
from model.plan import Action
from model.work import StepResult, Work
from tests.activities.conftest import Site


class Example:
    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.go_on = asyncio.Event()

    @step_activity(Action.SOAK)
    async def soak(self, work: Work, params: SoakParams) -> StepResult:
        """Wait."""
        progress(f"soaking {params.seconds:g}")
        self.entered.set()
        await self.go_on.wait()
        return StepResult(summary=work.step)

    @step_activity(Action.CAPTURE_BASELINE)
    async def fail(self, work: Work, params: NoParams) -> StepResult:
        raise StepFailed("no good", host=work.target)

    def helper(self) -> None:
        """Not an activity."""


def order(site: Site, action: Action, **params: Any) -> Work:
    return Work(
        upgrade="u", step="s", action=action, target="ctl1", params=params, inventory=site.inventory, timeout=100
    )


async def test_a_method_becomes_the_activity_of_its_action(site: Site) -> None:
    example = Example()
    example.go_on.set()
    assert [method.__name__ for method in activities_of(example)] == ["fail", "soak"]
    definition = Example.soak.__temporal_activity_definition  # type: ignore[attr-defined]
    assert (definition.name, definition.arg_types, definition.ret_type) == ("soak", [Work], StepResult)
    assert Example.soak.__doc__ == "Wait."
    result = await ActivityEnvironment().run(example.soak, order(site, Action.SOAK, seconds=5))
    assert result == StepResult(summary="s")


async def test_heartbeats_tell_the_progress(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "HEARTBEAT_EVERY", 0.01)
    example, environment = Example(), ActivityEnvironment()
    told = asyncio.Event()
    environment.on_heartbeat = lambda text: told.set() if text == "soaking 5" else None
    running = asyncio.create_task(environment.run(example.soak, order(site, Action.SOAK, seconds=5)))
    await asyncio.wait_for(told.wait(), 60)
    example.go_on.set()
    await running


async def test_wrong_parameters_are_refused(site: Site) -> None:
    with pytest.raises(ApplicationError, match=r"seconds: Field required; second: Extra") as caught:
        await ActivityEnvironment().run(Example().soak, order(site, Action.SOAK, second=5))
    assert (caught.value.type, caught.value.non_retryable) == ("Refused", True)


async def test_errors_become_failures(site: Site) -> None:
    with pytest.raises(ApplicationError, match="ctl1: no good") as caught:
        await ActivityEnvironment().run(Example().fail, order(site, Action.CAPTURE_BASELINE))
    assert (caught.value.type, caught.value.non_retryable) == ("StepFailed", True)


async def test_an_activity_that_calls_another_fails_as_that_one_does(site: Site) -> None:
    class Caller:
        @step_activity(Action.VERIFY_ROLLBACK)
        async def call(self, work: Work, params: VerifyCloudParams) -> StepResult:
            return await Example().fail(work.model_copy(update={"params": {}}))

    with pytest.raises(ApplicationError, match="ctl1: no good") as caught:
        await ActivityEnvironment().run(Caller().call, order(site, Action.VERIFY_ROLLBACK, versions={}))
    failure = Failure()
    DataConverter.default.failure_converter.to_failure(caught.value, DataConverter.default.payload_converter, failure)
    assert (failure.application_failure_info.type, failure.application_failure_info.non_retryable) == (
        "StepFailed",
        True,
    )


async def test_cancellation_passes(site: Site) -> None:
    example, environment = Example(), ActivityEnvironment()
    running = asyncio.create_task(environment.run(example.soak, order(site, Action.SOAK, seconds=5)))
    await example.entered.wait()
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(("limit", "used", "left"), [(60, 0, 54), (60, 30, 24), (600, 0, 90), (60, 70, 1)])
async def test_what_remains_leaves_room_for_a_clear_error(site: Site, limit: int, used: int, left: int) -> None:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info,
        started_time=datetime.now(tz=UTC) - timedelta(seconds=used),
        start_to_close_timeout=timedelta(seconds=limit),
    )
    assert environment.run(remaining, order(site, Action.SOAK)) == pytest.approx(left, abs=0.5)


async def test_waiting_ends_with_the_condition_or_the_limit() -> None:
    answers = [0, 0, 7, 8]

    async def look() -> int:
        return answers.pop(0)

    assert await wait_for(look, "seven", limit=10, every=0.001) == 7
    assert await wait_for(look, "eight", limit=0) == 8
    answers.append(0)
    assert await wait_for(look, "nothing", limit=0) == 0
