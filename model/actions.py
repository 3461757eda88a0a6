"""The parameters of each action: what a plan writes into a step, and what the activity of that name reads."""

from typing import Self

from pydantic import SerializerFunctionWrapHandler, model_serializer

from model.alerts import AlertParams
from model.base import JsonObject, Record
from model.plan import Action
from model.rolling import DrainPolicy, Limits
from model.spec import Approval, Approvers


class NoParams(Record):
    """An action that needs nothing but its target."""


class BaselineParams(Record):
    """``capture_baseline``: the versions (by service) whose object versions are kept for a way back."""

    versions: dict[str, str] = {}


class CheckContractParams(Record):
    """``check_contract``: the APIs keep the contract that ``capture_contract`` has kept.

    Attributes:
        unit: the component whose instance on the target is asked past the load balancer; empty for all APIs through it.
        accept: names of breaches that are accepted; ``*`` stands for anything.
    """

    unit: str = ""
    accept: tuple[str, ...] = ()


class DumpParams(Record):
    """``dump_databases``: a consistent dump of these schemas on the database host, with checksum.

    ``keep``: seconds after which the dumps of earlier upgrades are deleted.
    """

    service: str
    databases: tuple[str, ...]
    keep: float | None = None


class InstallParams(Record):
    """``install`` and ``uninstall``: a service at a version, beside what runs."""

    service: str
    version: str
    release: str


class ManageParams(Record):
    """``run_manage``: a command of a service's own tools, with the code of ``version``, which need not be active.

    Attributes:
        command: the console script and its arguments.
        ok: exit statuses that mean success.
        warn: exit statuses that mean success with a warning.
        again: exit statuses that mean: run the same command once more (``online_data_migrations``).
    """

    service: str
    version: str
    command: tuple[str, ...]
    ok: tuple[int, ...] = (0,)
    warn: tuple[int, ...] = ()
    again: tuple[int, ...] = ()
    meanings: dict[str, str] = {}


class ApiParams(Record):
    """``drain_api``, ``enable_api``, ``verify_api``: one instance of an API behind the load balancer.

    Attributes:
        backend: the balancer's name for it.
        server: the balancer's name for the instance.
        port: where the instance listens on its host.
        probe: the path of a cheap authenticated request.
        version: for ``verify_api``, the version that its processes must run from.
        unit: its systemd unit.
    """

    service: str
    backend: str
    server: str
    port: int
    probe: str
    unit: str
    version: str | None = None
    timeout: float = 1800.0


class SwitchParams(Record):
    """``switch``, ``switch_quiesced``, ``switch_compute``: make a version the active one and restart units on it.

    Attributes:
        record_version: nova's service record version to write back while the units are stopped; None leaves it.
        hold: for ``switch_quiesced``, the balancer's frontend whose writes wait meanwhile.
    """

    service: str
    version: str
    units: tuple[str, ...]
    record_version: int | None = None
    hold: str | None = None


class ComputeParams(Record):
    """``disable_compute``, ``enable_compute``: nova's own flag, with a reason that names the run. ``release_host``."""

    host: str


class DrainComputeParams(Record):
    """``drain_compute``: empty a host; done when nova, placement and its hypervisor have nothing left that must go.

    Attributes:
        parallel: the most migrations from this host at the same time, where there are no ``limits``.
        policy: how guests may be treated; None moves them live, and leaves everything else to people.
        limits: what may move at the same time in the whole cloud.
        targets: the planned target of each guest, by its id; nova's scheduler has to agree.
        spares: hosts to try, in this order, where the planned one does not take a guest.
        avoid: hosts that should take no guests, being about to be emptied themselves.
        leave: ids of guests that an operator leaves alone; with one of them on it the host is not emptied.
        stop: ids of guests that an operator has stopped where they are, instead of moved.
    """

    host: str
    parallel: int = 2
    timeout: float = 1800.0
    policy: DrainPolicy | None = None
    limits: Limits | None = None
    targets: dict[str, str] = {}
    spares: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _without_empty_lists(self, serialize: SerializerFunctionWrapHandler) -> JsonObject:
        """Store only what was said, so that plans which say nothing of it stay as they were."""
        return {name: value for name, value in serialize(self).items() if value not in ({}, [], ())}


class StartGuestsParams(Record):
    """``start_guests``: start the guests that the run has stopped on a host, one by one; who does not come is told.

    Attributes:
        each: seconds that one guest may take.
    """

    host: str
    each: float = 60.0


class VerifyComputeParams(Record):
    """``verify_compute``: the running processes, and a service record that has reported since."""

    host: str
    version: str
    unit: str = "nova-compute"


class VerifyCloudParams(Record):
    """``verify_cloud``, ``check_cloud``: every unit of every host runs from these versions (by service)."""

    versions: dict[str, str]
    service_version: int | None = None
    schema_checks: bool = False


class CheckRollbackParams(Record):
    """``check_rollback``: the way back is open. Nothing is changed.

    Attributes:
        old: by host and service, the version that is made active again; it must be there, whole.
        new: by service, the version of the code that is taken back, whose tools rewrite what it has stored.
        restore: whether dumps are to be restored; they must be there, and whole.
        databases: by service, what would be restored.
    """

    old: dict[str, dict[str, str]] = {}
    new: dict[str, str] = {}
    restore: bool = False
    databases: dict[str, tuple[str, ...]] = {}


class SettleParams(Record):
    """``settle``: wait until no try of a step runs any more on its host; nothing is changed."""

    service: str
    version: str


class RewriteParams(Record):
    """``rewrite_objects``: what ``version`` stored in newer object versions is rewritten to those of the baseline."""

    service: str
    version: str


class LossParams(Record):
    """``count_losses``: what was made since these services' dumps, and would be lost by restoring them."""

    databases: dict[str, tuple[str, ...]]


class StopParams(Record):
    """``stop_units``: stop units, as before a restore."""

    units: tuple[str, ...]


class RestoreParams(Record):
    """``restore_databases``: put the upgrade's dumps of these services' databases in place of what is there."""

    databases: dict[str, tuple[str, ...]]


class RebootHostParams(Record):
    """``reboot_host``: boot a host anew, with nova's compute service kept from starting by itself.

    Attributes:
        kernel: the release that it should run afterwards; by default the newest one that is installed.
        timeout: seconds from the order until it must answer again.
    """

    host: str
    kernel: str | None = None
    timeout: float = 900.0


class VerifyHostParams(Record):
    """``verify_host``: it came back as the host that it was, and works; its compute service is started for that.

    Attributes:
        reboot: the id of the step that rebooted it; None when none did.
        timeout: seconds that its units may take to be up.
    """

    host: str
    reboot: str | None = None
    kernel: str | None = None
    timeout: float = 300.0


class HookParams(Record):
    """``run_hook``: a command of the operator's own; what it is about is in its environment."""

    name: str
    command: str
    host: str = ""
    wave: int = 0


class WatchHostsParams(Record):
    """``watch_hosts``: hosts that have just come back stay up for so many seconds; 0 is one look."""

    hosts: tuple[str, ...]
    seconds: float = 0.0


class ReturnGuestsParams(Record):
    """``return_guests``: move guests back to a host while they run; who cannot go is left, and told.

    Attributes:
        guests: their ids.
        attempts: failed migrations, or refusals to begin one, after which a guest is left where it is.
    """

    host: str
    guests: tuple[str, ...]
    limits: Limits = Limits()
    attempts: int = 3
    timeout: float = 1800.0


class GateParams(Record):
    """``gate``: wait for an approval.

    Attributes:
        losses: the step whose result names what would be lost.
        second_person: whether who started the run must not approve.
        approvers: who may approve; empty means everybody.
    """

    gate: str
    automatic: bool
    losses: str | None = None
    second_person: bool = False
    approvers: tuple[str, ...] = ()

    @classmethod
    def of(cls, gate: str, rule: Approval | Approvers) -> Self:
        """Return the gate that a specification asks for."""
        if isinstance(rule, Approvers):
            return cls(gate=gate, automatic=False, second_person=rule.by == "second-person", approvers=rule.names)
        return cls(gate=gate, automatic=rule is Approval.AUTO)

    @property
    def title(self) -> str:
        """What a person reads."""
        who = " by a second person" if self.second_person else ""
        who += f" by {' or '.join(self.approvers)}" if self.approvers else ""
        return f"approval of {self.gate}{who}" + (" (given by the spec)" if self.automatic else "")

    def refusal(self, by: str, started_by: str, plan_hash: str | None) -> str:
        """Return why an approval does not open this gate; empty when it does."""
        if self.approvers and by not in self.approvers:
            return f"gate {self.gate} is approved by {' or '.join(self.approvers)}, not by {by}"
        if self.second_person and by.strip().casefold() == started_by.strip().casefold():
            return f"gate {self.gate} is approved by a second person, and {by} has started the run"
        if self.second_person and plan_hash is None:
            return f"gate {self.gate} is approved for one plan: name its hash, plan_hash (--plan-hash)"
        return ""

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: SerializerFunctionWrapHandler) -> JsonObject:
        """Store who may approve only where that was said, so that plans which say nothing of it stay as they were."""
        return {k: v for k, v in serialize(self).items() if k not in {"second_person", "approvers"} or v}


class SoakParams(Record):
    """``soak``: wait so many seconds."""

    seconds: float


PARAMS: dict[Action, type[Record]] = {
    Action.CHECK_CLOUD: VerifyCloudParams,
    Action.CAPTURE_BASELINE: BaselineParams,
    Action.DUMP_DATABASES: DumpParams,
    Action.INSTALL: InstallParams,
    Action.UNINSTALL: InstallParams,
    Action.RUN_MANAGE: ManageParams,
    Action.DRAIN_API: ApiParams,
    Action.ENABLE_API: ApiParams,
    Action.SWITCH: SwitchParams,
    Action.SWITCH_QUIESCED: SwitchParams,
    Action.VERIFY_API: ApiParams,
    Action.DISABLE_COMPUTE: ComputeParams,
    Action.ENABLE_COMPUTE: ComputeParams,
    Action.DRAIN_COMPUTE: DrainComputeParams,
    Action.START_GUESTS: StartGuestsParams,
    Action.SWITCH_COMPUTE: SwitchParams,
    Action.VERIFY_COMPUTE: VerifyComputeParams,
    Action.VERIFY_CLOUD: VerifyCloudParams,
    Action.CHECK_ROLLBACK: CheckRollbackParams,
    Action.SETTLE: SettleParams,
    Action.REWRITE_OBJECTS: RewriteParams,
    Action.VERIFY_ROLLBACK: VerifyCloudParams,
    Action.COUNT_LOSSES: LossParams,
    Action.STOP_UNITS: StopParams,
    Action.RESTORE_DATABASES: RestoreParams,
    Action.REBOOT_HOST: RebootHostParams,
    Action.VERIFY_HOST: VerifyHostParams,
    Action.RELEASE_HOST: ComputeParams,
    Action.RUN_HOOK: HookParams,
    Action.WATCH_HOSTS: WatchHostsParams,
    Action.RETURN_GUESTS: ReturnGuestsParams,
    Action.CAPTURE_CONTRACT: NoParams,
    Action.CHECK_CONTRACT: CheckContractParams,
    Action.GATE: GateParams,
    Action.SOAK: SoakParams,
    Action.ALERTS: AlertParams,
}


def as_params(params: Record) -> JsonObject:
    """Return an action's parameters as the plan stores them."""
    return params.model_dump(mode="json", exclude_none=True)
