"""Telling people: operators, users, and each project of its own guests, at addresses that only the worker knows.

Sending is at least once. What a worker has sent is noted beside its reports, so that a try that is repeated does not
send it again; when the worker dies between sending and noting, or another one goes on, a message comes twice, with one
id.
"""

import asyncio
import contextlib
import json
import logging
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

import apprise
from temporalio import activity

from activities.addresses import PROJECT, AddressError, address_of, addresses, each_project, without_secrets
from activities.context import errors_mapped, heartbeats, progress
from activities.errors import StackrollError, Unreachable
from activities.files import state_folder
from activities.letters import Letters, TemplateError
from activities.openstack import guests as read_guests
from model.inventory import Inventory
from model.notify import TRIES, Announcement, Mail, Told, news_by_project
from model.work import GuestFacts

_AT_ONCE = 8
_SEND_TIMEOUT = 60.0
_MOST_FAILURES = 20

Guests = Callable[[Inventory], Awaitable[tuple[GuestFacts, ...]]]


class Undelivered(Exception):  # noqa: N818 - reads as a word
    """A message did not leave; the text says why, and holds nothing of the address."""


class Post:
    """The messages of one announcement: written, sent, and noted as sent."""

    def __init__(
        self, news: Announcement, guests: Guests = read_guests, folder: Path | None = None, *, blind: bool = False
    ) -> None:
        """Prepare to tell; nothing is read or sent yet. ``blind``: only to be read, no address is looked up."""
        self._news = news
        self._guests = guests
        self._blind = blind
        self._letters = Letters(news.notify.templates)
        self._sent = _Sent(
            (folder or state_folder()) / re.sub(r"[^A-Za-z0-9._-]+", "-", news.run or news.cloud) / "notify.jsonl"
        )
        self.failures: list[str] = []

    async def mails(self) -> list[tuple[Mail, str]]:
        """Return every message with its address; what cannot be written is among the ``failures``."""
        news, notify, found = self._news, self._news.notify, list[tuple[Mail, str]]()
        for reference in notify.operators:
            found += [(self._letters.to_operators(news, reference), address) for address in self._find(reference)]
        if not news.for_users:
            return found
        users = [(reference, address) for reference in notify.users for address in self._find(reference)]
        for reference, address in users:
            if not each_project(address):
                found.append((self._letters.to_users(news, reference), address))
        templates = [(reference, address) for reference, address in users if each_project(address)]
        return found + await self._to_projects(templates)

    async def _to_projects(self, templates: list[tuple[str, str]]) -> list[tuple[Mail, str]]:
        own = self._news.notify.projects
        if not templates and not own:
            return []
        concerned = news_by_project(self._news, await self._guests(self._news.inventory))
        found = []
        for project, guests in concerned.items():
            places = [(reference, address_of(address, project)) for reference, address in templates]
            places += [(name, address) for name in own.get(project, ()) for address in self._find(name)]
            found += [(self._letters.to_project(self._news, name, project, guests), place) for name, place in places]
        return found

    def _find(self, reference: str) -> Iterable[str]:
        if self._blind:
            return (reference, PROJECT) if reference in self._news.notify.users else (reference,)
        try:
            return addresses(reference)
        except AddressError as error:
            self.failures.append(str(error))
            return ()

    async def send(self) -> Told:
        """Send what has not been sent yet."""
        mails, counts = await self.mails(), Counter[str]()
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(mail: Mail, address: str) -> None:
            # Of several addresses behind one reference each is told; which one it was, its number says.
            key = f"{mail.id} {mail.reference} {number[mail.id, mail.reference, address]}"
            async with gate:
                progress(f"telling {mail.reference}")
                if key not in self._sent:
                    try:
                        await deliver(mail, address)
                    except Undelivered as error:
                        self.failures.append(str(error))
                        return
                    self._sent.note(key)
                counts[mail.reference] += 1

        number = {(mail.id, mail.reference, address): place for place, (mail, address) in enumerate(mails)}
        await asyncio.gather(*(one(mail, address) for mail, address in mails))
        failed = list(dict.fromkeys(self.failures))
        more = [f"and {len(failed) - _MOST_FAILURES} more"] if len(failed) > _MOST_FAILURES else []
        # In the order of the specification, whoever was reached first.
        sent = {mail.reference: counts[mail.reference] for mail, _ in mails if counts[mail.reference]}
        return Told(sent=sent, failed=(*failed[:_MOST_FAILURES], *more))


class _Sent:
    """What has been sent: a line for each message, written as soon as it has left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys = set[str]()
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_text(encoding="utf-8").splitlines():
                # A line that was cut off by a crash is of a message that may not have left: it is sent again.
                with contextlib.suppress(ValueError):
                    self._keys.add(str(json.loads(line)))

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def note(self, key: str) -> None:
        self._keys.add(key)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(key) + "\n")


async def send_test(reference: str) -> Told:
    """Send a test to every address behind a reference, whether anything is to be told or not."""
    text = "This is a test of stackroll. If you can read it, people can be told at this address.\n"
    mail = Mail(id="test", reference=reference, subject="[stackroll] a test", body=text)
    sent, failed = Counter[str](), list[str]()
    try:
        for address in addresses(reference):
            await deliver(mail, address_of(address, "test"))
            sent[reference] += 1
    except (AddressError, Undelivered) as error:
        failed.append(str(error))
    return Told(sent=dict(sent), failed=tuple(failed))


async def deliver(mail: Mail, address: str) -> None:
    """Send one message.

    Raises:
        Undelivered: with why, and without anything of the address.
    """
    try:
        sent, said = await asyncio.wait_for(asyncio.to_thread(_deliver, mail, address), _SEND_TIMEOUT)
    except TimeoutError:
        raise Undelivered(f"{mail.reference}: not delivered within {_SEND_TIMEOUT:g} s") from None
    if not sent:
        why = without_secrets("; ".join(said), address)
        raise Undelivered(f"{mail.reference}: not delivered{f': {why}' if why else ''}")


def _deliver(mail: Mail, address: str) -> tuple[bool, list[str]]:
    """Send in this thread; return whether it was sent, and what apprise warned of meanwhile."""
    target = apprise.Apprise(asset=apprise.AppriseAsset(app_id="stackroll", app_desc="stackroll", secure_logging=True))
    with _heard() as said:
        if not target.add(address):
            raise Undelivered(
                f"{mail.reference}: no address that apprise knows, such as mailto://…, json://… or slack://…"
            )
        sent = target.notify(body=mail.body, title=mail.subject, body_format=apprise.NotifyFormat.TEXT)
    return bool(sent), said


class _Ear(logging.Handler):
    """Keeps what apprise warns of in one thread: what it says in others is about other addresses."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        if record.thread == self._thread:
            self.said.append(" ".join(record.getMessage().split())[:300])


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """Listen to apprise, and keep what it says out of every log: it names addresses."""
    logger, ear = logging.getLogger("apprise"), _Ear()
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(ear)
    try:
        yield ear.said
    finally:
        logger.removeHandler(ear)


class NotifyActivities:
    """The activity that tells people."""

    def __init__(self, guests: Guests = read_guests, folder: Path | None = None) -> None:
        """Ask this for the guests of a cloud, and note what was sent below this folder."""
        self._guests = guests
        self._folder = folder

    @activity.defn(name="notify")
    async def notify(self, news: Announcement) -> Told:
        """Tell everybody who is to know; at the last try, say whom it could not tell instead of failing."""
        async with errors_mapped(), heartbeats(f"telling of {news.occasion.value}"):
            last = activity.info().attempt >= TRIES
            try:
                told = await Post(news, self._guests, self._folder).send()
            except (TemplateError, StackrollError) as error:
                if isinstance(error, Unreachable) and not last:
                    raise
                return Told(failed=(str(error),))
            if told.failed and not last:
                raise Unreachable("; ".join(told.failed))
            return told
