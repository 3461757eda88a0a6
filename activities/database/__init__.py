"""What is done to the database server itself: shell scripts for it, by the name of the database adapter."""

from collections.abc import Sequence
from typing import Protocol

from activities.registry import Registry
from model.base import Record
from model.inventory import Inventory


class Dump(Record):
    """A dump as it lies on the database host.

    Attributes:
        path: the file there.
        bytes: its size.
        sha256: its checksum.
        tables: how many tables it holds.
        restored: whether it was restored into scratch schemas as a test; False when it is too big for that.
        position: the binary log position that it belongs to; empty without a binary log.
    """

    path: str
    bytes: int
    sha256: str
    tables: int
    restored: bool
    position: str = ""


class Database(Protocol):
    """A database server, as its local administrator sees it."""

    def dump(self, databases: Sequence[str], path: str) -> str:
        """Return a script that writes one consistent dump of these schemas and proves that it is whole."""

    def parse_dump(self, output: str) -> Dump:
        """Return what the script of ``dump`` has printed."""

    def record_versions(self, host: str, binaries: Sequence[str], version: int) -> str:
        """Return a script that sets nova's service record versions and prints what ``parse_records`` reads."""

    def parse_records(self, output: str) -> tuple[int, int | None]:
        """Return how many records there are, and the lowest version that any host's had before."""


registry: Registry[Database] = Registry(__name__, "database")


def database_of(inventory: Inventory) -> Database:
    """Return the database adapter of a cloud."""
    return registry.make(inventory.database.adapter)
