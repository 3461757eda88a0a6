"""What runs and rehearsals of a cloud took, kept for the next forecast: one small file for each cloud."""

import logging
import re
from pathlib import Path

from pydantic import ValidationError

from activities.files import write_file
from model.experience import Experience, RunTimes

_log = logging.getLogger(__name__)


def read_experience(folder: Path, cloud: str) -> Experience:
    """Return what is known of a cloud; nothing is no error.

    Args:
        folder: the state folder.
        cloud: the cloud's name.
    """
    path = _path(folder, cloud)
    try:
        return Experience.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Experience()
    except (OSError, ValidationError) as error:
        # A forecast is worth less than an upgrade.
        _log.warning("forecasts go without what earlier runs took: %s cannot be read: %s", path, error)
        return Experience()


def keep_times(folder: Path, cloud: str, times: RunTimes) -> None:
    """Add what a run or a rehearsal took; told again, it takes the place of what was told before."""
    known = read_experience(folder, cloud)
    write_file(_path(folder, cloud), known.learned(times).model_dump_json(indent=1, exclude_none=True))


def _path(folder: Path, cloud: str) -> Path:
    return folder / "experience" / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', cloud)}.json"
