"""What users have besides servers: keystone's users and projects, glance's images."""

import uuid
from dataclasses import dataclass, field
from typing import Any

DEFAULT_DOMAIN = "default"
ADMIN, DEMO = "a" * 32, "d" * 32
# The image that is there from the beginning.
TINY = "1" * 8 + "-0000-4000-8000-" + "1" * 12
_TINY_SIZE = 1048576


@dataclass
class Account:
    """A user or a project."""

    id: str
    name: str
    enabled: bool = True
    domain: str = DEFAULT_DOMAIN
    project: str | None = None


@dataclass
class Image:
    """An image; ``queued`` until its data has come."""

    id: str
    name: str
    status: str = "queued"
    size: int | None = None
    owner: str = ADMIN
    visibility: str = "shared"
    properties: dict[str, Any] = field(default_factory=dict)


class Tenants:
    """keystone's database and glance's, as far as users write to them, and their keys in nova's."""

    def __init__(self) -> None:
        self.projects = {id_: Account(id_, name) for name, id_ in (("admin", ADMIN), ("demo", DEMO))}
        self.users = {id_: Account(id_, name, project=id_) for name, id_ in (("admin", ADMIN), ("demo", DEMO))}
        self.keypairs: dict[str, str] = {}
        self.deleted_images: dict[str, Image] = {}
        self.images = {TINY: Image(TINY, "tiny", "active", _TINY_SIZE, visibility="public")}

    def add_user(self, name: str, project: str | None = None) -> Account:
        """Make a user."""
        return _added(self.users, Account(uuid.uuid4().hex, name, project=project))

    def add_project(self, name: str) -> Account:
        """Make a project."""
        return _added(self.projects, Account(uuid.uuid4().hex, name))

    def add_image(self, name: str, properties: dict[str, Any]) -> Image:
        """Make an image without data."""
        image = Image(str(uuid.uuid4()), name, owner=DEMO, properties=properties)
        self.images[image.id] = image
        return image

    def delete_image(self, image: Image) -> None:
        """Delete an image; glance keeps its row."""
        self.deleted_images[image.id] = self.images.pop(image.id)


def _added(table: dict[str, Account], account: Account) -> Account:
    table[account.id] = account
    return account
