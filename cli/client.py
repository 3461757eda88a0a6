"""The runs as the command line sees them: every call to Temporal, and every failure of one in plain words."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from cli.errors import CliError, Exit, NoAnswerError
from model.availability import AvailabilityResult
from model.base import Record
from model.control import RollbackRequest
from model.notify import Announcement, Occasion
from model.outlook import Outlook
from model.reboot_spec import RebootRequest
from model.rehearsal import RehearsalReport, RehearsalRequest
from model.spec import UpgradeRequest
from model.status import Event, Report, UpgradeStatus
from workers.connect import Unreachable, connect
from workflows.names import STATE_KEY, TASK_QUEUE, child_id, lock_id, task_time

ROLLBACK = "Rollback"
# Upgrades of simulated clouds, for rehearsals: no runs of anybody's cloud.
_SIMULATED = "/simulation"
KINDS = ("RollingUpgrade", "RollingReboot", ROLLBACK)
_QUERY_TIME = timedelta(seconds=5)
_ORDER_TIME = timedelta(seconds=20)
_NO_WORKER = (
    "no worker answers; start one with `stackroll dev` or `stackroll worker`; the run keeps its place meanwhile"
)
_SILENT = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.CANCELLED}

Answer = TypeVar("Answer")


class RunLine(NamedTuple):
    """A run in the list of runs."""

    id: str
    state: str
    started: str
    ended: str | None


class Runs:
    """What operators do with runs."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def start(self, request: UpgradeRequest | RebootRequest, id_: str, *, gives_way: str | None = None) -> None:
        """Start a run; refused when one of the same cloud is going on, except the one that ``gives_way``."""
        if (holder := await self.holder(request.inventory.cloud)) not in (None, gives_way):
            raise CliError(
                f"refused: {holder} works on {request.inventory.cloud}; watch it with `stackroll watch {holder}`, "
                f"or end it with `stackroll abort {holder} --reason …`",
                Exit.REFUSED,
            )
        with _explained(id_):
            try:
                await self.client.start_workflow(
                    request.kind,
                    request,
                    id=id_,
                    task_queue=TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    static_summary=headline(request),
                    task_timeout=task_time(len(request.inventory.hosts)),
                    rpc_timeout=_ORDER_TIME,
                )
            except WorkflowAlreadyStartedError:
                raise CliError(f"refused: there is a run {id_} already; choose another --id", Exit.REFUSED) from None

    async def rehearse(self, asked: RehearsalRequest, id_: str) -> None:
        """Start a rehearsal; there is one at most of each cloud and release."""
        await self._start_again(
            asked.kind,
            asked,
            id_,
            f"rehearse {headline(asked.request)}",
            going_on=f"end it with `temporal workflow cancel -w {id_}`",
        )

    async def rehearsed(self, id_: str) -> RehearsalReport:
        """Ask a rehearsal for its account, as far as it has come."""
        return await self._query(id_, "rehearsal", RehearsalReport)

    async def roll_back(self, request: RollbackRequest, id_: str) -> None:
        """Start the rollback of an upgrade that has ended."""
        summary = f"roll back {request.upgrade}"
        await self._start_again(ROLLBACK, request, id_, summary, going_on=f"watch it with `stackroll watch {id_}`")

    async def _start_again(
        self, kind: str, asked: RehearsalRequest | RollbackRequest, id_: str, summary: str, *, going_on: str
    ) -> None:
        """Start what may have been there before and has ended; while it goes on it is refused, with what to do."""
        with _explained(id_):
            try:
                await self.client.start_workflow(
                    kind,
                    asked,
                    id=id_,
                    task_queue=TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    static_summary=summary,
                    rpc_timeout=_ORDER_TIME,
                )
            except WorkflowAlreadyStartedError:
                raise CliError(f"refused: {id_} is going on; {going_on}", Exit.REFUSED) from None

    async def holder(self, cloud: str) -> str | None:
        """Return the id of the run that works on this cloud, if one does."""
        with _explained(cloud):
            try:
                lock = await self.client.get_workflow_handle(lock_id(cloud)).describe(rpc_timeout=_QUERY_TIME)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return None
                raise
        return lock.parent_id or lock.id if lock.status is WorkflowExecutionStatus.RUNNING else None

    async def forget(self, cloud: str, reason: str) -> str | None:
        """End the run that works on a cloud that is not there any more, where nothing is left to put back.

        Returns:
            Its id; None where there was none.
        """
        if (run := await self.holder(cloud)) is None:
            return None
        with _explained(run):
            await self.client.get_workflow_handle(run).terminate(reason=reason, rpc_timeout=_ORDER_TIME)
            # Its lock is a child of it, and is ended with it, a moment later.
            with suppress(WorkflowFailureError):
                await self.client.get_workflow_handle(lock_id(cloud)).result(rpc_timeout=_ORDER_TIME)
        return run

    async def status(self, id_: str) -> UpgradeStatus:
        """Ask a run for its status."""
        return await self._query(id_, "status", UpgradeStatus)

    async def report(self, id_: str) -> Report:
        """Ask a run for its report, as far as it has come."""
        return await self._query(id_, "report", Report)

    async def availability(self, id_: str) -> AvailabilityResult:
        """Return what the probe of a run has seen: what it told last while it runs, else what the run's report says."""
        with _explained(id_):
            if live := await self._watching(id_):
                return live
        report = await self.report(id_)
        tracks = [api.track for api in report.availability if api.track]
        return AvailabilityResult(
            apis=report.availability,
            path="",
            unobserved=report.unobserved,
            begun=min((track[0].start for track in tracks), default=None),
            ended=max((track[-1].end for track in tracks), default=None),
        )

    async def _watching(self, id_: str) -> AvailabilityResult | None:
        """Return what the probe has sent with its last heartbeat; None when it does not run."""
        try:
            watch = await self.client.get_workflow_handle(child_id(id_, "availability")).describe(
                rpc_timeout=_QUERY_TIME
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        if watch.status is not WorkflowExecutionStatus.RUNNING:
            return None
        for pending in watch.raw_description.pending_activities:
            payloads = list(pending.heartbeat_details.payloads)
            if len(payloads) > 1:
                found: tuple[str, AvailabilityResult] = tuple(
                    await self.client.data_converter.decode(payloads, [str, AvailabilityResult])
                )
                return found[1]
        return None

    async def outlook(self, id_: str) -> Outlook:
        """Ask a rolling reboot for what it has predicted."""
        return await self._query(id_, "outlook", Outlook)

    async def why(self, id_: str, subject: str) -> str:
        """Ask a run why it treats a host or a guest as it does; empty when it knows nothing of it."""
        with _explained(id_):
            answer: str = await self.client.get_workflow_handle(id_).query(
                "why", subject, result_type=str, rpc_timeout=_QUERY_TIME
            )
            return answer

    async def announcement(self, id_: str, occasion: Occasion) -> Announcement | None:
        """Ask a run for what people would be told of an occasion now; None when it tells nobody."""
        with _explained(id_):
            told: dict[str, Any] | None = await self.client.get_workflow_handle(id_).query(
                "announcement", occasion, result_type=dict, rpc_timeout=_QUERY_TIME
            )
        return Announcement.model_validate(told) if told else None

    async def timeline(self, id_: str) -> list[Event]:
        """Ask a run for everything that happened."""
        return await self._query(id_, "timeline", list[Event])

    async def signal(self, id_: str, name: str, order: Record) -> None:
        """Send an order that is carried out when a worker is there."""
        with _explained(id_):
            await self.client.get_workflow_handle(id_).signal(name, order, rpc_timeout=_ORDER_TIME)

    async def update(self, id_: str, name: str, order: Record) -> str:
        """Give an order that the run accepts or refuses at once; return what it says."""
        with _explained(id_):
            answer: str = await self.client.get_workflow_handle(id_).execute_update(
                name, order, result_type=str, rpc_timeout=_ORDER_TIME
            )
            return answer

    async def closed(self, id_: str) -> str | None:
        """Return how Temporal says that a run ended, in lower case; None while it is open."""
        with _explained(id_):
            description = await self.client.get_workflow_handle(id_).describe(rpc_timeout=_QUERY_TIME)
        status = description.status
        return None if status in (None, WorkflowExecutionStatus.RUNNING) else str(status.name).lower()

    async def recent(self, limit: int) -> list[RunLine]:
        """Return the newest runs first."""
        lines = []
        with _explained("list"):
            found = self.client.list_workflows(f"WorkflowType IN {KINDS}", limit=limit, rpc_timeout=_QUERY_TIME)
            async for run in found:
                if run.id.endswith(_SIMULATED):
                    continue
                ended = run.close_time.isoformat() if run.close_time else None
                lines.append(RunLine(run.id, _state(run), run.start_time.isoformat(), ended))
        return lines

    async def newest(self) -> str:
        """Return the id of the newest run."""
        if lines := await self.recent(1):
            return lines[0].id
        raise CliError("there is no run yet; start one with `stackroll start FILE`", Exit.BAD_INPUT)

    async def _query(self, id_: str, name: str, kind: type[Answer]) -> Answer:
        with _explained(id_):
            answer: Answer = await self.client.get_workflow_handle(id_).query(
                name, result_type=kind, rpc_timeout=_QUERY_TIME
            )
            return answer


def headline(request: UpgradeRequest | RebootRequest) -> str:
    """Return what a run is about, in a few words."""
    cloud, release = request.inventory.cloud, request.inventory.release
    if isinstance(request, RebootRequest):
        return f"{cloud} reboot {request.spec.reboot.value}"
    return f"{cloud} {release} to {request.goal}"


def _state(run: WorkflowExecution) -> str:
    """Return a run's own word for its state; Temporal's, where the run was ended from outside."""
    by_itself = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.FAILED)
    own = run.typed_search_attributes.get(STATE_KEY) if run.status in by_itself else None
    return own or (run.status.name.lower() if run.status else "unknown")


@cache
def _silent_runtime() -> Runtime:
    """Return the SDK's threads and connections, which a process has once.

    Its own log lines would run through the live view; every failure is reported by the calls anyway.
    """
    return Runtime(telemetry=TelemetryConfig(logging=None))


@asynccontextmanager
async def open_runs() -> AsyncIterator[Runs]:
    """Connect to Temporal.

    Raises:
        NoAnswerError: with what to do, when it cannot be reached.
    """
    Runtime.set_default(_silent_runtime(), error_if_already_set=False)
    try:
        client = await connect()
    except Unreachable as error:
        raise NoAnswerError(str(error)) from None
    yield Runs(client)


@contextmanager
def _explained(id_: str) -> Iterator[None]:
    """Turn every failure of a call about a run into a message for its operator."""
    try:
        yield
    except (WorkflowUpdateFailedError, WorkflowQueryFailedError) as error:
        reason = error.cause if isinstance(error, WorkflowUpdateFailedError) else error
        raise CliError(f"refused: {getattr(reason, 'message', reason)}", Exit.REFUSED) from None
    except WorkflowQueryRejectedError:
        raise CliError(f"{id_} answers no questions any more; `temporal workflow describe -w {id_}` shows it") from None
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise NoAnswerError(f"{_NO_WORKER}; the order was not accepted: give it again") from None
    except RPCError as error:
        raise _explain_rpc(error, id_) from None


def _explain_rpc(error: RPCError, id_: str) -> CliError:
    if error.status is RPCStatusCode.NOT_FOUND:
        if "already completed" in error.message:
            return CliError(f"{id_} has ended already; `stackroll report {id_}` shows how", Exit.REFUSED)
        return CliError(f"no run {id_!r}; `stackroll list` shows them", Exit.BAD_INPUT)
    if error.status in _SILENT:
        return NoAnswerError(_NO_WORKER)
    return NoAnswerError(f"Temporal does not answer ({error.message}); is it running, and is its address right?")
