"""How nova answers: pages of a list, and errors."""

from typing import Any

from simulator.http import Request, Response

_MOST_ROWS = 1000


def page(request: Request, key: str, rows: list[dict[str, Any]], *, marker: str = "id") -> Response:
    """Return the page of a list that was asked for, with the link to the next one."""
    after, limit = request.query.get("marker"), min(int(request.query.get("limit", _MOST_ROWS)), _MOST_ROWS)
    begin = 0
    if after is not None:
        begin = next((place + 1 for place, row in enumerate(rows) if str(row[marker]) == after), len(rows))
    part = rows[begin : begin + limit]
    body: dict[str, Any] = {key: part}
    if begin + limit < len(rows):
        body[f"{key}_links"] = [{"rel": "next", "href": f"{request.path}?marker={part[-1][marker]}"}]
    return Response(200, body)


def fault(status: int, kind: str, message: str) -> Response:
    """Return an error in nova's form."""
    return Response(status, {kind: {"code": status, "message": message}})


def not_simulated(request: Request) -> Response:
    """Say that this part of the API is missing here."""
    return fault(404, "itemNotFound", f"not simulated: {request.name}")
