"""How steps are written down one after the other, whatever plan they are of."""

from collections.abc import Sequence
from typing import Any

from model.actions import GateParams, as_params
from model.alerts import Gates, alert_params, alert_title
from model.base import Record
from model.plan import Action, Phase, Reversibility, Step
from model.spec import Approval, Approvers

CLOUD = "cloud"
# Seconds that an action took on the lab (2 cores, 5 hosts, 4 guests); only the forecast reads them.
ESTIMATES: dict[Action, float] = {
    Action.CHECK_CLOUD: 2,
    Action.CAPTURE_BASELINE: 1,
    Action.DUMP_DATABASES: 1,
    Action.INSTALL: 4,
    Action.RUN_MANAGE: 5,
    Action.DRAIN_API: 1,
    Action.ENABLE_API: 1,
    Action.SWITCH: 4,
    Action.SWITCH_QUIESCED: 15,
    Action.VERIFY_API: 5,
    Action.DISABLE_COMPUTE: 1,
    Action.ENABLE_COMPUTE: 1,
    Action.DRAIN_COMPUTE: 20,
    Action.SWITCH_COMPUTE: 10,
    Action.VERIFY_COMPUTE: 5,
    Action.VERIFY_CLOUD: 4,
    Action.CAPTURE_CONTRACT: 10,
    Action.CHECK_CONTRACT: 10,
    Action.VERIFY_HOST: 25,
    Action.START_GUESTS: 1,
    Action.WATCH_HOSTS: 1,
}


class StepWriter:
    """Writes steps one after the other: each needs the one before, the first needs what was given."""

    def __init__(
        self,
        phase: Phase,
        needs: tuple[str, ...] = (),
        *,
        service: str | None = None,
        group: str | None = None,
        scope: str | None = None,
        limit: str | None = None,
    ) -> None:
        """Begin; what is given is that of every step, unless it says otherwise."""
        self.phase, self.needs = phase, needs
        self.service, self.group, self.scope, self.limit = service, group, scope, limit
        self.steps: list[Step] = []

    def add(
        self,
        id_: str,
        title: str,
        action: Action,
        target: str,
        params: Record,
        reversibility: Reversibility,
        **more: Any,
    ) -> Step:
        """Append a step and return it; ``more`` are other attributes of it."""
        own = {"service": self.service, "group": self.group, "scope": self.scope, "limit": self.limit}
        content = {**own, "estimate": ESTIMATES.get(action, 2.0), **more}
        step = Step(
            id=id_,
            title=title,
            phase=self.phase,
            action=action,
            target=target,
            needs=tuple(dict.fromkeys(self.needs)),
            params=as_params(params),
            reversibility=reversibility,
            **content,
        )
        self.steps.append(step)
        self.needs = (step.id,)
        return step


def gate_step(phase: Phase, gate: str, rule: Approval | Approvers, needs: tuple[str, ...]) -> Step:
    """Return the step that waits for an approval, which the specification may give by itself."""
    params = GateParams.of(gate, rule)
    writer = StepWriter(phase, needs)
    return writer.add(f"gate/{gate}", params.title, Action.GATE, CLOUD, params, Reversibility.R0, estimate=0.0)


def alert_steps(
    phase: Phase, gates: Gates, name: str, needs: tuple[str, ...], *, at_once: bool = False
) -> tuple[Step, ...]:
    """Return the wait for alerts to be over, where the specification asks for it: for a time, or at this moment."""
    if gates.alerts is None:
        return ()
    params = alert_params(gates.alerts, name, at_once=at_once)
    writer, kind = StepWriter(phase, needs), Reversibility.R0
    writer.add(params.gate, alert_title(params), Action.ALERTS, CLOUD, params, kind, estimate=params.seconds)
    return tuple(writer.steps)


def last_of(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the ids of the steps that no other of these needs: what must pass before all of them have passed."""
    needed = {need for step in steps for need in step.needs}
    return tuple(step.id for step in steps if step.id not in needed)
