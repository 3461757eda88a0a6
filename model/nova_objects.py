"""Where nova keeps serialised objects in its databases, and what of a new release an old one could not read there.

A versioned object is stored as JSON with its kind and version (``nova_object.name``, ``nova_object.version``); code
that does not know the version refuses the whole row with ``IncompatibleObjectVersion``. Read for nova 31 to 34:
``nova/db/api/models.py``, ``nova/db/main/models.py``, and every ``obj_to_primitive`` and ``to_json`` below
``nova/objects/``.
"""

from collections.abc import Collection, Iterable, Mapping

from model.base import Record


class Stored(Record):
    """A column that holds objects.

    Attributes:
        table: its table; each has a numeric key ``id``.
        column: the column.
        kind: the kind of object at its root; ``flavor`` holds three of them in a plain mapping.
    """

    table: str
    column: str
    kind: str


API_COLUMNS: tuple[Stored, ...] = (
    Stored(table="request_specs", column="spec", kind="RequestSpec"),
    Stored(table="build_requests", column="instance", kind="Instance"),
    Stored(table="build_requests", column="block_device_mappings", kind="BlockDeviceMappingList"),
    Stored(table="build_requests", column="tags", kind="TagList"),
)
# Of every cell, cell0 too. The columns pci_requests, supported_instances, stats and metrics hold plain JSON.
CELL_COLUMNS: tuple[Stored, ...] = (
    Stored(table="instance_extra", column="device_metadata", kind="InstanceDeviceMetadata"),
    Stored(table="instance_extra", column="numa_topology", kind="InstanceNUMATopology"),
    Stored(table="instance_extra", column="flavor", kind="Flavor"),
    Stored(table="instance_extra", column="vcpu_model", kind="VirtCPUModel"),
    Stored(table="instance_extra", column="migration_context", kind="MigrationContext"),
    Stored(table="instance_extra", column="keypairs", kind="KeyPairList"),
    Stored(table="instance_extra", column="trusted_certs", kind="TrustedCerts"),
    Stored(table="instance_extra", column="resources", kind="ResourceList"),
    # nova-compute writes these two anew, but an old one must read them first.
    Stored(table="compute_nodes", column="numa_topology", kind="NUMATopology"),
    Stored(table="compute_nodes", column="pci_stats", kind="PciDevicePoolList"),
)

_ROWS = "its fields are columns of a table of its own"
_LISTS = "only rows of a table are collected in it"
_MESSAGES = "it travels in messages only"
_ANSWERS = "it is made anew for each answer"
_PLAIN = "it is stored as plain JSON, without a version"

# Kinds that no stored one contains, and why a change of theirs is no obstacle to going back.
NEVER_STORED: dict[str, str] = {
    **dict.fromkeys(
        (
            "Aggregate", "BuildRequest", "ConsoleAuthToken", "EC2InstanceMapping", "HostMapping", "InstanceAction",
            "InstanceActionEvent", "InstanceMapping", "Migration", "Quotas", "QuotasNoOp", "S3ImageMapping",
            "ShareMapping", "TaskLog", "VirtualInterface", "VolumeUsage",
        ),
        _ROWS,
    ),
    **dict.fromkeys(
        (
            "AggregateList", "BuildRequestList", "CellMappingList", "FlavorList", "HostMappingList",
            "InstanceActionEventList", "InstanceActionList", "InstanceFaultList", "InstanceGroupList", "InstanceList",
            "InstanceMappingList", "MigrationList", "ShareMappingList", "TaskLogList", "VirtualInterfaceList",
        ),
        _LISTS,
    ),
    **dict.fromkeys(
        (
            "HyperVLiveMigrateData", "InstanceExternalEvent", "LibvirtLiveMigrateBDMInfo", "LibvirtLiveMigrateData",
            "LibvirtLiveMigrateNUMAInfo", "Selection", "VIFMigrateData", "VMwareLiveMigrateData",
        ),
        _MESSAGES,
    ),
    **dict.fromkeys(
        ("CpuDiagnostics", "Diagnostics", "DiskDiagnostics", "MemoryDiagnostics", "NicDiagnostics"),
        _ANSWERS,
    ),
    **dict.fromkeys(("MonitorMetric", "MonitorMetricList"), _PLAIN),
}  # fmt: skip


def roots() -> tuple[str, ...]:
    """Return the kinds at the roots of the stored columns."""
    return tuple(dict.fromkeys(stored.kind for stored in (*API_COLUMNS, *CELL_COLUMNS)))


def find_newer(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds that the new code has in a newer version than the old one, or the old one has not at all.

    Args:
        old: by kind the version that the old code has.
        new: the same of the new code.

    Returns:
        By kind what changed, such as ``1.42 to 1.44`` or ``new in 1.0``.
    """
    return {
        kind: f"{old[kind]} to {version}" if kind in old else f"new in {version}"
        for kind, version in sorted(new.items())
        if kind not in old or as_version(version) > as_version(old[kind])
    }


def find_unmapped(old: Mapping[str, str], new: Mapping[str, str], reachable: Collection[str]) -> dict[str, str]:
    """Return the newer kinds of which nobody knows whether and where they are stored: they forbid to go back.

    Args:
        old: by kind the version that the old code has.
        new: the same of the new code.
        reachable: the kinds that stored ones contain, by the new code's own fields.
    """
    known = {*reachable, *NEVER_STORED}
    return {kind: change for kind, change in find_newer(old, new).items() if kind not in known}


def as_version(text: str) -> tuple[int, ...]:
    """Return an object's version as something that can be compared."""
    return tuple(int(part) for part in text.split("."))


def columns_argument(columns: Iterable[Stored]) -> dict[str, list[str]]:
    """Return columns by table, as the rewriting program takes them."""
    found: dict[str, list[str]] = {}
    for stored in columns:
        found.setdefault(stored.table, []).append(stored.column)
    return found
