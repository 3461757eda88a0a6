"""Whom a run tells what: the part of the specification, and what is told; without any address, which holds secrets."""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from model.base import Record
from model.durations import Seconds
from model.fleet import GuestClass
from model.inventory import Inventory
from model.status import Remaining, Waiting
from model.work import GuestFacts

# How often telling is tried before it is given up; what cannot be told fails no run.
TRIES = 4
_REFERENCE = re.compile(r"(?:env:[A-Za-z_][A-Za-z0-9_]*|file:/\S+)")


class Occasion(StrEnum):
    """When people are told something."""

    PLANNED = "planned"
    REMINDER = "reminder"
    STARTED = "started"
    NEEDS_YOU = "needs_you"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


def is_reference(text: str) -> bool:
    """Tell whether a text names where an address is found: ``env:NAME`` or ``file:/PATH``."""
    return _REFERENCE.fullmatch(text) is not None


def _as_reference(text: str) -> str:
    # What was written instead is probably the address with its password: it must not be repeated.
    if not is_reference(text):
        raise ValueError(
            "must be env:NAME (a variable of the worker's environment) or file:/PATH (a file on the worker's machine); "
            "the address itself holds secrets, and does not belong into a specification"
        )
    return text


Reference = Annotated[str, AfterValidator(_as_reference)]


class Notify(Record):
    """Who is told, by references to addresses that the worker knows.

    Attributes:
        operators: are told everything.
        users: are told when the work is planned, begins and ends. An address with ``{project}`` in it stands for one
            address for each project, which is told of its own guests; any other is told of the cloud alone.
        projects: addresses of single projects, by their id; each is told of its own guests.
        templates: a folder on the worker's machine whose texts take the place of the usual ones.
        reminder: how long before a planned begin people are reminded.
    """

    operators: tuple[Reference, ...] = ()
    users: tuple[Reference, ...] = ()
    projects: dict[str, tuple[Reference, ...]] = {}
    templates: str | None = None
    reminder: Seconds = 86400.0

    @property
    def anybody(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self.operators or self.users or self.projects)


class Expected(Record):
    """When something is expected to begin and end, ISO 8601 in UTC."""

    begin: str
    end: str


class Announcement(Record):
    """The input of ``notify``: what there is to tell. The guests themselves are read when it is told.

    Attributes:
        id: unique among all that is told; the same when it is told again after a failure.
        run: its id; empty before it is started.
        at: when this came about.
        begin: when the work is expected to begin, or began; None where nobody knows. ``end``: in the same way.
        hosts: the compute hosts that are worked on, and when.
        treatment: how guests leave their hosts, by id; those that are not named move while they run.
    """

    id: str
    occasion: Occasion
    run: str
    kind: Literal["RollingUpgrade", "Rollback", "RollingReboot"]
    cloud: str
    source: str
    target: str
    plan_hash: str = ""
    message: str = ""
    at: str
    begin: str | None = None
    end: str | None = None
    remaining: Remaining | None = None
    waiting: tuple[Waiting, ...] = ()
    failed: tuple[str, ...] = ()
    hosts: dict[str, Expected] = {}
    treatment: dict[str, GuestClass] = {}
    notify: Notify
    inventory: Inventory

    @property
    def for_users(self) -> bool:
        """Whether users are told too: not that a run waits for its operators, nor of a plan without a time."""
        return self.occasion is not Occasion.NEEDS_YOU and (self.occasion is not Occasion.PLANNED or bool(self.begin))

    @property
    def work(self) -> str:
        """What is done, in a few words."""
        if self.kind == "RollingReboot":
            return f"reboot of {self.cloud}'s hypervisors"
        if self.kind == "Rollback":
            return f"way back of {self.cloud} to {self.target}"
        return f"upgrade of {self.cloud} to OpenStack {self.target}"


class Told(Record):
    """The output of ``notify``: how many were told by which reference, and what could not be told, and why."""

    sent: dict[str, int] = {}
    failed: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Both in one line, such as ``env:OPS 1, env:USERS 12``."""
        return ", ".join(f"{reference} {number}" for reference, number in self.sent.items()) or "nobody"


class GuestNews(Record):
    """What a project is told of one of its guests. Hosts are not named: they are none of its users' business."""

    id: str
    name: str
    status: str = ""
    begin: str | None = None
    end: str | None = None
    how: str = ""


class Mail(Record):
    """One text for one address.

    Attributes:
        id: unique among all texts.
        reference: by which the address is found.
        project: whose guests it is about; empty when it is about the cloud.
    """

    id: str
    reference: str
    project: str = ""
    subject: str = Field(max_length=300)
    body: str


_HOW = {
    GuestClass.LIVE: "keeps running; it may stand still for a moment while it changes its host",
    GuestClass.COLD: "is switched off for the move, and started again if it was running",
    GuestClass.STOP: "is stopped, and started again afterwards",
    GuestClass.LEAVE: "is left as it is",
    GuestClass.BLOCKED: "needs a decision of its owner first",
}
_OFF = frozenset({"SHUTOFF", "SHELVED", "SHELVED_OFFLOADED", "SUSPENDED"})


def news_by_project(news: Announcement, guests: tuple[GuestFacts, ...]) -> dict[str, tuple[GuestNews, ...]]:
    """Return what each project is told of its guests: those on the hosts that are worked on, by the time of their turn.

    Args:
        news: what there is to tell.
        guests: all guests of the cloud, as they are now.
    """
    found: dict[str, list[GuestNews]] = {}
    for guest in guests:
        if guest.project and guest.host in news.hosts:
            found.setdefault(guest.project, []).append(_news_of(news, guest))
    return {project: tuple(sorted(lines, key=_by_time)) for project, lines in sorted(found.items())}


def _by_time(line: GuestNews) -> tuple[str, str, str]:
    return line.begin or "", line.name, line.id


def _news_of(news: Announcement, guest: GuestFacts) -> GuestNews:
    turn = news.hosts.get(guest.host or "")
    kind = news.treatment.get(guest.id, GuestClass.LIVE)
    how = "is off, and stays so" if guest.status in _OFF and kind in {GuestClass.LIVE, GuestClass.COLD} else _HOW[kind]
    begin, end = (turn.begin, turn.end) if turn else (None, None)
    return GuestNews(id=guest.id, name=guest.name, status=guest.status, begin=begin, end=end, how=how)
