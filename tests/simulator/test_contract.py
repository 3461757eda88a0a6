"""The contract of a simulated cloud's APIs: captured over real HTTP, and what becomes of a release that breaks it."""

from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.contract import capture
from cli.load import load_inventory
from model.availability_spec import Availability
from model.components import find_component
from model.contract import Contract
from model.contract_diff import Grade, compare
from model.spec import ContractPolicy, FailurePolicy, OnFailure
from model.status import Report, RunState
from simulator.server import Simulation
from tests.simulator.conftest import faults_of, sim_cloud, upgrade
from tests.simulator.test_upgrade import assert_wholly_at

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(300)]

NO_PROBE = Availability(enabled=False)
# The new release's nova forgets the owner of a server.
OWNERLESS = {"on": "nova-api@34.0.0", "at": "GET /v2.1/servers*", "how": "lacks", "field": "tenant_id", "times": None}


async def captured(sim: Simulation, **more: object) -> Contract:
    return await capture(load_inventory(sim.folder / "cloud.yaml"), **more)  # type: ignore[arg-type]


async def test_what_an_api_stops_to_promise_is_found_and_nothing_else(tmp_path: Path) -> None:
    async with sim_cloud(tmp_path / "sim", compute=2, guests=2) as sim:
        before = await captured(sim)
        assert Contract.from_json(before.to_json()) == before
        again = await captured(sim, like=before)
        assert compare(before, again).differences == ()
        faults = faults_of(
            {
                "on": "nova",
                "at": "GET /v2.1/flavors/detail",
                "how": "becomes",
                "field": "ram",
                "value": "512",
                "times": None,
            },
            {"on": "placement", "at": "GET /", "how": "becomes", "field": "min_version", "value": "1.3", "times": None},
            {"on": "keystone", "at": "GET /v3/regions", "how": "http", "status": 403, "times": None},
        )
        sim.cloud.faults.arm(*faults)
        found = compare(before, await captured(sim, like=before))
        names = {one.name: one.text for one in found.of(Grade.BREACH)}
        assert names["nova-api/flavors detail/flavors[].ram@2.1"] == "was integer, is string"
        assert names["placement/versions/v1.0/minimum"] == "the least microversion was 1.0, is 1.3"
        assert names["keystone/regions"] == "answered 200, answers 403"
        assert names["sdk/identity.regions"].startswith("openstacksdk could, and cannot any more")
        assert "keystone/projects" not in " ".join(names)


async def test_one_instance_is_asked_past_the_balancer(tmp_path: Path) -> None:
    async with sim_cloud(tmp_path / "sim", compute=1, guests=1) as sim:
        before = await captured(sim)
        fault = {"on": "ctl2", "at": "GET /v2.1/servers/detail", "how": "lacks", "field": "name", "times": None}
        sim.cloud.faults.arm(*faults_of(fault))
        unit = find_component("nova-api")
        good = await captured(sim, like=before, unit=unit, host="ctl1")
        bad = await captured(sim, like=before, unit=unit, host="ctl2")
        assert compare(before, good).kept
        breaches = compare(before, bad).of(Grade.BREACH)
        assert {one.name.partition("@")[0] for one in breaches} == {"nova-api/servers detail/servers[].name"}


async def test_a_breach_of_the_new_release_takes_everything_back(temporal: Client, tmp_path: Path) -> None:
    back = FailurePolicy(default=OnFailure.ROLLBACK)
    async with (
        sim_cloud(tmp_path / "sim", OWNERLESS, compute=2, guests=2) as sim,
        upgrade(temporal, sim, availability=NO_PROBE, on_failure=back) as run,
    ):
        with pytest.raises(WorkflowFailureError):
            await run.handle.result()
        report = await run.handle.query("report", result_type=Report)
        assert report.status.state is RunState.ROLLED_BACK
        broken = next(step for step in report.steps if step.error)
        assert broken.id == "nova-api/ctl1/contract"
        assert "servers[].tenant_id@2.1: the field is gone (was string)" in broken.error
        assert_wholly_at(sim, "2026.1")
        assert sim.shell.unknown == []


async def test_an_accepted_breach_goes_on_and_is_told(temporal: Client, tmp_path: Path) -> None:
    policy = ContractPolicy(accept=("nova-api/server*.tenant_id@*",))
    async with (
        sim_cloud(tmp_path / "sim", OWNERLESS, compute=2, guests=1) as sim,
        upgrade(temporal, sim, availability=NO_PROBE, contract=policy) as run,
    ):
        assert (await run.handle.result())["state"] == "completed"
        report = await run.handle.query("report", result_type=Report)
        summaries = {step.id: step.summary for step in report.steps if step.id.endswith("contract")}
        assert "accepted" in summaries["soak/contract"]
        assert "accepted" not in summaries["keystone/ctl1/contract"]
        assert_wholly_at(sim, "2026.2")
