"""``stackroll notify FILE``: work on a simulated cloud is announced to people before there is a run of it."""

import asyncio
from pathlib import Path

import pytest

from simulator.server import Simulation
from simulator.tenants import DEMO
from tests.cli.conftest import run_main
from tests.simulator.conftest import sim_cloud
from tests.sinks import Mailbox, Webhook, listening, text_of

AT = "2026-12-01T22:00+01:00"


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mailbox:
    monkeypatch.setenv("STACKROLL_STATE_DIR", str(tmp_path / "state"))
    return Mailbox()


def spec(sim: Simulation) -> Path:
    path = sim.folder / "told.yaml"
    wanted = (sim.folder / "upgrade.yaml").read_text()
    path.write_text(f"{wanted}\nnotify: {{operators: [env:OPS], users: [env:USERS, env:EACH]}}\n")
    return path


async def test_planned_work_is_shown_first_and_then_told(
    tmp_path: Path, addresses: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = Webhook()
    async with sim_cloud(tmp_path / "sim", guests=4) as sim, listening(addresses), listening(hook):
        mailto = f"mailto://127.0.0.1:{addresses.port}?from=stackroll@cloud.test&to="
        monkeypatch.setenv("OPS", f"json://127.0.0.1:{hook.port}/hunter2secret")
        monkeypatch.setenv("USERS", f"{mailto}users@cloud.test")
        monkeypatch.setenv("EACH", f"{mailto}{{project}}@tenants.test")
        asked = ("notify", str(spec(sim)), "--on", "planned", "--at", AT)
        shown = await asyncio.to_thread(run_main, *asked, "--dry-run")
        assert (addresses.mails, hook.posts) == ([], [])
        told = await asyncio.to_thread(run_main, *asked)
        names = [guest.name for guest in sim.cloud.nova.guests.values() if guest.project == DEMO]
    assert (shown.status, told.status) == (0, 0), shown.err + told.err
    assert "hunter2secret" not in shown.out + told.out + told.err
    (post,) = hook.posts
    assert "planned" in post["title"]
    assert "Begin: 2026-12-01 21:00 UTC" in post["message"]
    (everybody,) = addresses.to("users@cloud.test")
    (own,) = addresses.to(f"{DEMO}@tenants.test")
    assert len(names) == 4
    for name in names:
        assert name in text_of(own)
        assert name in shown.out
        assert name not in text_of(everybody)
    assert told.out == "told: env:OPS 1, env:USERS 1, env:EACH 1\n"
    assert "Begin: 2026-12-01 21:00 UTC" in shown.out
