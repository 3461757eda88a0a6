"""How a run keeps to its maintenance windows: what begins must be expected to end before the window closes.

What runs is never stopped, and the way back knows no windows: a cloud that is being taken back does not wait.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from model.control import WindowOrder
    from model.forecast import measured_pace
    from model.forecast_text import NO_WINDOW
    from model.plan import Plan
    from model.status import Waiting
    from model.window_clock import WindowClock, WindowStatus
    from model.windows import OpeningsAsked, OpeningsFound, Windows
    from model.words import duration
    from workflows import names
    from workflows.dag import Machine
    from workflows.ledger import Ledger, iso

# The key of what the run waits for, in its record.
WINDOW = "window"
_MOST_NAMED = 5


class WindowKeeper:
    """Says what may begin now, and wakes the run when that changes."""

    def __init__(self, windows: Windows, plan: Plan, ledger: Ledger, changed: Callable[[], None]) -> None:
        """Take the windows, what is to be done in them, the run's record, and whom to tell of a change."""
        self._windows = windows
        self._plan = plan
        self._ledger = ledger
        self._changed = changed
        self._clock = WindowClock()
        self._ordered = False
        self._told = ""
        self._estimates = _estimates(plan, windows)
        # What the operator says a host takes is no forecast, which the run's own pace would mend.
        self._given = frozenset(_hosts(plan)) if windows.host_takes and workflow.patched("host-takes-as-given") else ()
        self._pace = (0, 1.0)
        # Runs that began before count as work how long people took to approve.
        self._all = not workflow.patched("pace-of-work")
        self._room = (workflow.now(), 0.0)

    async def begin(self) -> str:
        """Look the windows up, and say why the plan can never be carried out in them; empty when it can.

        Raises:
            ActivityError: when they cannot be looked up.
        """
        self._clock.found = (await self._look_up(workflow.now())).found
        longest = self._clock.longest
        late = {name: need for name, need in self._estimates.items() if need > longest}
        if not late:
            self._say(self._clock.status(workflow.now()))
            return ""
        named = ", ".join(
            f"{name.replace('/', ' ')} ({duration(need)})" for name, need in list(late.items())[:_MOST_NAMED]
        )
        more = f" and {len(late) - _MOST_NAMED} more" if len(late) > _MOST_NAMED else ""
        return (
            f"windows: no window is longer than {duration(longest)}, and these are expected to take longer: "
            f"{named}{more}; give a longer window, or windows.host_takes where you know better what a host takes"
        )

    def fits(self, node: str) -> bool:
        """Whether a node may begin now."""
        need = self._estimates.get(node)
        if need is None:
            return True
        room = self._room_now()
        return room > 0 and self._expected(node, need) <= room

    def _room_now(self) -> float:
        """The seconds until it closes; asked for each node that is ready, at one and the same moment."""
        if self._room[0] != workflow.now():
            self._room = (workflow.now(), self._clock.room(workflow.now()))
        return self._room[1]

    def _expected(self, node: str, estimate: float) -> float:
        """What a node takes at the pace of this run, or as the operator says."""
        if node in self._given:
            return estimate
        done = len(self._ledger.durations)
        if self._pace[0] != done:
            self._pace = (done, measured_pace(self._plan, self._ledger.durations, everything=self._all))
        return self._clock.needed(estimate, self._pace[1])

    def order(self, order: WindowOrder) -> str:
        """Open the window by hand, or end that."""
        now = workflow.now()
        self._clock.by_hand = now + timedelta(seconds=order.open_for) if order.open_for else None
        self._room = (now, self._clock.room(now))
        self._ordered = True
        return self._clock.status(now).text

    async def keep(self) -> None:
        """Tell the run whenever the window opens or closes, for as long as it walks."""
        while True:
            now = workflow.now()
            if self._clock.needs_more(now):
                await self._look_further(now)
                now = workflow.now()
            status = self._clock.status(now)
            self._say(status)
            self._changed()
            left = datetime.fromisoformat(status.until) - now if status.until else None
            self._ordered = False
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._ordered, timeout=left, timeout_summary=status.text)

    def tell(self, machine: Machine) -> None:
        """Bring up to date what the run's record says of the window, and whether it waits for one."""
        now = workflow.now()
        status = self._ledger.window = self._clock.status(now)
        held = machine.idle and machine.startable() and not machine.startable(self.fits)
        if not held:
            self._ledger.waiting.pop(WINDOW, None)
            return
        since = self._ledger.waiting[WINDOW].since if WINDOW in self._ledger.waiting else iso(now)
        coming = self._clock.opening(now)
        text = status.text
        if status.open and coming is not None:
            text = f"nothing that is left would end before it closes, the next one opens at {coming.opens_local}"
        self._ledger.waiting[WINDOW] = Waiting(
            what=f"the maintenance window: {text}",
            since=since,
            until=iso(coming.opens) if coming else None,
            go_on=f"it goes on by itself; at once: stackroll window {self._ledger.run} --open-for 1h --reason WHY",
        )

    def end(self) -> None:
        """Leave the record without a window: the walk is over, or what follows needs none."""
        self._ledger.window = None
        self._ledger.waiting.pop(WINDOW, None)

    def _say(self, status: WindowStatus) -> None:
        self._ledger.window = status
        if status.text != self._told:
            self._told = status.text
            self._ledger.note(workflow.now(), "window", "run", status.text)

    async def _look_further(self, now: datetime) -> None:
        """Look up what comes after the windows that are known; without an answer, only an operator opens one."""
        try:
            self._clock.found = (await self._look_up(now)).found
        except ActivityError as error:
            self._ledger.note(workflow.now(), "warning", "window", f"none could be looked up: {error.cause or error}")

    async def _look_up(self, start: datetime) -> OpeningsFound:
        found: OpeningsFound = await workflow.execute_activity(
            names.FIND_OPENINGS,
            OpeningsAsked(windows=self._windows, start=start),
            result_type=OpeningsFound,
            start_to_close_timeout=names.READ_TIMEOUT,
            retry_policy=names.READ_RETRY,
            summary="look up the maintenance windows",
        )
        return found


def _estimates(plan: Plan, windows: Windows) -> dict[str, float]:
    """Return the seconds that each node of the run's graph is expected to take, of those that need a window."""
    found: dict[str, float] = {}
    for step in plan.steps:
        if step.group is None and step.action in NO_WINDOW:
            continue
        node = step.group or step.id
        found[node] = found.get(node, 0.0) + step.estimate
    if windows.host_takes is not None:
        found |= dict.fromkeys(_hosts(plan), windows.host_takes)
    return found


def _hosts(plan: Plan) -> list[str]:
    return [node for node in plan.groups if node.startswith("host/")]
