from typing import Any

import pytest

from deploy.lab import guests
from deploy.lab.errors import LabError
from deploy.lab.settings import LabSpec, Secrets

SERVER = "0d0f3f7e-4d2c-4b6e-9d56-2b1f7a1c9b11"
SPEC = LabSpec(compute=2, hypervisor="qemu")


def line(*words: str) -> bytes:
    return b"".join(word.encode() + b"\0" for word in words)


@pytest.mark.parametrize(
    ("command_line", "server"),
    [
        (line("/usr/bin/qemu-system-x86_64", "-name", "guest=instance-1", "-uuid", SERVER, "-m", "128"), SERVER),
        (line("/usr/bin/qemu-system-x86_64", "-m", "128", "-uuid"), ""),
        (line("/usr/bin/qemu-system-x86_64", "-uuid", "7"), ""),
        (line("/usr/bin/qemu-img", "-uuid", SERVER), ""),
        (b"", ""),
    ],
)
def test_a_guest_is_known_by_its_process(command_line: bytes, server: str) -> None:
    assert guests.server_of(command_line) == server


def test_a_guest_that_is_being_moved_is_on_both_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"cmp1": {"a", "b"}, "cmp2": {"b"}}
    monkeypatch.setattr(guests, "on_host", there.__getitem__)
    assert guests.running(SPEC) == {"a": ["cmp1"], "b": ["cmp1", "cmp2"]}


class Nova:
    """Answers for nova: a server has a process once it was asked to start."""

    def __init__(self, servers: list[dict[str, Any]]) -> None:
        self.listed = servers
        self.orders: list[tuple[str, Any]] = []
        self.busy = 1

    def servers(self) -> list[dict[str, Any]]:
        return self.listed

    def call(self, method: str, unit: str, path: str, body: object) -> None:
        name = path.split("/")[-2]
        if self.busy:
            self.busy -= 1
            raise LabError("409 another task is at work on it")
        self.orders.append((name, body))


def server(name: str, status: str, task: str | None = None) -> dict[str, Any]:
    return {"id": name, "name": f"guest-{name}", "status": status, "OS-EXT-STS:task_state": task}


def test_what_should_run_is_started_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    nova = Nova([
        server("runs", "ACTIVE"),
        server("believed", "ACTIVE"),
        server("noticed", "SHUTOFF"),
        server("stopped", "SHUTOFF"),
    ])  # fmt: skip
    monkeypatch.setattr(guests, "Api", lambda _: nova)
    monkeypatch.setattr(guests, "running", lambda _: {"runs": ["cmp1"]} | {name: ["cmp2"] for name, _ in nova.orders})
    monkeypatch.setattr("deploy.lab.command.time.sleep", lambda _: None)
    guests.start(SPEC, Secrets(), ["noticed"])
    assert sorted(nova.orders, key=str) == [
        ("believed", {"reboot": {"type": "HARD"}}),
        ("noticed", {"os-start": None}),
    ]


@pytest.mark.parametrize(
    ("status", "task", "order"),
    [
        ("ACTIVE", None, {"reboot": {"type": "HARD"}}),
        ("SHUTOFF", None, {"os-start": None}),
        ("ACTIVE", "powering-off", None),
        ("ERROR", None, None),
    ],
)
def test_how_a_guest_is_started_depends_on_what_nova_knows(status: str, task: str | None, order: object) -> None:
    assert guests.start_order(server("x", status, task)) == order
