"""How hosts are emptied and filled again: the steps around whatever is done to an empty host, by one set of rules."""

from collections.abc import Mapping
from functools import cached_property

from model.actions import (
    ComputeParams,
    DrainComputeParams,
    HookParams,
    ReturnGuestsParams,
    StartGuestsParams,
    as_params,
)
from model.placement.records import Schedule
from model.plan import Action, Reversibility, Step, Undo
from model.rolling import Hook, Rolling
from workflows.steps import StepWriter

# What a step may take beside what it waits for.
MARGIN = 120.0
# Hosts to which guests are moved back at the same time; the limits of migrations count besides.
RETURNS = 4
_R1, _R2 = Reversibility.R1, Reversibility.R2


class Drains:
    """Writes the steps that empty a host and fill it again.

    Args:
        rolling: the operator's rules.
        schedule: the order and the targets; without one, nova's scheduler chooses targets.
        seconds: by host, how long its guests are expected to take to leave it.
    """

    def __init__(
        self, rolling: Rolling, schedule: Schedule | None = None, seconds: Mapping[str, float] | None = None
    ) -> None:
        self.rolling = rolling
        self.schedule = schedule
        self._seconds = seconds or {}

    def out_of_service(self, writer: StepWriter, host: str) -> None:
        """Disable a host and empty it, with the hooks around that."""
        wave = self.wave_of(host)
        self._hooks(writer, "before_drain", self.rolling.hooks.before_drain, host, wave)
        enable = Undo(action=Action.ENABLE_COMPUTE, title=f"enable {host} again", params=_params(host))
        disable = ComputeParams(host=host)
        writer.add(f"{host}/disable", f"disable {host}", Action.DISABLE_COMPUTE, host, disable, _R1, undo=enable)
        start = Undo(action=Action.START_GUESTS, title=f"start what was stopped on {host}", params=_params(host))
        seconds = self._seconds.get(host)
        writer.add(
            f"{host}/drain",
            f"drain {host}",
            Action.DRAIN_COMPUTE,
            host,
            self._orders(host),
            _R1,
            undo=start,
            # The policy says how often a guest is tried, and drain_timeout for how long; another try would count anew.
            retries=0,
            timeout=self.rolling.drain_timeout + MARGIN,
            **({} if seconds is None else {"estimate": 2.0 + seconds}),
        )
        self._hooks(writer, "after_drain", self.rolling.hooks.after_drain, host, wave)

    def back_in_service(self, writer: StepWriter, host: str, *, undo: Undo | None = None) -> None:
        """Enable a host again, and start what was stopped on it; ``undo`` takes the enabling back."""
        enable = ComputeParams(host=host)
        writer.add(f"{host}/enable", f"enable {host} again", Action.ENABLE_COMPUTE, host, enable, _R1, undo=undo)
        title, params = f"start what was stopped on {host}", StartGuestsParams(host=host)
        # In a scope of its own: a guest that does not start is no reason to take its host out of service again.
        writer.add(f"{host}/start", title, Action.START_GUESTS, host, params, _R1, scope=None, timeout=1800.0)

    def reboot_hooks(self, writer: StepWriter, name: str, host: str) -> None:
        """Write the hooks before or after a host's reboot."""
        self._hooks(writer, name, getattr(self.rolling.hooks, name), host, self.wave_of(host))

    def wave_of(self, host: str) -> int:
        """Return the number of a host's wave, from 1; 0 where there are none."""
        wave = self.schedule.wave_of(host) if self.schedule else None
        return wave.index + 1 if wave else 0

    def _orders(self, host: str) -> DrainComputeParams:
        rolling = self.rolling
        return DrainComputeParams(
            host=host,
            parallel=rolling.limits.per_source,
            timeout=rolling.drain_timeout,
            policy=rolling.drain,
            limits=rolling.limits,
            targets=self.schedule.targets_of(host) if self.schedule else {},
        )

    def _hooks(self, writer: StepWriter, name: str, hooks: tuple[Hook, ...], host: str, wave: int) -> None:
        for place, hook in enumerate(hooks, 1):
            hook_step(writer, hook, f"{host}/{name}-{place}", host=host, wave=wave)

    # Guests that go back at the end

    def returns(self, writer: StepWriter, host: str) -> None:
        """Write the return of the guests that were on a host at the beginning."""
        rolling, guests = self.rolling, self._homes.get(host, ())
        if rolling.rebalance != "return" or not guests:
            return
        params = ReturnGuestsParams(
            host=host,
            guests=guests,
            limits=rolling.limits,
            attempts=rolling.drain.attempts,
            timeout=rolling.drain_timeout,
        )
        title, timeout = f"move guests back to {host}", rolling.drain_timeout + MARGIN
        writer.add(f"return/{host}", title, Action.RETURN_GUESTS, host, params, _R1, limit="returns", timeout=timeout)

    @cached_property
    def _homes(self) -> dict[str, tuple[str, ...]]:
        """The guests of each host as they were at the beginning: a guest's first move begins there."""
        seen: set[str] = set()
        found: dict[str, list[str]] = {}
        for move in self.schedule.assignments if self.schedule else ():
            if move.guest not in seen:
                seen.add(move.guest)
                found.setdefault(move.source, []).append(move.guest)
        return {host: tuple(guests) for host, guests in found.items()}


def hook_step(writer: StepWriter, hook: Hook, id_: str, *, host: str = "", wave: int) -> Step:
    """Write an operator's command, of a host or of a wave; the last part of the id is its name and number."""
    place = host if hook.at == "host" else hook.at
    name, _, number = id_.rpartition("/")[2].rpartition("-")
    title = f"hook {name} {number} {f'of {host}' if host else f'of wave {wave}'} on {place}"
    params = HookParams(name=f"{name} {number}", command=hook.run, host=host, wave=wave)
    undo = None
    if hook.undo is not None:
        back = params.model_copy(update={"command": hook.undo})
        undo = Undo(action=Action.RUN_HOOK, title=f"take back: {title}", params=as_params(back), timeout=hook.timeout)
    kind = _R1 if undo else _R2
    more = {"undo": undo, "retries": hook.retries, "timeout": hook.timeout}
    return writer.add(id_, title, Action.RUN_HOOK, place, params, kind, **more)


def _params(host: str) -> dict[str, str]:
    return {"host": host}
