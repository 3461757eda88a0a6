"""People are told: over real SMTP and HTTP to sinks on this machine."""

from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.notify import NotifyActivities, Post
from model.fleet import GuestClass
from model.inventory import Inventory
from model.notify import TRIES, Announcement, Expected, Notify, Occasion, Told
from model.status import Waiting
from model.work import GuestFacts
from tests.sinks import Mailbox, Webhook, listening, text_of
from tests.workflows.fake_cloud import request

PASSWORD = "hunter2secret"
SHOP, BANK = "4f0c5a", "77bb01"
GUESTS = (
    GuestFacts(id="g1", name="shop-web", host="cmp1", status="ACTIVE", project=SHOP),
    GuestFacts(id="g2", name="shop-db", host="cmp2", status="SHUTOFF", project=SHOP),
    GuestFacts(id="g3", name="bank-core", host="cmp1", status="ACTIVE", project=BANK),
    GuestFacts(id="g4", name="bank-far-away", host="cmp9", status="ACTIVE", project=BANK),
)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    sink = Mailbox()
    async with listening(sink):
        yield sink


@pytest.fixture
def mail_url(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def to(receiver: str) -> str:
        return f"mailto://127.0.0.1:{mailbox.port}?from=stackroll@cloud.test&to={receiver}"

    monkeypatch.setenv("OPS", to("ops@cloud.test"))
    monkeypatch.setenv("EVERYBODY", to("users@cloud.test"))
    monkeypatch.setenv("EACH", to("{project}@tenants.test"))


def announcement(occasion: Occasion = Occasion.STARTED, **more: Any) -> Announcement:
    content: dict[str, Any] = {
        "id": f"june/3-{occasion.value}",
        "occasion": occasion,
        "run": "june",
        "kind": "RollingUpgrade",
        "cloud": "lab",
        "source": "2025.2",
        "target": "2026.1",
        "at": "2026-06-01T20:00:00+00:00",
        "begin": "2026-06-01T20:00:00+00:00",
        "hosts": {
            "cmp1": Expected(begin="2026-06-01T20:10:00+00:00", end="2026-06-01T20:25:00+00:00"),
            "cmp2": Expected(begin="2026-06-01T20:25:00+00:00", end="2026-06-01T20:40:00+00:00"),
        },
        "notify": Notify(operators=("env:OPS",), users=("env:EVERYBODY", "env:EACH")),
        "inventory": Inventory.model_validate(request()["inventory"]),
    }
    return Announcement.model_validate({**content, **more})


async def tell(news: Announcement, folder: Path, guests: tuple[GuestFacts, ...] = GUESTS, attempt: int = 1) -> Told:
    async def there(_: Inventory) -> tuple[GuestFacts, ...]:
        return guests

    environment = ActivityEnvironment()
    environment.info = environment.info.__class__(**{**vars(environment.info), "attempt": attempt})
    told: Told = await environment.run(NotifyActivities(there, folder).notify, news)
    return told


def only(mails: list[EmailMessage]) -> EmailMessage:
    assert len(mails) == 1
    return mails[0]


@pytest.mark.usefixtures("mail_url")
async def test_each_project_reads_of_its_own_guests_only(mailbox: Mailbox, tmp_path: Path) -> None:
    told = await tell(announcement(treatment={"g3": GuestClass.STOP}), tmp_path)
    assert told == Told(sent={"env:OPS": 1, "env:EVERYBODY": 1, "env:EACH": 2})
    shop, bank = (text_of(only(mailbox.to(f"{project}@tenants.test"))) for project in (SHOP, BANK))
    for expected in ("shop-web", "2026-06-01 20:10 to 2026-06-01 20:25", "shop-db", "is off, and stays so"):
        assert expected in shop
    assert "bank" not in shop
    assert "bank-core" in bank
    assert "is stopped, and started again afterwards" in bank
    assert "shop" not in bank
    assert "far-away" not in bank
    for text in (shop, bank):
        assert "cmp" not in text, "hosts are none of a tenant's business"
    everybody = text_of(only(mailbox.to("users@cloud.test")))
    assert not any(guest.name in everybody for guest in GUESTS)


@pytest.mark.usefixtures("mail_url")
async def test_a_name_adds_neither_headers_nor_lines_nor_markup(mailbox: Mailbox, tmp_path: Path) -> None:
    evil = "x\r\nBcc: mallory@evil.test\r\n\r\n<script>alert(1)</script>\u2028\u202egnp"
    guest = GUESTS[0].model_copy(update={"name": evil})
    news = announcement(Occasion.DONE, cloud="lab", message=evil, run="june\r\nBcc: mallory@evil.test")
    assert not (await tell(news, tmp_path, (guest,))).failed
    for (receivers, mail), raw in zip(mailbox.mails, mailbox.raw, strict=True):
        assert "mallory@evil.test" not in receivers
        assert mail["Bcc"] is None
        assert not any(line.lower().startswith(b"bcc:") for line in raw.splitlines())
        assert "\u202e" not in text_of(mail)
        html = mail.get_body(("html",))
        assert html is None or "<script>" not in html.get_content()


@pytest.mark.usefixtures("mail_url")
async def test_operators_read_what_a_run_waits_for_and_users_do_not(mailbox: Mailbox, tmp_path: Path) -> None:
    waiting = Waiting(
        what="approval of plan", since="2026-06-01T20:00:00+00:00", go_on="stackroll approve june --gate plan"
    )
    await tell(announcement(Occasion.NEEDS_YOU, waiting=(waiting,), failed=("drain cmp1: it broke",)), tmp_path)
    mail = only(mailbox.to("ops@cloud.test"))
    assert mail["Subject"] == "[lab] needs you: upgrade of lab to OpenStack 2026.1"
    for expected in ("approval of plan", "stackroll approve june --gate plan", "drain cmp1: it broke"):
        assert expected in text_of(mail)
    assert len(mailbox.mails) == 1


@pytest.mark.usefixtures("mail_url")
async def test_what_was_sent_is_not_sent_again_by_the_next_try(mailbox: Mailbox, tmp_path: Path) -> None:
    mailbox.refuse = 1
    with pytest.raises(ApplicationError, match="not delivered"):
        await tell(announcement(), tmp_path)
    sent = len(mailbox.mails)
    assert sent < 4
    assert not (await tell(announcement(), tmp_path, attempt=2)).failed
    assert len(mailbox.mails) == 4
    assert len({receivers for receivers, _ in mailbox.mails}) == 4


async def test_at_the_last_try_it_says_whom_it_could_not_tell_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPS", f"mailto://stackroll:{PASSWORD}@127.0.0.1:9?from=a@cloud.test&to=ops@cloud.test")
    (tmp_path / "hook").write_text(f"# the chat\njson://127.0.0.1:9/{PASSWORD}\n")
    notify = Notify(operators=("env:OPS", f"file:{tmp_path}/hook", "env:NOBODY", f"file:{tmp_path}/absent"))
    told = await tell(announcement(notify=notify), tmp_path, attempt=TRIES)
    assert told.sent == {}
    assert len(told.failed) == 4
    assert PASSWORD not in str(told)
    for expected in ("env:OPS: not delivered", "hook: not delivered", "no such variable", "absent: cannot be read"):
        assert expected in " ".join(told.failed)


async def test_a_webhook_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hook = Webhook()
    async with listening(hook):
        monkeypatch.setenv("HOOK", f"json://127.0.0.1:{hook.port}/in/{PASSWORD}")
        told = await tell(announcement(notify=Notify(operators=("env:HOOK",))), tmp_path)
    assert told.sent == {"env:HOOK": 1}
    assert hook.posts[0]["title"] == "[lab] started: upgrade of lab to OpenStack 2026.1"
    assert "stackroll watch june" in hook.posts[0]["message"]


@pytest.mark.usefixtures("mail_url")
async def test_a_folder_of_the_operator_replaces_single_texts(mailbox: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "operators").mkdir()
    (tmp_path / "operators" / "started.txt.j2").write_text(
        "Subject: los geht's in {{ news.cloud }}\n\nLauf {{ news.run }}\n"
    )
    notify = Notify(operators=("env:OPS",), users=("env:EVERYBODY",), templates=str(tmp_path))
    await tell(announcement(notify=notify), tmp_path)
    assert only(mailbox.to("ops@cloud.test"))["Subject"] == "los geht's in lab"
    assert only(mailbox.to("users@cloud.test"))["Subject"] == "[lab] maintenance has begun"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Subject: {{ news.nothing }}\n", "operators/started.txt.j2"),
        ("Subject: {% if %}\n", "operators/started.txt.j2, line 1"),
        ("no subject\n", "first line must be"),
        ("Subject: {{ ''.__class__.__mro__ }}\n", "unsafe"),
    ],
)
async def test_a_template_that_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "operators").mkdir()
    (tmp_path / "operators" / "started.txt.j2").write_text(text)
    notify = Notify(operators=("file:/dev/null",), templates=str(tmp_path))
    (tmp_path / "ops").write_text("json://127.0.0.1:9")
    told = await tell(announcement(notify=notify.model_copy(update={"operators": (f"file:{tmp_path}/ops",)})), tmp_path)
    assert len(told.failed) == 1
    assert problem in told.failed[0]


@pytest.mark.usefixtures("mail_url")
@pytest.mark.parametrize("occasion", list(Occasion))
async def test_there_is_a_text_for_every_occasion(occasion: Occasion, tmp_path: Path) -> None:
    async def there(_: Inventory) -> tuple[GuestFacts, ...]:
        return GUESTS

    mails = await Post(announcement(occasion, message="all went well"), there, tmp_path).mails()
    assert len(mails) == (1 if occasion is Occasion.NEEDS_YOU else 4)
    for mail, _ in mails:
        assert mail.subject.startswith("[lab] ")
        assert "\n\n\n" not in mail.body
        assert mail.id in mail.body
    if occasion is Occasion.DONE:
        assert "microversion 2.101" in mails[1][0].body, "users read what a release gives them"
