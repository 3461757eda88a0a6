"""Tells people what becomes of a run, beside the run: nothing waits for it but the run's last moment."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from model.fleet import GuestClass
    from model.inventory import Inventory
    from model.notify import Announcement, Expected, Notify, Occasion, Told
    from model.plan import Plan, Reversibility, Step
    from model.status import RunState, StepState
    from workflows import names
    from workflows.forecast import expected_turns
    from workflows.ledger import Ledger, iso
    from workflows.windows import WINDOW

_ENDS = {
    RunState.COMPLETED: Occasion.DONE,
    RunState.ROLLED_BACK: Occasion.ROLLED_BACK,
    RunState.STOPPED: Occasion.FAILED,
    RunState.REFUSED: Occasion.FAILED,
}
_AHEAD = frozenset({Occasion.PLANNED, Occasion.REMINDER})
_MOST_FAILED = 5


class Herald:
    """Sees the run change, and tells of it what is worth it: each thing once, one after the other."""

    def __init__(self, ledger: Ledger, approved: Mapping[str, object]) -> None:
        """Tell nothing until somebody is to be told.

        Args:
            ledger: of the run.
            approved: the gates that have been approved; it is looked into again and again.
        """
        self._ledger = ledger
        self._approved = approved
        self._notify = Notify()
        self._inventory: Inventory | None = None
        self._treatment: Mapping[str, GuestClass] = {}
        self._queue: list[Announcement] = []
        self._number = 0
        self._told = set[Occasion]()
        self._key: object = None
        self._begin: str | None = None
        self._reminder: asyncio.Task[None] | None = None
        self._busy = False

    def begin(self, inventory: Inventory, notify: Notify) -> None:
        """Tell these people from now on, if there are any."""
        self._inventory, self._notify = inventory, notify

    def planned(self, treatment: Mapping[str, GuestClass] | None = None) -> None:
        """Tell that there is a plan; keep how guests are treated that do not simply move while they run."""
        self._treatment = treatment or {}
        self._tell(Occasion.PLANNED)

    def begins(self, steps: Iterable[Step]) -> None:
        """Tell, before the first step that changes something, that it has begun."""
        if self._silent or Occasion.STARTED in self._told:
            return
        if any(step.reversibility is not Reversibility.R0 for step in steps):
            self._forget_reminder()
            self._tell(Occasion.STARTED)

    def saw(self) -> None:
        """Take note that the run has changed: tell when it needs somebody, and when it has ended."""
        if self._silent:
            return
        ledger = self._ledger
        if ledger.ended:
            self._forget_reminder()
            if (end := _ENDS[ledger.state]) not in self._told:
                self._tell(end)
            return
        self._look_ahead()
        key = self._needs()
        if key and key != self._key:
            self._tell(Occasion.NEEDS_YOU)
        self._key = key

    @property
    def _silent(self) -> bool:
        return self._inventory is None or not self._notify.anybody

    def _look_ahead(self) -> None:
        """Announce the window that the run waits for to begin, and remind people of it in time."""
        window = self._ledger.waiting.get(WINDOW)
        if Occasion.STARTED in self._told or window is None or window.until in (None, self._begin):
            return
        if not workflow.patched("announced-begin"):
            return
        self._begin = window.until
        self._tell(Occasion.PLANNED)
        self._forget_reminder()
        self._reminder = asyncio.create_task(self._remind(window.until))

    def _forget_reminder(self) -> None:
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder = None

    async def _remind(self, begin: str) -> None:
        left = datetime.fromisoformat(begin) - workflow.now() - timedelta(seconds=self._notify.reminder)
        if left > timedelta():
            await workflow.sleep(left, summary=f"remind people of {begin}")
            self._tell(Occasion.REMINDER)

    def _needs(self) -> object:
        """Return what the run needs somebody for; nothing when it goes on by itself."""
        ledger = self._ledger
        if ledger.state is RunState.FAILING:
            return frozenset(ledger.undecided)
        if ledger.state is RunState.PAUSED:
            return RunState.PAUSED
        if ledger.state is not RunState.WAITING:
            return frozenset()
        return frozenset(
            waiting.what for id_, waiting in ledger.waiting.items() if waiting.until is None and not self._open(id_)
        )

    def _open(self, id_: str) -> bool:
        """Whether the run waits for a gate that is open already: one that the specification opens by itself."""
        step = self._ledger.find(id_)
        return step is not None and step.params.get("gate") in self._approved

    def announcement(self, occasion: Occasion) -> Announcement | None:
        """Return what there is to tell now; None for a run that tells nobody."""
        ledger, now = self._ledger, workflow.now()
        if self._inventory is None:
            return None
        status = ledger.status(now)
        return Announcement(
            id=f"{ledger.run}/{self._number}-{occasion.value}",
            occasion=occasion,
            run=ledger.run,
            kind=ledger.kind,
            cloud=ledger.cloud,
            source=ledger.source,
            target=ledger.target,
            plan_hash=status.plan_hash or "",
            message=ledger.message or (_last_reason(ledger) if ledger.paused else ""),
            at=iso(now),
            begin=self._begin if occasion in _AHEAD else ledger.started,
            end=ledger.ended,
            remaining=status.remaining,
            waiting=status.waiting,
            failed=tuple(f"{step.title}: {step.error.splitlines()[0]}" for step in status.failed if step.error)[
                :_MOST_FAILED
            ],
            hosts=self._hosts(max(now, datetime.fromisoformat(self._begin)) if self._begin else now),
            treatment=dict(self._treatment),
            notify=self._notify,
            inventory=self._inventory,
        )

    def _hosts(self, now: datetime) -> dict[str, Expected]:
        """Return when each host has its turn, and of those that are done, when they had it."""
        plan = self._ledger.timed
        if plan is None:
            return {}
        passed = {id_ for id_, status in self._ledger.steps.items() if status.state in _PASSED}
        turns = expected_turns(plan, passed)
        found = {host: _expected(now, begin, end) for host, (begin, end) in turns.items()}
        return {host: found.get(host, Expected(begin=iso(now), end=iso(now))) for host in _hosts_of(plan)}

    def _tell(self, occasion: Occasion) -> None:
        if self._silent:
            return
        self._told.add(occasion)
        self._number += 1
        if (news := self.announcement(occasion)) is not None:
            self._queue.append(news)
        if not self._busy:
            self._busy = True
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._queue:
            await self._send(self._queue[0])
            self._queue.pop(0)
        self._busy = False

    async def _send(self, news: Announcement) -> None:
        """Tell one thing; that it cannot be told changes nothing but the record."""
        ledger = self._ledger
        try:
            told = await workflow.execute_activity(
                names.NOTIFY,
                news,
                result_type=Told,
                start_to_close_timeout=names.NOTIFY_TIMEOUT,
                heartbeat_timeout=names.NOTIFY_HEARTBEAT,
                retry_policy=names.NOTIFY_RETRY,
                summary=f"tell people: {news.occasion.value}",
            )
        except ActivityError as error:
            ledger.note(workflow.now(), "warning", "notify", f"{news.occasion.value}: {error.cause or error}")
            return
        ledger.note(workflow.now(), "notify", news.occasion.value, told.text)
        for failure in told.failed:
            ledger.note(workflow.now(), "warning", "notify", f"{news.occasion.value}: {failure}")

    async def finish(self) -> None:
        """Wait until everything has been told, or given up."""
        if self._busy:
            await workflow.wait_condition(lambda: not self._busy)


_PASSED = frozenset({StepState.DONE, StepState.SKIPPED})


def _hosts_of(plan: Plan) -> list[str]:
    """Return the compute hosts that the plan works on, where guests notice it."""
    groups = (group for group in plan.groups if group.startswith("host/"))
    return [group.removeprefix("host/") for group in groups]


def _expected(now: datetime, begin: float, end: float) -> Expected:
    return Expected(begin=iso(now + timedelta(seconds=begin)), end=iso(now + timedelta(seconds=end)))


def _last_reason(ledger: Ledger) -> str:
    event = next((event for event in reversed(ledger.events) if event.kind == "pause"), None)
    return f"paused by {event.by}{f': {event.text}' if event.text else ''}" if event else ""
