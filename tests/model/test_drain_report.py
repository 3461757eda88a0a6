"""What people are told of a drain."""

import pytest

from model.drain import Decision, Memory
from model.drain_report import GIB, differences, outcome, progress_line
from model.fleet import FleetGuest
from model.moves import Orders, Progress
from model.nova import Migration

ORDERS = Orders(host="cn-14", since="2026-11-22T10:00:00Z", targets={"g1": "cn-1", "g9": "cn-2"})


def guest(number: int, ram: int = 65536) -> FleetGuest:
    return FleetGuest(id=f"g{number}", name=f"vm{number}", host="cn-14", status="ACTIVE", ram_mb=ram)


@pytest.mark.parametrize(
    ("stalled", "moves"), [(0.0, "9.0 GiB left, falling"), (30.0, "9.0 GiB left, not falling for 30 s")]
)
def test_the_line_tells_what_the_slowest_does(stalled: float, moves: str) -> None:
    decision = Decision(left=3, counts={"wait": 2, "live": 1}, waiting=("guest g2 waits for its turn",))
    copies = {
        "g1": Progress(migration=1, left=9 * GIB, total=64 * GIB, stalled=stalled),
        "g2": Progress(migration=2, left=GIB, total=64 * GIB),
    }
    line = progress_line(
        "cn-14", decision, Memory(progress=copies), most=31, guests={"g1": guest(1), "g2": guest(2)}, held={}
    )
    assert line == f"3 of 31 guests left on cn-14: live 1, wait 2; slowest vm1 64 GiB, {moves}"


def test_the_line_tells_what_is_waited_for_and_what_holds_back() -> None:
    decision = Decision(left=1, counts={"stop": 1}, stays=("g2",), waiting=("guest g1 waits for its turn",))
    line = progress_line(
        "cn-14",
        decision,
        Memory(),
        most=2,
        guests={"g1": guest(1)},
        held={"g1": "2 guests are leaving cn-14, of at most 2"},
    )
    assert line == (
        "1 of 2 guests left on cn-14: stop 1, 1 stay; guest vm1 waits for its turn; "
        "held back: 2 guests are leaving cn-14, of at most 2"
    )


def test_what_came_of_each_guest_is_read_from_nova() -> None:
    def move(number: int, status: str, kind: str = "live-migration", **more: str) -> Migration:
        times = {"created": "2026-11-22T10:01:00Z", "updated": "2026-11-22T10:01:30Z", **more}
        return Migration(id=number, guest="g1", kind=kind, status=status, source="cn-14", target="cn-1", **times)

    rows = outcome(ORDERS, [move(1, "error"), move(2, "cancelled"), move(3, "confirmed", "migration")], {}, [guest(2)])
    assert rows[0] == {
        "guest": "g1",
        "how": "cold",
        "from": "cn-14",
        "to": "cn-1",
        "migration": 3,
        "seconds": 30.0,
        "failed": {"live": 2},
    }
    assert (rows[1]["guest"], rows[1]["how"]) == ("g2", "stop")
    assert outcome(ORDERS, [move(1, "completed", created="2026-11-21T10:00:00Z")], {}, []) == []


def test_only_a_plan_can_be_differed_from() -> None:
    assert differences(ORDERS, ["g2"], [guest(1), guest(2), guest(3)]) == [
        "guest vm3 (g3) is not in the plan",
        "guest g9 of the plan is not here any more",
    ]
    assert differences(ORDERS.model_copy(update={"targets": {}}), [], [guest(1)]) == []
