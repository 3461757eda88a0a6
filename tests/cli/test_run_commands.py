"""Runs and orders, from the words that an operator types to what the run does, on a real Temporal server."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client

from cli.client import Runs
from cli.errors import Exit
from model.status import RunState, UpgradeStatus
from model.work import Finding
from tests.cli.conftest import Stackroll, run_main
from tests.workflows.fake_cloud import FakeCloud, Run

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOBODY = "127.0.0.1:9"


def name_of(upgrade: Path) -> str:
    return f"r-{(upgrade.parent / 'cloud.yaml').read_text().split()[1]}"


async def until(temporal: Client, run: str, *states: RunState) -> UpgradeStatus:
    return await Run(temporal.get_workflow_handle(run)).until(*states)


async def test_a_run_from_start_to_report(
    stackroll: Stackroll,
    stackroll_beside: Stackroll,
    fake_cloud: FakeCloud,
    temporal: Client,
    upgrade: Path,
    tmp_path: Path,
) -> None:
    run = name_of(upgrade)
    start = asyncio.create_task(
        stackroll_beside("start", str(upgrade), "--id", run, "--by", "anna", "--approve", "--wait")
    )
    await fake_cloud.until(lambda: "soak/verify" in fake_cloud.calls)
    waiting = await until(temporal, run, RunState.WAITING, RunState.RUNNING)
    wrong = await stackroll("approve", run, "--gate", "commit", "--plan-hash", "0000")
    assert (wrong.status, "this run's plan is" in wrong.err) == (Exit.REFUSED, True)
    approved = await stackroll("approve", run, "--gate", "commit", "--plan-hash", str(waiting.plan_hash), "--by", "ben")
    assert approved == (0, "gate commit approved by ben\n", "")
    ended = await start
    assert ended.status == Exit.OK, ended
    assert "gate plan approved by anna" in ended.out
    assert "runs 2026.2" in ended.out

    status = await stackroll("status", run, "--json")
    assert UpgradeStatus.model_validate_json(status.out).state is RunState.COMPLETED
    listed = await stackroll("list")
    assert run in listed.out
    page = tmp_path / "page.html"
    reported = await stackroll("report", run, "--html", str(page))
    assert reported.status == 0
    assert "(by ben)" in reported.out
    assert page.read_text().startswith("<!doctype html>")
    late = await stackroll("pause", run)
    assert (late.status, "has ended already" in late.err) == (Exit.REFUSED, True)
    again = await stackroll("start", str(upgrade), "--id", run)
    assert (again.status, "choose another --id" in again.err) == (Exit.REFUSED, True)


async def test_a_run_of_a_cloud_that_is_gone_keeps_no_other_from_starting(
    stackroll: Stackroll, fake_cloud: FakeCloud, temporal: Client, upgrade: Path
) -> None:
    run = name_of(upgrade)
    cloud = run.removeprefix("r-")
    assert (await stackroll("start", str(upgrade), "--id", run)).status == 0
    await until(temporal, run, RunState.WAITING)
    refused = await stackroll("start", str(upgrade), "--id", f"{run}-2")
    assert (refused.status, f"{run} works on {cloud}" in refused.err) == (Exit.REFUSED, True)
    assert await Runs(temporal).forget(cloud, "it was taken down") == run
    assert await Runs(temporal).forget(cloud, "it was taken down") is None
    assert (await stackroll("start", str(upgrade), "--id", f"{run}-2")).status == 0
    await until(temporal, f"{run}-2", RunState.WAITING)
    assert await Runs(temporal).forget(cloud, "the test is over") == f"{run}-2"


async def test_orders_about_a_failed_step(
    stackroll: Stackroll, stackroll_beside: Stackroll, fake_cloud: FakeCloud, temporal: Client, upgrade: Path
) -> None:
    run = name_of(upgrade)
    fake_cloud.fail["preflight/cloud"] = 100
    start = await stackroll("start", str(upgrade), "--id", run, "--approve")
    assert start.status == 0, start
    await until(temporal, run, RunState.FAILING)
    shown = await stackroll("status", run)
    assert f"stackroll retry {run} preflight/cloud" in shown.out
    refused = await stackroll("retry", run, "gate/commit", "--reason", "why not")
    assert refused.status == Exit.REFUSED
    assert "gate/commit has not failed" in refused.err
    fake_cloud.fail.clear()
    fake_cloud.hold["baseline/cloud"] = asyncio.Event()
    assert (await stackroll("retry", run, "preflight/cloud", "-r", "mended")).out == "preflight/cloud runs again\n"
    await fake_cloud.until(lambda: "baseline/cloud" in fake_cloud.running)

    second = await stackroll("start", str(upgrade))
    assert second.status == Exit.REFUSED
    assert f"{run} works on" in second.err
    assert (await stackroll("pause", run, "-r", "lunch")).status == 0
    assert (await until(temporal, run, RunState.PAUSED)).paused
    assert (await stackroll("resume", run)).status == 0
    await until(temporal, run, RunState.RUNNING)

    watch = asyncio.create_task(stackroll_beside("watch", run))
    assert (await stackroll("abort", run, "--reason", "enough")).status == 0
    fake_cloud.hold["baseline/cloud"].set()
    watched = await watch
    assert watched.status == Exit.UNFINISHED
    assert "is not wholly at 2026.2" in watched.out
    assert "lunch" in watched.out


async def test_a_cloud_that_is_not_ready_is_refused(stackroll: Stackroll, fake_cloud: FakeCloud, upgrade: Path) -> None:
    problem = {"severity": "error", "subject": "ctl1", "problem": "the disk is full", "remedy": "make room"}
    fake_cloud.findings = (Finding.model_validate(problem),)
    ran = await stackroll("start", str(upgrade), "--approve", "--wait")
    assert ran.status == Exit.REFUSED
    assert "refused   run: nothing was changed" in ran.out
    assert ran.out.count("ctl1: the disk is full (make room)") == 1
    assert fake_cloud.calls == []


async def test_unknown_runs(stackroll: Stackroll) -> None:
    for words in (("status",), ("watch",), ("pause",), ("approve", "-g", "plan"), ("skip", "-r", "x")):
        command, *more = words
        ran = await stackroll(command, "nowhere", *(["step"] if command == "skip" else []), *more)
        assert (ran.status, ran.err) == (Exit.BAD_INPUT, "stackroll: no run 'nowhere'; `stackroll list` shows them\n")


async def test_without_temporal_there_is_one_message(monkeypatch: pytest.MonkeyPatch, upgrade: Path) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", NOBODY)
    for words in (("list",), ("status", "x"), ("start", str(upgrade)), ("report", "x")):
        ran = await asyncio.to_thread(run_main, *words)
        assert ran.status == Exit.ERROR
        first, second = ran.err.splitlines()
        assert first == f"stackroll: Temporal does not answer at {NOBODY}: nothing listens there"
        assert second.startswith("Start the embedded one with `stackroll dev`, or name another by TEMPORAL_ADDRESS")
        assert ran.out == ""
