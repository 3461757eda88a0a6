"""Counts of a run's steps, kept as they change: a fleet has thousands, and every report of a host asks for them."""

from collections import Counter
from collections.abc import Iterable

from model.plan import Phase
from model.status import HostStatus, PhaseStatus, StepState, StepStatus

PASSED = (StepState.DONE, StepState.SKIPPED)
ACTIVE = (StepState.RUNNING, StepState.UNDOING)


class Tally:
    """The steps of a run, by their state, phase and host. A change costs the same whatever the fleet's size."""

    def __init__(self) -> None:
        """Begin without steps."""
        self.steps: dict[str, StepStatus] = {}
        self._place: dict[str, int] = {}
        self._states: dict[StepState, set[str]] = {state: set() for state in StepState}
        self._phases: Counter[tuple[Phase, StepState]] = Counter()
        self._targets: dict[str, list[str]] = {}
        self._hosts: dict[str, HostStatus] = {}

    def put(self, status: StepStatus) -> None:
        """Take a step, or its new state."""
        before = self.steps.get(status.id)
        if before is None:
            self._place[status.id] = len(self._place)
        else:
            self._states[before.state].discard(status.id)
            self._phases[before.phase, before.state] -= 1
        self.steps[status.id] = status
        self._states[status.state].add(status.id)
        self._phases[status.phase, status.state] += 1
        if status.target in self._targets:
            self._hosts[status.target] = self._host(status.target)

    def show_hosts(self, steps: Iterable[StepStatus]) -> None:
        """Show the hosts of these steps from now on, by these steps alone."""
        self._targets, self._hosts = {}, {}
        for step in steps:
            if step.target != "cloud":
                self._targets.setdefault(step.target, []).append(step.id)
        self._hosts = {name: self._host(name) for name in self._targets}

    def in_state(self, *states: StepState) -> tuple[StepStatus, ...]:
        """Return the steps in any of these states, in plan order."""
        found = [id_ for state in states for id_ in self._states[state]]
        return tuple(self.steps[id_] for id_ in sorted(found, key=self._place.__getitem__))

    @property
    def phases(self) -> tuple[PhaseStatus, ...]:
        """The counts of every phase that has steps, in the order of the design."""
        return tuple(status for phase in Phase if (status := self._phase(phase)).total)

    @property
    def hosts(self) -> tuple[HostStatus, ...]:
        """Every host's place in the run, in plan order."""
        return tuple(self._hosts.values())

    def _phase(self, phase: Phase) -> PhaseStatus:
        def count(*states: StepState) -> int:
            return sum(self._phases[phase, state] for state in states)

        return PhaseStatus(
            phase=phase,
            total=count(*StepState),
            done=count(*PASSED),
            running=count(*ACTIVE),
            failed=count(StepState.FAILED),
        )

    def _host(self, name: str) -> HostStatus:
        steps = [self.steps[id_] for id_ in self._targets[name]]
        done = sum(step.state in PASSED for step in steps)
        now = next((step for step in steps if step.state in ACTIVE), None)
        if any(step.state is StepState.FAILED for step in steps):
            state = StepState.FAILED
        elif now is not None:
            state = now.state
        else:
            state = StepState.DONE if done == len(steps) else StepState.PENDING
        return HostStatus(
            host=name,
            total=len(steps),
            done=done,
            doing=now.title if now else "",
            since=now.started if now else None,
            state=state,
        )
