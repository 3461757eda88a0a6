"""From a schedule to waves of hosts in a plan. Pure: the same schedule gives the same steps.

Each host is a group of its own. Between the hosts stand only needs: the hosts and waves that the schedule says must be
over, and as many hosts of a zone or an aggregate at a time as it allows.
"""

from collections.abc import Callable, Iterable

from model.actions import WatchHostsParams
from model.alerts import Gates
from model.fleet import Fleet
from model.placement.records import Schedule, Wave
from model.plan import Action, Phase, Reversibility, Step
from model.rolling import Rolling
from model.spec import Approval, Approvers
from workflows.drains import MARGIN, hook_step
from workflows.steps import CLOUD, StepWriter, alert_steps, gate_step, last_of

# What writes the steps of a host: its name, and what they need.
WriteHost = Callable[[str, tuple[str, ...]], list[Step]]


class Waves:
    """Writes all waves: hooks, the hosts side by side, a look at all of them; behind the last canary a gate."""

    def __init__(self, rolling: Rolling, fleet: Fleet, schedule: Schedule, write: WriteHost, gates: Gates) -> None:
        """Take the rules, the order, what writes the steps of one host, and what must hold after each wave."""
        self._rolling, self._schedule, self._write, self._gates = rolling, schedule, write, gates
        self._order = _Order(fleet, schedule)
        self._last: dict[str, tuple[str, ...]] = {}

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts, in their order."""
        return tuple(host for wave in self._schedule.waves for host in wave.hosts)

    def write(self, needs: tuple[str, ...], approval: Approval | Approvers) -> list[Step]:
        """Write them; ``approval`` is that of the gate behind the canaries."""
        waves, steps = self._schedule.waves, list[Step]()
        ends: dict[int, tuple[str, ...]] = {}
        canary: tuple[str, ...] = ()
        for wave in waves:
            before = tuple(id_ for need in wave.needs for id_ in ends[need])
            # Where alerts are a gate, no wave begins before the one before it is over, and has been quiet.
            quiet = ends.get(wave.index - 1, ()) if self._gates.alerts is not None else ()
            own = self._wave(wave, (*(before or canary or needs), *quiet))
            own += alert_steps(Phase.DATA, self._gates, f"wave-{wave.index + 1}", (own[-1].id,))
            steps += own
            ends[wave.index] = (own[-1].id,)
            if wave.canary:
                canary = (*canary, *ends[wave.index])
            if wave.canary and not any(later.canary for later in waves[wave.index + 1 :]):
                gate = gate_step(Phase.DATA, "canary", approval, canary)
                steps.append(gate)
                canary = ends[wave.index] = (gate.id,)
        return steps

    def _wave(self, wave: Wave, needs: tuple[str, ...]) -> list[Step]:
        number, hooks = wave.index + 1, self._rolling.hooks
        writer, steps = StepWriter(Phase.DATA, needs), list[Step]()
        for place, hook in enumerate(hooks.before_wave, 1):
            hook_step(writer, hook, f"wave/{number}/before_wave-{place}", wave=number)
        for host in wave.hosts:
            others = tuple(id_ for name in self._order.needs(host, self._last) for id_ in self._last[name])
            own = self._write(host, (*writer.needs, *others))
            self._last[host] = last_of(own) or writer.needs
            steps += own
        seconds = self._rolling.canary.healthy_for if wave.canary else 0.0
        names = ", ".join(wave.hosts)
        look = StepWriter(Phase.DATA, tuple(id_ for host in wave.hosts for id_ in self._last[host]))
        watch_step(
            look,
            f"wave/{number}/health",
            f"wave {number}: see that " + (f"{names} stay up for {seconds:g} s" if seconds else "its hosts are up"),
            WatchHostsParams(hosts=wave.hosts, seconds=seconds),
        )
        for place, hook in enumerate(hooks.after_wave, 1):
            hook_step(look, hook, f"wave/{number}/after_wave-{place}", wave=number)
        return [*writer.steps, *steps, *look.steps]


def watch_step(writer: StepWriter, id_: str, title: str, params: WatchHostsParams) -> Step:
    """Write a look at hosts that have come back."""
    more = {"timeout": params.seconds + 3 * MARGIN, "estimate": params.seconds + 1.0}
    return writer.add(id_, title, Action.WATCH_HOSTS, CLOUD, params, Reversibility.R0, **more)


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
