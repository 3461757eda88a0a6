"""What an upgrade keeps of the cloud before it: on the database host beside the dumps, where every worker finds it."""

import json
import re
import shlex

from pydantic import ValidationError

from activities.errors import StepFailed
from activities.ssh import Hosts
from model.baseline import Baseline
from model.work import Work

BASELINES = "/var/lib/stackroll/baselines"
# Seconds; a digest of a big cloud has some ten megabytes.
FILE_TIMEOUT = 300.0


def baseline_path(upgrade: str) -> str:
    """Return where an upgrade's baseline lies on the database host."""
    return f"{BASELINES}/{upgrade_slug(upgrade)}.json"


def upgrade_slug(upgrade: str) -> str:
    """Return the name of an upgrade as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", upgrade)


async def save_baseline(hosts: Hosts, work: Work, baseline: Baseline) -> str:
    """Write the baseline of this upgrade, in one step; return its path."""
    path = baseline_path(work.upgrade)
    await keep_file(hosts, work, path, json.dumps(baseline.model_dump(mode="json")))
    return path


async def load_baseline(hosts: Hosts, work: Work) -> Baseline | None:
    """Return the baseline of this upgrade; None if none was kept.

    Raises:
        StepFailed: the file is there, and cannot be read.
    """
    text = await kept_file(hosts, work, baseline_path(work.upgrade))
    if text is None:
        return None
    try:
        return Baseline.model_validate_json(text)
    except ValidationError as error:
        raise StepFailed(
            f"the baseline {baseline_path(work.upgrade)} cannot be read",
            host=work.inventory.database.host,
            tail=str(error),
            remedy="put the file back from a copy, then retry the step",
        ) from None


async def keep_file(hosts: Hosts, work: Work, path: str, text: str) -> None:
    """Write a file on the database host, in one step."""
    name = shlex.quote(path)
    command = f"umask 077; mkdir -p -m 700 {BASELINES} && cat > {name}.new && sync {name}.new && mv {name}.new {name}"
    await hosts.run(work.inventory, work.inventory.database.host, command, input=text, timeout=FILE_TIMEOUT)


async def kept_file(hosts: Hosts, work: Work, path: str) -> str | None:
    """Return what ``keep_file`` has written; None if it has not."""
    name = shlex.quote(path)
    command = f"[ ! -e {name} ] || cat {name}"
    done = await hosts.run(work.inventory, work.inventory.database.host, command, timeout=FILE_TIMEOUT)
    return done.stdout or None
