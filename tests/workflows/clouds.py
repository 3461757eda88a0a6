"""A small cloud for tests of the plan."""

from typing import Any

from model.classify import classify_all
from model.components import components_on
from model.fleet import Fleet
from model.placement import schedule
from model.plan import Plan
from model.releases import RELEASES
from model.spec import UpgradeRequest
from model.work import Facts, HostFacts
from workflows.plan import DURATIONS, make_plan


def upgrade(source: str = "2026.1", target: str = "2026.2", computes: int = 2, **spec: Any) -> UpgradeRequest:
    hosts: dict[str, Any] = {"infra1": {"address": "192.0.2.10", "roles": ["database", "load-balancer"]}}
    hosts |= {f"ctl{i}": {"address": f"192.0.2.1{i}", "roles": ["control"]} for i in (1, 2)}
    hosts |= {f"cmp{i}": {"address": f"192.0.2.{100 + i}", "roles": ["compute"]} for i in range(1, computes + 1)}
    return UpgradeRequest.model_validate(
        {
            "spec": {"to": target, **spec},
            "inventory": {
                "cloud": "golden",
                "release": source,
                "openstack": {"cloud": "golden"},
                "ssh": {"key": "key", "known_hosts": "known_hosts"},
                "hosts": hosts,
                "database": {"host": "infra1"},
                "load_balancer": {"host": "infra1", "address": "192.0.2.10", "hold_map": "/etc/haproxy/hold.map"},
            },
        }
    )


def plan_of(request: UpgradeRequest, there: Fleet) -> Plan:
    """Plan as the activity does, without a cloud to read."""
    classes = {one.guest: one.kind for one in classify_all(there, request.spec.drain)}
    made = schedule(there, classes, request.spec, hosts=request.compute_hosts, durations=DURATIONS)
    return make_plan(request, facts(request), there, made)


def facts(request: UpgradeRequest) -> Facts:
    versions = RELEASES[request.inventory.release].versions
    inventory = request.inventory
    return Facts(
        hosts={
            name: HostFacts(
                running={c.unit: versions[c.service] for c in components_on(inventory, name)},
                free_bytes=10**12,
                boot_id=name,
            )
            for name in inventory.hosts
        }
    )
