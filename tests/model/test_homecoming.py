"""Whether a guest can go back to the host that it was on."""

from typing import Any

import pytest

from model.homecoming import Place, judge_homecoming
from model.nova import Guest, Migration

SINCE = "2026-11-23T10:00:00Z"


def guest(**more: Any) -> Guest:
    return Guest.model_validate({"id": "g", "name": "vm", "host": "cmp2", "status": "ACTIVE", **more})


def move(status: str, created: str = "2026-11-23T10:05:00Z", **more: Any) -> Migration:
    content = {"id": 1, "guest": "g", "kind": "live-migration", "source": "cmp2", "target": "cmp1"}
    return Migration.model_validate({**content, "status": status, "created": created, **more})


@pytest.mark.parametrize(
    ("found", "moves", "place", "reason"),
    [
        (guest(), [], Place.READY, ""),
        (guest(status="PAUSED"), [], Place.READY, ""),
        (guest(host="cmp1"), [move("completed")], Place.HOME, ""),
        (guest(host="cmp1", status="SHUTOFF"), [], Place.HOME, ""),
        (guest(), [move("running")], Place.MOVING, ""),
        (guest(task_state="migrating"), [], Place.MOVING, ""),
        (guest(status="SHUTOFF"), [], Place.LEFT, "it is SHUTOFF, and only what runs is moved back"),
        (None, [], Place.LEFT, "its owner has deleted it"),
        (guest(), [move("error")], Place.READY, ""),
        (guest(), [move("error"), move("failed", id=2)], Place.LEFT, "2 live migrations failed"),
        (guest(), [move("error"), move("error", "2026-11-23T09:00:00Z", id=2)], Place.READY, ""),
        (guest(), [move("error"), move("error", guest="other", id=2)], Place.READY, ""),
    ],
)
def test_where_a_guest_is_on_its_way_home(
    found: Guest | None, moves: list[Migration], place: Place, reason: str
) -> None:
    judged = judge_homecoming(found, "cmp1", moves, since=SINCE, attempts=2)
    assert (judged.place, judged.reason) == (place, reason)
