"""How nova answers: pages of a list, and errors."""

from collections.abc import Callable
from typing import Any, TypeVar

from simulator.http import Request, Response

T = TypeVar("T")

_MOST_ROWS = 1000


def page(request: Request, key: str, items: list[T], *, mark: Callable[[T], str], show: Callable[[T], Any]) -> Response:
    """Return the page of a list that was asked for, with the link to the next one; ``mark`` is what markers name."""
    after, limit = request.query.get("marker"), min(int(request.query.get("limit", _MOST_ROWS)), _MOST_ROWS)
    begin = 0
    if after is not None:
        begin = next((place + 1 for place, item in enumerate(items) if mark(item) == after), len(items))
    part = items[begin : begin + limit]
    body: dict[str, Any] = {key: [show(item) for item in part]}
    if begin + limit < len(items):
        body[f"{key}_links"] = [{"rel": "next", "href": f"{request.path}?marker={mark(part[-1])}"}]
    return Response(200, body)


def fault(status: int, kind: str, message: str) -> Response:
    """Return an error in nova's form."""
    return Response(status, {kind: {"code": status, "message": message}})


def not_simulated(request: Request) -> Response:
    """Say that this part of the API is missing here."""
    return fault(404, "itemNotFound", f"not simulated: {request.name}")
