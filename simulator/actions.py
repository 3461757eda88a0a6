"""What nova does to guests where they are: switch off and on, pause, suspend, rescue, shelve; and their states.

Which states an action is possible in is nova/compute/api.py's ``check_instance_state``.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from model.components import COMPUTE_UNIT
from simulator.faults import GuestError, Slow
from simulator.ground import Ground
from simulator.guests import Guest
from simulator.machines import Machine, Power
from simulator.scheduler import NoValidHostError


@dataclass(frozen=True)
class Act:
    """An action: the states in which it is possible, the task meanwhile, the status afterwards, what the machine does.

    Attributes:
        work: given the machine and the moment; ``begins``: whether it starts a machine.
    """

    states: frozenset[str]
    task: str
    status: str
    work: Callable[[Machine, float], None]
    begins: bool = False


def _end(machine: Machine, _: float) -> None:
    machine.end()


def _start(machine: Machine, now: float) -> None:
    machine.start(now)


def _save(machine: Machine, now: float) -> None:
    machine.freeze(now, Power.SAVED)


def _in(*states: str) -> frozenset[str]:
    return frozenset(states)


_ANY_BUT_GONE = _in("active", "stopped", "paused", "suspended", "error", "rescued")
ACTS = {
    "os-stop": Act(_in("active", "error"), "powering-off", "SHUTOFF", _end),
    "os-start": Act(_in("stopped"), "powering-on", "ACTIVE", _start, begins=True),
    "pause": Act(_in("active"), "pausing", "PAUSED", lambda machine, now: machine.freeze(now)),
    "unpause": Act(_in("paused"), "unpausing", "ACTIVE", lambda machine, now: machine.thaw(now, "paused")),
    "suspend": Act(_in("active"), "suspending", "SUSPENDED", _save),
    "resume": Act(_in("suspended"), "resuming", "ACTIVE", lambda machine, now: machine.thaw(now, "suspended")),
    "rescue": Act(_in("active", "stopped", "error"), "rescuing", "RESCUE", _start, begins=True),
    "unrescue": Act(_in("rescued"), "unrescuing", "ACTIVE", _start, begins=True),
    "reboot": Act(_ANY_BUT_GONE, "rebooting_hard", "ACTIVE", _start, begins=True),
    "shelve": Act(_in("active", "stopped", "paused", "suspended"), "shelving", "SHELVED", _end),
    "shelveOffload": Act(_in("shelved"), "shelving_offloading", "SHELVED_OFFLOADED", _end),
    "unshelve": Act(_in("shelved", "shelved_offloaded"), "unshelving", "ACTIVE", _start, begins=True),
}


# What nova's records call them, of those that anybody asks for afterwards.
_REMEMBERED = {"stop": ACTS["os-stop"], "start": ACTS["os-start"]}


class Actions:
    """Carries them out."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def carry_out(self, guest: Guest, act: Act) -> None:
        """Do it to a guest that has the task already, as soon as its host's nova-compute takes the message."""
        ground, ordered = self._ground, self._ground.clock.iso(self._ground.clock.now())
        if guest.host is None and not await self._place(guest):
            return
        while guest.host is not None and not ground.nova.runs(COMPUTE_UNIT, guest.host):
            # The order waits in the message queue.
            await asyncio.sleep(0.05)
            if guest.id not in ground.nova.guests:
                return
        subjects = (guest.host or "", guest.name, guest.id)
        fault = ground.faults.find("guest-start", subjects, ("guest-start",)) if act.begins else None
        more = fault.seconds if isinstance(fault, Slow) else 0.0
        await ground.clock.sleep(ground.durations.guest_action + more)
        if guest.task_state != act.task:
            # Somebody has reset its state meanwhile.
            return
        if isinstance(fault, GuestError):
            ground.machines[guest.id].end(fault.message)
            guest.rest("ERROR")
            guest.fault = fault.message
            return
        self._finish(guest, act)
        if (name := next((name for name, one in _REMEMBERED.items() if act is one), None)) is not None:
            guest.acted(name, ordered, ground.clock.iso(ground.clock.now()))

    def _finish(self, guest: Guest, act: Act) -> None:
        ground = self._ground
        act.work(ground.machines[guest.id], ground.clock.now())
        hosts = (guest.host,) if guest.host else ()
        if act.status == "SHELVED_OFFLOADED":
            ground.nova.release(guest)
            ground.machines.put(guest.id, None)
            guest.host = None
        guest.rest(act.status)
        ground.truth.look((guest,), hosts)

    async def _place(self, guest: Guest) -> bool:
        """Find a host for a guest that is nowhere, as unshelving does."""
        ground = self._ground
        await ground.clock.sleep(ground.durations.schedule)
        try:
            target = ground.scheduler.choose(guest)
        except NoValidHostError as error:
            guest.rest()
            guest.fault = str(error)
            return False
        ground.nova.place(guest, target)
        ground.machines.put(guest.id, target)
        return True
