"""Commands on the cloud's hosts over SSH: verified host keys, one connection per host, clear errors.

``Hosts.run`` is for commands that only read, or that may safely run twice: when a reused connection turns out to be
dead, the command is sent again on a fresh one. Whatever changes a host goes through ``activities.jobs``.
"""

import asyncio
import functools
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from activities.errors import Refused, StackrollError, StepFailed, Unreachable
from model.inventory import Inventory

CONNECT_TIMEOUT = 10.0
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 3
# sshd refuses the eleventh session on one connection by default (MaxSessions 10).
SESSIONS_PER_CONNECTION = 8
# Beyond this many, the connection that has been idle longest makes room: fleets are bigger than a process's files.
MAX_HANDSHAKES = 32
MAX_CONNECTIONS = 256
# Before all others that the library knows: a third less work for each command than its own first choice.
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"


@dataclass(frozen=True)
class Completed:
    """What came of a command: exit status (minus the signal's number if a signal ended it) and output."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, order=True)
class _Login:
    """Everything that distinguishes one connection from another."""

    host: str
    address: str
    port: int
    user: str
    key: str
    known_hosts: str

    @property
    def prefix(self) -> str:
        return "" if self.user == "root" else "sudo -n -- "


@dataclass
class _Line:
    """A connection to one host, opened when first needed and again when it was lost."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sessions: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SESSIONS_PER_CONNECTION))
    connection: Any = None
    watched: bool = False
    users: int = 0
    used: float = 0.0

    def watch(self) -> None:
        """Notice when the host falls silent, from now on."""
        if not self.watched:
            self.connection.set_keepalive(KEEPALIVE_INTERVAL)
            self.watched = True

    def rest(self) -> None:
        """Ask the host nothing while nobody uses the connection: with a fleet that is much asked for nothing.

        Only after an answer. Of a connection on which one was missed it must be found out whether it is dead.
        """
        if not self.users and self.connection is not None:
            self.connection.set_keepalive(0)
            self.watched = False


class Hosts:
    """All SSH connections of a worker. One per host, reused; not to be shared between event loops."""

    def __init__(self, *, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._connect_timeout = connect_timeout
        self._handshakes = asyncio.Semaphore(MAX_HANDSHAKES)
        self._lines: dict[_Login, _Line] = {}

    async def run(
        self,
        inventory: Inventory,
        host: str,
        command: str,
        *,
        check: bool = True,
        timeout: float = 60.0,  # noqa: ASYNC109 - part of the error message
        input: str | None = None,  # noqa: A002 - as in subprocess.run
    ) -> Completed:
        """Run a shell command as root on a host of the inventory.

        Raises:
            Refused: unknown host, wrong or missing key, unknown or changed host key, no right to use sudo.
            Unreachable: no connection, or no answer within the timeout.
            StepFailed: a status other than 0, if ``check``.
        """
        login = _login(inventory, host)
        line = self._lines.setdefault(login, _Line())
        line.users += 1
        try:
            async with line.sessions:
                # Connecting has limits of its own, and that a thousand other hosts come first is no fault of this one.
                opened = await self._connection(login, line)
                async with asyncio.timeout(timeout + self._connect_timeout):
                    done = await self._run(login, line, opened, command, timeout, input)
        except TimeoutError:
            raise Unreachable(
                f"no result within {timeout:g} s", host=host, command=command, remedy="see whether the host hangs"
            ) from None
        finally:
            line.users, line.used = line.users - 1, time.monotonic()
        line.rest()
        _check_sudo(login, done)
        if check and done.status != 0:
            raise StepFailed(
                "a command failed", host=host, command=command, status=done.status, tail=done.stdout + done.stderr
            )
        return done

    async def close(self) -> None:
        """Close every connection."""
        lines, self._lines = list(self._lines.values()), {}
        for line in lines:
            if line.connection is not None:
                line.connection.close()
                await line.connection.wait_closed()

    async def _run(
        self, login: _Login, line: _Line, opened: tuple[Any, bool], command: str, limit: float, text: str | None
    ) -> Completed:
        process = await self._start(login, line, opened, f"{login.prefix}sh -c {shlex.quote(command)}")
        try:
            async with asyncio.timeout(limit):
                if not text:
                    # A command that reads its input must not wait for ever.
                    process.stdin.write_eof()
                stdout, stderr = await process.communicate(text)
        except TimeoutError:
            raise
        except (asyncssh.Error, OSError) as error:
            raise _lost(login, command, error) from error
        finally:
            process.close()
        if process.returncode is None:
            raise _lost(login, command, "the connection ended before the command did")
        return Completed(process.returncode, stdout, stderr)

    async def _start(self, login: _Login, line: _Line, opened: tuple[Any, bool], wrapped: str) -> Any:
        connection, fresh = opened
        try:
            return await self._open(connection, wrapped)
        except (asyncssh.Error, OSError) as error:
            if fresh:
                raise _lost(login, wrapped, error) from error
        # The connection was dead and nobody had noticed yet: the host rebooted, or a firewall forgot about it.
        await _drop(line, connection)
        connection, _ = await self._connection(login, line)
        try:
            return await self._open(connection, wrapped)
        except (asyncssh.Error, OSError) as error:
            raise _lost(login, wrapped, error) from error

    async def _open(self, connection: Any, wrapped: str) -> Any:
        return await connection.create_process(wrapped, encoding="utf-8", errors="replace")

    async def _connection(self, login: _Login, line: _Line) -> tuple[Any, bool]:
        async with line.lock:
            if line.connection is not None and not line.connection.is_closed():
                line.watch()
                return line.connection, False
            self._make_room()
            line.connection = await self._connect(login)
            line.watched = True
            return line.connection, True

    def _make_room(self) -> None:
        opened = [(login, line) for login, line in self._lines.items() if line.connection is not None]
        idle = sorted((line.used, login) for login, line in opened if not line.users)
        for _, login in idle[: max(0, len(opened) + 1 - MAX_CONNECTIONS)]:
            self._lines.pop(login).connection.close()

    async def _connect(self, login: _Login) -> Any:
        _check_files(login)
        # A thousand handshakes at once would each take longer than any limit.
        async with self._handshakes:
            return await self._shake_hands(login)

    async def _shake_hands(self, login: _Login) -> Any:
        try:
            return await asyncssh.connect(
                login.address,
                login.port,
                username=login.user,
                client_keys=[login.key],
                known_hosts=_known_hosts(login.known_hosts),
                # Only what the inventory says: no agent, no ~/.ssh/config, no passwords.
                agent_path=None,
                config=None,
                preferred_auth="publickey",
                encryption_algs=_CIPHERS,
                connect_timeout=self._connect_timeout,
                login_timeout=self._connect_timeout,
                keepalive_interval=KEEPALIVE_INTERVAL,
                keepalive_count_max=KEEPALIVE_COUNT,
            )
        except (asyncssh.Error, OSError, ValueError) as error:
            raise _explain(login, error) from error


def _known_hosts(path: str) -> asyncssh.SSHKnownHosts:
    """Return a list of host keys, read again when it has changed: for a fleet it is long, and each host asks for it."""
    return _parse_known_hosts(path, Path(path).stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _parse_known_hosts(path: str, modified: int) -> asyncssh.SSHKnownHosts:
    del modified  # part of the cache's key only
    return asyncssh.read_known_hosts(path)


async def _drop(line: _Line, connection: Any) -> None:
    async with line.lock:
        if line.connection is connection:
            connection.abort()
            line.connection = None


def _login(inventory: Inventory, host: str) -> _Login:
    if host not in inventory.hosts:
        raise Refused(
            f"{host!r} is no host of the inventory", remedy=f"known hosts: {', '.join(inventory.hosts) or 'none'}"
        )
    access = inventory.ssh
    return _Login(
        host=host,
        address=inventory.hosts[host].address,
        port=access.port,
        user=access.user,
        key=str(Path(access.key).expanduser()),
        known_hosts=str(Path(access.known_hosts).expanduser()),
    )


def _check_files(login: _Login) -> None:
    for path, what, key in (
        (login.key, "SSH key", "ssh.key"),
        (login.known_hosts, "list of host keys", "ssh.known_hosts"),
    ):
        if not Path(path).is_file():
            raise Refused(
                f"the {what} {path} does not exist on the worker's machine",
                host=login.host,
                remedy=f"put it there, or name the right file as {key} in the inventory",
            )


def _explain(login: _Login, error: Exception) -> StackrollError:
    """Say what a failed connection means: who must do what, and whether trying again can help."""
    where = f"{login.address} port {login.port}"
    if isinstance(error, (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed)):
        return _explain_host_key(login, error)
    if isinstance(error, asyncssh.PermissionDenied):
        return Refused(
            f"its sshd does not accept the key {login.key} for user {login.user}",
            host=login.host,
            remedy="add its public half to the user's authorized_keys there, or correct ssh.user and ssh.key",
        )
    if isinstance(error, ValueError):
        # asyncssh reports unreadable keys (KeyImportError, KeyEncryptionError) and lists of host keys this way.
        return Refused(
            f"the SSH key {login.key} or the list of host keys {login.known_hosts} cannot be used ({error})",
            host=login.host,
            remedy="name a private key in OpenSSH format without passphrase as ssh.key, and a known_hosts file",
        )
    return Unreachable(
        f"no SSH connection to {where} as {login.user} ({str(error) or type(error).__name__})",
        host=login.host,
        remedy="see whether the host is up and its sshd answers; the step goes on by itself as soon as it does",
    )


def _explain_host_key(login: _Login, error: Exception) -> StackrollError:
    known = any(_known_hosts(login.known_hosts).match(login.address, login.address, login.port)[:2])
    if not known and isinstance(error, asyncssh.HostKeyNotVerifiable):
        return Refused(
            f"its host key is not in {login.known_hosts}",
            host=login.host,
            remedy="verify the host's key on its console and add it to the file",
        )
    if known:
        return Refused(
            f"the host key of {login.address} has changed: it is not the one in {login.known_hosts}",
            host=login.host,
            remedy="if the host was reinstalled, replace its line in the file; otherwise somebody stands in between",
        )
    return Unreachable(f"no common way of encryption with {login.address} ({error})", host=login.host)


def _lost(login: _Login, command: str, reason: Exception | str) -> Unreachable:
    text = str(reason) or type(reason).__name__
    return Unreachable(
        f"the SSH connection to {login.address} was lost ({text})",
        host=login.host,
        command=command,
        remedy="see whether the host is up; the step goes on by itself as soon as it answers",
    )


def _check_sudo(login: _Login, done: Completed) -> None:
    if login.prefix and done.status == 1 and done.stderr.startswith("sudo:"):
        raise Refused(
            f"user {login.user} may not run commands as root",
            host=login.host,
            tail=done.stderr,
            remedy="allow it in sudoers without a password, or set ssh.user to root",
        )
