"""How far hosts and guests of a plan are, and what follows from it for the next ones."""

from collections.abc import Mapping

from model.outlook import Outlook
from model.plan import Action, Plan, Step
from model.status import FleetStatus, StepState, StepStatus

MOST_SPARES = 8
_PASSED = (StepState.DONE, StepState.SKIPPED)


def open_hooks(plan: Plan, steps: Mapping[str, StepStatus]) -> tuple[Step, ...]:
    """Return the hooks of waves that have run, are to be taken back, and whose wave is not over; the last one first."""
    ends = {_wave_of(step.id): step.id for step in plan.steps if _wave_of(step.id)}
    over = {wave for wave, id_ in ends.items() if steps[id_].state in _PASSED}
    hooks = [s for s in plan.steps if s.action is Action.RUN_HOOK and s.undo is not None and _wave_of(s.id)]
    ran = [step for step in hooks if steps[step.id].state is StepState.DONE]
    return tuple(step for step in reversed(ran) if _wave_of(step.id) not in over)


def spares_for(plan: Plan, steps: Mapping[str, StepStatus], outlook: Outlook, host: str) -> tuple[str, ...]:
    """Return hosts to go to when a planned target does not take a guest: such as are done, or need nothing.

    Not all hosts ask the same ones first.
    """
    drains = [step.target for step in plan.steps if step.action is Action.DRAIN_COMPUTE]
    done = [name for name in drains if all(steps[s.id].state in _PASSED for s in plan.members(f"host/{name}"))]
    clean = [*done, *outlook.clean]
    if not clean:
        return ()
    place = (drains.index(host) * MOST_SPARES) % len(clean) if host in drains else 0
    return tuple(name for name in (*clean[place:], *clean[:place]) if name != host)[:MOST_SPARES]


class FleetView:
    """How far the waves, hosts and guests of a plan are. It is asked after each event, of a thousand hosts too."""

    def __init__(self, plan: Plan, outlook: Outlook) -> None:
        """Look up once what does not change."""
        self._ends = {_wave_of(step.id): step.id for step in plan.steps if _wave_of(step.id)}
        groups = [plan.members(group) for group in plan.groups if group.startswith("host/")]
        # The steps of a host follow one another: the first and the last one say where it is.
        self._hosts = [(steps[0].id, steps[-1].id) for steps in groups]
        drains = [step for step in plan.steps if step.action is Action.DRAIN_COMPUTE]
        self._guests = {step.id: len(step.params.get("targets", {})) for step in drains}
        self._exposed = tuple(one.host for one in outlook.exposed)

    def status(self, steps: Mapping[str, StepStatus]) -> FleetStatus:
        """Return how far they are."""
        done = sum(steps[last].state in _PASSED for _, last in self._hosts)
        begun = sum(steps[first].state is not StepState.PENDING for first, _ in self._hosts)
        open_ = (wave for wave, id_ in self._ends.items() if steps[id_].state not in _PASSED)
        return FleetStatus(
            waves=len(self._ends),
            wave=min(open_, default=len(self._ends)),
            done=done,
            working=max(0, begun - done),
            left=len(self._hosts) - max(begun, done),
            guests=sum(self._guests.values()),
            guests_left=sum(number for id_, number in self._guests.items() if steps[id_].state not in _PASSED),
            exposed=self._exposed,
        )


def _wave_of(id_: str) -> int:
    """Return the number of the wave that a step of a wave belongs to; 0 for any other."""
    parts = id_.split("/")
    return int(parts[1]) if parts[0] == "wave" else 0
