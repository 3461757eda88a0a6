"""A step's changes on hosts, as jobs named after the step; and the proof that they took effect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from activities.context import Toolbox, progress, remaining, wait_for
from activities.errors import StepFailed
from activities.jobs import GRACE, JobResult, run_job
from activities.running import UnitState, read_units
from activities.units import units_of
from model.work import Work

UNITS_LIMIT = 120.0
# A unit that its service manager has started again so often while it was waited for dies of its own code.
MOST_RESTARTS = 3


def _died(state: UnitState, began: Mapping[str, int]) -> str:
    """Say that a unit was started again and again, if it was."""
    times = state.restarts - began.get(state.unit, state.restarts)
    return f"has died {times} times: it " if times >= MOST_RESTARTS else ""


@dataclass(frozen=True)
class Hand:
    """Does the parts of one try of one step on hosts: each part at most once, whoever takes the try over."""

    tools: Toolbox
    work: Work

    async def job(self, part: str, script: str, *, host: str | None = None) -> JobResult:
        """Run a script as the job of this part of the step, on the step's target unless another host is named."""
        work = self.work
        progress(f"{part} on {host or work.target}")
        left = remaining(work)
        grace = min(GRACE, left / 2)
        return await run_job(
            self.tools.hosts,
            work.inventory,
            host or work.target,
            f"{work.key}/{part}",
            script,
            timeout=left - grace,
            grace=grace,
            heartbeat=progress,
            # All tries of a step, forth and back: no two of them may run on a host at the same time.
            group=f"{work.upgrade}/{work.step}",
        )

    async def units(self, *units: str) -> tuple[UnitState, ...]:
        """Read what these units of the target run."""
        return await read_units(self.tools.hosts, self.work.inventory, self.work.target, units)

    async def check_steady(self, begun: Sequence[UnitState], version: str) -> None:
        """Look whether units still run as they did when they had begun: a service may die seconds after its start.

        Raises:
            StepFailed: one does not.
        """
        started = {state.unit: state.since for state in begun}
        for state in await self.units(*started):
            if state.version != version or state.since != started[state.unit]:
                raise await self._not_running(state, version, "did not stay up: it ")

    async def wait_running(self, units: tuple[str, ...], version: str) -> None:
        """Wait until the processes of these units run from this version, and from no other.

        Raises:
            StepFailed: they do not within the limit, or die again and again.
        """
        seen: tuple[UnitState, ...] = ()
        restarts: dict[str, int] = {}

        def dying(state: UnitState) -> bool:
            began = restarts.setdefault(state.unit, state.restarts)
            return state.version != version and state.restarts - began >= MOST_RESTARTS

        async def running() -> bool:
            nonlocal seen
            seen = await self.units(*units)
            return any(dying(state) for state in seen) or all(state.version == version for state in seen)

        limit = min(UNITS_LIMIT, remaining(self.work))
        await wait_for(running, f"{' and '.join(units)} to run from {version}", limit=limit)
        if wrong := next((state for state in seen if state.version != version), None):
            again = _died(wrong, restarts)
            raise await self._not_running(wrong, version, again)

    async def _not_running(self, state: UnitState, version: str, problem: str = "") -> StepFailed:
        hosts, inventory, host = self.tools.hosts, self.work.inventory, self.work.target
        log = await hosts.run(inventory, host, units_of().log(state.unit), check=False)
        runs = f"runs from {'+'.join(state.versions)}" if state.versions else "runs from no version that is known"
        return StepFailed(
            f"{state.unit} {problem}is {state.active} and {runs}, not from {version}",
            host=host,
            tail=log.stdout,
            remedy=f"read its log there (journalctl -u {state.unit}), mend the cause, then retry the step",
        )
