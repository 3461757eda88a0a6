"""What a service's module gives: its own steps of each phase. A new OpenStack service is one file."""

from dataclasses import dataclass
from typing import Protocol

from model.components import COMPONENTS, Component
from model.inventory import Inventory, Role
from model.plan import Phase, Plan, Step
from workflows.services.builder import Context, Manage, Sequencer, api_steps, manage_steps


@dataclass(frozen=True)
class Repair:
    """A step of the way back that takes nothing back itself, and its place among the compensations.

    Attributes:
        step: the step.
        after: the steps of the upgrade whose compensations come before it.
        before: the steps of the upgrade whose compensations wait for it.
    """

    step: Step
    after: frozenset[str]
    before: frozenset[str]


class Service(Protocol):
    """An OpenStack service as a source of steps."""

    name: str
    after: tuple[str, ...]

    def expand(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """Steps that make its schema serve both releases."""

    def control(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """Steps that bring its processes on the control hosts to the new release, one host at a time."""

    def data(self, context: Context, host: str, needs: tuple[str, ...]) -> list[Step]:
        """Steps that bring a compute host to the new release."""

    def finish(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """Steps behind the commit point."""

    def repairs(self, plan: Plan, inventory: Inventory, undone: frozenset[str]) -> list[Repair]:
        """What must be repaired on the way back, when these steps of the upgrade are taken back."""


class ApiService:
    """A service with one API, a schema, and nothing on compute hosts: keystone, placement, glance."""

    def __init__(
        self, name: str, *, after: tuple[str, ...], expand: tuple[Manage, ...], finish: tuple[Manage, ...]
    ) -> None:
        self.name = name
        self.after = after
        self._expand = expand
        self._finish = finish

    @property
    def _api(self) -> Component:
        return next(c for c in COMPONENTS if c.service == self.name and c.role is Role.CONTROL)

    def expand(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """The schema commands that leave the old release working."""
        writer = Sequencer(context, Phase.EXPAND, needs, service=self.name, limit="database")
        manage_steps(writer, self.name, "expand", self._expand)
        return writer.steps

    def control(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """Its API, one control host after the other."""
        writer = Sequencer(
            context, Phase.CONTROL, needs, service=self.name, group=f"service/{self.name}", limit="control"
        )
        for host in context.control:
            writer.scope = f"{self._api.unit}@{host}"
            api_steps(writer, self._api, host)
        return writer.steps

    def data(self, context: Context, host: str, needs: tuple[str, ...]) -> list[Step]:  # noqa: ARG002
        """Nothing: it has no part on compute hosts."""
        return []

    def finish(self, context: Context, needs: tuple[str, ...]) -> list[Step]:
        """The commands after which the old release cannot come back."""
        writer = Sequencer(context, Phase.FINISH, needs, service=self.name, limit="database")
        manage_steps(writer, self.name, "finish", self._finish)
        return writer.steps

    def repairs(self, plan: Plan, inventory: Inventory, undone: frozenset[str]) -> list[Repair]:  # noqa: ARG002
        """Nothing: what the new release has stored, the old one reads."""
        return []
