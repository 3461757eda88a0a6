"""The state digest: canonical, hashed, compared, judged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.digest import (
    Allocation,
    Allocations,
    Balancer,
    Digest,
    DigestError,
    GuestState,
    Kind,
    Package,
    Process,
    Section,
    ServiceState,
    differences,
)
from model.releases import find_release
from model.verdict import Concern, Verdict, judge, same_release

OLD, NEW = find_release("2026.1"), find_release("2026.2")
HOSTS = ("cmp1", "cmp2", "cmp3")


def guest(name: str, status: str = "ACTIVE", **more: Any) -> GuestState:
    return GuestState(name=name, project="p1", status=status, vm_state=status.lower(), flavor="tiny", **more)


def image(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "status": "active", "size": 8, "checksum": "c1", "owner": "p1", **more}


def make(**parts: Any) -> Digest:
    """A cloud at 2026.1 with two guests."""
    nova = OLD.versions["nova"]
    found: dict[str, Any] = {
        "cloud": "c",
        "packages": {host: {"nova": Package(active=nova, installed=(nova,))} for host in HOSTS},
        "processes": {host: {"nova-compute": Process(state="active", version=nova)} for host in HOSTS},
        "services": {
            "nova-compute": {
                host: ServiceState(version=OLD.nova_service_version, state="up", status="enabled", forced_down=False)
                for host in HOSTS
            }
        },
        "balancer": Balancer(servers={"nova-api": {"ctl1": "up", "ctl2": "up"}}),
        "apis": {"nova-api": {"v2.1": "2.1 to 2.100"}},
        "catalog": {"endpoints": {"e1": {"url": "http://c:8774", "enabled": True}}},
        "schemas": {"nova": ("aaa",), "keystone": ("k1", "k2")},
        "guests": {"g1": guest("one"), "g2": guest("two")},
        "places": {"g1": "cmp1", "g2": "cmp2"},
        "allocations": Allocations(guests={id_: Allocation(resources={"VCPU": 1}) for id_ in ("g1", "g2")}),
        "images": {"i1": image("tiny")},
        "identity": {"projects": {"p1": {"name": "demo", "enabled": True}}, "users": {"u1": {"name": "demo"}}},
    }
    return Digest(**{**found, **parts})


def at(version: str, service_version: int, *hosts: str) -> dict[str, Any]:
    """The parts of a cloud of which these hosts are at another version."""
    before = make()
    found: dict[str, Any] = {"packages": dict(before.packages), "processes": dict(before.processes)}
    rows = dict(before.services["nova-compute"])
    for host in hosts:
        found["packages"][host] = {"nova": Package(active=version, installed=(OLD.versions["nova"], version))}
        found["processes"][host] = {"nova-compute": Process(state="active", version=version)}
        rows[host] = rows[host].model_copy(update={"version": service_version})
    return {**found, "services": {"nova-compute": rows}}


UPGRADED = at(NEW.versions["nova"], NEW.nova_service_version, *HOSTS)


# The document


def test_the_same_state_is_the_same_text_whatever_the_order() -> None:
    one = make(places={"g1": "cmp1", "g2": "cmp2"})
    other = make(places={"g2": "cmp2", "g1": "cmp1"})
    assert one.to_json() == other.to_json()
    assert one.hashes == other.hashes


def test_a_document_comes_back_as_it_was() -> None:
    digest = make(unread={"apis/glance": "no answer"}, guests={"g1": guest("Zoë\t1", power_state=1, image="i1")})
    again = Digest.from_json(digest.to_json())
    assert again == digest
    assert again.to_json() == digest.to_json()


@given(
    st.dictionaries(st.text(max_size=8), st.sampled_from(["cmp1", None]), max_size=4),
    st.dictionaries(st.text(max_size=8), st.tuples(st.text(max_size=4)), max_size=3),
)
def test_any_document_comes_back(places: dict[str, str | None], schemas: dict[str, tuple[str]]) -> None:
    digest = make(places=places, schemas=schemas)
    assert Digest.from_json(digest.to_json()).hashes == digest.hashes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello", "no JSON"),
        ("[1]", "no digest"),
        ('{"a": 1}', "no digest"),
        ('{"stackroll_digest": 99}', "of format 99"),
        ('{"stackroll_digest": 1}', "sections is missing"),
        ('{"stackroll_digest": 1, "sections": [], "cloud": "c", "unread": {}}', "damaged"),
        ('{"stackroll_digest": 1, "sections": {"guests": 3}, "cloud": "c", "unread": {}}', "guests"),
    ],
)
def test_what_is_no_digest_is_told(text: str, told: str) -> None:
    with pytest.raises(DigestError, match=told):
        Digest.from_json(text)


def test_a_changed_document_is_told() -> None:
    document = json.loads(make().to_json())
    document["sections"]["guests"]["g1"]["status"] = "ERROR"
    with pytest.raises(DigestError, match="was changed"):
        Digest.from_json(json.dumps(document))


# Hashes


@pytest.mark.parametrize("section", [Section.SCHEMAS, Section.PLACES])
def test_what_a_rollback_may_change_is_not_in_the_state_hash(section: Section) -> None:
    changed: dict[Section, dict[str, Any]] = {
        Section.SCHEMAS: {"schemas": {"nova": ("bbb",)}},
        Section.PLACES: {"places": {"g1": "cmp3"}},
    }
    before, after = make(), make(**changed[section])
    assert before.hash != after.hash
    assert before.state_hash == after.state_hash
    assert [s for s in Section if before.section_hashes[s] != after.section_hashes[s]] == [section]


def test_what_users_do_is_in_the_state_hash_but_not_in_the_systems() -> None:
    before, after = make(), make(images={})
    assert before.state_hash != after.state_hash
    assert before.system_hash == after.system_hash


def test_what_could_not_be_read_counts_but_not_why() -> None:
    one, other = make(unread={"apis/glance": "timeout"}), make(unread={"apis/glance": "refused"})
    assert one.hash == other.hash != make().hash


# Differences


def test_differences_name_place_kind_and_both_sides() -> None:
    after = make(guests={"g1": guest("one", "SHUTOFF"), "g3": guest("three")})
    found = {(d.section, d.path): d for d in differences(make(), after)}
    assert found[Section.GUESTS, ("g1", "status")].model_dump(include={"kind", "before", "after"}) == {
        "kind": Kind.CHANGED,
        "before": "ACTIVE",
        "after": "SHUTOFF",
    }
    assert found[Section.GUESTS, ("g2",)].kind is Kind.REMOVED
    assert found[Section.GUESTS, ("g3",)].after["name"] == "three"
    assert differences(make(), make()) == ()


def test_what_either_side_could_not_read_is_not_compared() -> None:
    gone = {host: units for host, units in make().processes.items() if host != "cmp2"}
    broken = make(processes=gone, unread={"processes/cmp2": "no connection"})
    assert differences(make(), broken) == differences(broken, make()) == ()
    blind = make(guests={}, unread={"guests": "no answer"})
    assert differences(make(), blind) == ()


def test_two_clouds_are_not_compared() -> None:
    with pytest.raises(DigestError, match="two clouds, c and d"):
        differences(make(), make(cloud="d"))


# Judgement


def test_an_untouched_cloud_is_equal() -> None:
    verdict = judge(make(), make())
    assert verdict.whole
    assert verdict.equal
    assert verdict.summary == "equal to before"


def test_a_good_rollback_with_users_at_work() -> None:
    after = make(
        schemas={"nova": ("bbb",), "keystone": ("k1", "k2")},
        places={"g1": "cmp3", "g2": "cmp1", "n1": "cmp1", "n2": "cmp1"},
        guests={**make().guests, "n1": guest("new1"), "n2": guest("new2", "ERROR")},
        allocations=Allocations(
            guests={id_: Allocation(resources={"VCPU": 1}) for id_ in ("g1", "g2", "n1", "n2")},
            migrations={"m1": "resize of n1, cmp1 to cmp2: finished"},
        ),
        images={**make().images, "i2": image("mine")},
    )
    verdict = judge(make(), after, deleted=())
    assert verdict.problems == ()
    assert not verdict.equal
    assert verdict.summary == (
        "equal to before; 2 servers, 1 migration, 1 image made since are kept (1 in ERROR); "
        "schema of nova stays expanded; 2 guests are on other hosts"
    )
    assert {difference.section for difference in verdict.tolerated} == {Section.SCHEMAS, Section.PLACES}


def problems(after: Digest, **more: Any) -> list[str]:
    verdict = judge(make(), after, **more)
    assert verdict.whole == (not verdict.problems)
    return list(verdict.problems)


def service(**more: Any) -> dict[str, Any]:
    rows = make().services["nova-compute"]
    return {"nova-compute": {**rows, "cmp1": rows["cmp1"].model_copy(update=more)}}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        (at("34.0.0", 72, "cmp2")["processes"], "processes cmp2 nova-compute version: 34.0.0, should be 33.0.1"),
        (at("34.0.0", 72, "cmp2")["packages"], "packages cmp2 nova active: 34.0.0, should be 33.0.1"),
        (service(version=74), "services cmp1 nova-compute version: 74, should be 72"),
        (service(status="disabled"), "services cmp1 nova-compute status: disabled, should be enabled"),
        (service(state="down"), "services cmp1 nova-compute state: down, should be up"),
        (service(forced_down=True), "services cmp1 nova-compute forced_down: True, should be False"),
        (Balancer(servers={"nova-api": {"ctl1": "drain", "ctl2": "up"}}), "balancer ctl1 servers nova-api: drain"),
        (Balancer(servers=make().balancer.servers, holds=("nova-api",)), "balancer holds: nova-api, should be nothing"),
        ({"nova-api": {"v2.1": "2.1 to 2.104"}}, "apis nova-api v2.1: 2.1 to 2.104, should be 2.1 to 2.100"),
        ({"endpoints": {}}, "catalog e1 endpoints: is gone"),
        ({"keystone": ("k1", "k2")}, "schemas nova: is gone (aaa)"),
    ],
)
def test_every_difference_of_the_system_is_a_problem(parts: Any, told: str) -> None:
    section = told.split(" ", maxsplit=1)[0]
    found = problems(make(**{section: parts}))
    assert any(told in problem for problem in found), found


def test_what_is_alike_on_many_hosts_is_told_once() -> None:
    found = problems(make(processes=UPGRADED["processes"]))
    assert found == ["processes cmp1, cmp2, cmp3 nova-compute version: 34.0.0, should be 33.0.1"]


def test_a_host_that_could_not_be_read_proves_nothing() -> None:
    units = {host: one for host, one in make().processes.items() if host != "cmp3"}
    found = problems(make(processes=units, unread={"processes/cmp3": "no connection"}))
    assert found == ["processes/cmp3 could not be read: no connection"]
    verdict = judge(make(processes=units, unread={"processes/cmp3": "no connection"}), make())
    assert verdict.whole
    assert not verdict.equal
    assert verdict.summary.endswith("not read before, and so not compared: processes/cmp3")


def without_guest() -> Digest:
    held = {"g2": make().allocations.guests["g2"]}
    return make(guests={"g2": guest("two")}, places={"g2": "cmp2"}, allocations=Allocations(guests=held))


def test_a_guest_that_is_gone_is_lost_unless_somebody_deleted_it() -> None:
    assert problems(without_guest(), deleted=()) == ["guests one (g1): is gone (one ACTIVE)"]
    assert problems(without_guest(), deleted={"g1"}) == []
    assert judge(make(), without_guest()).summary == "equal to before; 1 server deleted since"


def test_a_guest_that_was_deleted_before_it_was_built() -> None:
    before = make(guests={**make().guests, "n1": guest("new", "BUILD", task_state="scheduling")})
    assert judge(before, make(), deleted=()).summary == "equal to before; 1 server deleted since"


def test_an_image_that_is_gone_or_has_other_content() -> None:
    assert problems(make(images={}), deleted={"i1"}) == []
    assert problems(make(images={}), deleted=())[0].startswith("images tiny (i1): is gone")
    assert problems(make(images={"i1": image("renamed")})) == []
    assert problems(make(images={"i1": image("tiny", checksum="c2")})) == [
        "images tiny (i1) checksum: c2, should be c1"
    ]


def test_guests_in_error_or_stuck() -> None:
    broken = make(guests={"g1": guest("one", "ERROR"), "g2": guest("two")})
    assert problems(broken) == ["guests one (g1) status: ERROR, should be ACTIVE"]
    was_so = make(guests={"g1": guest("one", "ERROR"), "g2": guest("two")})
    assert judge(was_so, broken).equal
    building = make(guests={**make().guests, "n1": guest("new", "BUILD", task_state="spawning")})
    assert problems(building) == ["guest new (n1) is still in spawning"]
    assert problems(building, stuck=()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"orphans": {"x": {"VCPU": 1}}}, "allocations x orphans: should not be there (VCPU 1)"),
        (
            {"guests": {"g1": Allocation(resources={"VCPU": 1}, home=False)}},
            "allocations one (g1) guests home: False, should be True",
        ),
        (
            {"migrations": {"m": "live-migration of g1, a to b: running"}},
            "allocations m migrations: should not be there",
        ),
        ({"migrations": {"m": "resize of g1, a to b: finished"}}, None),
        ({"guests": {"g1": Allocation(resources={"VCPU": 4})}}, None),
    ],
)
def test_room_that_is_held_for_nobody_or_elsewhere(change: dict[str, Any], told: str | None) -> None:
    before = make().allocations
    parts = {"guests": {**before.guests, **change.pop("guests", {})}, **change}
    found = problems(make(allocations=Allocations(**parts)))
    assert (told is None and not found) or (told is not None and found[0].startswith(told)), found


def test_a_guest_on_its_way_holds_room_in_two_places() -> None:
    moving = {**make().guests, "g1": guest("one", "MIGRATING", task_state="migrating")}
    held = {**make().allocations.guests, "g1": Allocation(resources={"VCPU": 1}, home=False)}
    assert problems(make(guests=moving, allocations=Allocations(guests=held)), stuck=()) == []


def test_what_users_do_with_accounts_is_theirs() -> None:
    after = make(identity={"projects": {"p1": {"name": "demo", "enabled": False}}, "users": {"u2": {"name": "new"}}})
    verdict = judge(make(), after)
    assert verdict.whole
    assert (
        verdict.summary
        == "equal to before; 1 user made since is kept; 1 user deleted since; 1 project changed by users"
    )
    assert len(verdict.of(Concern.USERS)) == len(verdict.users) == 3


# An upgrade


def upgraded(**parts: Any) -> Digest:
    return make(**{**UPGRADED, "apis": {"nova-api": {"v2.1": "2.1 to 2.104"}}, "schemas": {"nova": ("bbb",)}, **parts})


def after_upgrade(after: Digest) -> Verdict:
    before = make(schemas={"nova": ("aaa",)})
    return same_release(before, after, NEW)


def test_a_completed_upgrade_is_the_same_but_for_the_release() -> None:
    verdict = after_upgrade(upgraded())
    assert verdict.problems == ()
    assert {difference.section for difference in verdict.tolerated} == {
        Section.PACKAGES,
        Section.APIS,
        Section.SCHEMAS,
    }


def test_one_host_left_behind_is_no_completed_upgrade() -> None:
    verdict = after_upgrade(upgraded(**at(NEW.versions["nova"], NEW.nova_service_version, "cmp1", "cmp3")))
    assert verdict.problems == (
        "packages cmp2 nova active: 33.0.1, should be 34.0.0",
        "processes cmp2 nova-compute version: 33.0.1, should be 34.0.0",
        "services cmp2 nova-compute version: 72, should be 74",
    )


def test_an_api_that_offers_less_is_no_completed_upgrade() -> None:
    assert after_upgrade(upgraded(apis={"nova-api": {}})).problems == ("apis nova-api v2.1: is gone (2.1 to 2.100)",)
