"""nova: ``api-ref/source`` and ``nova/api/openstack/compute/rest_api_version_history.rst``.

Not what it asks neutron and cinder for: their answers are no promise of nova's.
"""

from model.calls.base import Call, Pick, Recorded
from model.contract_shape import Rules

_OLDEST = {"limit": "50", "sort_key": "created_at", "sort_dir": "asc"}
_SERVER = "/v2.1/servers/{server}"

NOVA = Recorded(
    unit="nova-api",
    service_type="compute",
    calls=(
        Call(name="version", path="/v2.1/"),
        Call(name="extensions", path="/v2.1/extensions", members="extensions.alias"),
        Call(
            name="servers",
            path="/v2.1/servers",
            query={"all_tenants": "1", **_OLDEST},
            pick=Pick(name="server", rows="servers"),
        ),
        Call(name="servers detail", path="/v2.1/servers/detail", query={"all_tenants": "1", **_OLDEST}),
        Call(name="server", path=_SERVER),
        Call(name="server metadata", path=f"{_SERVER}/metadata"),
        Call(name="server addresses", path=f"{_SERVER}/ips"),
        Call(name="server tags", path=f"{_SERVER}/tags", since="2.26"),
        Call(name="server migrations", path=f"{_SERVER}/migrations", since="2.23"),
        Call(
            name="instance actions",
            path=f"{_SERVER}/os-instance-actions",
            pick=Pick(name="action", rows="instanceActions", field="request_id"),
        ),
        Call(name="instance action", path=f"{_SERVER}/os-instance-actions/{{action}}"),
        Call(name="volume attachments", path=f"{_SERVER}/os-volume_attachments"),
        Call(name="flavors", path="/v2.1/flavors", query={"limit": "50"}, pick=Pick(name="flavor", rows="flavors")),
        Call(name="flavors detail", path="/v2.1/flavors/detail", query={"limit": "50"}),
        Call(name="flavor", path="/v2.1/flavors/{flavor}"),
        Call(name="extra specs", path="/v2.1/flavors/{flavor}/os-extra_specs"),
        Call(name="limits", path="/v2.1/limits"),
        Call(name="quota class", path="/v2.1/os-quota-class-sets/default"),
        Call(name="key pairs", path="/v2.1/os-keypairs"),
        Call(name="server groups", path="/v2.1/os-server-groups", query={"all_projects": "1", "limit": "50"}),
        Call(name="services", path="/v2.1/os-services"),
        Call(name="hypervisors", path="/v2.1/os-hypervisors", pick=Pick(name="hypervisor", rows="hypervisors")),
        Call(name="hypervisors detail", path="/v2.1/os-hypervisors/detail", query={"limit": "50"}, since="2.33"),
        Call(name="hypervisor", path="/v2.1/os-hypervisors/{hypervisor}"),
        Call(name="hypervisor statistics", path="/v2.1/os-hypervisors/statistics", until="2.87"),
        Call(name="aggregates", path="/v2.1/os-aggregates", pick=Pick(name="aggregate", rows="aggregates")),
        Call(name="aggregate", path="/v2.1/os-aggregates/{aggregate}"),
        Call(name="availability zones", path="/v2.1/os-availability-zone"),
        Call(name="availability zones detail", path="/v2.1/os-availability-zone/detail"),
        Call(name="migrations", path="/v2.1/os-migrations", query={"limit": "50"}, since="2.59"),
    ),
    rules=Rules(
        maps=frozenset(
            {
                "metadata",
                "addresses",
                "extra_specs",
                "properties",
                "scheduler_hints",
                # The capabilities of a processor, by its kind and hypervisor.
                "cpu_info",
                # Of zones: by host, then by binary.
                "hosts",
                "hosts.{}",
                "rules",
                "meta",
            }
        ),
        # What views/servers.py, hypervisors.py and instance_actions.py show in certain states only.
        optional=frozenset(
            {
                *("fault", "progress", "adminPass", "security_groups", "servers", "uptime", "servers_links"),
                *("flavors_links", "migrations_links", "hypervisors_links", "server_groups_links", "details"),
                *("image.properties", "pinned_availability_zone", "scheduler_hints"),
            }
        ),
    ),
)
