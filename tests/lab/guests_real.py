"""A lab with guests that really run, and what a test does to them: by nova's own API, and heard by their consoles."""

import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.lab.console import Recorder
from deploy.lab.counting import Account, Life
from deploy.lab.status import counting_table
from tests.lab.access import LAB, Cloud, all_servers, stackroll

# A migration is paused for less than half a second; what may be longer is that two cores have much else to do.
LONGEST_GAP = 3.0
_LIMIT = 300.0


def bring_up_real(guests: int = 6) -> None:
    """Bring the lab with QEMU guests to its pristine state at 2026.1."""
    if (LAB / "lab.json").exists():
        stackroll("lab", "down")
    words = ("lab", "up", "--release", "2026.1", "--hypervisor", "qemu", "--guests", str(guests))
    done = stackroll(*words, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr


def recorder() -> Recorder:
    """Listen to all consoles for as long as a with block runs."""
    return Recorder(LAB / "hosts")


def places() -> dict[str, str]:
    """Return where nova has each server, by id."""
    return {server["id"]: server["OS-EXT-SRV-ATTR:host"] for server in all_servers()}


def order(id_: str, action: dict[str, Any]) -> None:
    """Have nova do something with a server."""
    answer = Cloud().call("POST", "nova", f"/v2.1/servers/{id_}/action", action)
    assert answer.status_code == 202, f"{action}: HTTP {answer.status_code}: {answer.text[:300]}"


def live_migrate(ids: Collection[str]) -> None:
    """Move servers at the same time to where the scheduler likes, and wait until their records say completed."""
    before = _migrations(ids)
    for id_ in ids:
        order(id_, {"os-migrateLive": {"host": None, "block_migration": "auto"}})
    limit = time.monotonic() + _LIMIT
    while True:
        now = _migrations(ids)
        bad = {status for _, status in now} & {"error", "failed", "cancelled"}
        assert not bad, now
        if all(now[id_, "completed"] == before[id_, "completed"] + 1 for id_ in ids):
            return
        assert time.monotonic() < limit, now
        time.sleep(0.5)


def _migrations(ids: Collection[str]) -> Counter[tuple[str, str]]:
    """Count the migrations of servers by id and status."""
    answer = Cloud().call("GET", "nova", "/v2.1/os-migrations")
    answer.raise_for_status()
    found = answer.json()["migrations"]
    return Counter((each["instance_uuid"], each["status"]) for each in found if each["instance_uuid"] in ids)


def until_status(ids: Collection[str], status: str) -> None:
    """Wait until nova gives servers a status."""
    limit = time.monotonic() + _LIMIT
    while True:
        found = {server["id"]: server["status"] for server in all_servers()}
        if {found[id_] for id_ in ids} == {status}:
            return
        assert time.monotonic() < limit, {id_: found[id_] for id_ in ids}
        time.sleep(0.5)


def until_heard(heard: Recorder, ids: Collection[str], lives: int, more: int = 60) -> None:
    """Wait until servers have been heard in so many boots, and have gone on counting from now on.

    So many counts more are enough for a guest to have read its disk again.
    """
    begun = {account.server: account.lives[-1] for account in heard.accounts() if account.lives}
    limit = time.monotonic() + _LIMIT
    while missing := [
        account.server
        for account in heard.accounts()
        if account.server in ids
        and not (len(account.lives) == lives and _counted(account.lives[-1], begun.get(account.server)) >= more)
    ]:
        assert time.monotonic() < limit, missing
        time.sleep(0.5)


def _counted(now: Life, then: Life | None) -> int:
    return now.last - then.last if then and then.boot == now.boot else now.last


def print_accounts(
    accounts: Collection[Account], names: dict[str, str], restarted: Collection[str] = (), picture: Path | None = None
) -> None:
    """Print what was heard of each guest; into an SVG file as well, if one is given."""
    console = Console(width=118, record=True)
    console.print(counting_table(accounts, names, LONGEST_GAP, restarted))
    if picture is not None:
        console.save_svg(str(picture), title="what the guests say of it")


def trouble(accounts: Collection[Account], names: dict[str, str], restarted: Collection[str] = ()) -> list[str]:
    """Say what is wrong with the guests named: none may have been started again but those given, and these once."""
    heard = {account.server: account for account in accounts}
    found = [f"{names[id_]}: was never heard" for id_ in names if id_ not in heard]
    for id_, account in heard.items():
        if id_ in names:
            words = account.trouble(longest_gap=LONGEST_GAP, restarts=int(id_ in restarted))
            found += [f"{names[id_]}: {word}" for word in words]
    return found
