"""Servers as draining sees them, with everything that decides how they can leave their host; and what is done to them.

Microversions by nova's ``rest_api_version_history.rst``: 2.47 has the flavor in the server, 2.69 marks servers of a
cell that is down, 2.96 has the zone that a server was asked to be in, and 2.98 the properties of its image.
"""

import asyncio
import re
from typing import Any

from keystoneauth1.adapter import Adapter

from activities import openstack
from activities.clouds import Cloud, call, check, get
from model.base import JsonObject
from model.fleet import FleetGuest
from model.inventory import Inventory
from model.nova import LIVE_MIGRATION, Migration

NEWEST, OLDEST = "2.98", "2.69"
COLD_MIGRATE = "2.56"
PROGRESS = "2.59"
FORCE_COMPLETE = "2.22"
# 2.65: such that are queued or prepared can be aborted too.
ABORT = "2.65"
ALLOCATIONS = "1.28"

# What nova works on (nova/compute/manager.py and conductor/tasks): it has no filter for all of them at once.
_MOVING = (
    "accepted",
    "queued",
    "preparing",
    "running",
    "running (post-copy)",
    "pre-migrating",
    "migrating",
    "post-migrating",
)
_MOVING_SERVERS = ("MIGRATING", "RESIZE")
_TRAIT = re.compile(r"^trait\w*:(.+)$")
_RESOURCE = re.compile(r"^resources\w*:(.+)$")
_MIB_PER_GIB = 1024


async def read_guests(
    inventory: Inventory, *, host: str | None = None, status: str | None = None
) -> tuple[FleetGuest, ...]:
    """Return the servers of all tenants, on one host (exactly this name) or on all, in one status or in any.

    Raises:
        Unreachable: when a cell is down: guests that cannot be seen are not guests that do not exist.
    """
    newest = await _has_images(inventory)
    rows = await openstack.server_rows(inventory, NEWEST if newest else OLDEST, host=host, status=status)
    images = {} if newest else await _images(inventory, rows)
    return tuple(parse_guest(row, images) for row in rows)


async def read_guest(inventory: Inventory, guest: str) -> FleetGuest | None:
    """Return one server; None when there is none of this id."""

    def read(cloud: Cloud) -> JsonObject | None:
        response = cloud.compute.get(f"/servers/{guest}", microversion=OLDEST, connect_retries=2, raise_exc=False)
        if response.status_code == 404:
            return None
        check(response)
        return dict(response.json()["server"])

    row = await call(inventory, "nova", read)
    return None if row is None else parse_guest(row)


def parse_guest(row: JsonObject, images: dict[str, dict[str, str]] | None = None) -> FleetGuest:
    """Return a server from nova's row of it; ``images`` has properties of images that the row does not tell."""
    openstack.check_known(row)
    flavor, image = row.get("flavor") or {}, row.get("image") or {}
    specs = {str(name): str(value) for name, value in (flavor.get("extra_specs") or {}).items()}
    properties = image.get("properties") or (images or {}).get(image.get("id", ""), {})
    properties = {str(name): str(value) for name, value in properties.items()}
    disk = (int(flavor.get("disk") or 0) if image else 0) + int(flavor.get("ephemeral") or 0)
    disk += -(-int(flavor.get("swap") or 0) // _MIB_PER_GIB)
    return FleetGuest(
        **openstack.guest_of(row).model_dump(),
        vm_state=row.get("OS-EXT-STS:vm_state") or "",
        power_state=row.get("OS-EXT-STS:power_state", 1),
        zone=row.get("pinned_availability_zone"),
        locked=bool(row.get("locked", False)),
        tags=tuple(row.get("tags") or ()),
        metadata=row.get("metadata") or {},
        config_drive=str(row.get("config_drive")).lower() == "true",
        flavor=flavor.get("original_name", ""),
        extra_specs=specs,
        image=image.get("id", ""),
        image_properties=properties,
        volumes=len(row.get("os-extended-volumes:volumes_attached") or ()),
        local_disk_gb=disk,
        resources=_resources(flavor, specs, disk),
        traits=_traits(specs, properties),
    )


def _resources(flavor: JsonObject, specs: dict[str, str], disk: int) -> dict[str, float]:
    """What it holds in placement by its flavor; nova lets extra specs overrule that (``resources:VCPU=0``)."""
    processors = "PCPU" if specs.get("hw:cpu_policy") == "dedicated" else "VCPU"
    found = {processors: float(flavor.get("vcpus") or 0), "MEMORY_MB": float(flavor.get("ram") or 0), "DISK_GB": disk}
    for name, amount in specs.items():
        if matched := _RESOURCE.match(name):
            found[matched[1]] = float(amount)
    return {name: amount for name, amount in found.items() if amount}


def _traits(*sources: dict[str, str]) -> tuple[str, ...]:
    wanted = {(_TRAIT.match(name), value) for source in sources for name, value in source.items()}
    return tuple(sorted({matched[1] for matched, value in wanted if matched and value == "required"}))


async def _has_images(inventory: Inventory) -> bool:
    """Tell whether this nova shows the properties of images with its servers."""

    def read(cloud: Cloud) -> bool:
        known = cloud.compute.get_endpoint_data()
        return bool(known and known.max_microversion and known.max_microversion >= (2, 98))

    return await call(inventory, "nova", read)


async def _images(inventory: Inventory, rows: list[JsonObject]) -> dict[str, dict[str, str]]:
    """Ask glance once for each image; one that has been deleted since has no properties any more."""
    ids = sorted({row["image"]["id"] for row in rows if row.get("image")})

    def read(cloud: Cloud, image: str) -> dict[str, str]:
        glance = Adapter(
            session=cloud.session,
            service_type="image",
            interface=cloud.compute.interface,
            region_name=cloud.compute.region_name,
            min_version="2",
            max_version="2.latest",
        )
        response = glance.get(f"/images/{image}", connect_retries=2, raise_exc=False)
        if response.status_code == 404:
            return {}
        check(response)
        return {str(name): str(value) for name, value in response.json().items() if isinstance(value, str | bool)}

    def ask(image: str) -> Any:
        return call(inventory, "glance", lambda cloud: read(cloud, image))

    return dict(zip(ids, await asyncio.gather(*(ask(image) for image in ids)), strict=True))


# What is asked of nova. All of them answer as ``openstack.live_migrate`` does.


async def cold_migrate(inventory: Inventory, guest: str, host: str | None = None) -> str | None:
    """Move a guest while it is off; it then waits until somebody confirms that."""
    return await openstack.ask(inventory, f"/servers/{guest}/action", {"migrate": {"host": host}}, COLD_MIGRATE)


async def confirm(inventory: Inventory, guest: str) -> str | None:
    """Confirm a cold migration: what is left at the source is removed."""
    return await openstack.ask(inventory, f"/servers/{guest}/action", {"confirmResize": None}, COLD_MIGRATE)


async def stop(inventory: Inventory, guest: str) -> str | None:
    """Let a guest shut down; nova switches it off when it does not within its ``shutdown_timeout``."""
    return await openstack.ask(inventory, f"/servers/{guest}/action", {"os-stop": None}, COLD_MIGRATE)


async def start(inventory: Inventory, guest: str) -> str | None:
    """Start a guest on the host that it is on."""
    return await openstack.ask(inventory, f"/servers/{guest}/action", {"os-start": None}, COLD_MIGRATE)


async def set_metadata(inventory: Inventory, guest: str, key: str, value: str) -> str | None:
    """Write an item of a guest's metadata beside the others."""
    body: JsonObject = {"metadata": {key: value}}
    return await openstack.ask(inventory, f"/servers/{guest}/metadata", body, COLD_MIGRATE)


async def drop_metadata(inventory: Inventory, guest: str, key: str) -> str | None:
    """Remove an item of a guest's metadata; none of that key is fine."""
    return await _delete(inventory, f"/servers/{guest}/metadata/{key}", COLD_MIGRATE)


async def force_complete(inventory: Inventory, guest: str, migration: int) -> str | None:
    """Let a live migration complete, whatever that costs the guest: it is paused, or runs on before all has come."""
    path = f"/servers/{guest}/migrations/{migration}/action"
    return await openstack.ask(inventory, path, {"force_complete": None}, FORCE_COMPLETE)


async def abort(inventory: Inventory, guest: str, migration: int) -> str | None:
    """End a live migration; the guest stays where it was."""
    return await _delete(inventory, f"/servers/{guest}/migrations/{migration}", ABORT)


async def _delete(inventory: Inventory, path: str, microversion: str) -> str | None:
    def delete(cloud: Cloud) -> str | None:
        return openstack.refusal(cloud.compute.delete(path, microversion=microversion, raise_exc=False))

    return await call(inventory, "nova", delete)


async def copying(inventory: Inventory, guest: str) -> list[JsonObject]:
    """Return nova's rows of a guest's live migrations that go on, with the bytes that are still to be copied."""

    def read(cloud: Cloud) -> list[JsonObject]:
        response = cloud.compute.get(
            f"/servers/{guest}/migrations", microversion=PROGRESS, connect_retries=2, raise_exc=False
        )
        if response.status_code == 404:
            return []
        check(response)
        return list(response.json()["migrations"])

    return await call(inventory, "nova", read)


async def moving(inventory: Inventory) -> tuple[Migration, ...]:
    """Return everything that moves in the cloud just now, whoever began it.

    A migration that nova has just taken on has no record yet: it shows in its server's status only.
    """
    # One after the other: together they would take the connections of everybody else. And in the order in which a
    # migration comes through them: one that goes on meanwhile is seen in the next.
    guests = [guest for status in _MOVING_SERVERS for guest in await openstack.guests(inventory, status=status)]
    moves = [move for status in _MOVING for move in await openstack.migrations(inventory, status=status)]
    found = {move.guest: move for move in moves if move.moving}
    for guest in guests:
        unseen = Migration(id=0, guest=guest.id, kind=LIVE_MIGRATION, status="accepted", source=guest.host or "")
        found.setdefault(guest.id, unseen)
    return tuple(found.values())


async def held_by(inventory: Inventory, consumer: str) -> frozenset[str]:
    """Return the resource providers on which a consumer (a guest's or a migration's id) holds something."""

    def read(cloud: Cloud) -> frozenset[str]:
        return frozenset(get(cloud.placement, f"/allocations/{consumer}", ALLOCATIONS)["allocations"])

    return await call(inventory, "placement", read)


async def forget_allocations(inventory: Inventory, consumer: str) -> None:
    """Take everything back in placement that a consumer (a guest's or a migration's id) holds."""

    def forget(cloud: Cloud) -> None:
        response = cloud.placement.delete(f"/allocations/{consumer}", microversion=ALLOCATIONS, raise_exc=False)
        if response.status_code != 404:  # somebody else was faster
            check(response)

    await call(inventory, "placement", forget)
