"""When nova is at work on a server."""

import pytest

from model.nova import is_settled
from model.work import GuestFacts


@pytest.mark.parametrize(
    ("status", "task", "settled"),
    [
        ("ACTIVE", None, True),
        ("SHUTOFF", None, True),
        ("ERROR", None, True),
        ("SOFT_DELETED", None, True),
        ("ACTIVE", "deleting", False),
        ("BUILD", None, False),
        ("MIGRATING", None, False),
        # Saved as deleted, but its allocations and its record are still to be removed.
        ("DELETED", None, False),
    ],
)
def test_settled(status: str, task: str | None, settled: bool) -> None:
    assert is_settled(GuestFacts(id="g", name="g", host="cmp1", status=status, task_state=task)) is settled
