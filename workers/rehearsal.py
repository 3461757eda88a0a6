"""What a rehearsal needs besides the hands: the plan, and a simulated cloud with the inventory's hosts to run it on."""

import asyncio
import os
import socket
import tempfile
import time
from pathlib import Path

from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy

from activities import openstack
from activities.context import Toolbox, errors_mapped, heartbeats, progress
from activities.databases import revisions
from activities.errors import Refused
from activities.facts import read_facts
from model.alerts import Gates
from model.components import COMPONENTS
from model.inventory import Inventory, Role
from model.messages import PlanRequest
from model.notify import Notify
from model.rehearsal import RehearsalPlan, RehearsalTask, Simulated, database_steps, leftover_steps
from model.releases import find_release
from model.rolling import Hooks
from model.spec import Approval, Approvals, FailurePolicy, OnFailure, UpgradeRequest
from model.status import Report
from simulator import outputs
from simulator.server import Simulation, simulation
from simulator.settings import SimSpec
from workers.planner import plan_upgrade
from workflows.names import PLAN_REHEARSAL, SIMULATE_UPGRADE, child_id

SPEED = 60.0
LOOK_EVERY = 1.0
_NETWORKS = 200
_FRONT_PORT = 5000


class RehearsalPlanner:
    """The activities that plan a rehearsal, and run the plan on a simulator."""

    def __init__(self, toolbox: Toolbox) -> None:
        """Take the clients to read with."""
        self._hosts = toolbox.hosts

    @activity.defn(name=PLAN_REHEARSAL)
    async def plan_rehearsal(self, task: RehearsalTask) -> RehearsalPlan:
        """Make the plan of the upgrade, whatever forbids it now, and take its database steps."""
        request = task.asked.request
        inventory = request.inventory
        async with errors_mapped(), heartbeats("reading the cloud"):
            facts = await read_facts(self._hosts, request)
            plan = (await plan_upgrade(PlanRequest(request=request, facts=facts))).made
            first = inventory.with_role(Role.CONTROL)[0]
            running = facts.hosts[first].running if first in facts.hosts else {}
            old = {c.service: v for c in COMPONENTS if (v := running.get(c.unit)) and "+" not in v}
            target = find_release(request.spec.to)
            return RehearsalPlan(
                services=inventory.services,
                versions={service: target.versions[service] for service in inventory.services},
                steps=(*leftover_steps(old), *database_steps(plan)),
                plan_hash=plan.hash,
                guests=len(await openstack.guests(inventory)),
                revisions=await revisions(self._hosts, inventory),
            )

    @activity.defn(name=SIMULATE_UPGRADE)
    async def simulate(self, task: RehearsalTask) -> Simulated:
        """Run the whole upgrade, by this worker, on a simulated cloud with the same hosts; nothing else sees it."""
        async with errors_mapped(), heartbeats("starting a simulated cloud"):
            with tempfile.TemporaryDirectory(prefix="stackroll-rehearsal-") as folder:
                spec = simulated_spec(task.asked.request.inventory, task.guests)
                async with simulation(spec, Path(folder)) as sim:
                    return await _upgrade(task, sim)


def simulated_spec(inventory: Inventory, guests: int) -> SimSpec:
    """Return a simulated cloud with the hosts, the roles and the release of an inventory."""
    return SimSpec(
        release=inventory.release,
        guests=guests,
        speed=SPEED,
        network=free_network(),
        hosts={name: host.roles for name, host in inventory.hosts.items()},
    )


def free_network() -> str:
    """Return a loopback network that no other simulated cloud on this machine uses.

    Raises:
        Refused: there is none.
    """
    for number in range(_NETWORKS):
        network = f"127.{20 + (os.getpid() + number) % _NETWORKS}"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((f"{network}.0.5", _FRONT_PORT))
            except OSError:
                continue
            return network
    raise Refused("every loopback network is in use", remedy="rehearse with --no-simulate, or on another machine")


def simulated_request(request: UpgradeRequest, sim: Simulation) -> UpgradeRequest:
    """Return the same upgrade of the simulated cloud: nobody is asked, nothing is waited for."""
    content = outputs.cloud(sim.spec)
    content["cloud"] = f"{request.inventory.cloud}-rehearsal"
    content["services"] = request.inventory.services
    content["openstack"]["clouds_yaml"] = str(sim.folder / "clouds.yaml")
    content["ssh"] |= {name: str(sim.folder / content["ssh"][name]) for name in ("key", "known_hosts")}
    spec = request.spec.model_copy(
        update={
            "approvals": Approvals(plan=Approval.AUTO, canary=Approval.AUTO, data=Approval.AUTO, commit=Approval.AUTO),
            "on_failure": FailurePolicy(default=OnFailure.ROLLBACK),
            "soak": 0.0,
            "canary": request.spec.canary.model_copy(update={"healthy_for": 0.0}),
            # No window is waited for, no alert of the real cloud counts, and nobody is told of what does not happen.
            # The simulated hosts know nothing of the operator's own commands.
            "hooks": Hooks(),
            "windows": None,
            "gates": Gates(),
            "notify": Notify(),
        }
    )
    return UpgradeRequest(spec=spec, inventory=Inventory.model_validate(content), by="rehearsal")


async def _upgrade(task: RehearsalTask, sim: Simulation) -> Simulated:
    client, info = activity.client(), activity.info()
    begun = time.monotonic()
    handle = await client.start_workflow(
        "RollingUpgrade",
        simulated_request(task.asked.request, sim),
        id=child_id(task.run, "simulation"),
        task_queue=info.task_queue,
        # One of a worker that died has lost its cloud.
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
        static_summary="an upgrade of a simulated cloud, for a rehearsal",
    )
    result = asyncio.create_task(handle.result())
    state, message = "completed", ""
    try:
        while not result.done():
            await asyncio.wait([result], timeout=LOOK_EVERY)
            progress(f"the plan runs on {len(sim.cloud.hosts)} simulated hosts, {time.monotonic() - begun:.0f} s")
        message = str((await result).get("message", ""))
    except WorkflowFailureError as error:
        state, message = "failed", str(error.cause)
    finally:
        if not result.done():
            result.cancel()
            await handle.terminate("the rehearsal was cancelled")
    report = await handle.query("report", result_type=Report)
    return Simulated(
        state=report.status.state.value if state == "failed" else state,
        message=message,
        steps=len(report.steps),
        seconds=round(time.monotonic() - begun, 1),
        failed_requests=sum(api.failed for api in report.availability),
        violations=tuple(str(violation["text"]) for violation in sim.cloud.truth.dump()["violations"]),
    )
