"""The operator's own commands, as far as a host that has no shell can run them."""

import shlex
from collections.abc import Callable

from simulator.clock import Clock
from simulator.host import Host

Say = Callable[[str], None]
NOT_SIMULATED = 127


async def run(host: Host, clock: Clock, command: str, environment: dict[str, str], say: Say) -> int:
    """Run a command of one or several lines until one fails; return the last exit status."""
    host.hooks.append((command, environment))
    status = 0
    for line in command.replace("&&", "\n").splitlines():
        words = [_filled(word, environment) for word in shlex.split(line, comments=True)]
        if words:
            status = await _one(host, clock, words, say)
        if status:
            break
    return status


async def _one(host: Host, clock: Clock, words: list[str], say: Say) -> int:
    status = 0
    match words:
        case ["true"]:
            pass
        case ["false"]:
            status = 1
        case ["exit", number]:
            status = int(number)
        case ["echo", *rest]:
            say(" ".join(rest))
        case ["sleep", seconds]:
            await clock.sleep(float(seconds))
        case ["touch", path]:
            host.files.setdefault(path, "")
        case ["rm", "-f", path]:
            host.files.pop(path, None)
        case ["test", "-e", path]:
            status = 0 if path in host.files else 1
        case ["hostname"]:
            say(host.hostname)
        case _:
            say(f"this command is not simulated: {shlex.join(words)}")
            status = NOT_SIMULATED
    return status


def _filled(word: str, environment: dict[str, str]) -> str:
    for name, value in environment.items():
        word = word.replace(f"${{{name}}}", value).replace(f"${name}", value)
    return word
