"""From a schedule of hosts to a plan of steps. Pure: the same request and schedule give the same plan and hash.

Each host is a group of its own: emptied, booted anew, looked at, put back. Between them stand only needs: the hosts and
waves that the schedule says must be over, and as many hosts of a zone or an aggregate at a time as it allows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from model.actions import (
    ComputeParams,
    DrainComputeParams,
    GateParams,
    HookParams,
    RebootHostParams,
    ReturnGuestsParams,
    StartGuestsParams,
    VerifyHostParams,
    WatchHostsParams,
    as_params,
)
from model.alerts import alert_params, alert_title
from model.base import Record
from model.fleet import Fleet
from model.outlook import Outlook
from model.placement.records import Durations, Schedule, Wave
from model.plan import Action, Phase, Plan, Reversibility, Step, Undo, in_order
from model.reboot_spec import RebootMode, RebootRequest
from model.rolling import Hook
from model.spec import Approval, Approvers
from model.status import FleetStatus, StepState, StepStatus

CLOUD = "cloud"
# Seconds; only the forecast reads them. What draining and rebooting take is the schedule's own assumption.
_VERIFY = 25.0
_ESTIMATES = {Action.VERIFY_HOST: _VERIFY, Action.RUN_HOOK: 2.0}
_DURATIONS = Durations()
_R0, _R1, _R2 = Reversibility.R0, Reversibility.R1, Reversibility.R2
MOST_SPARES = 8
# Hosts to which guests are moved back at the same time; the limits of migrations count besides.
RETURNS = 4
_PASSED = (StepState.DONE, StepState.SKIPPED)
# What a step may take beside what it waits for.
_MARGIN = 120.0


def make_reboot_plan(request: RebootRequest, fleet: Fleet, schedule: Schedule) -> Plan:
    """Compute the whole reboot as a DAG of steps."""
    writer = _Writer(request, schedule, _drain_times(request, fleet, schedule))
    (gate,) = writer.alerts("begin", (writer.gate("plan", request.spec.approvals.plan, ()),), at_once=True)
    order = _Order(fleet, schedule)
    ends: dict[int, tuple[str, ...]] = {}
    canary: tuple[str, ...] = ()
    for wave in schedule.waves:
        needs = tuple(id_ for need in wave.needs for id_ in ends[need])
        # Where alerts are a gate, no wave begins before the one before it is over, and has been quiet.
        before = ends.get(wave.index - 1, ()) if request.spec.gates.alerts is not None else ()
        ends[wave.index] = writer.wave(wave, (*(needs or canary or (gate,)), *before), order)
        if wave.canary:
            canary = (*canary, *ends[wave.index])
        if wave.canary and not any(later.canary for later in schedule.waves[wave.index + 1 :]):
            canary = (writer.gate("canary", request.spec.approvals.canary, canary),)
            ends[wave.index] = canary
    writer.finish()
    release = request.inventory.release
    return Plan(
        cloud=request.inventory.cloud,
        source=release,
        target=release,
        limits={"hosts": max(1, schedule.slots.total), **({"returns": RETURNS} if writer.returns else {})},
        steps=in_order(writer.steps),
    )


def _drain_times(request: RebootRequest, fleet: Fleet, schedule: Schedule) -> dict[str, float]:
    """Return the seconds that each host's guests are expected to take to leave it."""
    guests = {guest.id: guest for guest in fleet.guests}
    found: dict[str, float] = {}
    for move in schedule.assignments:
        took = _DURATIONS.of_guest(guests[move.guest]) / request.spec.limits.per_source
        found[move.source] = found.get(move.source, 0.0) + took
    return found


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


class _Order:
    """Which hosts a host waits for, beside those of the waves that must be over."""

    def __init__(self, fleet: Fleet, schedule: Schedule) -> None:
        self._needs: dict[str, dict[str, None]] = {}
        for host, needs in schedule.needs.items():
            self._needs.setdefault(host, {}).update(dict.fromkeys(needs))
        hosts = [host for wave in schedule.waves for host in wave.hosts]
        members: dict[tuple[str, str], list[str]] = {}
        for host in hosts:
            known = fleet.hosts[host]
            for scope in (("zone", known.zone), *(("aggregate", name) for name in known.aggregates)):
                members.setdefault(scope, []).append(host)
        limits = {("zone", name): most for name, most in schedule.slots.zones.items()}
        limits |= {("aggregate", name): most for name, most in schedule.slots.aggregates.items()}
        for scope, most in limits.items():
            self._bound(members.get(scope, []), max(1, most))

    def _bound(self, hosts: list[str], most: int) -> None:
        """Let each host wait for the one that is ``most`` places before it: never more than so many are out at once."""
        for host, before in zip(hosts[most:], hosts, strict=False):
            self._needs.setdefault(host, {})[before] = None

    def needs(self, host: str, known: Iterable[str]) -> tuple[str, ...]:
        """Return the hosts that this one waits for, of those that are known already."""
        return tuple(name for name in self._needs.get(host, ()) if name in known)


@dataclass
class _Writer:
    request: RebootRequest
    schedule: Schedule
    drains: dict[str, float]
    steps: list[Step] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)

    def gate(self, gate: str, approval: Approval | Approvers, needs: tuple[str, ...]) -> str:
        params = GateParams.of(gate, approval)
        phase = Phase.PREFLIGHT if gate == "plan" else Phase.DATA
        return self._add(
            f"gate/{gate}", params.title, Action.GATE, CLOUD, params, needs, _R0, phase=phase, estimate=0.0
        )

    def alerts(self, name: str, needs: tuple[str, ...], *, at_once: bool = False) -> tuple[str, ...]:
        """Write the wait for alerts to be over, where the specification asks for it; return what comes last."""
        wanted = self.request.spec.gates.alerts
        if wanted is None:
            return needs
        params = alert_params(wanted, name, at_once=at_once)
        phase, title = Phase.PREFLIGHT if at_once else Phase.DATA, alert_title(params)
        step = self._add(
            params.gate, title, Action.ALERTS, CLOUD, params, needs, _R0, phase=phase, estimate=params.seconds
        )
        return (step,)

    def wave(self, wave: Wave, needs: tuple[str, ...], order: _Order) -> tuple[str, ...]:
        """Write a wave: hooks, its hosts side by side, a look at all of them, hooks; return what comes last."""
        spec, number = self.request.spec, wave.index + 1
        for place, hook in enumerate(spec.hooks.before_wave, 1):
            needs = (self._hook(hook, f"wave/{number}/before_wave-{place}", "before_wave", needs, wave=number),)
        for host in wave.hosts:
            others = tuple(self.last[name] for name in order.needs(host, self.last))
            self._host(host, number, (*needs, *others))
        seconds = spec.canary.healthy_for if wave.canary else 0.0
        what = f"see that {', '.join(wave.hosts)} stay up for {seconds:g} s" if seconds else "see that its hosts are up"
        end = self._add(
            f"wave/{number}/health",
            f"wave {number}: {what}",
            Action.WATCH_HOSTS,
            CLOUD,
            WatchHostsParams(hosts=wave.hosts, seconds=seconds),
            tuple(self.last[host] for host in wave.hosts),
            _R0,
            timeout=seconds + 3 * _MARGIN,
            estimate=seconds + 1.0,
        )
        for place, hook in enumerate(spec.hooks.after_wave, 1):
            end = self._hook(hook, f"wave/{number}/after_wave-{place}", "after_wave", (end,), wave=number)
        return self.alerts(f"wave-{number}", (end,))

    @property
    def returns(self) -> bool:
        """Whether guests are moved back at the end."""
        return self.request.spec.rebalance == "return"

    def finish(self) -> None:
        """Write the last look at everything that was done."""
        hosts = tuple(host for wave in self.schedule.waves for host in wave.hosts)
        if not hosts:
            return
        needed = {need for step in self.steps for need in step.needs}
        needs = tuple(step.id for step in self.steps if step.id not in needed)
        params = WatchHostsParams(hosts=hosts)
        title = "see that every host that was rebooted is up"
        end = self._add(
            "finish/hosts", title, Action.WATCH_HOSTS, CLOUD, params, needs, _R0, phase=Phase.FINISH, timeout=600.0
        )
        for host in hosts if self.returns else ():
            self._return(host, (end,))

    def _return(self, host: str, needs: tuple[str, ...]) -> None:
        """Write the return of the guests that were on a host at the beginning."""
        spec, guests = self.request.spec, self.homes.get(host, ())
        if not guests:
            return
        self._add(
            f"return/{host}",
            f"move guests back to {host}",
            Action.RETURN_GUESTS,
            host,
            ReturnGuestsParams(
                host=host,
                guests=guests,
                limits=spec.limits,
                attempts=spec.drain.attempts,
                timeout=spec.drain_timeout,
            ),
            needs,
            _R1,
            phase=Phase.FINISH,
            limit="returns",
            timeout=spec.drain_timeout + _MARGIN,
        )

    @cached_property
    def homes(self) -> dict[str, tuple[str, ...]]:
        """The guests of each host as they were at the beginning: a guest's first move begins there."""
        seen: set[str] = set()
        found: dict[str, list[str]] = {}
        for move in self.schedule.assignments:
            if move.guest not in seen:
                seen.add(move.guest)
                found.setdefault(move.source, []).append(move.guest)
        return {host: tuple(guests) for host, guests in found.items()}

    def _host(self, host: str, wave: int, needs: tuple[str, ...]) -> None:
        spec, hooks = self.request.spec, self.request.spec.hooks
        here = _Here(host, wave, needs)
        self._hooks(here, "before_drain", hooks.before_drain)
        undo = Undo(action=Action.ENABLE_COMPUTE, title=f"enable {host} again", params={"host": host})
        self._put(here, "disable", f"disable {host}", Action.DISABLE_COMPUTE, ComputeParams(host=host), _R1, undo=undo)
        self._put(
            here,
            "drain",
            f"drain {host}",
            Action.DRAIN_COMPUTE,
            self._drain_params(host),
            _R1,
            undo=Undo(action=Action.START_GUESTS, title=f"start what was stopped on {host}", params={"host": host}),
            # The policy says how often a guest is tried, and drain_timeout for how long; another try would count anew.
            retries=0,
            timeout=spec.drain_timeout + _MARGIN,
            estimate=2.0 + self.drains.get(host, 0.0),
        )
        self._hooks(here, "after_drain", hooks.after_drain)
        self._hooks(here, "before_reboot", hooks.before_reboot)
        rebooted = None if spec.reboot is RebootMode.NEVER else self._reboot(here)
        verify = VerifyHostParams(host=host, reboot=rebooted, kernel=spec.kernel)
        self._put(here, "verify", f"verify {host}", Action.VERIFY_HOST, verify, _R1, timeout=900.0)
        self._hooks(here, "after_reboot", hooks.after_reboot)
        enable = ComputeParams(host=host)
        self._put(here, "enable", f"enable {host} again", Action.ENABLE_COMPUTE, enable, _R1)
        # In a scope of its own: a guest that does not start is no reason to take its host out of service again.
        start = StartGuestsParams(host=host)
        title = f"start what was stopped on {host}"
        self._put(here, "start", title, Action.START_GUESTS, start, _R1, scope=None, timeout=1800.0)
        self.last[host] = here.needs[0]

    def _drain_params(self, host: str) -> DrainComputeParams:
        spec = self.request.spec
        return DrainComputeParams(
            host=host,
            parallel=spec.limits.per_source,
            timeout=spec.drain_timeout,
            policy=spec.drain,
            limits=spec.limits,
            targets=self.schedule.targets_of(host),
        )

    def _reboot(self, here: "_Here") -> str:
        spec, host = self.request.spec, here.host
        return self._put(
            here,
            "reboot",
            f"reboot {host}",
            Action.REBOOT_HOST,
            RebootHostParams(host=host, kernel=spec.kernel, timeout=spec.reboot_timeout),
            _R2,
            undo=Undo(
                action=Action.RELEASE_HOST,
                title=f"let nova-compute run on {host} again",
                params={"host": host},
                timeout=300.0,
            ),
            # A host that has not come back is looked at by a person, not rebooted again.
            retries=0,
            timeout=spec.reboot_timeout + 2 * _MARGIN,
            estimate=max(0.0, _DURATIONS.of_host(host) - _VERIFY),
        )

    def _hooks(self, here: "_Here", name: str, hooks: tuple[Hook, ...]) -> None:
        for place, hook in enumerate(hooks, 1):
            id_ = f"{here.host}/{name}-{place}"
            here.needs = (self._hook(hook, id_, name, here.needs, host=here.host, wave=here.wave),)

    def _hook(self, hook: Hook, id_: str, name: str, needs: tuple[str, ...], *, host: str = "", wave: int) -> str:
        place = host if hook.at == "host" else hook.at
        number = id_.rpartition("-")[2]
        title = f"hook {name} {number} {f'of {host}' if host else f'of wave {wave}'} on {place}"
        params = HookParams(name=f"{name} {number}", command=hook.run, host=host, wave=wave)
        undo = None
        if hook.undo is not None:
            back = params.model_copy(update={"command": hook.undo})
            undo = Undo(
                action=Action.RUN_HOOK, title=f"take back: {title}", params=as_params(back), timeout=hook.timeout
            )
        reversibility = _R1 if undo else _R2
        return self._add(
            id_,
            title,
            Action.RUN_HOOK,
            place,
            params,
            needs,
            reversibility,
            group=f"host/{host}" if host else None,
            scope=host or None,
            limit="hosts" if host else None,
            undo=undo,
            retries=hook.retries,
            timeout=hook.timeout,
        )

    def _put(
        self, here: "_Here", name: str, title: str, action: Action, params: Record, kind: Reversibility, **more: Any
    ) -> str:
        """Add a step of a host: in its group, undone with the others of its host, counted against the limit."""
        host = here.host
        id_ = f"{host}/{name}"
        own: dict[str, Any] = {"group": f"host/{host}", "scope": host, "limit": "hosts", **more}
        here.needs = (self._add(id_, title, action, host, params, here.needs, kind, **own),)
        return id_

    def _add(
        self,
        id_: str,
        title: str,
        action: Action,
        target: str,
        params: Record,
        needs: tuple[str, ...],
        reversibility: Reversibility,
        *,
        phase: Phase = Phase.DATA,
        **more: Any,
    ) -> str:
        content = {"estimate": _ESTIMATES.get(action, 2.0), **more}
        step = Step.model_validate(
            {
                "id": id_,
                "title": title,
                "phase": phase,
                "action": action,
                "target": target,
                "needs": tuple(dict.fromkeys(needs)),
                "params": as_params(params),
                "reversibility": reversibility,
                **content,
            }
        )
        self.steps.append(step)
        return step.id


@dataclass
class _Here:
    """The host that is being written, and what its next step needs."""

    host: str
    wave: int
    needs: tuple[str, ...]
