import asyncio
from typing import Any

import asyncssh
import pytest

from activities.errors import Refused, StepFailed, Unreachable
from activities.ssh import Hosts
from tests.activities.conftest import Site


async def test_runs_a_command_and_returns_what_it_said(site: Site, hosts: Hosts) -> None:
    done = await hosts.run(site.inventory, "ctl1", "cat; echo problem >&2; exit 3", input="söme\n", check=False)
    assert (done.status, done.stdout, done.stderr) == (3, "söme\n", "problem\n")


async def test_quotes_survive(site: Site, hosts: Hosts) -> None:
    done = await hosts.run(site.inventory, "ctl1", """printf '%s|' "a b" 'c"d' "$((1+1))" """)
    assert done.stdout == 'a b|c"d|2|'


async def test_a_failed_command_names_host_command_status_and_output(site: Site, hosts: Hosts) -> None:
    with pytest.raises(StepFailed) as caught:
        await hosts.run(site.inventory, "ctl1", "echo disk full >&2; exit 28")
    text = str(caught.value)
    assert "ctl1" in text
    assert "exit status: 28" in text
    assert "disk full" in text


async def test_a_command_that_a_signal_ends_has_failed(site: Site, hosts: Hosts) -> None:
    done = await hosts.run(site.inventory, "ctl1", "kill -9 $$", check=False)
    assert done.status == 128 + 9


async def test_one_connection_serves_many_commands(site: Site, hosts: Hosts) -> None:
    done = await asyncio.gather(*(hosts.run(site.inventory, "ctl1", f"echo {n}") for n in range(20)))
    assert [d.stdout for d in done] == [f"{n}\n" for n in range(20)]
    assert len(site.host.connections) == 1


async def test_idle_connections_make_room(site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.ssh.MAX_CONNECTIONS", 2)
    (site.root / "bin" / "sudo").write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    (site.root / "bin" / "sudo").chmod(0o755)
    for user in ("root", "one", "two", "three", "root"):
        site.user = user
        assert (await hosts.run(site.inventory, "ctl1", "echo here")).stdout == "here\n"
        assert len(hosts._lines) <= 2


async def test_a_lost_connection_is_opened_again(site: Site, hosts: Hosts) -> None:
    await hosts.run(site.inventory, "ctl1", "true")
    site.host.drop()
    assert (await hosts.run(site.inventory, "ctl1", "echo back")).stdout == "back\n"


async def test_a_host_is_asked_whether_it_is_there_only_while_somebody_waits_for_it(
    site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.ssh.KEEPALIVE_INTERVAL", 0.02)
    asked = []
    ask = asyncssh.SSHClientConnection._make_keepalive_request

    async def noted(self: asyncssh.SSHClientConnection) -> None:
        asked.append(self)
        await ask(self)

    monkeypatch.setattr(asyncssh.SSHClientConnection, "_make_keepalive_request", noted)
    for _ in range(2):
        asked.clear()
        await hosts.run(site.inventory, "ctl1", "sleep 0.3")
        assert asked
        asked.clear()
        await asyncio.sleep(0.3)
        assert not asked


async def test_a_host_that_fell_silent_while_nobody_waited_is_connected_to_anew(
    site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.ssh.KEEPALIVE_INTERVAL", 0.1)
    await hosts.run(site.inventory, "ctl1", "true")
    (silent,) = site.host.connections
    silent._transport.pause_reading()
    assert (await hosts.run(site.inventory, "ctl1", "echo here")).stdout == "here\n"
    silent.abort()


async def test_after_an_answer_was_missed_it_is_found_out_whether_the_connection_is_dead(
    site: Site, hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.ssh.KEEPALIVE_INTERVAL", 0.3)
    hosts._connect_timeout = 0.0
    await _first(site, hosts)
    (silent,) = site.host.connections
    silent._transport.pause_reading()
    with pytest.raises(Unreachable, match="no result within"):
        await hosts.run(site.inventory, "ctl1", "true", timeout=0.2)
    (line,) = hosts._lines.values()
    await asyncio.wait_for(line.connection.wait_closed(), 10)
    silent.abort()


async def _first(site: Site, hosts: Hosts) -> None:
    """Run a first command, which has time to connect."""
    limit, hosts._connect_timeout = hosts._connect_timeout, 10.0
    await hosts.run(site.inventory, "ctl1", "true")
    hosts._connect_timeout = limit


async def test_a_connection_lost_in_the_middle_says_so(site: Site, hosts: Hosts) -> None:
    (site.root / "begun").unlink(missing_ok=True)
    running = asyncio.create_task(hosts.run(site.inventory, "ctl1", "mkfifo $LAB/f; : >$LAB/f; read x <$LAB/f"))
    await asyncio.to_thread(_wait_for_fifo, site)
    site.host.drop()
    with pytest.raises(Unreachable, match="was lost"):
        await running
    await asyncio.to_thread((site.root / "f").write_text, "go\n")


def _wait_for_fifo(site: Site) -> None:
    while not (site.root / "f").exists():
        pass
    (site.root / "f").read_text()


async def test_a_command_that_does_not_end_in_time_is_unreachable(site: Site, hosts: Hosts) -> None:
    with pytest.raises(Unreachable, match="no result within"):
        await hosts.run(site.inventory, "ctl1", "exec sleep 5", timeout=0.1)


async def test_that_other_hosts_connect_first_is_no_fault_of_a_host(site: Site, hosts: Hosts) -> None:
    hosts._connect_timeout = 0.5
    hosts._handshakes = asyncio.Semaphore(0)
    running = asyncio.create_task(hosts.run(site.inventory, "ctl1", "echo here", timeout=2))
    done, _ = await asyncio.wait({running}, timeout=3.0)
    assert not done, "longer than its own limits, which begin when its turn has come"
    hosts._connect_timeout = 10
    hosts._handshakes.release()
    assert (await running).stdout == "here\n"


async def test_a_host_that_is_down_is_unreachable(site: Site, hosts: Hosts) -> None:
    await site.host.stop()
    with pytest.raises(Unreachable) as caught:
        await hosts.run(site.inventory, "ctl1", "true")
    assert "no SSH connection to 127.0.0.1" in str(caught.value)


async def test_a_key_that_the_host_does_not_know_is_refused(site: Site, hosts: Hosts, keys: dict[str, Any]) -> None:
    keys["other-user"].write_private_key(str(site.root / "key"))
    with pytest.raises(Refused, match="does not accept the key"):
        await hosts.run(site.inventory, "ctl1", "true")
    assert not site.host.commands


async def test_a_changed_host_key_is_refused(site: Site, hosts: Hosts, keys: dict[str, Any]) -> None:
    site.trust(keys["other-host"])
    with pytest.raises(Refused, match="has changed"):
        await hosts.run(site.inventory, "ctl1", "true")
    assert not site.host.commands


async def test_a_host_key_of_another_kind_counts_as_changed(site: Site, hosts: Hosts) -> None:
    site.trust(asyncssh.generate_private_key("ecdsa-sha2-nistp256"))
    with pytest.raises(Refused, match="has changed"):
        await hosts.run(site.inventory, "ctl1", "true")


async def test_an_unknown_host_key_is_refused(site: Site, hosts: Hosts) -> None:
    (site.root / "known_hosts").write_text("")
    with pytest.raises(Refused, match="is not in"):
        await hosts.run(site.inventory, "ctl1", "true")


@pytest.mark.parametrize(("file", "what"), [("key", "SSH key"), ("known_hosts", "list of host keys")])
async def test_a_missing_file_is_named(site: Site, hosts: Hosts, file: str, what: str) -> None:
    (site.root / file).unlink()
    with pytest.raises(Refused, match=f"the {what} .* does not exist"):
        await hosts.run(site.inventory, "ctl1", "true")


async def test_a_file_that_is_no_key_is_refused(site: Site, hosts: Hosts) -> None:
    (site.root / "key").write_text("hello\n")
    with pytest.raises(Refused, match="cannot be used"):
        await hosts.run(site.inventory, "ctl1", "true")


async def test_an_unknown_host_is_refused(site: Site, hosts: Hosts) -> None:
    with pytest.raises(Refused, match="no host of the inventory"):
        await hosts.run(site.inventory, "ctl9", "true")


async def test_other_users_than_root_use_sudo(site: Site, hosts: Hosts) -> None:
    site.user = "operator"
    sudo = site.root / "bin" / "sudo"
    sudo.write_text('#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 9\nshift 2\nexec "$@"\n')
    sudo.chmod(0o755)
    assert (await hosts.run(site.inventory, "ctl1", "echo 'as root'")).stdout == "as root\n"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    with pytest.raises(Refused, match="may not run commands as root"):
        await hosts.run(site.inventory, "ctl1", "true")
