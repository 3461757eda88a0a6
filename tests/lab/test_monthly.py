"""The month of an operator on real OpenStack: the commands of the README's "Your monthly upgrade", one by one."""

import asyncio
import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.lab.access import LAB, read_yaml
from tests.lab.conftest import Dev, bring_up, running_dev
from tests.lab.judge import assert_guests_are_well, assert_wholly_at, guests
from tests.sinks import Mailbox, Webhook, listening

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
RUN = "december"


def section() -> str:
    """Return what the README says of it."""
    found = re.search(
        r"^## Your monthly upgrade\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert found
    return found[1]


def commands() -> list[str]:
    """Return the commands in their order."""
    blocks = re.findall(r"```console\n(.*?)```", section(), re.DOTALL)
    return [line[2:].split("  #")[0].strip() for block in blocks for line in block.splitlines() if line[:2] == "$ "]


@contextmanager
def sinks(*all_: Mailbox | Webhook) -> Iterator[None]:
    """Let mail servers and webhooks listen, in a thread of their own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ended = asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            for sink in all_:
                await stack.enter_async_context(listening(sink))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)
    assert not thread.is_alive()
    loop.close()


class Operator:
    """A shell in a folder with the operator's files, and Temporal and a worker beside it."""

    def __init__(self, dev: Dev, folder: Path) -> None:
        self.dev, self._folder = dev, folder
        path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        self._env = {**os.environ, **dev.env, "PATH": path, "HOME": str(folder), "COLUMNS": "160"}
        self._watching: subprocess.Popen[str] | None = None

    def write(self) -> None:
        """Write the files: the lab's cloud, and the README's specification with a soak that a test can wait for."""
        cloud = read_yaml("cloud.yaml")
        for part, key in (("openstack", "clouds_yaml"), ("ssh", "key"), ("ssh", "known_hosts")):
            cloud[part][key] = str(LAB / cloud[part][key])
        with (self._folder / "cloud.yaml").open("w") as file:
            YAML().dump(cloud, file)
        (block,) = re.findall(r"```yaml\n(# upgrade.yaml\n.*?)```", section(), re.DOTALL)
        shorter = re.sub(r"^soak: \w+", "soak: 5s", block, flags=re.MULTILINE)
        assert shorter != block
        (self._folder / "upgrade.yaml").write_text(shorter)
        (self._folder / ".ssh").mkdir()
        self.shell("ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519")
        public = (self._folder / ".ssh/id_ed25519.pub").read_text()
        (self._folder / "allowed_signers").write_text(f"root {public}")

    def shell(self, command: str, status: int = 0) -> str:
        done = subprocess.run(
            shlex.split(command.replace("~", str(self._folder))),
            cwd=self._folder, env=self._env, capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        print(f"$ {command}\n{done.stdout}{done.stderr}")
        assert done.returncode == status, f"{command}: exit status {done.returncode}"
        return done.stdout

    def carry_out(self, command: str) -> str:
        """One command of the README, with what an operator puts in."""
        soon = datetime.now(UTC) + timedelta(days=1)
        command = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d", f"{soon:%Y-%m-%dT%H:%M}", command)
        if " approve " in command:
            gate = command.split("--gate ")[1].split()[0]
            wanted = f"approval of {gate}"
            status = self.dev.until(RUN, lambda s: any(wanted in one["what"] for one in s["waiting"] or ()), 1200)
            command = command.replace("HASH", status["plan_hash"])
        if " watch " in command:
            # In a terminal of its own; what follows is typed in another one.
            words = shlex.split(command)
            self._watching = subprocess.Popen(words, cwd=self._folder, env=self._env, stdout=subprocess.PIPE, text=True)
            return ""
        if " availability " in command:
            self.until_watched_to_the_end()
        return self.shell(command)

    def until_watched_to_the_end(self) -> None:
        assert self._watching
        output, _ = self._watching.communicate(timeout=1200)
        print(output[-3000:])
        assert self._watching.returncode == 0


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


@pytest.fixture
def operator(mailbox: Mailbox, webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    bring_up("2026.1")
    with sinks(mailbox, webhook):
        mail = f"mailto://127.0.0.1:{mailbox.port}?from=stackroll@cloud.test&to="
        monkeypatch.setenv("STACKROLL_OPERATORS", f"{mail}ops@cloud.test\njson://127.0.0.1:{webhook.port}/chat")
        monkeypatch.setenv("STACKROLL_USERS", f"{mail}{{project}}@tenants.test")
        with running_dev(tmp_path / "state") as dev:
            folder = tmp_path / "home"
            folder.mkdir()
            operator = Operator(dev, folder)
            operator.write()
            yield operator


def test_the_readme_s_month_from_the_check_to_the_next_date(
    operator: Operator, mailbox: Mailbox, webhook: Webhook
) -> None:
    before = guests()
    said = {command: operator.carry_out(command) for command in commands()}
    assert len(said) > 8
    assert_wholly_at("2026.2")
    assert_guests_are_well(before)
    told = [mail["Subject"] for mail in mailbox.to("ops@cloud.test")]
    print("operators were told:", told)
    for word in ("planned", "started", "done"):
        assert any(word in subject for subject in told), told
    assert len(webhook.posts) == len(told)
    users = {receivers for receivers, _ in mailbox.mails if receivers != ("ops@cloud.test",)}
    assert users, "the owners of the guests were told"
    assert any("no request failed" in text.lower() or "ZERO" in text for text in said.values())
