"""Where this machine keeps what stackroll writes, and how its embedded Temporal is reached: all by environment."""

import os
from dataclasses import dataclass, field
from pathlib import Path


def _state_dir() -> Path:
    return Path(os.environ.get("STACKROLL_STATE_DIR") or Path.home() / ".local/share/stackroll")


@dataclass(frozen=True)
class Settings:
    """Settings of the processes on one machine.

    Attributes:
        state_dir: reports, availability ledgers, and the embedded server's database (``STACKROLL_STATE_DIR``).
        ip: where the embedded server listens (``STACKROLL_DEV_IP``).
        port: its port (``STACKROLL_DEV_PORT``).
        ui_port: the web UI's port (``STACKROLL_DEV_UI_PORT``).
    """

    state_dir: Path = field(default_factory=_state_dir)
    ip: str = field(default_factory=lambda: os.environ.get("STACKROLL_DEV_IP", "127.0.0.1"))
    port: int = field(default_factory=lambda: int(os.environ.get("STACKROLL_DEV_PORT", "7233")))
    ui_port: int = field(default_factory=lambda: int(os.environ.get("STACKROLL_DEV_UI_PORT", "8233")))

    @property
    def database(self) -> Path:
        """The embedded server's database file."""
        return self.state_dir / "temporal.db"

    @property
    def address(self) -> str:
        """The embedded server's address."""
        return f"{self.ip}:{self.port}"

    @property
    def ui_url(self) -> str:
        """The embedded web UI."""
        return f"http://{self.ip}:{self.ui_port}"
