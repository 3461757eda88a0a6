"""How recorded calls are written down."""

from model.base import Record
from model.contract_shape import Rules


class Pick(Record):
    """An id that later calls of the service put into their paths.

    Attributes:
        name: in paths, ``{name}``.
        rows: the key of the list in the answer.
        field: of its rows, with dots where it is deeper.
    """

    name: str
    rows: str
    field: str = "id"


class Call(Record):
    """A read that clients do.

    Attributes:
        name: as people call it; unique in its service.
        path: on the API's address.
        query: its parameters.
        since: the least microversion at which it exists; empty for every one.
        until: the greatest one.
        pick: what to take from the answer.
        members: the field of the list's rows whose values are part of the contract, as ``extensions.alias``.
        shows: for an answer that is one bare object, the name under which the rules know it.
        subject: whether it is about the token itself (``X-Subject-Token``).
    """

    name: str
    path: str
    query: dict[str, str] = {}
    since: str = ""
    until: str = ""
    pick: Pick | None = None
    members: str = ""
    shows: str = ""
    subject: bool = False


class Recorded(Record):
    """The calls of a service.

    Attributes:
        unit: the component that answers them.
        service_type: as in the catalogue, and in the microversion's header.
        calls: in the order in which they are made.
        rules: what is known of the answers.
    """

    unit: str
    service_type: str
    calls: tuple[Call, ...]
    rules: Rules = Rules()
