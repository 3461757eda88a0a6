"""Stories of what goes wrong while hosts are emptied and rebooted: whole runs, judged by what became of the guests."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from temporalio.client import Client

from activities.compute import ComputeActivities
from activities.reboot import RebootActivities
from model.base import JsonObject
from model.classify import MOVED_BY, STOPPED_BY
from model.plan import Action, Plan
from model.status import RunState, StepStatus, UpgradeStatus
from simulator.cloud import SimCloud
from simulator.faults import Occasion
from simulator.guests import Guest, Migration
from simulator.machines import Machine, power_of
from simulator.server import Simulation
from tests.simulator import conftest as simulated
from tests.simulator.conftest import faults_of, rolling_reboot, sim_cloud
from tests.workflows.fake_cloud import Run
from workers.worker import make_worker
from workflows import names

# Seconds; of a busy machine.
PATIENCE = 240.0
STORY = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.temporal, pytest.mark.timeout(PATIENCE + 60)]
ENDED = (RunState.COMPLETED, RunState.STOPPED, RunState.REFUSED)
NOBODY: Mapping[str, str] = MappingProxyType({})
_COPY = re.compile(r"GET /v2\.1/servers/([^/]+)/migrations")
BY = {"by": "anna", "reason": "it was mended"}


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow one another faster than at a real cloud, and who fails rests for less."""
    monkeypatch.setattr(ComputeActivities.__init__, "__kwdefaults__", {"poll": 0.15, "rest": 0.2})
    monkeypatch.setattr(RebootActivities.__init__, "__kwdefaults__", {"poll": 0.15})
    monkeypatch.setattr("activities.drain_watch.LOOKS_BETWEEN", 2)
    # Whether workflows are deterministic is others' to find out; to look costs a fifth of the time.
    monkeypatch.setattr(simulated, "make_worker", partial(make_worker, sandboxed=False))
    monkeypatch.setattr("activities.reboot.ANSWER_LIMIT", 1.0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


class Story:
    """A cloud that somebody reboots, and what its users and operators see of it.

    Attributes:
        cut: migrations that were under way when their host was rebooted, in words.
        asked: requests to nova that changed something other than guests.
        copies: guests of whom nova was asked how far the copies of their memory are.
    """

    def __init__(self, sim: Simulation) -> None:
        self.sim, self.cloud = sim, sim.cloud
        self.cut: list[str] = []
        self.asked: list[str] = []
        self.copies: set[str] = set()
        self._guests = {guest.id: (guest.name, guest.status, guest.host) for guest in self.cloud.nova.guests.values()}
        self._boots = {name: self.cloud.hosts[name].boot_id for name in self.cloud.nova.providers}
        self._services = self.services()
        self.cloud.faults.witnesses.append(self._witness)

    def begin(self, run: Run) -> None:
        """Take the run that the story is about."""
        self.run = run

    def _witness(self, occasion: Occasion) -> None:
        if occasion.what == "job" and "reboot" in occasion.names:
            (host,) = occasion.subjects
            moving = [m for m in self.cloud.nova.migrations if m.unfinished and host in {m.source, m.target}]
            self.cut += [f"migration {move.id} when {host} was rebooted" for move in moving]
        if occasion.kind == "request" and (copy := _COPY.fullmatch(occasion.names[-1])):
            self.copies.add(copy[1])
        if occasion.kind == "request" and "/os-services" in occasion.names[-1]:
            self.asked.append(occasion.names[-1].partition(" ")[0])

    # What is there

    def guest(self, name: str) -> Guest:
        return next(guest for guest in self.cloud.nova.guests.values() if guest.name == name)

    def machine(self, name: str) -> Machine:
        return self.cloud.machines[self.guest(name).id]

    def moves(self, name: str) -> list[Migration]:
        """Return the migrations of a guest, in order."""
        return [move for move in self.cloud.nova.migrations if move.guest == self.guest(name).id]

    def names_on(self, host: str) -> list[str]:
        return sorted(guest.name for guest in self.cloud.nova.guests_on(host))

    def reboots(self, host: str) -> int:
        return self.cloud.hosts[host].reboots

    def in_service(self, host: str) -> bool:
        """Tell whether nova may put guests onto a host."""
        return not self.cloud.nova.record("nova-compute", host).disabled and self.cloud.nova.runs("nova-compute", host)

    def services(self) -> dict[str, tuple[str, str, bool, str | None, bool]]:
        """Return every record of nova's services: who and where it is, and what somebody has decided about it."""
        rows = self.cloud.nova.services
        return {row.id: (row.binary, row.host, row.disabled, row.reason, row.forced_down) for row in rows}

    # What happens

    async def pauses_at(self, step: str) -> StepStatus:
        """Wait until the run waits for a decision about a step; return the step as the operator sees it."""
        status = await self._settled(RunState.FAILING)
        failed = {one.id: one for one in status.failed}
        assert step in failed, _told(status)
        assert any(f"stackroll retry {status.upgrade} {step}" in wait.go_on for wait in status.waiting)
        return failed[step]

    async def waits_for_approval(self) -> Plan:
        await self._settled(RunState.WAITING)
        plan: Plan = await self.run.handle.query("plan", result_type=Plan)
        return plan

    async def approve(self) -> None:
        await self.run.handle.execute_update("approve", {"by": "anna", "gate": "plan"})

    def arm(self, *faults: JsonObject) -> None:
        """Let these faults happen from now on."""
        self.cloud.faults.arm(*faults_of(*faults))

    async def retry(self, step: str) -> None:
        """Order it no sooner than a person would: nova says in whole seconds when a migration was begun.

        One of the same second would count as an attempt of the retry.
        """
        begun = max((int(move.created) for move in self.cloud.nova.migrations), default=0)
        await until(lambda: int(time.time()) > begun)
        await self.run.handle.execute_update("retry", {**BY, "step": step})

    async def is_refused(self) -> str:
        """Wait for the refusal; return its reasons."""
        status = await self._settled(RunState.REFUSED)
        assert status.message.startswith("refused, nothing was changed")
        assert (self.services(), set(self.asked) - {"GET"}) == (self._services, set())
        assert self.broken() == []
        return status.message

    async def aborts(self) -> None:
        """End the run where it is, and wait until it has."""
        await self.run.handle.execute_update("abort", {"by": "anna", "reason": "enough", "mode": "stop"})
        await self._settled(RunState.STOPPED)

    async def is_over(self) -> None:
        """Wait for the run's own end."""
        await self._settled(RunState.COMPLETED)

    async def is_completed(self) -> UpgradeStatus:
        """Wait for the end, where not everything is as it was."""
        return await self._settled(RunState.COMPLETED)

    async def comes_back(self, host: str) -> None:
        """Wait until a host is up, and has started everything."""
        await until(lambda: self.cloud.hosts[host].up and not self.cloud.hosts[host].booting)

    async def ends_well(
        self,
        *rebooted: str,
        restarted: Collection[str] = (),
        hurt: Collection[str] = (),
        disabled: Mapping[str, str] = NOBODY,
        failed: str = "",
    ) -> UpgradeStatus:
        """Wait for the end, and see that everything is as it was but for the boots of these hosts.

        Args:
            rebooted: the hosts that have booted anew, once each.
            restarted: guests that began anew, once each; all others have run on.
            hurt: guests that ended without having been asked to.
            disabled: hosts that somebody else has disabled meanwhile, and why.
            failed: a host that has booted anew without having been asked to.
        """
        status = await self._settled(RunState.COMPLETED)
        for name, reason in disabled.items():
            row = self.cloud.nova.record("nova-compute", name)
            self._services[row.id] = (row.binary, name, True, reason, row.forced_down)
        if failed:
            self._boots[failed] = self.cloud.hosts[failed].boot_id
        found = [*self._of_guests(restarted, hurt), *self._of_hosts(rebooted or ("cmp1",)), *self.broken()]
        assert found == []
        return status

    def broken(self) -> list[str]:
        """Return what no run may ever do."""
        found = [violation.text for violation in self.cloud.truth.audit()]
        return [*found, *self.cut, *(f"not simulated: {text}" for text in self.sim.shell.unknown)]

    def _of_guests(self, restarted: Collection[str], hurt: Collection[str]) -> list[str]:
        found = []
        for id_, (name, status, _) in self._guests.items():
            guest, machine = self.cloud.nova.guests[id_], self.cloud.machines[id_]
            if (guest.status, guest.task_state) != (status, None) or machine.power is not power_of(status):
                found.append(f"{name} was {status}, is {guest.status}, {guest.task_state}, {machine.power}")
            if machine.restarts != (1 if name in restarted else 0):
                found.append(f"{name} has begun anew {machine.restarts} times")
            if bool(machine.deaths) != (name in hurt):
                found.append(f"{name} has ended: {machine.deaths}")
            if marks := {STOPPED_BY, MOVED_BY} & set(guest.metadata):
                found.append(f"{name} still bears {marks}")
        return found

    def _of_hosts(self, rebooted: Collection[str]) -> list[str]:
        found = []
        for name, boot in self._boots.items():
            host = self.cloud.hosts[name]
            if (host.reboots, host.boot_id != boot) != ((1, True) if name in rebooted else (0, False)):
                found.append(f"{name} was rebooted {host.reboots} times, its boot is {host.boot_id}, was {boot}")
            if not self.cloud.nova.runs("nova-compute", name):
                found.append(f"nova-compute does not run on {name}")
        now = self.services()
        return found + [
            f"service {was} is {now.get(id_)}" for id_, was in self._services.items() if now.get(id_) != was
        ]

    async def _settled(self, wanted: RunState) -> UpgradeStatus:
        """Wait until the run is over, or waits for somebody, and see that it is in this state."""
        async with asyncio.timeout(PATIENCE):
            while await self._state() not in {*ENDED, RunState.FAILING, RunState.WAITING}:
                await asyncio.sleep(0.2)
        status = await self.run.status()
        assert status.state is wanted, _told(status)
        return status

    async def _state(self) -> str:
        """Return the run's state as lists of runs show it: the run itself is not asked, which would cost it time."""
        described = await self.run.handle.describe()
        return described.typed_search_attributes.get(names.STATE_KEY) or ""


def _told(status: UpgradeStatus) -> str:
    return "\n".join([f"{status.state}: {status.message}", *(f"{one.id}: {one.error}" for one in status.failed)])


@contextlib.asynccontextmanager
async def story(
    client: Client,
    folder: Path,
    *faults: JsonObject,
    prepare: Callable[[SimCloud], object] = lambda _: None,
    size: JsonObject | None = None,
    **spec: Any,
) -> AsyncIterator[Story]:
    """Begin to reboot cmp1 of three hosts with two guests each, unless told otherwise; ``spec`` is of the reboot."""
    big: JsonObject = {"compute": 3, "guests": 6, "speed": 50, **(size or {})}
    async with sim_cloud(folder / "sim", *faults, **big) as sim:
        prepare(sim.cloud)
        told = Story(sim)
        content: JsonObject = {"hosts": ["cmp1"], "canary": {"count": 0}, **spec}
        async with rolling_reboot(client, sim, **content) as run:
            told.begin(run)
            yield told


def drain_of(plan: Plan, host: str) -> dict[str, str]:
    """Return the planned targets of a host's guests."""
    steps = (step for step in plan.steps if step.action is Action.DRAIN_COMPUTE and step.target == host)
    targets: dict[str, str] = next(steps).params["targets"]
    return targets
