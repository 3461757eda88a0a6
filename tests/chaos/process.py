"""Matrix and deaths as processes of their own: what they do to waits and limits must not reach other tests."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

import pytest

_LAST_WORDS = 30


@dataclass(frozen=True)
class Ran:
    """What came of a process."""

    status: int
    output: str
    errors: str

    @property
    def failures(self) -> str:
        """The lines about what has failed, with the indented ones that say why; else the last words of its errors."""
        lines, kept = self.output.splitlines(), list[str]()
        for before, line in zip(["", *lines], lines, strict=False):
            if "FAIL" in line or (line.startswith("      ") and (kept and kept[-1] == before)):
                kept.append(line)
        return "\n".join(["", *(kept or self.errors.splitlines()[-_LAST_WORDS:])])


def run_and_show(capfd: pytest.CaptureFixture[str], module: str, *words: str) -> Ran:
    """Run a module, and show what it prints while it prints it."""
    lines = []
    command = (sys.executable, "-m", module, *words)
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            with capfd.disabled():
                print(line, end="", flush=True)
        process.wait()
        errors.seek(0)
        return Ran(process.returncode, "".join(lines), errors.read())


def seed() -> int:
    """Return the seed that was asked for, or one that nobody has seen."""
    return setting("SEED", int(time.time())) % 1_000_000


def setting(name: str, otherwise: int) -> int:
    """Return a number from the environment (``STACKROLL_CHAOS_...``)."""
    return int(os.environ.get(f"STACKROLL_CHAOS_{name}") or otherwise)
