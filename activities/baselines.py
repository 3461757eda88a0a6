"""The baseline of an upgrade: kept on the database host beside the dumps, where every worker finds it."""

import json
import re
import shlex

from pydantic import ValidationError

from activities.errors import StepFailed
from activities.ssh import Hosts
from model.baseline import Baseline
from model.work import Work

BASELINES = "/var/lib/stackroll/baselines"


def baseline_path(upgrade: str) -> str:
    """Return where an upgrade's baseline lies on the database host."""
    return f"{BASELINES}/{upgrade_slug(upgrade)}.json"


def upgrade_slug(upgrade: str) -> str:
    """Return the name of an upgrade as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", upgrade)


async def save_baseline(hosts: Hosts, work: Work, baseline: Baseline) -> str:
    """Write the baseline of this upgrade, in one step; return its path."""
    path = baseline_path(work.upgrade)
    name = shlex.quote(path)
    command = f"umask 077; mkdir -p -m 700 {BASELINES} && cat > {name}.new && sync {name}.new && mv {name}.new {name}"
    text = json.dumps(baseline.model_dump(mode="json"))
    await hosts.run(work.inventory, work.inventory.database.host, command, input=text)
    return path


async def load_baseline(hosts: Hosts, work: Work) -> Baseline | None:
    """Return the baseline of this upgrade; None if none was kept.

    Raises:
        StepFailed: the file is there, and cannot be read.
    """
    host, name = work.inventory.database.host, shlex.quote(baseline_path(work.upgrade))
    done = await hosts.run(work.inventory, host, f"[ ! -e {name} ] || cat {name}")
    if not done.stdout:
        return None
    try:
        return Baseline.model_validate_json(done.stdout)
    except ValidationError as error:
        raise StepFailed(
            f"the baseline {baseline_path(work.upgrade)} cannot be read",
            host=host,
            tail=str(error),
            remedy="put the file back from a copy, then retry the step",
        ) from None
