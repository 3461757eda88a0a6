"""Guests that a run has stopped where they are, started again: one by one, and on when one does not come.

They are known by the mark that the run left in their metadata before it stopped them, whatever became of its workers.
"""

from activities import servers
from activities.context import progress, remaining, wait_for
from activities.errors import StepFailed
from activities.standstill import off_while_stopped
from model.actions import StartGuestsParams
from model.classify import STOPPED_BY
from model.fleet import FleetGuest
from model.inventory import Inventory
from model.words import count
from model.work import StepResult, Work


async def start_guests(work: Work, params: StartGuestsParams, *, poll: float) -> StepResult:
    """Start the guests on a host that this run has stopped; doing it twice is harmless.

    Raises:
        StepFailed: there are some, and none of them comes: the host itself is not well.
    """
    here = await servers.read_guests(work.inventory, host=params.host)
    mine = sorted((g for g in here if g.metadata.get(STOPPED_BY) == work.upgrade), key=lambda guest: guest.name)
    if not mine:
        return StepResult(summary=f"no guest of {params.host} was stopped by this run")
    failed: dict[str, str] = {}
    off: dict[str, float] = {}
    for number, guest in enumerate(mine, 1):
        progress(f"starting guest {guest.name}, {number} of {len(mine)} on {params.host}")
        # What time is left is shared by those that are left.
        limit = max(1.0, min(params.each, remaining(work) / (len(mine) - number + 1)))
        if problem := await _start(work.inventory, guest, limit=limit, poll=poll):
            failed[guest.id] = f"guest {guest.name} ({guest.id}): {problem}"
        elif (seconds := await off_while_stopped(work.inventory, guest.id)) is not None:
            off[guest.id] = seconds
    if len(failed) == len(mine):
        raise StepFailed(
            "none of the guests that this run has stopped on it comes back",
            host=params.host,
            tail="\n".join(failed.values()),
            remedy="see nova-compute's log there; `openstack server start ID` for each, then retry the step",
        )
    summary = f"{len(mine) - len(failed)} of {count(len(mine), 'guest')} on {params.host} run again"
    summary += f"; somebody must see to: {'; '.join(failed.values())}" if failed else ""
    started = [guest.id for guest in mine if guest.id not in failed]
    return StepResult(summary=summary, details={"started": started, "failed": failed, "off": off})


async def _start(inventory: Inventory, guest: FleetGuest, *, limit: float, poll: float) -> str:
    """Start one guest and take its mark; return what is wrong, or nothing."""
    last: FleetGuest | None = guest
    refusal: str | None = None

    async def runs() -> bool:
        nonlocal last, refusal
        last = await servers.read_guest(inventory, guest.id)
        if last is not None and last.status == "SHUTOFF" and last.task_state is None:
            refusal = await servers.start(inventory, guest.id)
        return last is None or (last.status in {"ACTIVE", "ERROR"} and last.task_state is None)

    await wait_for(runs, f"guest {guest.name} to run", limit=limit, every=poll)
    if last is None:  # Its owner has deleted it meanwhile.
        return ""
    if last.status != "ACTIVE":
        said = f": {last.fault or refusal}" if last.fault or refusal else ""
        return f"it is {last.status} {limit:.0f} s after it was to start{said}; `openstack server start {guest.id}`"
    refusal = await servers.drop_metadata(inventory, guest.id, STOPPED_BY)
    return f"it runs, but its mark {STOPPED_BY} is still there: {refusal}" if refusal else ""
