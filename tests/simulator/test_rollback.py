"""The ways back on a simulated cloud: before the commit point with nothing lost, and behind it with the dumps."""

from pathlib import Path

import pytest
from temporalio.client import Client

from activities.verify_rollback import VerifyRollbackActivities
from model.availability_spec import Availability
from model.spec import Approval, Approvals, FailurePolicy, OnFailure
from model.status import RunState
from simulator.nova import image_meta
from tests.chaos import judge
from tests.chaos.user import User
from tests.simulator.conftest import sim_cloud, upgrade
from tests.simulator.stories.conftest import until
from tests.workflows.fake_cloud import Run

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(300)]
UNWATCHED = Availability(enabled=False)
OLD, NEW = "2026.1", "2026.2"


async def test_everything_is_taken_back_and_what_users_made_stays(temporal: Client, tmp_path: Path) -> None:
    waits = Approvals(plan=Approval.AUTO, commit=Approval.MANUAL)
    async with (
        sim_cloud(tmp_path / "sim", compute=2) as sim,
        upgrade(temporal, sim, availability=UNWATCHED, approvals=waits) as run,
    ):
        guests, user = tuple(sim.cloud.nova.guests), User(sim)
        await run.until(RunState.WAITING)
        await user.act()
        (mine,) = user.guests
        assert sim.cloud.nova.guests[mine].image_meta == image_meta("34.0.0")
        await run.handle.signal("abort", {"by": "anna", "reason": "too slow", "mode": "rollback"})
        await run.until(RunState.ROLLED_BACK)
        assert judge.wholly_at(sim, OLD) == []
        assert judge.lost(sim, guests, user) == []
        assert sim.cloud.nova.guests[mine].image_meta == image_meta("33.0.1"), "nova 33 could not read it"
        assert await judge.not_usable(sim, user) == []
        assert sim.shell.unknown == []
        # What came back stands on the newer schema, and that holds no later upgrade up.
        await until(lambda: not any(move.unfinished for move in sim.cloud.nova.migrations))
        async with upgrade(temporal, sim, availability=UNWATCHED) as again:
            assert (await again.handle.result())["state"] == "completed"
        assert judge.wholly_at(sim, NEW) == []


async def test_what_a_script_has_switched_behind_everybodys_back_is_found_and_waits_for_a_person(
    temporal: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = {"settle": 2.0, "every": 0.5, "patience": 300.0}
    monkeypatch.setattr(VerifyRollbackActivities.__init__, "__kwdefaults__", soon)
    switched = {"on": "ctl1", "at": "install:glance", "how": "restarts-services", "new": True}
    broken = {"on": "ctl2", "at": "install:keystone", "how": "exit", "status": 9, "times": None}
    back = FailurePolicy(default=OnFailure.ROLLBACK)
    async with (
        sim_cloud(tmp_path / "sim", switched, broken, compute=2) as sim,
        upgrade(temporal, sim, availability=UNWATCHED, on_failure=back) as run,
    ):
        status = await run.until(RunState.FAILING)
        (failed,) = status.failed
        assert failed.id == "back/verify"
        assert "glance on ctl1 runs from 33.0.0, not from 32.0.0" in str(failed)
        host = sim.cloud.hosts["ctl1"]
        host.links["glance"] = "32.0.0"
        await sim.cloud.stop(host, "glance")
        await sim.cloud.start(host, "glance")
        host.remove("glance", "33.0.0")
        order = {"by": "anna", "reason": "put back", "step": failed.id}
        await run.handle.execute_update("retry", order)
        await run.until(RunState.ROLLED_BACK)
        assert judge.wholly_at(sim, OLD) == []


async def test_behind_the_commit_point_the_dumps_are_restored(temporal: Client, tmp_path: Path) -> None:
    async with (
        sim_cloud(tmp_path / "sim", compute=2) as sim,
        upgrade(temporal, sim, availability=UNWATCHED) as run,
    ):
        guests, user = tuple(sim.cloud.nova.guests), User(sim)
        assert (await run.handle.result())["state"] == "completed"
        await user.act()
        queue = (await run.handle.describe()).task_queue
        asked = {"upgrade": run.handle.id, "by": "anna", "reason": "it must be"}
        back = Run(await temporal.start_workflow("Rollback", asked, id=f"{run.handle.id}/rollback", task_queue=queue))
        status = await back.until(RunState.WAITING)
        said = " ".join(event.text for event in status.events)
        assert "1 server, 1 image and 1 user made since" in said
        await back.handle.execute_update("approve", {"by": "anna", "gate": "restore"})
        await back.until(RunState.ROLLED_BACK)
        assert judge.wholly_at(sim, OLD) == []
        assert set(sim.cloud.nova.guests) == set(guests), "what was made since is lost, as it was said"
        assert not {*user.images, *user.users} & {*sim.cloud.tenants.images, *sim.cloud.tenants.users}
        assert sim.shell.unknown == []
