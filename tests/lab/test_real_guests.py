"""Guests that really run, while they are moved and while what is under them is upgraded and rebooted.

Each counts ten times a second on its console and minds a mark on its disk; so a hole in the count, a second count, a
restart or a lost disk is seen, whatever nova and stackroll say.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.reboot_report import FleetReport
from tests.lab.access import LAB, Cloud, addresses, ssh, stackroll
from tests.lab.conftest import Dev
from tests.lab.guests_real import (
    LONGEST_GAP,
    bring_up_real,
    live_migrate,
    order,
    places,
    print_accounts,
    recorder,
    trouble,
    until_heard,
    until_status,
)
from tests.lab.judge import assert_wholly_at, guests
from tests.lab.observers import Prober
from tests.lab.tenants import OWNERS_WISH, boot_ids

pytestmark = pytest.mark.slow


@pytest.fixture
def names() -> Iterator[dict[str, str]]:
    """A new lab with six guests that count, by id; other tests shall not find it and take it for theirs."""
    bring_up_real()
    found = guests()
    assert len(found) == 6
    yield found
    done = stackroll("lab", "down")
    assert done.returncode == 0, done.stdout + done.stderr


def test_guests_that_are_moved_go_on_counting(names: dict[str, str]) -> None:
    before = places()
    with recorder() as heard:
        until_heard(heard, names, lives=1)
        for host in addresses("compute"):
            live_migrate([id_ for id_, place in before.items() if place == host])
        after = places()
        until_heard(heard, names, lives=1)
    print_accounts(heard.accounts(), names)
    assert trouble(heard.accounts(), names) == []
    assert all(after[id_] != before[id_] for id_ in names)
    for account in heard.accounts():
        assert account.hosts == (before[account.server], after[account.server])


def test_a_guest_that_is_left_behind_on_a_rebooted_host_is_seen_to_be_off(names: dict[str, str]) -> None:
    """A host that is rebooted with guests on it ends them; they stay off until somebody starts them."""
    left = [id_ for id_, place in places().items() if place == "cmp2"]
    boots = boot_ids()
    with recorder() as heard:
        until_heard(heard, names, lives=1)
        ssh(addresses("compute")["cmp2"], "systemd-run --quiet --collect systemctl reboot")
        until_status(left, "SHUTOFF")
        assert boot_ids()["cmp2"] != boots["cmp2"]
        shown = stackroll("lab", "status")
        assert shown.stdout.count("SHUTOFF") == len(left) == 2, shown.stdout
        for id_ in left:
            order(id_, {"os-start": None})
        until_status(left, "ACTIVE")
        until_heard(heard, left, lives=2)
    print_accounts(heard.accounts(), names, restarted=left)
    assert trouble(heard.accounts(), names, restarted=left) == []
    assert all(account.down > 1 for account in heard.accounts() if account.server in left)


def test_guests_count_on_while_their_cloud_is_upgraded(names: dict[str, str], dev: Dev, prober: Prober) -> None:
    with recorder() as heard:
        until_heard(heard, names, lives=1)
        started = dev.stackroll("start", str(LAB / "upgrade.yaml"), "--id", "U")
        assert started.returncode == 0, started.stdout + started.stderr
        status = dev.until_ended("U")
        prober.stop()
    print_accounts(heard.accounts(), names)
    assert status["state"] == "completed", status["message"]
    assert_wholly_at("2026.2")
    assert trouble(heard.accounts(), names) == []
    assert {service: seen.failures for service, seen in prober.seen.items()} == {s: [] for s in prober.seen}


def test_guests_count_on_while_their_hosts_are_rebooted(names: dict[str, str], dev: Dev, tmp_path: Path) -> None:
    """All but the one whose owner wants it stopped meanwhile: it counts anew, once, and has its disk."""
    stopped = next(iter(names))
    _tag(stopped)
    boots = boot_ids()
    spec = tmp_path / "reboot.yaml"
    spec.write_text(f"cloud: {LAB / 'cloud.yaml'}\napprovals: {{plan: auto}}\ncanary: {{healthy_for: 5s}}\n")
    with recorder() as heard:
        until_heard(heard, names, lives=1)
        started = dev.stackroll("reboot", "start", str(spec), "--id", "R")
        assert started.returncode == 0, started.stdout + started.stderr
        status = dev.until_ended("R")
        report = dev.query("R", "report")
        until_heard(heard, [stopped], lives=2)
    print_accounts(heard.accounts(), names, restarted=[stopped], picture=tmp_path / "guests.svg")
    assert status["state"] == "completed", status["message"]
    after = boot_ids()
    assert all(after[host] != boots[host] for host in boots)
    assert trouble(heard.accounts(), names, restarted=[stopped]) == []
    lines = {line.guest: line for line in FleetReport.model_validate(report["fleet"]).guests}
    print({line.name: (line.how, line.paused, line.off) for line in lines.values()})
    live = {id_: line.paused for id_, line in lines.items() if "live" in line.how}
    assert live.keys() == names.keys() - {stopped}
    assert all(pause is not None and 0 < pause <= LONGEST_GAP for pause in live.values()), live
    off = lines[stopped].off
    assert off is not None
    assert off > 1


def _tag(id_: str) -> None:
    body: dict[str, Any] = {"tags": [OWNERS_WISH]}
    answer = Cloud().call("PUT", "nova", f"/v2.1/servers/{id_}/tags", body)
    assert answer.status_code == 200, answer.text
