"""What a run left on the Temporal server: events and bytes of every workflow, and the biggest payloads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import QueryWorkflowRequest
from temporalio.client import Client


@dataclass
class Histories:
    """All workflows of one type. Bytes are the server's own count, against which its limits go.

    ``payloads``: the biggest ones, as bytes and where they are.
    """

    count: int = 0
    events: int = 0
    most_events: int = 0
    bytes: int = 0
    most_bytes: int = 0
    payloads: list[tuple[int, str]] = field(default_factory=list)


async def read(client: Client) -> dict[str, Histories]:
    """Read every workflow of the namespace, by its type."""
    found: dict[str, Histories] = {}
    async for run in client.list_workflows():
        mine = found.setdefault(run.workflow_type, Histories())
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        info = (await handle.describe()).raw_description.workflow_execution_info
        mine.count += 1
        mine.events += info.history_length
        mine.most_events = max(mine.most_events, info.history_length)
        mine.bytes += info.history_size_bytes
        mine.most_bytes = max(mine.most_bytes, info.history_size_bytes)
        async for event in handle.fetch_history_events():
            name = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
            mine.payloads += [(size, f"{name} {event.event_id}") for size in payload_sizes(event)]
        mine.payloads = sorted(mine.payloads, reverse=True)[:5]
    return found


async def query_sizes(client: Client, id_: str, names: Iterable[str]) -> dict[str, int]:
    """Return how many bytes the answers of a workflow's queries have on the wire."""
    sizes = {}
    for name in names:
        asked = QueryWorkflowRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=id_),
            query=WorkflowQuery(query_type=name),
        )
        answer = await client.workflow_service.query_workflow(asked)
        sizes[name] = sum(payload.ByteSize() for payload in answer.query_result.payloads)
    return sizes


def payload_sizes(message: Message) -> Iterator[int]:
    """Yield the size of every payload anywhere in a message."""
    if isinstance(message, Payload):
        yield message.ByteSize()
        return
    for kind, value in message.ListFields():
        if kind.message_type is not None:
            for one in _messages(value):
                yield from payload_sizes(one)


def _messages(value: Any) -> Iterable[Message]:
    """Return the messages in a field: one, a list of them, or the values of a map."""
    if isinstance(value, Message):
        return (value,)
    several = value.values() if hasattr(value, "values") else value
    return tuple(one for one in several if isinstance(one, Message))
