"""``stackroll notify``: trying an address, telling of a run again, and input that cannot be told of."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from cli.errors import Exit
from tests.cli.conftest import Stackroll
from tests.sinks import Mailbox, listening, text_of
from tests.workflows.fake_cloud import FakeCloud

pytestmark = pytest.mark.asyncio(loop_scope="session")
SECRET = "json://chat.test/hunter2secret"


@pytest_asyncio.fixture(loop_scope="session")
async def mailbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Mailbox]:
    sink = Mailbox()
    async with listening(sink):
        monkeypatch.setenv("OPS", f"mailto://127.0.0.1:{sink.port}?from=stackroll@cloud.test&to=ops@cloud.test")
        monkeypatch.setenv("STACKROLL_STATE_DIR", str(tmp_path / "state"))
        yield sink


def add(path: Path, text: str, name: str = "upgrade.yaml") -> Path:
    """Write the specification with something more in it."""
    path.with_name(name).write_text(path.read_text() + text)
    return path.with_name(name)


async def test_an_address_is_tried(stackroll: Stackroll, mailbox: Mailbox) -> None:
    ran = await stackroll("notify", "--test", "env:OPS")
    assert ran == (0, "told: env:OPS 1\n", "")
    (mail,) = mailbox.to("ops@cloud.test")
    assert mail["Subject"] == "[stackroll] a test"


async def test_an_address_that_does_not_work_says_why(stackroll: Stackroll, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEAF", "json://127.0.0.1:9/hunter2secret")
    ran = await stackroll("notify", "--test", "env:DEAF")
    assert ran.status == Exit.ERROR
    assert "env:DEAF: not delivered" in ran.err
    assert "hunter2secret" not in ran.out + ran.err


async def test_people_are_told_of_a_run_once_and_again_when_asked(
    stackroll: Stackroll, fake_cloud: FakeCloud, upgrade: Path, mailbox: Mailbox
) -> None:
    add(upgrade, "notify: {operators: [env:OPS]}\napprovals: {plan: auto, commit: auto}\n")
    run = f"n-{uuid4().hex[:8]}"
    started = await stackroll("start", str(upgrade), "--id", run, "--wait")
    assert started.status == 0, started
    assert [news.occasion.value for news in fake_cloud.told] == ["planned", "started", "done"]

    shown = await stackroll("notify", run, "--on", "done", "--dry-run")
    assert shown.status == 0, shown.err
    assert "Subject: [" in shown.out
    assert "runs 2026.2, verified by an independent read" in shown.out
    assert "1 texts; none was sent" in shown.out
    assert mailbox.mails == []
    for _ in range(2):
        assert (await stackroll("notify", run, "--on", "done")) == (0, "told: env:OPS 1\n", "")
    assert len(mailbox.mails) == 1
    assert "runs 2026.2" in text_of(mailbox.mails[0][1])
    await stackroll("notify", run, "--on", "done", "--again")
    assert len(mailbox.mails) == 2
    late = await stackroll("notify", run, "--at", "2026-12-01T22:00")
    assert (late.status, "knows when it began" in late.err) == (Exit.BAD_INPUT, True)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((), "name a run or a file, or an address with --test"),
        (("--test", SECRET), "--test takes env:NAME or file:/PATH, not the address itself"),
        (("upgrde.yaml", "--at", "2026-12-01"), "upgrde.yaml: no such file"),
        (("FILE", "--at", "next tuesday"), "--at: 'next tuesday' is no time"),
        (("FILE",), "nobody is to be told: name addresses in `notify`"),
        (("TOLD",), "people must know when it begins: --on planned needs --at TIME"),
    ],
)
async def test_bad_input_is_one_clear_message(
    stackroll: Stackroll, upgrade: Path, words: tuple[str, ...], problem: str
) -> None:
    told = add(upgrade, "notify: {operators: [env:OPS]}\n", "told.yaml")
    names = {"FILE": str(upgrade), "TOLD": str(told)}
    ran = await stackroll("notify", *(names.get(word, word) for word in words))
    assert ran.status == Exit.BAD_INPUT
    assert problem in ran.err
    assert ran.err.count("\n") == 1
    assert "hunter2secret" not in ran.err
