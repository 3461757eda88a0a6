"""How steps are written down: the shapes that services share, so that a service's module says only what is its own."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from model.actions import ApiParams, CheckContractParams, InstallParams, ManageParams, SwitchParams, as_params
from model.base import Record
from model.components import Component, components_on
from model.inventory import Inventory, Role
from model.plan import Action, Phase, Reversibility, Step, Undo
from model.releases import Release
from model.spec import UpgradeRequest
from model.work import Facts
from workflows.drains import Drains
from workflows.steps import CLOUD, ESTIMATES, StepWriter


@dataclass(frozen=True)
class Context:
    """What a service's module needs to know of the upgrade. ``drains``: how its compute hosts are emptied."""

    request: UpgradeRequest
    facts: Facts
    drains: Drains

    @property
    def inventory(self) -> Inventory:
        """The cloud."""
        return self.request.inventory

    @property
    def source(self) -> Release:
        """The release before."""
        return self.request.source

    @property
    def target(self) -> Release:
        """The release after."""
        return self.request.target

    @property
    def control(self) -> tuple[str, ...]:
        """The control hosts."""
        return self.inventory.with_role(Role.CONTROL)

    @property
    def compute(self) -> tuple[str, ...]:
        """The compute hosts."""
        return self.inventory.with_role(Role.COMPUTE)

    def old_version(self, component: Component, host: str) -> str:
        """Return the version that runs now on a host, as it was read there; the release's own where it was not."""
        read = self.facts.hosts.get(host)
        running = read.running.get(component.unit) if read is not None else None
        return running or self.source.versions[component.service]

    @property
    def mixed(self) -> frozenset[str]:
        """The services that run from more than one version now, as it was read."""
        found: dict[str, set[str]] = {}
        for host in self.inventory.hosts:
            for component in components_on(self.inventory, host):
                found.setdefault(component.service, set()).add(self.old_version(component, host))
        return frozenset(service for service, versions in found.items() if len(versions) > 1)

    def is_new(self, host: str) -> bool:
        """Tell whether a compute host runs the wanted point releases already: there is nothing to do on it."""
        parts = [c for c in components_on(self.inventory, host) if c.role is Role.COMPUTE]
        return self.request.within_series and all(
            self.old_version(part, host) == self.new_version(part.service)
            for part in parts
            if part.service in self.request.services
        )

    @property
    def old_computes(self) -> tuple[str, ...]:
        """The compute hosts on which there is something to do."""
        return tuple(host for host in self.compute if not self.is_new(host))

    def new_version(self, service: str) -> str:
        """Return the version that the target release brings."""
        return self.target.versions[service]


class Sequencer(StepWriter):
    """Writes the steps of an upgrade one after the other."""

    def __init__(self, context: Context, phase: Phase, needs: tuple[str, ...] = (), **more: Any) -> None:
        """Begin; ``more`` as for every writer."""
        super().__init__(phase, needs, **more)
        self.context = context


_PURE = (Action.CHECK_ROLLBACK, Action.COUNT_LOSSES, Action.GATE, Action.VERIFY_ROLLBACK)


def back_step(
    id_: str,
    title: str,
    action: Action,
    params: Record,
    *,
    phase: Phase,
    target: str = CLOUD,
    needs: tuple[str, ...] = (),
    limit: str | None = None,
    reversibility: Reversibility | None = None,
    **more: Any,
) -> Step:
    """A step of a way back that takes back no single step. Of the whole cloud, it counts against no limit."""
    return Step(
        id=id_,
        title=title,
        phase=phase,
        action=action,
        target=target,
        needs=needs,
        params=as_params(params),
        reversibility=reversibility or (Reversibility.R0 if action in _PURE else Reversibility.R1),
        limit=limit if target != CLOUD else None,
        estimate=0.0 if action is Action.GATE else ESTIMATES.get(action, 2.0),
        **more,
    )


def install_step(writer: Sequencer, service: str, host: str, id_: str) -> Step:
    """A service's new version, installed beside the running one; nothing uses it yet."""
    version = writer.context.new_version(service)
    params = InstallParams(service=service, version=version, release=writer.context.target.id)
    return writer.add(
        id_,
        f"install {service} {version} on {host}",
        Action.INSTALL,
        host,
        params,
        Reversibility.R1,
        service=service,
        undo=Undo(action=Action.UNINSTALL, title=f"remove {service} {version} from {host}", params=as_params(params)),
    )


@dataclass(frozen=True)
class Manage:
    """A command of a service's tools: what people call it, its words, what its exit statuses mean, what it costs."""

    name: str
    title: str
    command: tuple[str, ...]
    reversibility: Reversibility
    ok: tuple[int, ...] = (0,)
    warn: tuple[int, ...] = ()
    again: tuple[int, ...] = ()
    meanings: dict[str, str] = field(default_factory=dict)


# oslo.upgradecheck: 0 all ok, 1 warnings, 2 failures, 255 unexpected error.
UPGRADE_CHECK_MEANINGS = {
    "1": "warnings",
    "2": "a check failed: mend what it names before upgrading",
    "255": "the check itself failed",
}


def upgrade_check(service: str) -> Manage:
    """``<service>-status upgrade check`` with the new code: it changes nothing and may refuse."""
    return Manage(
        name="upgrade-check",
        title=f"ask {service} whether it is ready",
        command=(f"{service}-status", "upgrade", "check"),
        reversibility=Reversibility.R0,
        warn=(1,),
        meanings=UPGRADE_CHECK_MEANINGS,
    )


def manage_steps(writer: Sequencer, service: str, prefix: str, commands: Iterable[Manage]) -> None:
    """Database commands on the first control host, one after the other, with the new code; never repeated blindly."""
    host = writer.context.control[0]
    for command in commands:
        writer.add(
            f"{prefix}/{service}/{command.name}",
            command.title,
            Action.RUN_MANAGE,
            host,
            ManageParams(
                service=service,
                version=writer.context.new_version(service),
                command=command.command,
                ok=command.ok,
                warn=command.warn,
                again=command.again,
                meanings=command.meanings,
            ),
            command.reversibility,
            service=service,
            retries=2 if command.reversibility is Reversibility.R0 else 0,
            timeout=7200.0,
        )


def api_steps(
    writer: Sequencer,
    component: Component,
    host: str,
    *,
    prefix: str = "",
    record_version: int | None = None,
    reversibility: Reversibility = Reversibility.R1,
) -> None:
    """One instance of an API: out of the balancer, onto the new version, verified, back in.

    Args:
        writer: where the steps are written.
        component: the API.
        host: where the instance runs.
        prefix: set for a restart at the version that runs already; its compensation is another restart.
        record_version: what the service's record must say before the old version starts again; None without records.
        reversibility: the class of the steps that change something.
    """
    context, unit = writer.context, component.unit
    new, old = context.new_version(component.service), context.old_version(component, host)
    if prefix:
        old, record_version = new, None
    name = f"{prefix}{unit}/{host}"
    params = _api_params(context, component, host, new)
    back = SwitchParams(service=component.service, version=old, units=(unit,), record_version=record_version)
    writer.add(
        f"{name}/drain",
        f"drain {unit} on {host}",
        Action.DRAIN_API,
        host,
        params,
        reversibility,
        timeout=params.timeout + 120,
        undo=Undo(
            action=Action.ENABLE_API,
            title=f"put {unit} on {host} back into service",
            params=as_params(params.model_copy(update={"version": old})),
        ),
    )
    writer.add(
        f"{name}/switch",
        f"restart {unit} on {host} at {new}",
        Action.SWITCH,
        host,
        SwitchParams(service=component.service, version=new, units=(unit,)),
        reversibility,
        undo=Undo(
            action=Action.SWITCH,
            title=f"restart {unit} on {host} at {old}",
            params=as_params(back),
        ),
    )
    writer.add(
        f"{name}/verify",
        f"verify {unit} on {host}",
        Action.VERIFY_API,
        host,
        params,
        Reversibility.R0,
        timeout=600.0,
    )
    if not prefix and host == context.control[0]:
        # Before it serves anybody: what it breaks, no client sees.
        check_contract_step(writer, f"{name}/contract", f"hold {unit} on {host} to the contract", host, unit)
    writer.add(
        f"{name}/enable",
        f"put {unit} on {host} back into service",
        Action.ENABLE_API,
        host,
        params,
        reversibility,
        undo=Undo(action=Action.DRAIN_API, title=f"drain {unit} on {host}", params=as_params(params)),
    )


def check_contract_step(writer: Sequencer, id_: str, title: str, target: str = CLOUD, unit: str = "") -> Step:
    """A comparison of the APIs, or of one instance of one, with what they promised before the upgrade."""
    params = CheckContractParams(unit=unit, accept=writer.context.request.spec.contract.accept)
    return writer.add(
        id_,
        title,
        Action.CHECK_CONTRACT,
        target,
        params,
        Reversibility.R0,
        retries=1,
        estimate=ESTIMATES[Action.CHECK_CONTRACT] / (4 if unit else 1),
    )


def _api_params(context: Context, component: Component, host: str, version: str) -> ApiParams:
    if component.port is None or component.backend is None or component.probe is None:
        raise ValueError(f"{component.unit} has no API")
    return ApiParams(
        service=component.service,
        backend=component.backend,
        server=host,
        port=component.port,
        probe=component.probe,
        unit=component.unit,
        version=version,
        timeout=context.request.spec.drain_timeout,
    )
