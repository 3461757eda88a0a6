"""What a drain chooses when the cloud is no longer as it was planned."""

from model.fleet import Fleet, GroupPolicy
from model.nova import Migration
from model.placement import Choice, Kind, choose_targets
from tests.model.placement.fleets import anti, fleet, guest, host


def choose(cloud: Fleet, *guests: str, clean: str = "done", avoid: str = "", planned: str = "") -> dict[str, Choice]:
    targets = dict.fromkeys(guests, planned) if planned else {}
    return choose_targets(cloud, guests, clean=clean.split(), avoid=avoid.split(), planned=targets)


CLOUD = fleet([host("src"), host("done", 4), host("done2", 6), host("late", 20)], [guest("g", "src", 3)])


def test_the_planned_target_is_kept_while_it_is_valid() -> None:
    assert choose(CLOUD, "g", clean="done done2", planned="done2")["g"] == Choice(target="done2", kind=Kind.PLANNED)


def test_another_done_host_comes_next_and_the_tightest_is_taken() -> None:
    choice = choose(CLOUD, "g", clean="done done2", avoid="late", planned="late")["g"]
    assert (choice.target, choice.kind) == ("done", Kind.DONE)
    assert choice.reason == "the planned target late may not take guests now"


def test_then_any_host_and_it_is_said_that_the_guest_moves_once_more() -> None:
    choice = choose(CLOUD, "g", clean="", avoid="done done2")["g"]
    assert (choice.target, choice.kind) == ("late", Kind.ANY)
    assert "will move once more" in choice.reason


def test_none_says_why_by_filter() -> None:
    cloud = fleet(
        [host("src", zone="a"), host("small", 2, zone="a"), host("far", zone="b"), host("out", zone="a")],
        [guest("g", "src", 3, zone="a")],
    )
    choice = choose(cloud, "g", clean="small", avoid="out")["g"]
    assert choice == Choice(
        kind=Kind.NONE,
        reason="it has no planned target; no other host may take it: 1 down, disabled or to be avoided, "
        "1 in another zone, 1 with too little VCPU (needs 3 vCPUs, 2 vCPUs free)",
    )


def test_room_is_given_once() -> None:
    cloud = fleet([host("src"), host("done", 4), host("other", 4)], [guest("a", "src", 3), guest("b", "src", 3)])
    found = choose(cloud, "a", "b", clean="done other", planned="done")
    assert [found[g].target for g in "ab"] == ["done", "other"]
    assert "too little VCPU" in found["b"].reason


def test_a_member_on_its_way_counts_at_its_target() -> None:
    guests = [guest("a", "src"), guest("b", "x")]
    cloud = fleet([host("src"), host("x"), host("done")], guests, (anti("web", "a", "b"),))
    arriving = Migration(id=1, guest="b", kind="live-migration", status="running", source="x", target="done")
    assert choose(cloud, "a", avoid="x", planned="done")["a"].kind is Kind.PLANNED
    moving = cloud.model_copy(update={"migrations": (arriving,)})
    choice = choose(moving, "a", avoid="x", planned="done")["a"]
    assert (choice.target, choice.kind) == (None, Kind.NONE)
    assert "ruled out by its server group" in choice.reason


def test_affine_guests_get_one_target() -> None:
    group = anti("pair", "a", "b", policy=GroupPolicy.AFFINITY)
    cloud = fleet(
        [host("src"), host("done", 3), host("other", 4)], [guest("a", "src", 2), guest("b", "src", 2)], (group,)
    )
    assert {choice.target for choice in choose(cloud, "a", "b", clean="done other").values()} == {"other"}


def test_who_is_gone_is_left_out() -> None:
    assert choose(CLOUD, "nobody") == {}
