"""Run commands, on this machine or over SSH, and wait for conditions."""

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deploy.lab.errors import CommandError, LabError, WaitError
from deploy.lab.settings import Host, Paths

HERE = "this machine"
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Result:
    """Outcome of a command."""

    status: int
    stdout: str
    stderr: str


def run(
    args: Sequence[str],
    *,
    host: str = HERE,
    timeout: float = 600,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    remedy: str = "",
    shown: str = "",
) -> Result:
    """Run a command to its end.

    Args:
        args: The command and its arguments; no shell.
        host: Name used in errors.
        timeout: Seconds after which it is killed.
        stdin: Text for its standard input.
        env: Additions to the environment.
        check: Raise if the exit status is not 0.
        remedy: What the operator can do if it fails.
        shown: How errors show the command, if not as it is.

    Raises:
        CommandError: It failed, or took too long.
    """
    full = {**os.environ, **env} if env else None
    try:
        done = subprocess.run(
            args,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=full,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        printed = late.stdout if isinstance(late.stdout, str) else (late.stdout or b"").decode(errors="replace")
        raise CommandError(host, shown or args, 124, f"{printed}\nkilled after {timeout:.0f} s", remedy) from late
    except FileNotFoundError as missing:
        raise CommandError(host, shown or args, 127, str(missing), remedy or f"install {args[0]}") from missing
    if check and done.returncode:
        raise CommandError(host, shown or args, done.returncode, f"{done.stdout}\n{done.stderr}", remedy)
    return Result(done.returncode, done.stdout, done.stderr)


def ssh_args(paths: Paths, host: Host) -> list[str]:
    """Return the ssh command line, without the remote command, that reaches a host as root."""
    options = {
        "UserKnownHostsFile": str(paths.known_hosts),
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "5",
        "LogLevel": "ERROR",
    }
    flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    return ["ssh", "-F", "none", "-i", str(paths.key), *flags, f"root@{host.address}"]


def ssh(paths: Paths, host: Host, script: str, *, timeout: float = 300, check: bool = True, remedy: str = "") -> Result:
    """Run a shell script on a host as root, from standard input, stopping at the first failing command."""
    line = [*ssh_args(paths, host), "sh", "-es"]
    where = f"{host.name} ({host.address})"
    hint = remedy or f"look at it with `stackroll lab ssh {host.name}`, then run the same command again"
    return run(line, host=where, stdin=script, timeout=timeout, check=check, remedy=hint, shown=script.strip())


def wait(
    what: str, probe: Callable[[], str], *, timeout: float, interval: float = 0.2, remedy: str = "run it again"
) -> None:
    """Wait until the probe returns an empty string; what it returns meanwhile says what is missing.

    Raises:
        WaitError: It still says something after the timeout.
    """
    end = time.monotonic() + timeout
    while missing := _probe(probe):
        if time.monotonic() > end:
            raise WaitError(what, timeout, missing, remedy)
        time.sleep(interval)


def _probe(probe: Callable[[], str]) -> str:
    try:
        return probe()
    except (LabError, OSError) as not_yet:
        return str(not_yet) or type(not_yet).__name__


def in_parallel(function: Callable[[_T], _R], items: Sequence[_T], workers: int = 8) -> list[_R]:
    """Call the function for all items at once and return the results in order.

    All calls end before an error is raised, and all their errors are reported together.
    """
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(workers, len(items))) as pool:
        futures = [pool.submit(function, item) for item in items]
    errors = [error for future in futures if (error := future.exception()) is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise LabError("\n".join(str(error) for error in errors)) from errors[0]
    return [future.result() for future in futures]


@contextmanager
def exclusive(lock: Path = Path("/run/lock/stackroll-lab.lock")) -> Iterator[None]:
    """Let one command at a time change the lab.

    Raises:
        LabError: Another one is at it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as busy:
            held.seek(0)
            raise LabError(f"process {held.read().strip()} is changing the lab; next: wait until it ends") from busy
        held.truncate(0)
        held.write(str(os.getpid()))
        held.flush()
        yield
