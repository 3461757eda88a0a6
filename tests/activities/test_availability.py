"""The probe of the APIs: real requests, a real ledger, and workers that die."""

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from temporalio.activity import ActivityCancellationDetails
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.availability import AvailabilityActivities
from activities.ledger_file import LedgerFile, conclude
from model.account import Account
from model.availability import AvailabilityResult, WatchRequest, read_ledger
from model.inventory import Inventory
from model.status import ApiAvailability, AvailabilityNews, SeenState, Verdict
from tests.activities.fake_openstack import FakeCloud, place_of, serve
from tests.pulse import pulse


@pytest.fixture
def cloud() -> FakeCloud:
    return FakeCloud()


@pytest.fixture
def inventory(cloud: FakeCloud, tmp_path: Path) -> Iterator[Inventory]:
    with serve(cloud, tmp_path) as found:
        yield found


@dataclasses.dataclass
class FakeTemporal:
    """Takes signals; what it refuses is tried again."""

    told: list[tuple[str, str, AvailabilityNews]] = dataclasses.field(default_factory=list)
    silent: bool = False
    run: str = ""

    def get_workflow_handle(self, run: str) -> Self:
        self.run = run
        return self

    async def signal(self, name: str, news: AvailabilityNews, *, rpc_timeout: timedelta) -> None:
        assert rpc_timeout
        if self.silent:
            self.silent = False
            raise RPCError("no server", RPCStatusCode.UNAVAILABLE, b"")
        self.told.append((self.run, name, news))


def new_environment(temporal: FakeTemporal | None = None) -> ActivityEnvironment:
    client: Any = temporal or FakeTemporal()
    environment = ActivityEnvironment(client=client)
    environment.info = dataclasses.replace(environment.info, scheduled_time=datetime.now(tz=UTC))
    return environment


class Watch:
    """The activity, run as a worker would, until some requests have been sent."""

    def __init__(self, inventory: Inventory, folder: Path) -> None:
        self.path = folder / "up" / "availability.jsonl"
        self.request = WatchRequest(upgrade="up", inventory=inventory, rate=20)
        self.activities = AvailabilityActivities(folder=folder)
        self.temporal = FakeTemporal()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def requests(self) -> int:
        """How many requests the ledger tells of, sums included."""
        entries = list(read_ledger(self.path.read_text().splitlines())) if self.path.exists() else []
        return sum(api.requests for api in Account(entries).result().apis)

    def is_well(self, service: str) -> bool:
        """Whether a service has failed and answers again."""
        (found,) = (api for api in conclude(self.path).apis if api.service == service)
        return bool(found.failed) and not any(outage.open for outage in found.outages)

    async def until(self, done: Callable[[], bool], *, shut_down: bool = False) -> AvailabilityResult:
        """Probe until something is so, and end as the run does it, or as a worker that is shut down."""
        environment = new_environment(self.temporal)
        running = asyncio.ensure_future(environment.run(self.activities.watch_availability, self.request))
        async with asyncio.timeout(60):
            while not done() and not running.done():
                await asyncio.sleep(0.01)
        environment.cancel(ActivityCancellationDetails(cancel_requested=not shut_down, worker_shutdown=shut_down))
        return await running

    async def until_asked(self, count: int, *, shut_down: bool = False) -> AvailabilityResult:
        before = self.requests()
        return await self.until(lambda: self.requests() >= before + count, shut_down=shut_down)


def by_name(result: AvailabilityResult) -> dict[str, ApiAvailability]:
    return {api.service: api for api in result.apis}


@pytest.fixture
def watch(inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    monkeypatch.setattr("activities.checks.api_url", place_of)
    monkeypatch.setattr("activities.prober.SUM_UP_EVERY", 0.1)
    return Watch(inventory, tmp_path / "state")


async def test_every_api_is_asked_until_told_to_stop(watch: Watch, cloud: FakeCloud) -> None:
    cloud.failing["image"] = 502
    result = await watch.until_asked(60)
    apis = by_name(result)
    assert set(apis) == {"keystone", "placement", "glance", "nova-api"}
    assert all(api.requests >= 8 for api in apis.values())
    assert [name for name, api in apis.items() if api.failed] == ["glance"]
    assert apis["glance"].failed == apis["glance"].requests
    assert apis["glance"].outages[0].open
    assert any("GET /v2/images: 502" in failure for failure in apis["glance"].failures)
    assert result.path == str(watch.path)


async def test_good_requests_are_summed_up_and_failed_ones_told_one_by_one(watch: Watch, cloud: FakeCloud) -> None:
    await watch.until_asked(60)
    assert not [line for line in watch.lines() if "api" in line]
    cloud.failing["image"] = 502
    await watch.until(lambda: sum("failure" in line for line in watch.lines()) >= 5)
    failed = [line for line in watch.lines() if "failure" in line]
    assert {(line["api"], line["status"]) for line in failed} == {("glance", 502)}
    assert all(line["at"] > 1e9 and line["seconds"] > 0 for line in failed)


async def test_an_outage_is_found_with_its_length(
    watch: Watch, cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests a second and check; what is failing is asked more often."""
    watch.request = watch.request.model_copy(update={"rate": 2.0})
    # This process is probe and cloud in one: that it stood still is nothing of either.
    monkeypatch.setattr("activities.ledger_file.UNWATCHED_AFTER", 30.0)

    async def break_off() -> tuple[float, float]:
        while watch.requests() < 8:
            await asyncio.sleep(0.01)
        begun = time.time()
        cloud.failing["image"] = 503
        await asyncio.sleep(1.5)
        end = time.time()
        cloud.failing.clear()
        return begun, end

    async with pulse() as machine:
        outage = asyncio.create_task(break_off())
        result = await watch.until(lambda: outage.done() and watch.is_well("glance"))
        begun, end = await outage
    assert [name for name, api in by_name(result).items() if api.failed] == ["glance"]
    (found,) = by_name(result)["glance"].outages
    assert abs(found.seconds - (end - begun)) < 0.5 + machine.slack
    assert begun - 0.05 - machine.slack <= found.start
    assert end <= found.end
    states = [one.state for one in by_name(result)["glance"].track]
    assert states.count(SeenState.DOWN) == 1


async def test_a_keystone_that_gives_no_token_is_a_failure_of_keystone(watch: Watch, cloud: FakeCloud) -> None:
    cloud.keystone_down = True
    result = await watch.until(lambda: sum("failure" in line for line in watch.lines()) >= 3)
    apis = by_name(result)
    assert [name for name, api in apis.items() if api.failed] == ["keystone"]
    assert "POST /v3/auth/tokens: no token: " in apis["keystone"].failures[0]


async def test_a_canary_that_takes_no_connection_is_down(watch: Watch, tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    watch.request = watch.request.model_copy(update={"baseline": 1.0})
    canaries = {"web1": f"tcp://127.0.0.1:{port}", "web2": "http://127.0.0.1:1/"}
    watch.request = watch.request.model_copy(update={"canaries": canaries})
    async with server:
        apis = by_name(await watch.until_asked(60))
    assert apis["guest web1"].failed == 0
    assert apis["guest web1"].requests > 2
    assert apis["guest web2"].failed == apis["guest web2"].requests > 2
    assert apis["guest web2"].verdict is Verdict.ROLLING
    assert apis["guest web1"].verdict in {Verdict.ZERO_DOWNTIME, Verdict.ZERO_IMPACT}


async def test_the_run_is_told_when_the_baseline_is_there_and_what_fails(watch: Watch, cloud: FakeCloud) -> None:
    watch.temporal.silent = True
    await watch.until(lambda: bool(watch.temporal.told))
    run, signal, news = watch.temporal.told[0]
    assert (run, signal, news.baseline, news.services) == ("up", "availability", True, ())
    cloud.failing["image"] = 502
    await watch.until(lambda: any(news.services for _, _, news in watch.temporal.told))
    (glance,) = watch.temporal.told[-1][2].services
    assert glance.service == "glance"
    assert glance.failed
    assert glance.down_since
    assert ": 502" in glance.last_failure


async def test_the_baseline_is_measured_first_and_kept(watch: Watch) -> None:
    watch.request = watch.request.model_copy(update={"baseline": 0.5})
    apis = by_name(await watch.until_asked(80))
    assert all((api.slow_after or 0) >= 0.5 for api in apis.values())
    assert sum("basis" in line for line in watch.lines()) == 1
    await watch.until_asked(20)
    assert sum("basis" in line for line in watch.lines()) == 1


async def test_a_worker_that_is_shut_down_hands_on(watch: Watch) -> None:
    with pytest.raises(asyncio.CancelledError):
        await watch.until_asked(3, shut_down=True)


async def test_the_next_worker_continues_the_ledger_and_marks_the_hole(watch: Watch) -> None:
    begun = time.time()
    await watch.until_asked(20)
    requests = watch.requests()
    shifted = [{key: _earlier(key, value) for key, value in line.items()} for line in watch.lines()]
    torn = '{"at": 17'
    watch.path.write_text("\n".join(json.dumps(line) for line in shifted) + "\n" + torn)
    before = sum(api.requests for api in conclude(watch.path).apis)
    assert before == requests
    result = await watch.until(
        lambda: conclude(watch.path).ended != shifted[-1]["beat"] and watch_grew(watch, requests)
    )
    longest = max(one.end - one.start for one in result.apis[0].track if one.state is SeenState.UNOBSERVED)
    assert 95 < longest < 100 + time.time() - begun
    assert SeenState.UNOBSERVED in {one.state for api in result.apis for one in api.track}


def _earlier(key: str, value: object) -> object:
    if isinstance(value, float) and key in {"at", "beat", "first", "last", "basis", "gap_from", "gap_to", "waiting"}:
        return value - 100
    return value


def watch_grew(watch: Watch, requests: int) -> bool:
    return sum(api.requests for api in conclude(watch.path).apis) > requests


async def test_a_watch_that_nobody_ended_is_concluded_with_its_hole(watch: Watch) -> None:
    begun = time.time()
    await watch.until_asked(20)
    shifted = [{key: _earlier(key, value) for key, value in line.items()} for line in watch.lines()]
    watch.path.write_text("".join(json.dumps(line) + "\n" for line in shifted))
    result = await new_environment().run(watch.activities.conclude_availability, watch.request)
    assert 99 < result.unobserved < 100 + time.time() - begun
    assert result.apis


async def test_of_a_watch_that_never_began_nothing_is_known(watch: Watch) -> None:
    result = await new_environment().run(watch.activities.conclude_availability, watch.request)
    assert result.apis == ()


async def test_a_request_without_an_answer_is_waiting_in_the_beats(tmp_path: Path) -> None:
    """Whoever goes on knows that nobody will ever read that answer."""
    path = tmp_path / "ledger.jsonl"
    begun = time.time()
    ledger = LedgerFile.open(path, begun)
    ledger.beat(begun - 30)
    ledger.close()
    LedgerFile.open(path, time.time()).close()
    assert 29 < conclude(path).unobserved < 30.5 + time.time() - begun


async def test_a_process_that_stood_still_admits_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.ledger_file.UNWATCHED_AFTER", 0.05)
    ledger = LedgerFile.open(tmp_path / "ledger.jsonl", time.time())
    await asyncio.sleep(0.2)
    ledger.beat(None)
    ledger.close()
    assert conclude(tmp_path / "ledger.jsonl").unobserved >= 0.2
