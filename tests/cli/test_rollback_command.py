"""Going back, from the words that an operator types to what the run does, on a real Temporal server."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client

from cli.errors import Exit
from model.status import RunState
from tests.cli.conftest import Stackroll
from tests.cli.test_run_commands import name_of, until
from tests.workflows.fake_cloud import FakeCloud

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_aborted_upgrade_goes_back_and_the_exit_status_says_so(
    stackroll: Stackroll, fake_cloud: FakeCloud, temporal: Client, upgrade: Path
) -> None:
    run = name_of(upgrade)
    await stackroll("start", str(upgrade), "--id", run, "--approve")
    await fake_cloud.until(lambda: "soak/verify" in fake_cloud.calls)
    aborted = await stackroll("abort", run, "--mode", "rollback", "--reason", "a bad feeling")
    assert aborted.status == 0, aborted
    assert "ends after what runs now (rollback)" in aborted.out
    watched = await stackroll("watch", run)
    assert watched.status == Exit.ROLLED_BACK, watched
    assert "is wholly back at 2026.1" in watched.out
    assert "a bad feeling" in watched.out
    late = await stackroll("abort", run, "--mode", "rollback", "--reason", "again")
    assert late.status == Exit.REFUSED
    again = await stackroll("rollback", run, "--wait")
    assert again.status == Exit.REFUSED
    assert "has left nothing to take back" in again.out + again.err
    # Temporal lists a new state a moment later.
    while not any(run in line and "rolled_back" in line for line in (await stackroll("list")).out.splitlines()):
        await asyncio.sleep(0.1)


async def test_a_stopped_upgrade_is_rolled_back_by_a_run_of_its_own(
    stackroll: Stackroll, fake_cloud: FakeCloud, temporal: Client, upgrade: Path
) -> None:
    run = name_of(upgrade)
    await stackroll("start", str(upgrade), "--id", run, "--approve")
    await fake_cloud.until(lambda: "soak/verify" in fake_cloud.calls)
    await until(temporal, run, RunState.WAITING)
    assert (await stackroll("rollback", run, "--wait")).status == Exit.REFUSED, "it is still going on"
    await stackroll("abort", run, "--reason", "not today")
    assert (await stackroll("watch", run)).status == Exit.UNFINISHED
    back = await stackroll("rollback", run, "--reason", "a bad feeling", "--wait")
    assert back.status == Exit.OK, back
    assert f"started {run}/rollback" in back.out
    assert "is wholly back at 2026.1" in back.out
    assert fake_cloud.calls[-1] == "back/verify"


async def test_a_rollback_of_nothing_is_refused(stackroll: Stackroll, fake_cloud: FakeCloud) -> None:
    ran = await stackroll("rollback", "nowhere", "--wait")
    assert ran.status == Exit.REFUSED
    assert "there is no upgrade 'nowhere'" in ran.out + ran.err
    assert fake_cloud.calls == []
