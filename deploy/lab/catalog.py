"""First contents of a new cloud: service users and endpoints, flavor, image, an ordinary user, guests."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import openstack

from deploy.lab import guest_image
from deploy.lab.api import Api
from deploy.lab.command import wait
from deploy.lab.settings import REGION, VIP, LabSpec, Secrets
from deploy.lab.templates import PORTS

_SERVICES = {
    "placement": ("placement", f"http://{VIP}:{PORTS['placement']}"),
    "glance": ("image", f"http://{VIP}:{PORTS['glance']}"),
    "nova": ("compute", f"http://{VIP}:{PORTS['nova-api']}/v2.1"),
    "neutron": ("network", f"http://{VIP}:9696"),
}
FLAVOR = "m1.tiny"
IMAGE = "cirros-like"
REAL_IMAGE = "counter"
_IMAGE_SIZE = 8192
_PROVIDERS = "/resource_providers"
_HYPERVISORS = "/v2.1/os-hypervisors"


def connect(secrets: Secrets, **overrides: str) -> Any:
    """Return an openstacksdk connection of the admin."""
    return openstack.connect(
        auth_url=f"http://{VIP}:5000/v3",
        username="admin",
        password=secrets.admin,
        project_name="admin",
        user_domain_name="Default",
        project_domain_name="Default",
        region_name=REGION,
        load_yaml_config=False,
        load_envvars=False,
        **overrides,
    )


def create_identities(spec: LabSpec, secrets: Secrets) -> None:
    """Make the service users, the catalog, and the ordinary user demo; what is there already stays."""
    # Straight to the first control host: the load balancer may not have noticed yet that Keystone is up.
    keystone = f"http://{spec.controls[0].address}:5000/v3"
    identity = openstack.connect(
        auth_url=keystone,
        username="admin",
        password=secrets.admin,
        project_name="admin",
        user_domain_name="Default",
        project_domain_name="Default",
        region_name=REGION,
        identity_endpoint_override=keystone,
        load_yaml_config=False,
        load_envvars=False,
    ).identity
    roles = {role.name: role for role in identity.roles()}
    if "service" not in roles:
        roles["service"] = identity.create_role(name="service")
    project = _project(identity, "service")
    for name in _SERVICES:
        _user(identity, name, secrets.service, project, [roles["admin"], roles["service"]])
    _user(identity, "demo", secrets.demo, _project(identity, "demo"), [roles["member"]])
    known = {service.name for service in identity.services()}
    for name, (kind, url) in _SERVICES.items():
        if name not in known:
            service = identity.create_service(name=name, type=kind)
            for interface in ("public", "internal"):
                identity.create_endpoint(service_id=service.id, interface=interface, url=url, region_id=REGION)


def _project(identity: Any, name: str) -> Any:
    return identity.find_project(name) or identity.create_project(name=name, domain_id="default")


def _user(identity: Any, name: str, password: str, project: Any, roles: list[Any]) -> None:
    user = identity.find_user(name) or identity.create_user(
        name=name, password=password, domain_id="default", default_project_id=project.id
    )
    for role in roles:
        identity.assign_project_role_to_user(project, user, role)


def create_flavor_and_image(secrets: Secrets) -> tuple[str, str]:
    """Make the flavor and the image, and return their ids."""
    cloud = connect(secrets)
    flavor = cloud.compute.find_flavor(FLAVOR) or cloud.compute.create_flavor(name=FLAVOR, ram=64, vcpus=1, disk=1)
    image = cloud.image.find_image(IMAGE)
    if image is None:
        image = cloud.image.create_image(
            name=IMAGE,
            disk_format="raw",
            container_format="bare",
            visibility="public",
            data=b"stackroll lab\n".ljust(_IMAGE_SIZE, b"\0"),
            validate_checksum=False,
        )
    return str(flavor.id), str(image.id)


def create_real_flavor_and_image(secrets: Secrets, files: Path) -> tuple[str, str]:
    """Make the flavor and the image of guests that QEMU runs, and return their ids.

    Args:
        secrets: The lab's passwords.
        files: Directory with what `guest_image.write` has written.
    """
    cloud = connect(secrets)
    flavor = cloud.compute.find_flavor(FLAVOR) or cloud.compute.create_flavor(
        name=FLAVOR, ram=guest_image.MEMORY_MB, vcpus=1, disk=1
    )
    # Nova gives them to QEMU with the disk; hidden, because nobody can boot from them.
    kernel = _image(cloud, "counter-kernel", "aki", files / guest_image.KERNEL)
    ramdisk = _image(cloud, "counter-ramdisk", "ari", files / guest_image.RAMDISK)
    properties = {"kernel_id": kernel, "ramdisk_id": ramdisk, "os_command_line": guest_image.COMMAND_LINE}
    disk = _image(cloud, REAL_IMAGE, "raw", files / guest_image.DISK, **properties)
    return str(flavor.id), disk


def _image(cloud: Any, name: str, kind: str, file: Path, **properties: str) -> str:
    """Upload an image unless it is there, and return its id."""
    image = cloud.image.find_image(name)
    if image is None:
        image = cloud.image.create_image(
            name=name,
            disk_format=kind,
            container_format="bare" if kind == "raw" else kind,
            visibility="public",
            data=file.read_bytes(),
            validate_checksum=False,
            **properties,
        )
    if kind != "raw":
        cloud.image.update_image(image, is_hidden=True)
    return str(image.id)


def wait_computes(spec: LabSpec, secrets: Secrets, map_hosts: Callable[[], object], timeout: float = 120) -> None:
    """Wait until nova can place guests on every compute host: known to Placement, mapped to a cell.

    Args:
        spec: The lab.
        secrets: Its passwords.
        map_hosts: Runs discover_hosts. The scheduler does that by itself too, but first after up to a minute.
        timeout: Seconds to wait for each of the two.
    """
    api = Api(secrets.admin)
    wanted = {host.name for host in spec.computes}

    def missing(found: Iterable[str]) -> str:
        return ", ".join(sorted(wanted - set(found)))

    def providers() -> str:
        return missing(item["name"] for item in api.call("GET", "placement", _PROVIDERS)["resource_providers"])

    def hypervisors() -> str:
        return missing(item["hypervisor_hostname"] for item in api.call("GET", "nova-api", _HYPERVISORS)["hypervisors"])

    wait("compute hosts in Placement", providers, timeout=timeout, interval=0.5, remedy="stackroll lab status")
    map_hosts()
    wait("compute hosts in a cell", hypervisors, timeout=timeout, interval=0.5, remedy="stackroll lab status")


def boot_guests(spec: LabSpec, secrets: Secrets, flavor: str, image: str) -> None:
    """Boot the guests, spread over the compute hosts, and wait until they are active."""
    api = Api(secrets.admin)
    there = {guest["name"] for guest in api.servers()}
    for number in range(spec.guests):
        host = spec.computes[number % spec.compute].name
        body = {"name": f"guest{number}", "flavorRef": flavor, "imageRef": image, "networks": "none", "host": host}
        if body["name"] not in there:
            api.call("POST", "nova-api", "/v2.1/servers", {"server": body})

    def probe() -> str:
        wrong = [f"{guest['name']} is {guest['status']}" for guest in api.servers() if guest["status"] != "ACTIVE"]
        return "; ".join(wrong)

    wait("guests to become ACTIVE", probe, timeout=120, interval=0.5, remedy="stackroll lab status")
