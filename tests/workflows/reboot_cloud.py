"""A small fleet, and the boundary of a reboot's workflows faked: what is planned is the real plan of that fleet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client

from model.base import JsonObject
from model.classify import classify_all
from model.fleet import Fleet, FleetGuest, FleetHost
from model.inventory import Inventory
from model.outlook import RebootPlanResult, look_out
from model.placement import schedule
from model.reboot_preflight import judge_reboot
from model.reboot_spec import RebootRequest
from model.work import Capacity, StepResult, Work
from tests.workflows.fake_cloud import FakeCloud, Run
from tests.workflows.fake_cloud import request as upgrade_request
from workflows.reboot_plan import make_reboot_plan


def fleet(computes: int = 3, guests: int = 1, zones: int = 1, **more: Any) -> Fleet:
    """So many hosts with so many guests of 1 GiB each, and room for ten of them on each."""
    hosts, servers = {}, []
    for number in range(1, computes + 1):
        name = f"cmp{number}"
        used = {"MEMORY_MB": 1024.0 * guests, "VCPU": float(guests)}
        room = Capacity(total={"MEMORY_MB": 10 * 1024.0, "VCPU": 10.0}, used=used)
        zone = f"az{number % zones + 1}" if zones > 1 else "nova"
        hosts[name] = FleetHost(name=name, zone=zone, capacity=room)
        servers += [guest(f"vm{number}{letter}", name, **more) for letter in "abcdefghij"[:guests]]
    return Fleet(hosts=hosts, guests=tuple(servers))


def guest(name: str, host: str, **more: Any) -> FleetGuest:
    content = {
        "id": f"id-{name}",
        "name": name,
        "host": host,
        "status": "ACTIVE",
        "vm_state": "active",
        "vcpus": 1,
        "ram_mb": 1024,
        "resources": {"MEMORY_MB": 1024.0, "VCPU": 1.0},
        **more,
    }
    return FleetGuest.model_validate(content)


def request(computes: int = 3, cloud: str | None = None, **spec: Any) -> JsonObject:
    """A request for the reboot of a small cloud; approvals are given by the spec unless a test says otherwise."""
    inventory = upgrade_request(computes=computes, cloud=cloud)["inventory"]
    wanted = {"approvals": {"plan": "auto"}, "canary": {"healthy_for": 0}, **spec}
    return {"kind": "RollingReboot", "spec": wanted, "inventory": inventory, "by": "test"}


def plan_of(asked: RebootRequest, there: Fleet) -> RebootPlanResult:
    """Plan as the activity does, without a cloud to read."""
    classified = classify_all(there, asked.spec.drain)
    hosts = [name for name in asked.compute_hosts if name in (asked.spec.hosts.names or asked.compute_hosts)]
    made = schedule(there, {one.guest: one.kind for one in classified}, asked.spec, hosts=hosts)
    findings = judge_reboot(asked.inventory, there, hosts, classified, made)
    forbidden = any(finding.severity == "error" for finding in findings)
    plan = None if forbidden else make_reboot_plan(asked, there, made)
    return RebootPlanResult(findings=findings, outlook=look_out(there, classified, made, {}), plan=plan)


@dataclass
class RebootCloud(FakeCloud):
    """Answers the activities of a reboot."""

    fleet: Fleet = field(default_factory=fleet)
    works: list[Work] = field(default_factory=list)

    def activities(self) -> list[Callable[..., Any]]:
        return [*super().activities(), self.plan_reboot]

    async def _run(self, work: Work) -> StepResult:
        self.works.append(work)
        return await super()._run(work)

    async def read_fleet(self, inventory: Inventory) -> Fleet:
        del inventory
        return self.fleet

    def was_asked(self, name: str) -> bool:
        """Tell whether a step was begun."""
        return name in self.calls

    @activity.defn(name="plan_reboot")
    async def plan_reboot(self, asked: RebootRequest) -> RebootPlanResult:
        return plan_of(asked, self.fleet)


async def start(client: Client, queue: str, asked: JsonObject) -> Run:
    handle = await client.start_workflow("RollingReboot", asked, id=f"r-{uuid4().hex[:8]}", task_queue=queue)
    return Run(handle)
