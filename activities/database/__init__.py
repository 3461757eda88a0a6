"""What is done to the database server itself: shell scripts for it, by the name of the database adapter."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from activities.registry import Registry
from model.base import Record
from model.inventory import Inventory
from model.losses import Losses

Schemas = Mapping[str, Sequence[str]]


class Dump(Record):
    """A dump as it lies on the database host.

    Attributes:
        path: the file there.
        bytes: its size.
        sha256: its checksum.
        tables: how many tables it holds.
        restored: whether it was restored into scratch schemas as a test; False when it is too big for that.
        position: the binary log position that it belongs to; empty without a binary log.
        taken: when it was begun, ISO 8601 in UTC by the database host's clock.
    """

    path: str
    bytes: int
    sha256: str
    tables: int
    restored: bool
    position: str = ""
    taken: str = ""


class FoundDump(Record):
    """The dump of a service that counts, if there is a whole one; and later ones that are damaged."""

    dump: Dump | None = None
    damaged: tuple[str, ...] = ()


class Restored(Record):
    """What a restore has done.

    Attributes:
        dumps: by service the dump that was restored.
        before: where the dumps of what was there before lie.
        lists: the file on the database host with every guest that is named below, a line each.
        counts: guests ``moved`` since the dump, whose rows were corrected; ``changed`` otherwise (resized, rescued);
            ``lost``, made since; ``back``, deleted since; ``unheld``, whose allocations could not be carried over.
        reallocated: guests whose allocations were moved to where they are.
    """

    dumps: dict[str, str]
    before: str
    lists: str
    counts: dict[str, int]
    reallocated: int = 0


class Scratch(Record):
    """A database server of its own for a rehearsal.

    Attributes:
        place: the folder with everything that it consists of.
        unit: its name for the service manager.
        address: where it listens, and ``port``.
    """

    place: str
    unit: str
    address: str
    port: int = 33306

    @property
    def password_file(self) -> str:
        """Where the password of its user ``rehearsal`` lies; it is worth nothing once the server has gone."""
        return f"{self.place}/password"


class Database(Protocol):
    """A database server, as its local administrator sees it."""

    def dump(self, databases: Sequence[str], path: str, *, test: bool = True) -> str:
        """Return a script that writes one consistent dump of these schemas and proves that it is whole.

        Without ``test`` nothing is restored into the server: it is only read.
        """

    def parse_dump(self, output: str) -> Dump:
        """Return what the script of ``dump`` has printed."""

    def find(self, folder: str, services: Schemas) -> str:
        """Return a script that looks for each service's dump in a folder and proves its checksum. It only reads."""

    def parse_found(self, output: str) -> dict[str, FoundDump]:
        """Return by service what the script of ``find`` has printed."""

    def losses(self, folder: str, services: Schemas) -> str:
        """Return a script that compares what is there with the services' dumps. It only reads."""

    def parse_losses(self, output: str) -> Losses:
        """Return what the script of ``losses`` has printed."""

    def restore(self, folder: str, services: Schemas, upgrade: str) -> str:
        """Return a script that puts dumps in the place of what is there, with guests where they are now.

        What is there is dumped before. It fails, with nothing changed, while somebody is connected to the schemas.
        """

    def parse_restored(self, output: str) -> Restored:
        """Return what the script of ``restore`` has printed."""

    def forget(self, base: str, baselines: str, own: str, seconds: float) -> str:
        """Return a script that deletes what is kept of other upgrades and is older than so many seconds."""

    def parse_forgotten(self, output: str) -> tuple[str, ...]:
        """Return the upgrades whose dumps the script of ``forget`` has deleted."""

    def settings(self) -> str:
        """Return a command that prints the settings of the server that migrations depend on. It only reads."""

    def scratch_start(self, scratch: Scratch, settings: str, need: int) -> str:
        """Return a script that starts a server of its own with these settings and room for so many bytes."""

    def scratch_restore(self, scratch: Scratch, databases: Sequence[str], path: str) -> str:
        """Return a script that restores a dump into it, with nothing in it that leads back to production."""

    def scratch_listen(self, scratch: Scratch) -> str:
        """Return a command after which it notes what is sent to it."""

    def scratch_heard(self, scratch: Scratch) -> str:
        """Return the command that ends this, and prints what ``parse_heard`` reads."""

    def parse_heard(self, output: str) -> tuple[tuple[str, str, str], ...]:
        """Return seconds, rows written and text of each statement that writes."""

    def scratch_stop(self, scratch: Scratch) -> str:
        """Return a script that ends it and removes everything of it."""

    def scratch_url(self, scratch: Scratch, password: str, schema: str) -> str:
        """Return how the services' tools reach a schema in it."""

    def record_versions(self, host: str, binaries: Sequence[str], version: int) -> str:
        """Return a script that sets nova's service record versions and prints what ``parse_records`` reads."""

    def parse_records(self, output: str) -> tuple[int, int | None]:
        """Return how many records there are, and the lowest version that any host's had before."""


registry: Registry[Database] = Registry(__name__, "database")


def database_of(inventory: Inventory) -> Database:
    """Return the database adapter of a cloud."""
    return registry.make(inventory.database.adapter)
