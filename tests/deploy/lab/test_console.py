"""The recorder on files that are written, emptied, replaced and deleted under its eyes."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.lab import libvirt
from deploy.lab.console import Recorder
from deploy.lab.counting import Account

SERVER = "0d0f3f7e-4d2c-4b6e-9d56-2b1f7a1c9b11"
BOOT, AGAIN = "0123abcd", "89abcdef"


class Hosts:
    """The directories of compute hosts, with consoles that are written to as QEMU does."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def console(self, host: str) -> Path:
        path = self.root / host / "root" / libvirt.INSTANCES.lstrip("/") / SERVER / "console.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def say(self, host: str, text: str) -> None:
        with self.console(host).open("a") as console:
            console.write(text)


def tick(count: int, boot: str = BOOT) -> str:
    return f"TICK {boot} {count} {count / 10:.2f}\r\n"


def until(recorder: Recorder, condition: Callable[[Account], bool]) -> None:
    """Wait until the recorder has seen something."""
    limit = time.monotonic() + 20
    while not any(condition(account) for account in recorder.accounts()):
        assert time.monotonic() < limit, recorder.accounts()
        threading.Event().wait(0.01)


def heard(count: int, boot: str = BOOT) -> Callable[[Account], bool]:
    return lambda account: any(life.boot == boot and life.last >= count for life in account.lives)


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    (tmp_path / "infra1" / "root").mkdir(parents=True)
    return Hosts(tmp_path)


def test_what_was_said_before_is_not_heard(hosts: Hosts) -> None:
    hosts.say("cmp1", tick(0) + tick(1) + "TICK 0123")
    with Recorder(hosts.root) as recorder:
        hosts.say("cmp1", f"abcd 2 0.20\r\n{tick(3)}{tick(4)}")
        until(recorder, heard(4))
    (account,) = recorder.accounts()
    assert (account.lives[0].first, account.lives[0].last) == (3, 4)


def test_a_guest_is_followed_to_another_host_after_its_first_console_is_gone(hosts: Hosts) -> None:
    hosts.say("cmp1", tick(0))
    with Recorder(hosts.root) as recorder:
        hosts.say("cmp1", "".join(tick(count) for count in range(1, 5)) + f"TICK {BOOT} 5 0.")
        hosts.say("cmp2", f"50\r\n{tick(6)}")
        until(recorder, heard(6))
        shutil.rmtree(hosts.console("cmp1").parent)
        hosts.say("cmp2", tick(7))
        until(recorder, heard(7))
    (account,) = recorder.accounts()
    assert account.hosts == ("cmp1", "cmp2")
    assert account.contiguous
    assert account.lives[0].last == 7


def test_a_console_that_was_emptied_is_read_from_its_begin(hosts: Hosts) -> None:
    with Recorder(hosts.root) as recorder:
        hosts.say("cmp1", "".join(tick(count) for count in range(9)) + "TICK 0123")
        until(recorder, heard(8))
        hosts.console("cmp1").write_text("")
        hosts.say("cmp1", tick(0, AGAIN) + tick(1, AGAIN))
        until(recorder, heard(1, AGAIN))
    (account,) = recorder.accounts()
    assert account.restarts == 1
    assert account.contiguous


def test_a_console_that_was_replaced_is_read_to_its_end_and_the_new_one_from_its_begin(hosts: Hosts) -> None:
    with Recorder(hosts.root) as recorder:
        hosts.say("cmp1", tick(0))
        until(recorder, heard(0))
        console = hosts.console("cmp1")
        console.rename(console.with_name("console.log.0"))
        with console.with_name("console.log.0").open("a") as old:
            old.write(tick(1))
        hosts.say("cmp1", tick(2))
        until(recorder, heard(2))
    assert recorder.accounts()[0].contiguous


def test_a_guest_that_was_there_and_says_nothing_is_missed(hosts: Hosts) -> None:
    hosts.say("cmp1", tick(0))
    with Recorder(hosts.root) as recorder:
        pass
    assert recorder.accounts()[0].trouble(longest_gap=9) == ["was never heard"]


def test_what_breaks_the_recording_is_raised_at_its_end(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = threading.Event()

    def fail(_: object, **__: object) -> None:
        broken.set()
        raise PermissionError("consoles are not readable")

    def record() -> None:
        with Recorder(hosts.root):
            monkeypatch.setattr(Recorder, "_read_all", fail)
            assert broken.wait(10)

    with pytest.raises(PermissionError, match="not readable"):
        record()
