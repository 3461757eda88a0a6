"""placement: ``placement/rest_api_version_history.rst``."""

from model.calls.base import Call, Pick, Recorded
from model.contract_shape import Rules

_ONE = "/resource_providers/{provider}"

PLACEMENT = Recorded(
    unit="placement",
    service_type="placement",
    calls=(
        Call(
            name="resource providers",
            path="/resource_providers",
            pick=Pick(name="provider", rows="resource_providers", field="uuid"),
        ),
        Call(name="resource provider", path=_ONE),
        Call(name="inventories", path=f"{_ONE}/inventories"),
        Call(name="usages", path=f"{_ONE}/usages"),
        Call(name="allocations", path=f"{_ONE}/allocations"),
        Call(name="aggregates", path=f"{_ONE}/aggregates", since="1.1"),
        Call(name="traits of a provider", path=f"{_ONE}/traits", since="1.6"),
        Call(name="resource classes", path="/resource_classes", since="1.2"),
        Call(name="resource class", path="/resource_classes/VCPU", since="1.2"),
        Call(name="traits", path="/traits", query={"name": "startswith:HW_CPU_X86_AVX"}, since="1.6"),
        Call(
            name="candidates",
            path="/allocation_candidates",
            query={"resources": "VCPU:1,MEMORY_MB:64", "limit": "10"},
            since="1.16",
        ),
    ),
    rules=Rules(
        # Their keys are resource classes, consumers and providers.
        maps=frozenset({"inventories", "usages", "allocations", "resources", "provider_summaries", "mappings"}),
    ),
)
