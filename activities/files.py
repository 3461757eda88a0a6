"""Files that this project writes: where they are, and whole or not at all."""

import os
import tempfile
from pathlib import Path


def state_folder() -> Path:
    """Return the folder where this project keeps what it writes (``STACKROLL_STATE_DIR``)."""
    return Path(os.environ.get("STACKROLL_STATE_DIR") or Path.home() / ".local" / "share" / "stackroll")


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all, in a folder that is made if it must."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        file.write(text)
    temporary = Path(file.name)
    temporary.chmod(0o644)
    temporary.replace(path)
