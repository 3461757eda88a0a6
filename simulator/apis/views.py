"""How nova shows a guest, a flavor, a group, a migration: by the microversion that was asked for."""

from typing import Any

from model.components import COMPUTE_UNIT
from simulator.catalog import Flavor
from simulator.cloud import SimCloud
from simulator.guests import Group, Guest, Migration, instance_name
from simulator.http import Request
from simulator.machines import Power

Version = tuple[int, int]
_OLDEST: Version = (2, 1)
_MEGABYTE = 1024 * 1024
# nova/compute/power_state.py; a suspended guest's memory is on disk, and its domain shut off.
_POWER = {Power.RUNNING: 1, Power.PAUSED: 3, Power.SAVED: 4, Power.OFF: 4}
_WITH_FAULT = {"ERROR", "DELETED"}


def microversion(request: Request) -> Version:
    """Return the microversion that a request asks for; the oldest one if it asks for none."""
    text = request.headers.get("x-openstack-nova-api-version", "")
    if "openstack-api-version" in request.headers:
        text = request.headers["openstack-api-version"].removeprefix("compute").strip()
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else _OLDEST


def server(cloud: SimCloud, request: Request, guest: Guest) -> dict[str, Any]:
    """Return a guest as administrators see it."""
    version = microversion(request)
    row = {
        "id": guest.id,
        "name": guest.name,
        "status": guest.status,
        "tenant_id": guest.project,
        "user_id": guest.project,
        "created": guest.created,
        "updated": guest.created,
        "flavor": _flavor_of(guest, version),
        "image": _image(cloud, guest, version),
        "metadata": dict(guest.metadata),
        "config_drive": "True" if guest.config_drive else "",
        "addresses": {},
        "links": [],
        "os-extended-volumes:volumes_attached": [_volume(id_, version) for id_ in guest.volumes],
        "OS-EXT-STS:task_state": guest.task_state,
        "OS-EXT-STS:vm_state": guest.vm_state,
        "OS-EXT-STS:power_state": _power_state(cloud, guest),
        "OS-EXT-AZ:availability_zone": cloud.nova.zone_of(guest.host) if guest.host else "",
        "OS-EXT-SRV-ATTR:host": guest.host,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": guest.host,
        "OS-EXT-SRV-ATTR:instance_name": instance_name(guest.id),
        "OS-SRV-USG:launched_at": guest.created[:19] or None,
        "OS-SRV-USG:terminated_at": None,
    }
    if guest.fault and guest.status in _WITH_FAULT:
        row["fault"] = {"code": 500, "message": guest.fault, "created": guest.created}
    return row | _newer(cloud, guest, version)


def _newer(cloud: SimCloud, guest: Guest, version: Version) -> dict[str, Any]:
    """Return the fields that came with microversions."""
    fields: dict[Version, tuple[str, Any]] = {
        (2, 9): ("locked", guest.locked),
        (2, 16): ("host_status", _host_status(cloud, guest)),
        (2, 19): ("description", None),
        (2, 26): ("tags", list(guest.tags)),
        (2, 63): ("trusted_image_certificates", None),
        (2, 73): ("locked_reason", guest.locked_reason),
        (2, 96): ("pinned_availability_zone", guest.zone),
        (2, 100): ("scheduler_hints", {}),
    }
    return {name: value for since, (name, value) in fields.items() if version >= since}


def _flavor_of(guest: Guest, version: Version) -> dict[str, Any]:
    if version < (2, 47):
        return {"id": guest.flavor.id, "links": []}
    return {
        "original_name": guest.flavor.name,
        **guest.flavor.numbers,
        "extra_specs": dict(guest.flavor.extra_specs),
    }


def _image(cloud: SimCloud, guest: Guest, version: Version) -> dict[str, Any] | str:
    if guest.image is None:
        return ""
    row: dict[str, Any] = {"id": guest.image, "links": []}
    if version >= (2, 98):
        image = cloud.tenants.images.get(guest.image)
        row["properties"] = dict(image.properties) if image else {}
    return row


def _volume(id_: str, version: Version) -> dict[str, Any]:
    return {"id": id_, "delete_on_termination": False} if version >= (2, 3) else {"id": id_}


def _power_state(cloud: SimCloud, guest: Guest) -> int:
    if guest.host is None:
        return 0
    return _POWER[cloud.machines[guest.id].power]


def _host_status(cloud: SimCloud, guest: Guest) -> str:
    if guest.host is None:
        return ""
    row = cloud.nova.record(COMPUTE_UNIT, guest.host)
    if row.forced_down:
        return "DOWN"
    if not cloud.nova.is_up(row):
        return "UNKNOWN"
    return "MAINTENANCE" if row.disabled else "UP"


def flavor(one: Flavor, version: Version) -> dict[str, Any]:
    """Return a flavor of the list."""
    row = {"id": one.id, "name": one.name, **one.numbers, "os-flavor-access:is_public": True, "links": []}
    row["OS-FLV-EXT-DATA:ephemeral"] = row.pop("ephemeral")
    return {**row, "extra_specs": dict(one.extra_specs)} if version >= (2, 61) else row


def group(cloud: SimCloud, one: Group, version: Version) -> dict[str, Any]:
    """Return a server group; members that are deleted are left out."""
    members = [id_ for id_ in one.members if id_ in cloud.nova.guests]
    row: dict[str, Any] = {"id": one.id, "name": one.name, "members": members}
    if version >= (2, 13):
        row |= {"project_id": one.project, "user_id": one.project}
    if version < (2, 64):
        return {**row, "policies": [str(one.policy)], "metadata": {}}
    rules = {"max_server_per_host": one.max_per_host} if one.max_per_host != 1 else {}
    return {**row, "policy": str(one.policy), "rules": rules}


def migration(cloud: SimCloud, move: Migration) -> dict[str, Any]:
    """Return a migration as the list of all shows it."""
    return {
        "id": move.id,
        "uuid": move.uuid,
        "instance_uuid": move.guest,
        "migration_type": move.kind,
        "status": move.status,
        **_hosts(cloud, move),
    }


def running_migration(cloud: SimCloud, move: Migration) -> dict[str, Any]:
    """Return a live migration as its guest's list shows it: how much is copied, and how much is left."""
    guest = cloud.nova.guests[move.guest]
    total = guest.flavor.ram * _MEGABYTE
    done, left = cloud.mover.progress(guest, move)
    if move.copying is None:
        total = 0
    return {
        "id": move.id,
        "uuid": move.uuid,
        "server_uuid": move.guest,
        "status": move.status,
        "memory_total_bytes": total,
        "memory_processed_bytes": int(total * done),
        "memory_remaining_bytes": int(total * left),
        "disk_total_bytes": 0,
        "disk_processed_bytes": 0,
        "disk_remaining_bytes": 0,
        **_hosts(cloud, move),
    }


def _hosts(cloud: SimCloud, move: Migration) -> dict[str, Any]:
    return {
        "source_compute": move.source,
        "source_node": move.source,
        "dest_compute": move.written_target,
        "dest_node": move.target,
        "dest_host": cloud.hosts[move.target].address if move.target else None,
        "created_at": cloud.clock.iso(move.created),
        "updated_at": cloud.clock.iso(move.updated),
    }
