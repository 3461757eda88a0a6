import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.errors import JobLost, OutcomeUnknown, StepFailed, Unreachable
from activities.jobs import JobResult, job_name, run_job
from activities.ssh import Hosts
from tests.activities.conftest import Site

KEY = "upgrade-1/compute-017/switch/do/0"
# Says that it has begun, notes that it ran, and ends when told to.
GATED = 'echo begun; echo run >>"$LAB/runs"; read answer <"$LAB/gate"; echo "$answer"; exit 7'


class Gate:
    """Tells a gated job to end; knows when it has begun."""

    def __init__(self, root: Path) -> None:
        self._path = root / "gate"
        os.mkfifo(self._path)
        self.begun = asyncio.Event()

    def heartbeat(self, text: str) -> None:
        if text == "begun":
            self.begun.set()

    async def open(self) -> None:
        await asyncio.to_thread(self._path.write_text, "done\n")


@pytest.fixture
def gate(site: Site, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr("activities.jobs.WAIT_PER_CALL", 0.3)
    return Gate(site.root)


async def run(
    site: Site,
    hosts: Hosts,
    script: str,
    *,
    key: str = KEY,
    heartbeat: Callable[[str], None] = lambda _: None,
    limit: float = 30,
    grace: float = 20,
    group: str | None = None,
) -> JobResult:
    return await run_job(
        hosts, site.inventory, "ctl1", key, script, timeout=limit, grace=grace, heartbeat=heartbeat, group=group
    )


def runs(site: Site) -> int:
    return len((site.root / "runs").read_text().splitlines())


async def test_a_job_returns_status_and_output(site: Site, hosts: Hosts) -> None:
    result = await run(site, hosts, "echo out; echo err >&2; pwd; exit 4")
    assert (result.status, result.output_tail, result.adopted) == (4, "out\nerr\n/\n", False)
    assert site.host.journal == [f"Started stackroll {KEY}"]


async def test_the_same_key_runs_once(site: Site, hosts: Hosts) -> None:
    first = await run(site, hosts, 'echo run >>"$LAB/runs"; echo result')
    second = await run(site, hosts, 'echo run >>"$LAB/runs"; echo result')
    assert (first.output_tail, first.adopted) == ("result\n", False)
    assert (second.output_tail, second.adopted) == ("result\n", True)
    assert runs(site) == 1
    assert len(site.host.journal) == 1


async def test_another_generation_runs_again(site: Site, hosts: Hosts) -> None:
    for generation in (0, 1):
        await run(site, hosts, 'echo run >>"$LAB/runs"', key=f"u/s/do/{generation}", group="u/s")
    assert runs(site) == 2


async def test_two_workers_at_once_start_it_once(site: Site, hosts: Hosts, gate: Gate) -> None:
    others = [Hosts() for _ in range(3)]
    waiting = [asyncio.create_task(run(site, h, GATED, heartbeat=gate.heartbeat)) for h in (hosts, *others)]
    await gate.begun.wait()
    await gate.open()
    results = await asyncio.gather(*waiting)
    assert runs(site) == 1
    assert {r.status for r in results} == {7}
    assert sorted(r.adopted for r in results) == [False, True, True, True]
    assert len(site.host.journal) == 1
    for other in others:
        await other.close()


async def test_a_new_worker_adopts_the_job_of_a_dead_one(site: Site, hosts: Hosts, gate: Gate) -> None:
    dead = Hosts()
    first = asyncio.create_task(run(site, dead, GATED, heartbeat=gate.heartbeat))
    await gate.begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await dead.close()

    second = asyncio.create_task(run(site, hosts, GATED))
    await gate.open()
    result = await second
    assert (result.status, result.adopted) == (7, True)
    assert result.output_tail == "begun\ndone\n"
    assert runs(site) == 1


async def test_a_lost_connection_does_not_touch_the_job(site: Site, hosts: Hosts, gate: Gate) -> None:
    waiting = asyncio.create_task(run(site, hosts, GATED, heartbeat=gate.heartbeat))
    await gate.begun.wait()
    site.host.drop()
    await gate.open()
    result = await waiting
    assert (result.status, result.adopted) == (7, False)
    assert runs(site) == 1


async def test_a_job_that_a_reboot_ended_has_an_unknown_outcome(site: Site, hosts: Hosts, gate: Gate) -> None:
    waiting = asyncio.create_task(run(site, hosts, GATED, heartbeat=gate.heartbeat))
    await gate.begun.wait()
    site.host.kill_units()
    for attempt in (waiting, run(site, hosts, GATED)):
        with pytest.raises(JobLost, match="left no result"):
            await attempt
    assert runs(site) == 1


async def test_a_job_that_never_began_is_started(site: Site, hosts: Hosts) -> None:
    """The worker died, or the connection broke, after the files were written and before systemd had the job."""
    state = site.root / "jobs" / job_name(KEY, KEY)
    state.mkdir(parents=True)
    (state / "script").write_text("half a scr")
    assert (await run(site, hosts, "echo whole")).output_tail == "whole\n"


async def test_the_host_stops_a_job_at_its_limit(site: Site, hosts: Hosts) -> None:
    result = await run(site, hosts, "echo long; exec sleep 60", limit=1)
    assert result.status == 124
    with pytest.raises(StepFailed, match="stopped at its time limit"):
        result.check("the restart failed")


async def test_a_failed_job_explains_itself(site: Site, hosts: Hosts) -> None:
    result = await run(site, hosts, "echo 'connection = mysql://nova:hunter2@10.0.0.1/nova'; exit 1")
    with pytest.raises(StepFailed) as caught:
        result.check("nova-manage failed", command="nova-manage db sync")
    text = str(caught.value)
    assert "ctl1: nova-manage failed" in text
    assert "command: nova-manage db sync" in text
    assert "mysql://nova:<hidden>@10.0.0.1/nova" in text
    assert f"{site.root}/jobs/{result.name}/output" in text
    assert "hunter2" not in text


async def test_a_second_try_waits_until_the_first_has_ended(site: Site, hosts: Hosts, gate: Gate) -> None:
    first = asyncio.create_task(run(site, hosts, GATED, key="u/s/do/0", group="u/s", heartbeat=gate.heartbeat))
    await gate.begun.wait()
    waiting = asyncio.Event()
    second = asyncio.create_task(
        run(
            site,
            hosts,
            'cat "$LAB/runs"',
            key="u/s/do/1",
            group="u/s",
            heartbeat=lambda text: waiting.set() if "an earlier try" in text else None,
        )
    )
    await waiting.wait()
    assert len(site.host.journal) == 1
    await gate.open()
    assert (await first).status == 7
    assert (await second).output_tail == "run\n"


async def test_without_systemd_it_says_so(site: Site, hosts: Hosts) -> None:
    (site.root / "bin" / "systemd-run").write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    with pytest.raises(StepFailed, match="could not be started") as caught:
        await run(site, hosts, "true")
    assert "Failed to connect to bus" in str(caught.value)


async def test_a_host_that_stays_away_is_unreachable(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.host.stop()
    with pytest.raises(Unreachable):
        await run(site, hosts, "true", limit=0.1, grace=0)


async def test_a_host_that_stays_away_after_the_start_leaves_the_outcome_unknown(
    site: Site, hosts: Hosts, gate: Gate
) -> None:
    waiting = asyncio.create_task(run(site, hosts, GATED, heartbeat=gate.heartbeat, limit=5, grace=0.2))
    await gate.begun.wait()
    await site.host.stop()
    with pytest.raises(OutcomeUnknown, match="has not answered since"):
        await waiting
    site.host.kill_units()


def test_names_are_readable_stable_and_distinct() -> None:
    name = job_name("u/s", "Upgrade-1/compute-017/switch/do/0")
    assert name == job_name("u/s", "Upgrade-1/compute-017/switch/do/0")
    assert "compute-017-switch-do-0" in name
    assert name != job_name("u/s", "upgrade-1/compute.017/switch/do/0")
    assert len(job_name("g", "x" * 500)) < 120
    assert "-x-compute-017-switch-do-0-" in job_name("g", f"{'long' * 20}-x/compute-017/switch/do/0")
    assert "long" not in job_name("g", f"{'long' * 20}-x/compute-017/switch/do/0")
    assert name.split("-")[:2] == job_name("u/s", "other").split("-")[:2]
