"""What was read on a cloud's hosts that tells which versions are installed, and which really run."""

from model.base import Record
from model.reboot import HostBoot


class ProcessReading(Record):
    """A process of a unit.

    Attributes:
        environments: the versions of its service whose files it runs from, by the names of their directories.
        started: seconds since 1970; None when that could not be read.
        deleted: files below the packaging root that it has open, and that are no longer there.
    """

    pid: int
    environments: tuple[str, ...] = ()
    started: float | None = None
    deleted: tuple[str, ...] = ()


class UnitReading(Record):
    """A unit: systemd's word for it, and its processes."""

    active: str
    processes: tuple[ProcessReading, ...] = ()


class Library(Record):
    """A distribution in an environment: its version, and when its files were last put there (seconds since 1970)."""

    version: str
    put: float | None = None


class Environment(Record):
    """A service at a version on a host: whether units start from it, and of what it is made as far as was asked."""

    version: str
    active: bool = False
    whole: bool = True
    libraries: dict[str, Library] = {}


class GuestProcess(Record):
    """A QEMU process whose program has been replaced since it was started."""

    pid: int
    guest: str = ""
    version: str = ""


class HostReading(Record):
    """What was read on one host.

    Attributes:
        units: by name.
        environments: by service.
        hypervisor: the version of the QEMU that is installed, where one is.
        guests: the machines that run on one that was replaced.
        unread: why it could not be read; empty when it could.
    """

    units: dict[str, UnitReading] = {}
    environments: dict[str, tuple[Environment, ...]] = {}
    boot: HostBoot | None = None
    hypervisor: str = ""
    guests: tuple[GuestProcess, ...] = ()
    unread: str = ""


class Candidate(Record):
    """A version of a service that the repository has, and the versions of distributions that its lock names."""

    service: str
    version: str
    pins: dict[str, str] = {}


class CloudReading(Record):
    """What was read of a cloud: its hosts, and its repository, or why that could not be read."""

    hosts: dict[str, HostReading] = {}
    repository: tuple[Candidate, ...] = ()
    unread: dict[str, str] = {}
