"""How many guests may move at once, as a table."""

import pytest

from model.fleet import GroupPolicy, ServerGroup
from model.limits import crowded, find_hindrance
from model.nova import Migration
from model.rolling import Limits

ZONES = {"cmp1": "a", "cmp2": "a", "cmp3": "b", "cmp4": "b"}


def move(guest: str, source: str, target: str | None) -> Migration:
    return Migration(id=1, guest=guest, kind="live-migration", status="running", source=source, target=target)


def group(policy: GroupPolicy, most: int = 1) -> ServerGroup:
    return ServerGroup(id="s", name="db", policy=policy, members=("g1", "x"), max_per_host=most)


@pytest.mark.parametrize(
    ("limits", "moving", "target", "told"),
    [
        (Limits(), [], "cmp2", None),
        (Limits(total=1), [move("x", "cmp3", "cmp4")], "cmp2", "1 guests are moving in all, of at most 1"),
        (Limits(per_source=1), [move("x", "cmp1", None)], None, "1 guests are leaving cmp1, of at most 1"),
        (Limits(per_target=1), [move("x", "cmp3", "cmp2")], "cmp2", "1 guests are on their way to cmp2, of at most 1"),
        (Limits(per_target=1), [move("x", "cmp3", None)], "cmp2", None),
        (Limits(per_target=1), [move("x", "cmp3", "cmp2")], None, None),
        (Limits(per_zone=1), [move("x", "cmp2", None)], "cmp4", "1 guests are moving in zone a, of at most 1"),
        (Limits(per_zone=1), [move("x", "cmp3", "cmp4")], "cmp4", "1 guests are moving in zone b, of at most 1"),
        (Limits(per_zone=1), [move("x", "cmp3", "cmp4")], "cmp2", None),
        (Limits(total=1), [move("g1", "cmp1", "cmp2")], "cmp2", None),
    ],
)
def test_limits(limits: Limits, moving: list[Migration], target: str | None, told: str | None) -> None:
    assert find_hindrance("g1", "cmp1", target, moving, limits=limits, zones=ZONES) == told


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (GroupPolicy.ANTI_AFFINITY, True),
        (GroupPolicy.SOFT_ANTI_AFFINITY, True),
        (GroupPolicy.AFFINITY, False),
        (GroupPolicy.SOFT_AFFINITY, False),
    ],
)
def test_one_member_of_a_spread_group_at_a_time(policy: GroupPolicy, *, waits: bool) -> None:
    moving = [move("x", "cmp3", "cmp4")]
    found = find_hindrance("g1", "cmp1", None, moving, limits=Limits(), zones={}, groups=[group(policy)])
    assert (found == "guest x of its group db is moving") is waits


def test_a_group_is_crowded_where_its_rule_is_broken() -> None:
    together = {"g1": "cmp2", "x": "cmp2", "y": "cmp2"}
    assert crowded(group(GroupPolicy.ANTI_AFFINITY), together) == "group db has 2 members on cmp2, of at most 1"
    assert crowded(group(GroupPolicy.ANTI_AFFINITY, 2), together) is None
    assert crowded(group(GroupPolicy.SOFT_ANTI_AFFINITY), together) is None
    assert crowded(group(GroupPolicy.ANTI_AFFINITY), {"g1": "cmp2", "x": None}) is None
    assert crowded(group(GroupPolicy.ANTI_AFFINITY), {}) is None
