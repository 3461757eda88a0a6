"""The wait for alerts to end: a run goes on when none has fired for long enough, or when an operator says so."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from model.alerts import AlertParams, AlertsAsked, AlertsSeen, key_of, quiet_text
    from model.plan import Step
    from model.status import Waiting
    from model.words import duration
    from workflows import names
    from workflows.executor import StepError, StoppedError
    from workflows.ledger import iso

if TYPE_CHECKING:
    from workflows.control import Controlled


async def wait_for_quiet(run: "Controlled", step: Step) -> str:
    """Wait until no alert has fired for as long as the step wants; return what was seen.

    Raises:
        StepError: when alerts did not end in time, or cannot be asked for; StoppedError when the run stops.
    """
    params = AlertParams.model_validate(step.params)
    until = workflow.now() + timedelta(seconds=params.seconds + params.alerts.timeout)
    seen = AlertsSeen()
    try:
        while not seen.quiet:
            _show(run, step, params, seen, until)
            found = await _look(run, params, seen, until)
            if found is None:
                return f"opened by {run.approved[params.gate].by} in spite of alerts"
            if found.text and found.text != seen.text:
                run.ledger.note(workflow.now(), "alerts", step.id, found.text)
            seen = found
    finally:
        run.ledger.waiting.pop(step.id, None)
    return quiet_text(params.seconds)


def _show(run: "Controlled", step: Step, params: AlertParams, seen: AlertsSeen, until: datetime) -> None:
    """Say what the run waits for."""
    before = run.ledger.waiting.get(step.id)
    run.ledger.waiting[step.id] = Waiting(
        what=seen.text or f"{quiet_text(params.seconds)}: none fires now",
        since=before.since if before else iso(workflow.now()),
        until=iso(until),
        go_on=f"it goes on by itself when there are none; in spite of them: stackroll approve {run.ledger.run} "
        f"--gate {params.gate}",
    )
    run.changed()


async def _look(run: "Controlled", params: AlertParams, seen: AlertsSeen, until: datetime) -> AlertsSeen | None:
    """Return the next thing that is found; None when an operator has opened the gate."""
    asked = AlertsAsked(
        gate=params.alerts,
        seconds=params.seconds,
        known=tuple(sorted(key_of(alert) for alert in seen.firing)),
        problem=seen.problem,
    )
    left = max(until - workflow.now(), timedelta(seconds=1))
    looking = workflow.start_activity(
        names.WATCH_ALERTS,
        asked,
        result_type=AlertsSeen,
        start_to_close_timeout=left + names.READ_TIMEOUT,
        heartbeat_timeout=names.ALERTS_HEARTBEAT,
        summary=seen.text or "ask for alerts",
    )
    late = False
    try:
        await workflow.wait_condition(
            lambda: looking.done() or run.stopping or params.gate in run.approved,
            timeout=left,
            timeout_summary="alerts must have ended by then",
        )
    except TimeoutError:
        late = True
    if not looking.done():
        looking.cancel()
        with suppress(ActivityError):
            await looking
    if run.stopping:
        raise StoppedError(f"stopped while waiting for {seen.text or 'alerts'}")
    if params.gate in run.approved:
        return None
    if late:
        raise StepError(
            f"{seen.text or 'alerts'}: not within {duration(params.alerts.timeout)}\n  next: mend what they tell of, "
            f"then stackroll retry {run.ledger.run} {params.gate}; in spite of them: before that, "
            f"stackroll approve {run.ledger.run} --gate {params.gate}"
        )
    try:
        found: AlertsSeen = looking.result()
    except ActivityError as error:
        raise StepError(str(error.cause or error)) from error
    return found
