"""Why a guest goes where it goes, and a host when it does."""

from model.fleet import GuestClass
from model.placement import schedule, why_guest, why_host
from model.rolling import Canary, Rolling
from tests.model.placement.fleets import anti, fleet, guest, host, live

CLOUD = fleet(
    [
        host("spare", 4, zone="a"),
        host("tiny", 1, zone="a"),
        host("far", zone="b"),
        host("h1", 4, zone="a"),
        host("h2", 4, zone="a"),
        host("off", zone="a", status="disabled"),
        host("left", zone="a"),
    ],
    [guest("g1", "h1", 2, zone="a"), guest("g2", "h2", 3, zone="a"), guest("s", "h2"), guest("pet", "left")],
    (anti("web", "g1", "g2"),),
)
PLAN = schedule(
    CLOUD,
    live(CLOUD, pet=GuestClass.LEAVE, s=GuestClass.STOP),
    Rolling(max_unavailable=3, canary=Canary(count=0)),
    hosts=["h1", "h2", "left"],
)


def test_a_guest_is_told_what_ruled_out_the_other_hosts() -> None:
    where, why = why_guest(PLAN, CLOUD, "g1")
    assert where == "g1 moves from h1 to h2 in wave 2 of 2"
    assert why == (
        "of the other hosts 2 with too little VCPU, 1 not done yet, 1 down, disabled or to be avoided, "
        "1 in another zone; it was the only one possible"
    )


def test_guests_that_stay_and_unknown_ones_are_told_so() -> None:
    assert why_guest(PLAN, CLOUD, "pet") == ("pet stays on left, which is not done",)
    assert why_guest(PLAN, CLOUD, "s") == ("s stays on h2 while it is done",)
    assert why_guest(PLAN, CLOUD, "nobody") == ("there was no guest nobody when the schedule was made",)


def test_a_host_is_told_its_wave_and_what_it_waits_for() -> None:
    sentences = why_host(PLAN, CLOUD, "h1")
    assert sentences[0] == "h1 is in wave 2 of 2, with 0 other hosts"
    assert sentences[1] == "emptied of 1 guest, which go to 1 host"
    assert sentences[2] == "it waits for 1 host: its guests need the room of h2"
    assert "waited for by 1 host: h1" in why_host(PLAN, CLOUD, "h2")


def test_hosts_that_are_not_done_are_told_why() -> None:
    assert why_host(PLAN, CLOUD, "left") == ("left is not done: guest pet is to be left as it is",)
    assert why_host(PLAN, CLOUD, "far") == ("far is in no wave: it was not asked for, and may take guests",)
    assert why_host(PLAN, CLOUD, "x") == ("x is in no wave: nova knows no such host",)
