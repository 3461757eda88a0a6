"""One run of an upgrade of a small simulated cloud, with a fault at one of its steps, driven to its end and judged."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from activities.digest import read_digest
from activities.ssh import Hosts
from cli.load import load_request
from model.availability_spec import Availability
from model.digest import Digest
from model.inventory import Inventory
from model.releases import find_release
from model.spec import Approval, Approvals, FailurePolicy, OnFailure, UpgradeRequest
from model.status import Report, RunState, UpgradeStatus
from model.verdict import judge as judge_digests
from model.verdict import same_release
from simulator.server import Simulation
from tests.chaos import judge
from tests.chaos.cases import Case
from tests.chaos.haste import DRAIN_TIMEOUT
from tests.chaos.operator import mend
from tests.chaos.place import Placing
from tests.chaos.points import Place
from tests.chaos.user import User
from workflows import names

_Answer = TypeVar("_Answer", UpgradeStatus, Report)
# Real seconds: after so long a fault is mended whether the run has asked for it or not; a run may take so long, and
# longer by so much for each further fault.
MENDED_AFTER = 12.0
LONGEST = 420.0
LONGER = 60.0
LOOK_EVERY = 0.8
OLD, NEW = "2026.1", "2026.2"
ENDS = {RunState.COMPLETED: NEW, RunState.ROLLED_BACK: OLD, RunState.REFUSED: OLD}
SETTLED_WITHIN = 10.0


@dataclass(frozen=True)
class Bench:
    """What all trials of a process share."""

    client: Client
    queue: str
    placing: Placing
    hosts: Hosts


@dataclass
class Outcome:
    """What came of a trial; ``happened``: the ids of its cases whose fault did happen."""

    state: str
    happened: list[str]
    seconds: float
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def request_of(sim: Simulation, *, commit: Approval = Approval.AUTO) -> UpgradeRequest:
    """Return the request: what fails is taken back by itself, as far as that is possible."""
    request = load_request(sim.folder / "upgrade.yaml", by="chaos")
    inventory = request.inventory.model_copy(update={"cloud": f"chaos-{uuid4().hex[:8]}"})
    spec = request.spec.model_copy(
        update={
            "soak": 0.0,
            "drain_timeout": DRAIN_TIMEOUT,
            "availability": Availability(enabled=False),
            "approvals": Approvals(plan=Approval.AUTO, commit=commit),
            "on_failure": FailurePolicy(default=OnFailure.ROLLBACK),
        }
    )
    return request.model_copy(update={"inventory": inventory, "spec": spec})


class Trial:
    """A run with a fault, or with several, each at a step of its own."""

    def __init__(self, bench: Bench, sim: Simulation, cases: Sequence[Case]) -> None:
        self._bench, self._sim = bench, sim
        self._back = any(case.back for case in cases)
        self._cases = {case.place: (case, case.fault.model_copy()) for case in cases}
        self._armed: set[Place] = set()
        self._user = User(sim)
        self._acts: list[asyncio.Task[None]] = []
        self._mended = False
        self._seen = 0
        self._struck: float | None = None
        self._notes: list[str] = []
        self.id = f"chaos-{uuid4().hex[:10]}"
        sim.cloud.faults.witnesses.append(lambda _: self._look())

    async def run(self) -> Outcome:
        """Start the run, drive it to its end, and judge."""
        begun, guests = time.monotonic(), tuple(self._sim.cloud.nova.guests)
        request = request_of(self._sim, commit=Approval.MANUAL if self._back else Approval.AUTO)
        asked = request.model_dump(mode="json", exclude_none=True)
        before = await read_digest(self._bench.hosts, request.inventory)
        self._bench.placing.around[self.id] = self._around
        try:
            handle = await self._bench.client.start_workflow(
                "RollingUpgrade", asked, id=self.id, task_queue=self._bench.queue
            )
            status = await self._drive(handle)
            report = await _asked(handle, "report", Report)
            misled = await self._misled(report)
        finally:
            del self._bench.placing.around[self.id]
        problems = misled + await self._judge(status, report, guests)
        if not problems:
            problems += await self._compare(before, request.inventory, status)
        return Outcome(status.state.value, self._happened(), time.monotonic() - begun, problems, self._notes)

    def _happened(self) -> list[str]:
        taken = self._sim.cloud.faults.taken
        return [case.id for case, fault in self._cases.values() if any(fault is one for one in taken)]

    # What happens around the steps

    @contextlib.asynccontextmanager
    async def _around(self, place: Place) -> AsyncIterator[None]:
        self._let_user_act(place)
        here = place in self._cases and place not in self._armed
        if here:
            self._armed.add(place)
            self._sim.cloud.faults.arm(self._cases[place][1])
        try:
            yield
        finally:
            if here and not self._cases[place][0].lasting:
                self._sim.cloud.faults.disarm(self._cases[place][1])

    def _let_user_act(self, place: Place) -> None:
        """Somebody works on: once the dumps are made, and once the APIs are at the new release."""
        due = ("install/", "expand/") if not self._acts else ("cmp",) if len(self._acts) == 1 else ()
        at_fault = place in self._cases and not self._acts
        if place.step.startswith(due) or at_fault:
            self._acts.append(asyncio.create_task(self._user.act()))

    def _look(self) -> None:
        struck = len(self._happened())
        if struck > self._seen:
            self._seen, self._struck, self._mended = struck, time.monotonic(), False

    # What the operator does

    async def _drive(self, handle: WorkflowHandle[Any, Any]) -> UpgradeStatus:
        """Do what an operator does until the run has ended."""
        until = time.monotonic() + LONGEST + LONGER * max(0, len(self._cases) - 1)
        while True:
            status = await _asked(handle, "status", UpgradeStatus)
            if status.ended:
                with contextlib.suppress(WorkflowFailureError):
                    await handle.result()
                return status
            if time.monotonic() > until:
                await handle.terminate("the trial takes too long")
                return status
            await self._attend(handle, status)
            await asyncio.sleep(LOOK_EVERY)

    async def _attend(self, handle: WorkflowHandle[Any, Any], status: UpgradeStatus) -> None:
        self._look()
        late = self._struck is not None and time.monotonic() - self._struck > MENDED_AFTER
        if status.state is RunState.FAILING:
            await self._mend("the run asks")
            for step in status.failed:
                self._notes.append(f"retry {step.id}: {step.error.splitlines()[0] if step.error else ''}")
                order = {"by": "chaos", "reason": "mended", "step": step.id}
                await handle.execute_update("retry", order)
        elif late and not self._mended:
            await self._mend("it has waited long enough")
        if status.state is RunState.WAITING and any("commit" in one.what for one in status.waiting):
            await handle.signal("abort", {"by": "chaos", "reason": "to see the way back", "mode": "rollback"})

    async def _mend(self, why: str) -> None:
        self._mended = True
        self._notes.append(f"mended: {why}")
        mend(self._sim.cloud)

    # What came of it

    async def _judge(self, status: UpgradeStatus, report: Report, guests: tuple[str, ...]) -> list[str]:
        self._sim.cloud.faults.mend()
        problems = await self._user_problems()
        if status.state not in ENDS and not _changed_nothing(status):
            return [*problems, f"the run is {status.state.value}: {status.message}", *_open(report)]
        release = ENDS.get(status.state, OLD)
        mend(self._sim.cloud)
        await judge.at_rest(self._sim, SETTLED_WITHIN)
        problems += judge.wholly_at(self._sim, release)
        problems += judge.lost(self._sim, guests, self._user)
        problems += judge.repeated(self._sim, report.steps)
        problems += [f"not simulated: {text}" for text in self._sim.shell.unknown]
        return problems + await judge.not_usable(self._sim, self._user)

    async def _misled(self, report: Report) -> list[str]:
        """Say when compute hosts were carried out in batches and were not meant to be, or the other way round."""
        hosts = [step for step in report.steps if step.started and "host/" in (step.group or "")]
        wanted = bool(hosts) and any(case.in_batches for case, _ in self._cases.values())
        batch = self._bench.client.get_workflow_handle(names.batch_id(self.id, 1))
        try:
            await batch.describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return ["its compute hosts were not carried out in batches"] if wanted else []
        return [] if wanted else ["its compute hosts were carried out in batches"]

    async def _compare(self, before: Digest, inventory: Inventory, status: UpgradeStatus) -> list[str]:
        """Compare the cloud with what it was before, by its digest, as soon as all is at rest."""
        until = time.monotonic() + SETTLED_WITHIN
        while True:
            after = await read_digest(self._bench.hosts, inventory)
            if status.state is RunState.COMPLETED:
                verdict = same_release(before, after, find_release(NEW), deleted=())
            else:
                verdict = judge_digests(before, after, deleted=())
            if verdict.whole or time.monotonic() > until:
                return [f"digest: {problem}" for problem in verdict.problems]
            await asyncio.sleep(LOOK_EVERY)

    async def _user_problems(self) -> list[str]:
        ended = await asyncio.gather(*self._acts, return_exceptions=True)
        failed = [error for error in ended if isinstance(error, BaseException)]
        return [f"the user could not work: {type(error).__name__} {error}" for error in failed]


async def _asked(handle: WorkflowHandle[Any, Any], query: str, kind: type[_Answer]) -> _Answer:
    """Ask a run, again when server or worker are too busy."""
    for left in range(5, -1, -1):
        try:
            answer: _Answer = await handle.query(query, result_type=kind)
        except RPCError as error:
            if not left:
                raise AssertionError(f"{query}: {error}; {await _defects(handle)}") from error
            await asyncio.sleep(1.5)
        else:
            return answer
    raise AssertionError("unreachable: the loop returns or raises")


async def _defects(handle: WorkflowHandle[Any, Any]) -> str:
    """Say which of a run's workflow tasks have failed: a defect of its code, or of what it has run on."""
    history = await handle.fetch_history()
    failed = [event.workflow_task_failed_event_attributes for event in history.events]
    return "; ".join(f"{one.failure.message} {one.failure.stack_trace}" for one in failed if one.failure.message)


def _changed_nothing(status: UpgradeStatus) -> bool:
    """Whether the run has ended before it changed anything, and says so."""
    return status.state is RunState.STOPPED and status.message.endswith("nothing was changed")


def _open(report: Report) -> list[str]:
    """Return what is still going on in a run that has not ended, for whoever looks into it."""
    steps = [step for step in report.steps if step.state.value in {"running", "failed", "undoing"}]
    return [f"{step.id} is {step.state.value}, try {step.tries}: {step.error}" for step in steps]
