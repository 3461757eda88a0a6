"""What the databases of keystone, glance and placement hold, as SQL tables: users' things, the catalog, allocations."""

import hashlib
import sqlite3

from simulator.nova import Nova
from simulator.settings import REGION
from simulator.tenants import ADMIN, DEFAULT_DOMAIN, Image, Tenants

_ROLES = {"admin": "8" * 32, "member": "9" * 32, "reader": "7" * 32}
_SERVICES = {"keystone": ("identity", ":5000/v3"), "placement": ("placement", ":8778")}
_SERVICES |= {"glance": ("image", ":9292"), "nova": ("compute", ":8774/v2.1")}
_INTERFACES = ("public", "internal", "admin")
_ROOT = "<<keystone.domain.root>>"
_CLASSES = {"VCPU": 0, "MEMORY_MB": 1, "DISK_GB": 2}
_TABLES = {
    "keystone": (
        "project (id, name, enabled INT, domain_id, parent_id, is_domain INT)",
        "`user` (id, enabled INT, domain_id)",
        "local_user (user_id, domain_id, name)",
        "nonlocal_user (user_id, domain_id, name)",
        "`group` (id, name, domain_id)",
        "user_group_membership (user_id, group_id)",
        "role (id, name, domain_id)",
        "assignment (type, actor_id, target_id, role_id, inherited INT)",
        "system_assignment (type, actor_id, target_id, role_id, inherited INT)",
        "region (id, parent_region_id)",
        "service (id, type, enabled INT, extra)",
        "endpoint (id, interface, service_id, url, enabled INT, region_id)",
    ),
    "glance": ("images (id, name, status, size INT, checksum, visibility, owner, deleted INT)",),
    # Nothing is ever archived here.
    "nova": ("shadow_instances (uuid)",),
    "nova_cell0": ("shadow_instances (uuid)",),
    "placement": (
        "resource_providers (id INT, uuid, name, root_provider_id INT)",
        "resource_classes (id INT, name)",
        "allocations (resource_provider_id INT, consumer_id, resource_class_id INT, used INT)",
    ),
}


class Tables:
    """These tables in a database of SQLite that has a schema for each service."""

    def __init__(self, database: sqlite3.Connection, tenants: Tenants, nova: Nova, vip: str) -> None:
        self._database, self._tenants, self._nova, self._vip = database, tenants, nova, vip
        for schema, tables in _TABLES.items():
            for table in tables:
                database.execute(f"CREATE TABLE {schema}.{table}")

    def fill(self, query: str) -> None:
        """Fill the tables of the schemas that a query names; a big cloud's take their time."""
        fillers = {"keystone.": self._keystone, "glance.images": self._glance, "placement.": self._placement}
        for mark, write in fillers.items():
            if mark in query:
                write()

    def _write(self, table: str, rows: list[tuple[object, ...]]) -> None:
        self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this module
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608

    def _keystone(self) -> None:
        projects, users = self._tenants.projects.values(), self._tenants.users.values()
        domains: list[tuple[object, ...]] = [
            (_ROOT, _ROOT, 0, _ROOT, None, 1),
            (DEFAULT_DOMAIN, "Default", 1, _ROOT, None, 1),
        ]
        self._write(
            "keystone.project", domains + [(p.id, p.name, int(p.enabled), p.domain, p.domain, 0) for p in projects]
        )
        self._write("keystone.`user`", [(user.id, int(user.enabled), user.domain) for user in users])
        self._write("keystone.local_user", [(user.id, user.domain, user.name) for user in users])
        self._write("keystone.role", [(id_, name, "<<null>>") for name, id_ in _ROLES.items()])
        self._write(
            "keystone.assignment",
            [
                ("UserProject", user.id, user.project, _ROLES["admin" if user.id == ADMIN else "member"], 0)
                for user in users
                if user.project is not None
            ],
        )
        self._write("keystone.region", [(REGION, None)])
        self._write(
            "keystone.service", [(name, kind, 1, f'{{"name": "{name}"}}') for name, (kind, _) in _SERVICES.items()]
        )
        self._write(
            "keystone.endpoint",
            [
                (f"{name}-{interface}", interface, name, f"http://{self._vip}{place}", 1, REGION)
                for name, (_, place) in _SERVICES.items()
                for interface in _INTERFACES
            ],
        )

    def _glance(self) -> None:
        tenants = self._tenants
        rows = [_image(image, 0) for image in tenants.images.values()]
        self._write("glance.images", rows + [_image(image, 1) for image in tenants.deleted_images.values()])

    def _placement(self) -> None:
        nova = self._nova
        numbers = {provider: number for number, provider in enumerate(nova.allocations, 1)}
        hosts = {provider: host for host, provider in nova.providers.items()}
        self._write("placement.resource_classes", [(number, name) for name, number in _CLASSES.items()])
        self._write(
            "placement.resource_providers",
            [(number, provider, hosts.get(provider, provider), number) for provider, number in numbers.items()],
        )
        self._write(
            "placement.allocations",
            [
                (numbers[provider], consumer, _CLASSES[name], amount)
                for provider, consumers in nova.allocations.items()
                for consumer, resources in consumers.items()
                for name, amount in resources.items()
            ],
        )


def _image(image: Image, deleted: int) -> tuple[object, ...]:
    # The data is not kept; what changes with it is.
    content = None if image.size is None else f"{image.id}/{image.size}".encode()
    checksum = None if content is None else hashlib.md5(content, usedforsecurity=False).hexdigest()
    return (image.id, image.name, image.status, image.size, checksum, image.visibility, image.owner, deleted)
