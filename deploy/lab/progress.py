"""Tell the person at the terminal what is going on: one line per stage, with elapsed seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console


class Progress:
    """Prints stages as they end; several may run at the same time."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._began = time.monotonic()
        self._lock = Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self._began

    def note(self, text: str) -> None:
        """Print a line that is no stage."""
        with self._lock:
            self.console.print(f"[dim]{self.elapsed:6.1f} s[/dim]  {text}")

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        """Time a stage and print its line when it ends, or that it failed."""
        began = time.monotonic()
        if self.console.is_terminal:
            self.note(f"[dim]… {title}[/dim]")
        try:
            yield
        except BaseException:
            self.note(f"[red]✘ {title}[/red] failed after {time.monotonic() - began:.1f} s")
            raise
        self.note(f"[green]✔[/green] {title} [dim]({time.monotonic() - began:.1f} s)[/dim]")
