"""The operator's own commands: each runs exactly once per try, as a job on the host that its hook names."""

import shlex

from activities.context import Toolbox, step_activity
from activities.errors import last_lines
from activities.work import Hand
from model.actions import HookParams
from model.plan import Action
from model.work import StepResult, Work


def hook_script(run: str, params: HookParams) -> str:
    """Return the script of a hook: its command, with what it is about in its environment."""
    about = {"STACKROLL_RUN": run, "STACKROLL_HOST": params.host, "STACKROLL_WAVE": str(params.wave or "")}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in about.items())
    return f"{exports}{params.command}\n"


class HookActivities:
    """The activity that runs hooks."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools = tools

    @step_activity(Action.RUN_HOOK)
    async def run_hook(self, work: Work, params: HookParams) -> StepResult:
        """Run a command of the operator's; an exit status other than 0 is a failure."""
        job = await Hand(self._tools, work).job("hook", hook_script(work.upgrade, params))
        job.check(
            f"the hook {params.name} failed",
            command=params.command,
            remedy="mend what its output names, then retry the step, or skip it",
        )
        output = last_lines(job.output_tail)
        said = f": {output.rpartition(chr(10))[2]}" if output else ""
        return StepResult(summary=f"{params.name} done{said}", details={"output": output, "seconds": job.seconds})
